"""A machine shows what was built, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from nvsim import build, profile
from nvsim import machine as machine_module
from nvsim.machine import Machine, execute

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("host") / "a100x8")
    build.build(profile.load("a100x8"), path)
    return path


@pytest.fixture(scope="module")
def machine(root):
    with Machine(root) as m:
        yield m


def out(machine, *argv):
    done = machine.run(list(argv))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nvidia_smi_lists_eight_gpus(machine):
    lines = out(machine, "nvidia-smi", "-L").splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-")


def test_pynvml_unmodified_sees_the_same_gpus_as_nvidia_smi(machine):
    program = ("import pynvml as n; n.nvmlInit()\nfor i in range(n.nvmlDeviceGetCount()):"
               " print(n.nvmlDeviceGetUUID(n.nvmlDeviceGetHandleByIndex(i)))")
    uuids = out(machine, sys.executable, "-c", program).split()
    listed = out(machine, "nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader").split()
    assert uuids == listed
    assert len(set(uuids)) == 8


def test_the_real_loader_finds_the_driver_by_its_cache(machine):
    cache = out(machine, "/sbin/ldconfig", "-p")
    assert "libcuda.so.1 (libc6,x86-64) => " in cache
    assert "libnvidia-ml.so.1 (libc6,x86-64) => " in cache
    assert "libc.so.6 (libc6,x86-64) => " in cache


def test_proc_and_sys_are_those_of_the_driver(machine):
    assert "550.54.15" in out(machine, "cat", "/proc/driver/nvidia/version")
    assert "nvidia-uvm" in out(machine, "cat", "/proc/devices")
    assert out(machine, "cat", "/sys/module/nvidia/version").strip() == "550.54.15"
    assert out(machine, "cat", "/sys/bus/pci/devices/0000:07:00.0/vendor").strip() == "0x10de"


def test_the_kernels_files_cannot_be_written_even_by_root(machine):
    done = machine.run(["sh", "-c", "echo x > /proc/driver/nvidia/params"])
    assert done.returncode != 0


def test_writes_stay_on_the_machine(machine):
    out(machine, "sh", "-c", "touch /usr/bin/left-behind /etc/left-behind /run/left-behind /dev/left-behind")
    for folder in ("/usr/bin", "/etc", "/run", "/dev"):
        assert not os.path.exists(f"{folder}/left-behind")


def bundle_at(folder, *args, **more):
    """A bundle whose container runs `cat` with these arguments; `more` is added to config.json."""
    (folder / "rootfs" / "bin").mkdir(parents=True)
    subprocess.run(["cp", "/bin/busybox", str(folder / "rootfs" / "bin" / "cat")], check=True)
    subprocess.run(["runc", "spec"], cwd=folder, check=True)
    config = json.loads((folder / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": ["/bin/cat", *args]}
    config["linux"] |= more.pop("linux", {})
    (folder / "config.json").write_text(json.dumps(config | more))
    return str(folder)


def run_in(machine, bundle):
    with Machine(machine.root, cgroup="v1") as own:
        return own.run(["runc", "run", "-b", bundle, f"nvsim-test-{os.getpid()}"])


def test_a_container_sees_the_driver_in_proc_as_on_a_real_kernel(machine, tmp_path, requires):
    requires("runc", "busybox", "root")
    seen = run_in(machine, bundle_at(tmp_path / "b", "/proc/driver/nvidia/version", "/sys/module/nvidia/version"))
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout.count("550.54.15") == 2


def test_a_mount_in_a_container_with_shared_mounts_covers_nothing_of_the_machine(machine, tmp_path, requires):
    requires("runc", "busybox", "root")
    rootfs, driver = tmp_path / "b/rootfs", "/proc/driver/nvidia"
    covers = f"mount -t tmpfs none {rootfs}{driver} && cat {driver}/version >{rootfs}/seen"
    hooks = {"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", covers]}]}
    bundle = bundle_at(tmp_path / "b", "/seen", hooks=hooks, linux={"rootfsPropagation": "rshared"})
    seen = run_in(machine, bundle)
    assert seen.returncode == 0 and "550.54.15" in seen.stdout, seen.stderr


def test_a_low_level_runtime_can_start_itself_from_an_overlay_of_its_folder(root, tmp_path):
    """runc 1.2 and newer does, so that no container can write to its program; mounts below a folder are not in it."""
    runtime = tmp_path / "runc"
    runtime.write_text("#!/bin/sh\necho $0")
    runtime.chmod(0o755)
    look = ('real=$(runc where) && mkdir /run/empty /run/copy'
            ' && mount -t overlay -o ro,lowerdir=$(dirname $real):/run/empty overlay /run/copy'
            ' && cat /run/copy/$(basename $real)')
    path = f"{tmp_path}:{os.environ['PATH']}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        with Machine(root) as own:
            seen = own.run(["sh", "-c", look], env=dict(os.environ))
    assert seen.stdout == runtime.read_text(), seen.stderr


def test_process_1_may_be_ready_before_it_is_known(root, monkeypatch):
    late = ["sh", "-c", "echo ready; sleep 0.2; echo pid 1; cat"]
    monkeypatch.setattr(machine_module, "_enter", lambda options: late)
    with Machine(root) as own:
        assert own.pid == 1


def test_exit_codes_and_signals_pass_through(root):
    assert execute(root, ["sh", "-c", "exit 7"]) == 7
    assert execute(root, ["sh", "-c", "kill -TERM $$"]) == 128 + signal.SIGTERM
    assert execute(root, ["/no/such/program"]) == 127


def test_a_machine_dies_with_its_creator(root):
    program = ("import sys; from nvsim.machine import Machine\n"
               f"with Machine({root!r}) as m:\n"
               "    m.popen(['sleep', '300']); print(m.pid, flush=True); import time; time.sleep(300)")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as creator:
        pid = int(creator.stdout.readline())
        assert os.path.exists(f"/proc/{pid}")
        creator.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(pid)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_no_mount_of_a_machine_is_visible_outside(root):
    with Machine(root), open("/proc/self/mountinfo") as f:
        assert root not in f.read()
