"""Containers of an ordinary user, in a user namespace as rootless engines make it, by real runc and crun.

Upstream's flow: no-cgroups in config.toml, since such a user may not change device rules; where the driver's user
`nobody` is not mapped, nvidia-container-cli.user names one that is.
"""

import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nvsim import build, elf, profile
from nvsim.machine import Machine
from scenarios import bundle, hosts, request, toml
from toolkit import launchers

pytestmark = pytest.mark.host
HERE = Path(__file__).resolve().parent
UID = 1000
# A procfs without anything over it has to be there, or the kernel refuses another one in a user namespace.
PREPARE = "mkdir -p /run/proc; mount -t proc proc /run/proc"
# What folders that are root's alone hold of our programs has to be found by that user, on this machine alone.
OPEN = """
mkdir -p /run/closed/{number}
mount --bind {closed} /run/closed/{number}
mount -t tmpfs -o mode=755 none {closed}
for path in {kept}; do
    mkdir -p $path; mount --bind /run/closed/{number}${{path#{closed}}} $path
done
"""
SCRIPT = "for n in /dev/nvidia*; do echo $n; (: < $n) 2>&1; done; cat /proc/driver/nvidia/params; ls -l /usr/lib64"


def opening(needed: set[str]) -> str:
    """The commands that let everybody reach these paths, and nothing else of the folders that are closed above them."""
    closed: dict[str, list[str]] = {}
    for path in sorted(needed):
        above = [str(parent) for parent in reversed(Path(path).parents) if not parent.stat().st_mode & 0o001]
        if above:
            closed.setdefault(above[0], []).append(path)
    return "".join(OPEN.format(number=number, closed=folder, kept=" ".join(paths))
                   for number, (folder, paths) in enumerate(closed.items()))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    from conftest import requires

    requires("root", "runc", "crun", "busybox", "zig", "user namespaces")
    with tempfile.TemporaryDirectory(prefix="nvsim-rootless-") as found:  # pytest's folders are root's alone
        os.chmod(found, 0o755)
        yield Path(found)


@pytest.fixture(scope="module", params=["runc", "crun"])
def rootless(request: pytest.FixtureRequest, folder: Path) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """`rootless(config, users)` runs a container that asks for GPU 5; its exit code, output, and what was said."""
    runtime = request.param
    root = folder / f"{runtime}-host"
    build.build(profile.load("a100x8"), str(root))
    (root / "etc/nvidia-container-runtime").mkdir(parents=True, exist_ok=True)
    launchers.install(str(root / "usr/bin"), sys.executable)
    with Machine(str(root), cgroup="v1" if runtime == "crun" else "host") as machine:
        done = machine.run(["sh", "-ec", PREPARE + opening({sys.base_prefix, sys.prefix, str(HERE.parents[1])})])
        assert done.returncode == 0, done.stderr

        def run(config: dict[str, object], users: int) -> tuple[int, str, str]:
            place = bundle_of(folder)
            machine.run(["sh", "-c", f"cat > {hosts.CONFIG}"], input=toml.dumps(toml.merged(
                {"nvidia-container-runtime": {"runtimes": [runtime]}}, config)))
            state = ["--root", str(place / "state")]
            flags = " ".join(state)
            words = [f"nvidia-container-runtime {flags} create --bundle {place} c > {place}/out 2> {place}/err",
                     f"{runtime} {flags} start c",
                     f"until {runtime} {flags} state c | grep -q stopped; do sleep 0.05; done"]
            done = machine.run(
                [sys.executable, "-IS", str(HERE / "rootless.py"), str(UID), str(users), "env", "-i",
                 f"PATH={bundle.PATH}", f"XDG_RUNTIME_DIR={place}", "sh", "-ec", "\n".join(words)], timeout=60)
            machine.run([runtime, *state, "delete", "--force", "c"])
            assert (place / "out").exists(), done.stderr
            said = "".join(path.read_text() for path in sorted(place.glob("err*")))
            return done.returncode, (place / "out").read_text(), said + done.stderr

        yield run
    build.remove(str(root))


def bundle_of(folder: Path) -> Path:
    """A bundle that belongs to the user, without what needs more rights than that: cgroups, devpts, sysfs, mqueue."""
    place = folder / uuid.uuid4().hex[:8]
    for name in ("bin", "usr/bin", "usr/lib64", "etc", "dev", "proc", "sys", "tmp", "run", "var/cache"):
        (place / "rootfs" / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", place / "rootfs/bin/busybox")
    for applet in ("sh", "cat", "ls"):
        (place / "rootfs/bin" / applet).symlink_to("busybox")
    (place / "rootfs/etc/ld.so.conf").write_text("")
    (place / "rootfs/usr/lib64/libimage.so.1").write_bytes(elf.shared_object(soname="libimage.so.1"))
    run = request.parse_run("docker run --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=5 busybox", "rootless")
    spec = bundle.spec_of(run, env=(), command=("/bin/sh", "-c", SCRIPT))
    spec["mounts"] = [mount for mount in spec["mounts"] if mount["destination"] in ("/proc", "/dev", "/dev/shm")]
    spec["linux"]["namespaces"] = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
    for key in ("cgroupsPath", "resources"):
        del spec["linux"][key]
    spec["process"]["capabilities"] = {}
    spec["annotations"] = {"run.oci.hooks.stderr": str(place / "err-hooks")}  # crun drops what hooks say otherwise
    (place / "config.json").write_text(json.dumps(spec))
    for path in (place, *place.rglob("*")):
        os.chown(path, UID, UID, follow_symlinks=False)
    return place


LEGACY = {"nvidia-container-runtime": {"mode": "legacy"}}


@pytest.mark.parametrize(("users", "cli"), [(65536, {}), (1, {"user": "root:root"})], ids=["subuids", "one user"])
def test_legacy_mode_works_without_cgroups(
    rootless: Callable[..., tuple[int, str, str]], users: int, cli: dict[str, object]
) -> None:
    code, out, said = rootless({**LEGACY, "nvidia-container-cli": {"no-cgroups": True, **cli}}, users)
    assert code == 0, said
    nodes = [line for line in out.splitlines() if line.startswith("/dev/nvidia")]
    assert nodes == ["/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia5", "/dev/nvidiactl"]
    assert out.count("No such device or address") == 4  # the driver would answer: no rule is in the way
    assert "ModifyDeviceFiles: 0" in out and "libcuda.so.1 -> libcuda.so.550.54.15" in out


def test_jit_cdi_mode_works(rootless: Callable[..., tuple[int, str, str]]) -> None:
    code, out, said = rootless({"nvidia-container-runtime": {"mode": "jit-cdi"}}, 65536)
    assert code == 0, said
    assert "/dev/nvidia5" in out.splitlines() and "/dev/nvidia0" not in out.splitlines()


def test_device_rules_are_refused_and_the_error_says_so(rootless: Callable[..., tuple[int, str, str]]) -> None:
    code, out, said = rootless(LEGACY, 65536)
    assert code != 0 and out == ""
    assert "nvidia-container-cli: mount error: failed to add device rules: " in said, said


def test_a_user_that_is_not_mapped_is_named(rootless: Callable[..., tuple[int, str, str]]) -> None:
    code, out, said = rootless({**LEGACY, "nvidia-container-cli": {"no-cgroups": True}}, 1)
    assert code != 0 and out == ""
    assert "nvidia-container-cli: initialization error: privilege change failed: invalid argument" in said, said
