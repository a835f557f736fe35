"""The figures of the design as ratios: `tox -e bench`.  Nothing here fails on a slow machine.

Each figure stands beside a yardstick taken in the same run.  `--against DIR` adds another libnvidia-ml.so.1, for
example a mock written in Go, as a yardstick of the first ones.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nvsim import build, profile, state
from nvsim.machine import Machine
from toolkit import launchers

HERE = Path(__file__).parent
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
LIFE = """
"$0" create -b "$1" "$2" && "$0" start "$2" || exit 1
until "$0" state "$2" | grep -q '"status": "stopped"'; do :; done
"$0" delete "$2"
"""  # of a container, as an engine drives it: nvidia-container-runtime edits the bundle at `create`


def best(work: Callable[[], object], rounds: int = 7) -> float:
    """The shortest of several runs, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def show(what: str, value: str, ratio: float | None, aim: str) -> None:
    """One line: the figure, what it is as a ratio, and what it should be."""
    print(f"{what:52} {value:>12}  {'' if ratio is None else f'{ratio:7.2f} x':>9}  {aim}", flush=True)


def bench_nvml(work: Path, against: str) -> None:
    """Session and getters of the driver library on 1, 8 and 64 GPUs, and on MIG devices."""
    client = work / "bench_nvml"
    compiler = [sys.executable, "-m", "ziglang", "cc", "-O2"]
    subprocess.run([*compiler, str(HERE / "bench_nvml.c"), "-ldl", "-lpthread", "-o", str(client)], check=True)
    one, eight, many = (measure(client, library_of(work, count)) for count in (1, 8, 64))
    show("NVML: load, init, count, shutdown (8 GPUs)", f"{eight['session_us']:.0f} us",
         eight["session_us"] / eight["load_us"], "of loading the library alone")
    show("NVML: one getter call", f"{eight['getter_ns']:.1f} ns", eight["getter_ns"] / eight["call_ns"],
         "of an empty call")
    show("NVML: getter, 64 GPUs against 1", f"{many['getter_ns']:.1f} ns", many["getter_ns"] / one["getter_ns"],
         "aim 1.0: flat")
    show("NVML: getter, 16 threads at once", f"{eight['threads_ns']:.1f} ns",
         eight["threads_ns"] / eight["getter_ns"], "processor time of one thread's; aim 1.0: no waiting")
    bench_mig(client, work)
    if against:
        bench_against(eight, measure(client, os.path.join(against, "libnvidia-ml.so.1")))


def bench_mig(client: Path, work: Path) -> None:
    """Seven MIG devices on each of 64 GPUs."""
    one, many = (measure(client, library_of(work, count, mig_devices=7)) for count in (1, 64))
    show("NVML: getter, 64 GPUs x 7 MIG devices against 1 x 7", f"{many['mig_ns']:.1f} ns",
         many["mig_ns"] / one["mig_ns"], "aim 1.0: flat")


def bench_against(ours: dict[str, float], other: dict[str, float]) -> None:
    """The same figures of another library."""
    for name, what, unit in (("session_us", "load, init, count, shutdown", "us"), ("getter_ns", "getter", "ns"),
                             ("threads_ns", "getter, 16 threads at once", "ns")):
        show(f"NVML: {what}, the other: {other[name]:.1f} {unit}", f"{ours[name]:.1f} {unit}", ours[name] / other[name],
             "of the other; aim 0.1")


def library_of(work: Path, count: int, *, mig_devices: int = 0) -> str:
    """A driver library that carries `count` GPUs, each with as many MIG devices, in a tree that is used in place."""
    mig = {str(number): ["1g.5gb"] * mig_devices for number in range(count)} if mig_devices else {}
    host = {"about": "bench", "layout": "ubuntu22.04", "driver": "550.54.15",
            "gpus": [{"model": "A100-SXM4-40GB", "count": count, **({"mig": mig} if mig else {})}]}
    root = f"{work}/gpus{count}x{mig_devices}"
    machine = build.build(profile.of(host, "bench"), root, dev_root=root)
    return root + machine.boards[0]


def measure(client: Path, library: str) -> dict[str, float]:
    """What bench_nvml.c prints."""
    lines = subprocess.run([client, library], check=True, capture_output=True, text=True).stdout.splitlines()
    return {name: float(value) for name, value in map(str.split, lines)}


def bench_build(work: Path) -> None:
    """Building hosts; the cost must grow no faster than the GPUs."""
    wanted = profile.load("a100x8")
    places = iter(range(1000))

    def one() -> None:
        root = f"{work}/host{next(places)}"
        build.build(wanted, root)
        build.remove(root)

    took = best(one)
    show("host: build and remove, 8 GPUs", f"{took * 1e3:.0f} ms", took / 0.050, "of 50 ms; aim at most 1.0")


def bench_hosts(work: Path, count: int) -> bool:
    """`count` hosts, a tenth of them there at once: what the last tenth costs against the first, and what is left.

    Processor time counts, which other users of the machine change less than the clock.  False if anything is left."""
    wanted, folder = profile.load("t4x1"), work / "hosts"
    folder.mkdir()
    build.build(wanted, f"{folder}/first")  # reads the catalogue and the compiled parts
    build.remove(f"{folder}/first")
    before = traces()
    made, gone = list[float](), list[float]()
    for tenth in range(10):
        roots = [f"{folder}/{tenth}-{number}" for number in range(max(1, count // 10))]
        made.append(processor_time(roots, lambda root: build.build(wanted, root)))
        gone.append(processor_time(roots, build.remove))
    for what, took in (("built", made), ("removed", gone)):
        show(f"hosts: {count} {what}", f"{sum(took) / count * 1e3:.1f} ms each", took[-1] / took[0],
             "processor time of the last tenth against the first; aim 1.0: linear")
    left = [*os.listdir(folder), *sorted(traces() ^ before)]
    show(f"hosts: {count}, left of them", f"{len(left)}", None, ", ".join(left[:5]) or "nothing; aim 0")
    return not left


def processor_time(roots: list[str], work: Callable[[str], object]) -> float:
    """What the work on each root takes together, in seconds."""
    start = time.process_time()
    for root in roots:
        work(root)
    return time.process_time() - start


def traces() -> set[str]:
    """Mounts that this process sees, its open files and its children."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {*mounts, *(f"open file {fd}" for fd in os.listdir("/proc/self/fd")), *(f"process {p}" for p in children)}


def bench_cases() -> None:
    """Scenarios at level spec, without their start-up."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "nvsim", "run", "--level", "spec"], capture_output=True, text=True)
    took = time.perf_counter() - start
    lines = [line for line in done.stdout.splitlines() if " passed" in line]
    show("scenarios: a whole run at level spec", f"{took:.2f} s", None, lines[-1].strip() if lines else "no summary")


def bench_container(work: Path) -> None:
    """A container with eight GPUs in jit-cdi mode against a bare one."""
    if os.geteuid() or not shutil.which("runc", path=PATH):
        show("container: jit-cdi, 8 GPUs, against bare runc", "not run", None, "needs root and runc")
        return
    prefix, root = f"{work}/prefix", f"{work}/machine"
    launchers.install(prefix)
    build.build(profile.load("a100x8"), root)
    installed = {**os.environ, "PATH": f"{prefix}:{PATH}"}
    with Machine(root, cgroup="v1") as machine:
        def run(program: str, gpus: str) -> float:
            def once() -> None:
                done = machine.run(["sh", "-c", LIFE, program, make_bundle(work, gpus), f"nvsim-bench-{os.getpid()}"],
                                   env=installed)
                assert done.returncode == 0, done.stderr
            return best(once)

        bare, gpus = run("runc", ""), run(f"{prefix}/nvidia-container-runtime", "all")
    show("container: bare runc on the machine", f"{bare * 1e3:.0f} ms", None, "yardstick")
    show("container: jit-cdi, 8 GPUs", f"{gpus * 1e3:.0f} ms", gpus / (1.5 * bare + 0.150),
         "of 1.5 x bare + 150 ms; aim at most 1.0")


def make_bundle(work: Path, gpus: str) -> str:
    """A fresh busybox bundle that asks for `gpus`."""
    bundle = tempfile.mkdtemp(prefix="bundle-", dir=work)
    os.makedirs(f"{bundle}/rootfs/bin")
    shutil.copy(shutil.which("busybox") or "/bin/busybox", f"{bundle}/rootfs/bin/true")
    subprocess.run([shutil.which("runc", path=PATH) or "runc", "spec"], cwd=bundle, check=True)
    with open(f"{bundle}/config.json") as f:
        spec = json.load(f)
    spec["process"].update(terminal=False, args=["/bin/true"])
    spec["process"]["env"].append(f"NVIDIA_VISIBLE_DEVICES={gpus}")
    spec["root"]["readonly"] = False
    with open(f"{bundle}/config.json", "w") as f:
        json.dump(spec, f)
    return bundle


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", default="", metavar="DIR", help="folder with another libnvidia-ml.so.1")
    parser.add_argument("--hosts", nargs="?", type=int, const=1000, default=0, metavar="N",
                        help="only: so many hosts (1000), each built and removed; fails if anything of them is left")
    parser.add_argument("--nvml", action="store_true", help="the figures of the driver library alone")
    options = parser.parse_args()
    with state.workdir("bench") as folder:
        work = Path(folder)
        if options.hosts:
            return 0 if bench_hosts(work, options.hosts) else 1
        bench_nvml(work, options.against)
        if options.nvml:
            return 0
        bench_build(work)
        bench_hosts(work, 100)
        bench_container(work)
    bench_cases()
    return 0


if __name__ == "__main__":
    sys.exit(main())
