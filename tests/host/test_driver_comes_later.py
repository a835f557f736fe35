"""Machines whose driver comes while they run: what programs and readers of the machine see before and after."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit.launchers import install

pytestmark = pytest.mark.host
DRIVER = "/run/nvidia/driver"
INIT = """
import pynvml as n
try:
    n.nvmlInit()
    print(0, n.nvmlDeviceGetCount())
except n.NVMLError as e:
    print(e.value)
"""
# A program that is there before the driver, and asks again whenever it gets a line.
PATIENT = f"import sys\nfor line in sys.stdin:\n    exec({INIT!r})\n    sys.stdout.flush()\n"


@pytest.fixture
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    build.build(profile.of(request.param, "host"), str(tmp_path / "root"))
    with Machine(str(tmp_path / "root")) as machine:
        yield machine


def ctl(host: Machine, *words: str) -> str:
    done = host.run([sys.executable, "-m", "nvsim", "ctl", *words])
    assert done.returncode == 0, done.stderr
    return done.stdout


def init(host: Machine) -> str:
    return host.run([sys.executable, "-c", INIT]).stdout.strip()


def shown(host: Machine) -> dict[str, list[str]]:
    """What tells of the driver: nodes, /proc, modules, majors, libraries that the loader knows."""
    script = """
    ls -d /dev/nvidia* /dev/dri/render* 2>/dev/null; echo =
    ls /proc/driver; echo =
    ls /sys/module | grep nvidia; ls -d /sys/bus/pci/drivers/nvidia 2>/dev/null; echo =
    grep -o nvidia-uvm /proc/devices; echo =
    ls -d /run/nvidia-persistenced/socket 2>/dev/null; echo =
    ldconfig -p 2>/dev/null | grep -o libnvidia-ml.so.1 | uniq"""
    script = script.replace("ldconfig", "/sbin/ldconfig")
    parts = host.run(["sh", "-c", script]).stdout.split("=\n")
    return dict(zip(("nodes", "proc", "sys", "majors", "run", "libraries"), map(str.split, parts), strict=True))


@pytest.mark.parametrize("host", ["t4x1-first-boot"], indirect=True)
def test_a_machine_shows_each_part_of_its_driver_when_it_comes(host: Machine) -> None:
    nothing = shown(host)
    assert nothing == {"nodes": [], "proc": [], "sys": [], "majors": [], "run": [], "libraries": []}
    assert (init(host), host.run(["nvidia-smi"]).returncode) == ("12", 127)

    ctl(host, "driver", "install")
    assert shown(host) == {**nothing, "libraries": ["libnvidia-ml.so.1"]}
    assert (init(host), host.run(["nvidia-smi"]).returncode) == ("9", 9)

    ctl(host, "driver", "load")
    after = shown(host)
    assert {"/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/dri/renderD128"} <= set(after["nodes"])
    assert {"nvidia", "nvidia-uvm"} <= set(after["proc"])
    assert {"nvidia", "nvidia_uvm", "/sys/bus/pci/drivers/nvidia"} <= set(after["sys"])
    assert (after["majors"], after["run"]) == (["nvidia-uvm"], ["/run/nvidia-persistenced/socket"])
    assert (init(host), host.run(["nvidia-smi", "-L"]).stdout[:15]) == ("0 1", "GPU 0: Tesla T4")
    ctl(host, "set", "gpu=0", "temperature=77")
    query = ["nvidia-smi", "--query-gpu=temperature.gpu", "--format=csv,noheader"]
    assert host.run(query).stdout == "77\n"

    ctl(host, "driver", "unload")
    assert (shown(host), init(host)) == ({**nothing, "libraries": ["libnvidia-ml.so.1"]}, "9")
    ctl(host, "driver", "load")
    assert (shown(host), init(host)) == (after, "0 1")


@pytest.mark.parametrize("host", [{"profile": "t4x1-first-boot", "layout": name} for name in ("debian12", "rhel9")],
                         indirect=True, ids=["debian12", "rhel9"])
def test_packages_of_other_distributions_come_too_and_what_was_written_before_stays(host: Machine) -> None:
    host.run(["sh", "-c", "echo mine > /usr/lib/mine; echo mine > /etc/mine"])
    ctl(host, "driver", "load")
    assert init(host) == "0 1"
    assert host.run(["nvidia-smi", "-L"]).returncode == 0
    assert host.run(["cat", "/usr/lib/mine", "/etc/mine"]).stdout == "mine\nmine\n"


@pytest.mark.parametrize("host", [{"profile": "t4x1-mps", "boot": "no-modules"}], indirect=True, ids=["mps"])
def test_what_daemons_leave_below_tmp_never_lies_in_the_real_one(host: Machine) -> None:
    pipe = "/tmp/nvidia-mps"
    assert not os.path.exists(pipe)
    for verb, code in (("load", 0), ("unload", 2), ("load", 0)):
        ctl(host, "driver", verb)
        assert (host.run(["ls", f"{pipe}/control"]).returncode, os.path.exists(pipe)) == (code, False)


@pytest.mark.parametrize("host", ["libraries-only"], indirect=True)
def test_a_machine_that_cannot_show_it_says_so(host: Machine) -> None:
    host.run(["sh", "-ec", "mkdir /dev/nvidia-caps; mount -t tmpfs -o ro test /dev/nvidia-caps"])
    done = host.run([sys.executable, "-m", "nvsim", "ctl", "driver", "load"])
    assert done.returncode == 1
    assert "the machine cannot show the change: Read-only file system\n" in done.stderr
    assert (init(host), os.listdir(f"{host.root}/proc/driver")) == ("9", [])
    host.run(["umount", "/dev/nvidia-caps"])
    ctl(host, "driver", "load")
    assert init(host) == "0 1"


@pytest.mark.parametrize("host", ["libraries-only"], indirect=True)
def test_a_program_that_waits_finds_the_driver_when_it_is_there(host: Machine) -> None:
    with host.popen([sys.executable, "-c", PATIENT], stdin=-1, stdout=-1) as program:
        assert program.stdin
        assert program.stdout

        def ask() -> str:
            assert program.stdin
            assert program.stdout
            program.stdin.write("\n")
            program.stdin.flush()
            return str(program.stdout.readline()).strip()

        assert ask() == "9"
        ctl(host, "driver", "load")
        assert ask() == "0 1"
        program.stdin.close()


@pytest.mark.parametrize("host", ["a100x8-operator-booting"], indirect=True)
def test_a_driver_container_mounts_its_root_when_it_starts(host: Machine, tmp_path: Path) -> None:
    prefix = str(tmp_path / "toolkit")
    install(prefix)
    cli = [f"{prefix}/nvidia-container-cli", f"--root={DRIVER}", "list"]
    assert host.run(["ls", DRIVER]).stdout == ""
    assert host.run(cli).returncode != 0
    ctl(host, "driver", "load")
    assert host.run(["chroot", DRIVER, "nvidia-smi", "-L"]).stdout.count("UUID") == 8
    listed = host.run(cli).stdout.splitlines()
    assert {"/dev/nvidiactl", "/dev/nvidia7", "/usr/bin/nvidia-smi"} <= set(listed)
    assert f"NVIDIA_DEV_ROOT={DRIVER}\n" in host.run(["cat", "/run/nvidia/validations/driver-ready"]).stdout
    assert "nvidia_uvm" in host.run(["ls", f"{DRIVER}/sys/module"]).stdout


@pytest.mark.parametrize("host", ["t4x1-first-boot"], indirect=True)
def test_two_machines_on_one_tree_both_see_it(host: Machine) -> None:
    with Machine(host.root) as other:
        ctl(host, "driver", "load")
        assert (init(host), init(other)) == ("0 1", "0 1")
    ctl(host, "driver", "unload")
    assert init(host) == "9"
