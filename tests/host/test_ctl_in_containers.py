"""`nvsim ctl` on a machine while containers run on it: what processes in them see, without being started anew."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nvsim import build, profile
from nvsim.machine import Machine

pytestmark = pytest.mark.host
REPOSITORY = str(Path(__file__).resolve().parents[2])
LIBRARIES = "/mnt"  # in the containers
WATCH = """import ctypes
lib, data = ctypes.CDLL("/mnt/libnvidia-ml.so.1"), (ctypes.c_uint64 * 4)()
events, device = ctypes.c_void_p(), ctypes.c_void_p()
assert lib.nvmlInit_v2() == 0 and lib.nvmlEventSetCreate(ctypes.byref(events)) == 0
assert lib.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) == 0
assert lib.nvmlDeviceRegisterEvents(device, ctypes.c_uint64(8), events) == 0
print("ready", flush=True)
print(lib.nvmlEventSetWait_v2(events, data, 60000), data[1], data[2], flush=True)
print(lib.nvmlEventSetWait_v2(events, data, 60000), flush=True)
"""
OPEN = """import os
for name in ("nvidiactl", "null"):
    try:
        os.close(os.open("/dev/" + name, os.O_RDWR))
        print(name, 0)
    except OSError as e:
        print(name, e.errno)
"""
EPERM, ENXIO = 1, 6


class Host:
    """An A100 machine and its containers, whose root file system is this machine's own."""

    def __init__(self, folder, machine):
        self.folder, self.machine = folder, machine
        self.library = build.describe(machine.root).boards[0]

    def bundle(self, name, code):
        """A container that runs Python code and may use GPU 0."""
        place = self.folder / name
        (place / "rootfs").mkdir(parents=True)
        assert self.machine.run(["mount", "--bind", "/", f"{place}/rootfs"]).returncode == 0
        subprocess.run(["runc", "spec"], cwd=place, check=True)
        spec = json.loads((place / "config.json").read_text())
        spec["process"].update(terminal=False, args=[os.path.realpath(sys.executable), "-IS", "-c", code], cwd="/")
        spec["mounts"].append({"source": os.path.dirname(self.library), "destination": LIBRARIES, "type": "none",
                               "options": ["bind", "ro"]})
        nodes = [{"path": f"/dev/{name}", "type": "c", "major": 195, "minor": minor, "fileMode": 0o666}
                 for name, minor in (("nvidiactl", 255), ("nvidia0", 0))]
        spec["linux"]["devices"] = nodes
        spec["linux"]["resources"]["devices"].append({"allow": True, "type": "c", "major": 195, "access": "rw"})
        (place / "config.json").write_text(json.dumps(spec))
        return place

    @contextlib.contextmanager
    def container(self, engine, name, code):
        """The process that runs a container in the foreground; both end with the context."""
        place = self.bundle(name, code)
        with self.machine.popen([engine, "run", "--bundle", str(place), self.id(name)], cwd=str(place),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as program:
            try:
                yield program
            finally:
                self.machine.run([engine, "delete", "--force", self.id(name)])

    def id(self, name):
        return f"ctl-{os.getpid()}-{name}"

    def ctl(self, line):
        done = self.machine.run([sys.executable, "-m", "nvsim", "ctl", *line.split()], cwd=REPOSITORY)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def smi(self):
        done = self.machine.run(["nvidia-smi"])
        return done.returncode, done.stdout.splitlines()[:2]


@pytest.fixture
def host(tmp_path, requires):
    requires("root", "runc", "crun")
    build.build(profile.load("a100x8"), str(tmp_path / "machine"))
    with Machine(str(tmp_path / "machine"), cgroup="v1") as machine:
        yield Host(tmp_path, machine)


def test_two_containers_watch_the_same_xid_and_then_the_loss_of_the_gpu(host):
    with host.container("runc", "a", WATCH) as one, host.container("crun", "b", WATCH) as two:
        assert [program.stdout.readline() for program in (one, two)] == ["ready\n"] * 2
        said = host.ctl("xid gpu=0 79")
        assert [program.communicate(timeout=60)[0] for program in (one, two)] == ["0 8 79\n15\n"] * 2
    log = host.machine.run(["cat", "/run/nvsim-kernel.log"]).stdout
    assert log == said[-1] + "\n" and log.endswith("GPU has fallen off the bus.\n")


def test_an_upgrade_under_a_running_container_meets_the_next_program_only(host):
    with host.container("runc", "a", WATCH) as program:
        assert program.stdout.readline() == "ready\n"
        host.ctl("driver upgrade 550.90.07")
        assert host.smi() == (18, ["Failed to initialize NVML: Driver/library version mismatch",
                                   "NVML library version: 550.54"])
        version = host.machine.run(["cat", "/proc/driver/nvidia/version", "/sys/module/nvidia/version"]).stdout
        assert version.startswith("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.90.07  ")
        assert version.endswith("\n550.90.07\n")
        host.ctl("xid gpu=0 31")
        assert program.stdout.readline() == "0 8 31\n"


@pytest.mark.parametrize("engine", ["runc", "crun"])
def test_a_reload_takes_the_rights_that_the_engine_does_not_know_of(host, engine):
    with host.container(engine, "a", WATCH) as program:
        assert program.stdout.readline() == "ready\n"
        again = ["exec", host.id("a"), os.path.realpath(sys.executable), "-IS", "-c", OPEN]
        assert host.machine.run([engine, *again]).stdout == f"nvidiactl {ENXIO}\nnull 0\n"
        config = host.folder / "a/config.json"
        spec = json.loads(config.read_text())
        spec["linux"]["resources"]["devices"].pop()  # as if a hook had granted it
        config.write_text(json.dumps(spec))
        assert host.ctl("daemon-reload") == [f"container {host.id('a')}: 11 device rules"]
        assert host.machine.run([engine, *again]).stdout == f"nvidiactl {EPERM}\nnull 0\n"


def test_without_containers_a_reload_has_nothing_to_do(host):
    assert host.ctl("daemon-reload") == ["no container runs on this machine"]
