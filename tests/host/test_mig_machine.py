"""MIG on a machine: any program changes it, and /proc, /dev, NVML and containers show what follows."""

import json
import os
import subprocess
import sys
import uuid

import pytest

from nvsim import build, profile
from nvsim.machine import Machine

pytestmark = pytest.mark.host
CREATE = """
import pynvml as n
n.nvmlInit()
gpu = n.nvmlDeviceGetHandleByIndex(2)
if n.nvmlDeviceGetMigMode(gpu)[0] == 0:
    n.nvmlDeviceSetMigMode(gpu, 1)
instance = n.nvmlDeviceCreateGpuInstance(gpu, 19)
n.nvmlGpuInstanceCreateComputeInstance(instance, 0)
number = n.nvmlGpuInstanceGetInfo(instance).id
folder = f"/proc/driver/nvidia/capabilities/gpu2/mig/gi{number}"
minors = [int(open(f"{folder}/{name}").readline().split()[1]) for name in ("access", "ci0/access")]
import os
print(number, all(os.path.exists(f"/dev/nvidia-caps/nvidia-cap{minor}") for minor in minors))
"""
DESTROY = """
import os, pynvml as n
n.nvmlInit()
gpu = n.nvmlDeviceGetHandleByIndex(2)
instance = n.nvmlDeviceGetGpuInstanceById(gpu, int(os.environ["GI"]))
n.nvmlComputeInstanceDestroy(n.nvmlGpuInstanceGetComputeInstanceById(instance, 0))
n.nvmlGpuInstanceDestroy(instance)
print(os.path.exists(f"/proc/driver/nvidia/capabilities/gpu2/mig/gi{os.environ['GI']}"))
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    root = str(tmp_path_factory.mktemp("mig") / "host")
    build.build(profile.load("a100x8-mig"), root)
    with Machine(root) as m:
        yield m


def out(machine, *argv, **env):
    done = machine.run(list(argv), env={**os.environ, **env})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ctl(machine, *words):
    return subprocess.run([sys.executable, "-m", "nvsim", "ctl", "--host", machine.root, "mig", *words],
                          capture_output=True, text=True, check=True).stdout


def uuids(machine):
    return [line.split("UUID: ")[1].rstrip(")") for line in out(machine, "nvidia-smi", "-L").splitlines()
            if " MIG " in line]


def test_a_program_finds_the_files_of_an_instance_when_the_call_returns(machine):
    before = uuids(machine)
    number, there = out(machine, sys.executable, "-c", CREATE).split()
    assert there == "True"
    assert len(uuids(machine)) == len(before) + 1  # another process sees it
    assert f"GPU instance {number}: 1g.5gb" in ctl(machine, "list", "2")
    assert out(machine, sys.executable, "-c", DESTROY, GI=number) == "False"
    assert uuids(machine) == before


def test_a_machine_shows_what_ctl_does_from_outside(machine):
    ctl(machine, "enable", "3")
    ctl(machine, "create", "3", "7g.40gb", "-C")
    assert "DeviceFileMinor: 408" in out(machine, "cat", "/proc/driver/nvidia/capabilities/gpu3/mig/gi0/access")
    assert out(machine, "stat", "-c", "%F %a", "/dev/nvidia-caps/nvidia-cap408") == "character special file 444"
    ctl(machine, "destroy", "3")
    ctl(machine, "disable", "3")
    assert machine.run(["test", "-e", "/dev/nvidia-caps/nvidia-cap408"]).returncode == 1


def test_a_machine_that_is_entered_later_shows_what_was_changed_before(tmp_path):
    root = str(tmp_path / "host")
    build.build(profile.load("a100x8-mig"), root)
    with Machine(root) as first:
        ctl(first, "destroy", "0")
    with Machine(root) as later:
        assert out(later, "ls", "/proc/driver/nvidia/capabilities/gpu0/mig") == ""
        caps = out(later, "ls", "/dev/nvidia-caps").split()
        assert sorted(caps) == ["nvidia-cap1", "nvidia-cap138", "nvidia-cap139", "nvidia-cap2"]


def test_who_may_not_make_nodes_has_placeholders_that_follow(tmp_path, requires):
    requires("unshare", "user namespaces")
    code = "import os; print(sorted(os.listdir('/proc/driver/nvidia/capabilities/gpu2/mig')))"
    done = subprocess.run(["unshare", "-Ur", sys.executable, "-m", "nvsim", "exec", "a100x8-mig", "--", sys.executable,
                           "-c", f"{CREATE}\n{code}\n"], capture_output=True, text=True, check=False,
                          env={**os.environ, "NVSIM_STATE": str(tmp_path / "state")})
    assert done.stdout.splitlines() == ["13 True", "['gi13']"], done.stderr


@pytest.fixture
def container(machine, tmp_path, requires):
    """`container(nodes, capabilities)`: the UUIDs that NVML shows a process in a container with these nodes."""
    requires("runc", "root")

    def run(nodes, *, administrator=False):
        place = tmp_path / uuid.uuid4().hex
        (place / "rootfs/dev").mkdir(parents=True)
        subprocess.run(["runc", "spec"], cwd=place, check=True)
        spec = json.loads((place / "config.json").read_text())
        spec["process"] |= {"terminal": False, "cwd": "/", "args": ["nvidia-smi", "-L"]}
        if administrator:
            for kind in ("bounding", "effective", "permitted"):
                spec["process"]["capabilities"][kind].append("CAP_SYS_ADMIN")
        majors = {"nvidia": 195, "nvidia-caps/nvidia-cap": 237}
        for name in ("usr", "lib", "lib64", "bin", "etc"):
            if os.path.isdir(f"/{name}"):
                spec["mounts"].append({"destination": f"/{name}", "source": f"/{name}", "type": "bind",
                                       "options": ["rbind", "ro"]})
        devices = [("nvidiactl", 195, 255), *((f"{kind}{minor}", majors[kind], minor) for kind, minor in nodes)]
        spec["linux"]["devices"] = [{"path": f"/dev/{path}", "type": "c", "major": major, "minor": minor,
                                     "fileMode": 0o444 if "caps" in path else 0o666} for path, major, minor in devices]
        spec["linux"]["resources"] = {"devices": [{"allow": False, "access": "rwm"}] + [
            {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rw"}
            for _, major, minor in devices]}
        (place / "config.json").write_text(json.dumps(spec))
        done = machine.run(["runc", "--root", str(place / "state"), "run", f"c{place.name[:12]}"], cwd=str(place))
        assert done.returncode == 0, done.stderr
        return [line.split("UUID: ")[1].rstrip(")") for line in done.stdout.splitlines()]

    return run


def test_a_container_sees_the_devices_whose_nodes_it_has(machine, container):
    first, second, third, whole = uuids(machine)
    caps = "nvidia-caps/nvidia-cap"
    assert container([("nvidia", 0), (caps, 30), (caps, 31)])[1:] == [second]
    assert container([("nvidia", 0), (caps, 84), (caps, 85), (caps, 21), (caps, 22)])[1:] == [first, third]
    assert container([("nvidia", 0), (caps, 30)])[1:] == []  # the GPU instance without its compute instance
    assert container([("nvidia", 0), (caps, 2)])[1:] == [first, second, third]  # who may watch sees all
    assert container([("nvidia", 1), (caps, 30), (caps, 31)])[1:] == []  # of another GPU
    assert whole not in container([("nvidia", 0), ("nvidia", 2)])
    assert container([("nvidia", 0)], administrator=True)[1:] == [first, second, third]
