"""nvidia-cdi-refresh.service, read as systemd reads it and run on emulated hosts: where it does nothing, what it
writes, and what it leaves behind when the driver is not ready."""

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from packages import SYSTEMD, stage_all

from nvsim import build, profile
from nvsim.machine import Machine

pytestmark = pytest.mark.host
SPEC = "/var/run/cdi/nvidia.yaml"
ENVIRONMENT = "/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env"
Settings = list[tuple[str, str]]
Enter = Callable[..., Machine]


def settings(name: str) -> Settings:
    """The assignments of a unit in their order.  Source: systemd.syntax(7)."""
    text = re.sub(r"\\\n\s*", "", (SYSTEMD / name).read_text())
    lines = [line for line in text.splitlines() if line and line[0] not in "#;["]
    return [(key, value) for key, _, value in (line.partition("=") for line in lines)]


def values(unit: Settings, key: str) -> list[str]:
    return [value.replace("%v", os.uname().release) for name, value in unit if name == key]


def exists(host: Machine, path: str) -> bool:
    return host.run(["test", "-e", path]).returncode == 0


def started(host: Machine, name: str = "nvidia-cdi-refresh.service") -> str:
    """What comes of a start: "skipped", "failed" or "done".  Source: systemd.unit(5), systemd.service(5)."""
    unit = settings(name)
    conditions = values(unit, "ConditionPathExists")
    triggering = [path[1:] for path in conditions if path.startswith("|")]
    needed = [path for path in conditions if not path.startswith("|")]
    if not all(exists(host, path) for path in needed) or not any(exists(host, path) for path in triggering):
        return "skipped"
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
           **dict(pair.split("=", 1) for pair in values(unit, "Environment"))}
    for file in values(unit, "EnvironmentFile"):
        assert file.startswith("-")
        lines = host.run(["cat", file[1:]]).stdout.splitlines()
        env |= dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    bound = ",".join(f"+{name.removeprefix('CAP_').lower()}"
                     for value in values(unit, "CapabilityBoundingSet") for name in value.split())
    confined = ["setpriv", f"--bounding-set=-all,{bound}", "--inh-caps=-all"]
    for command in values(unit, "ExecCondition"):
        if host.run([*confined, *shlex.split(command)], env=env).returncode:
            return "skipped"
    for command in values(unit, "ExecStart"):
        done = host.run([*confined, *shlex.split(command.removeprefix("-"))], env=env)
        if done.returncode and not command.startswith("-"):
            return "failed"
    return "done"


@pytest.fixture
def enter(tmp_path: Path, requires: Callable[..., None]) -> Iterator[Enter]:
    """`enter(PROFILE, module=NAME)`: a machine with the packages' files, and a kernel module of that name if it has a
    driver for its kernel."""
    requires("root", "setpriv")
    with ExitStack() as stack:
        def machine(name: str, module: str = "nvidia.ko") -> Machine:
            root = tmp_path / "root"
            build.build(profile.of(name, "host"), str(root))
            stage_all(root)
            if module:
                depmod(root, module)
            return stack.enter_context(Machine(str(root)))

        yield machine


def depmod(root: Path, module: str) -> None:
    """What depmod writes for the kernel that runs."""
    folder = root / "usr/lib/modules" / os.uname().release
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "modules.dep").write_text(f"kernel/fs/ext4.ko:\nupdates/dkms/{module}:\n")


def spec(host: Machine) -> str:
    done = host.run(["cat", SPEC])
    return done.stdout if done.returncode == 0 else ""


# toolkit#1517: compressed modules, and Debian's name of them.
@pytest.mark.parametrize("module", ["nvidia.ko", "nvidia.ko.zst", "nvidia-current.ko.xz"])
def test_a_host_with_a_driver_gets_its_specification(enter: Enter, module: str) -> None:
    host = enter("t4x1", module)
    host.run(["rm", "-f", "/dev/nvidia-uvm", "/dev/nvidia-modeset"])
    assert started(host) == "done"
    assert "kind: nvidia.com/gpu" in spec(host) and "path: /dev/nvidia0" in spec(host)
    # nvidia-smi makes neither of them.
    assert "path: /dev/nvidia-uvm\n" in spec(host) and "path: /dev/nvidia-modeset\n" in spec(host)


def test_the_environment_file_wins_over_the_unit(enter: Enter) -> None:
    host = enter("t4x1")
    host.run(["sh", "-c", f"printf '%s\\n' NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/var/run/cdi/other.yaml > {ENVIRONMENT}"])
    assert started(host) == "done"
    assert not spec(host) and exists(host, "/var/run/cdi/other.yaml")


def test_wsl_has_no_module_and_gets_its_specification(enter: Enter) -> None:
    host = enter("wsl2-rtx4090", "")
    assert started(host) == "done"
    assert "path: /dev/dxg" in spec(host) and "/dev/nvidiactl" not in spec(host)
    assert not exists(host, "/dev/nvidiactl")


@pytest.mark.parametrize(("name", "module"), [
    ("no-driver", "ext4.ko"),  # nvidia-smi is missing
    ("t4x1", "ext4.ko"),  # a new kernel that dkms has not built for yet
    ("t4x1", ""),
    ("wsl2-no-nvidia", ""),
])
def test_a_host_without_a_driver_is_passed_over(enter: Enter, name: str, module: str) -> None:
    host = enter(name, module)
    assert started(host) == "skipped"
    assert not spec(host)


def test_a_driver_that_is_not_loaded_leaves_no_specification(enter: Enter) -> None:
    """toolkit#1611: the unit is started before the driver is usable."""
    host = enter("libraries-only")
    assert started(host) == "failed"
    assert not spec(host)


def test_a_driver_that_comes_after_boot_gets_in(enter: Enter) -> None:
    host = enter("t4x1-first-boot", "")
    assert started(host) == "skipped"
    assert host.run([sys.executable, "-m", "nvsim", "ctl", "driver", "load"]).returncode == 0
    watched = values(settings("nvidia-cdi-refresh.path"), "PathChanged")
    file = next(path for path in watched if path.endswith("modules.dep"))
    host.run(["sh", "-c", f"mkdir -p {os.path.dirname(file)}; echo updates/dkms/nvidia.ko: > {file}"])
    assert started(host) == "done"
    assert "path: /dev/nvidia0" in spec(host)


def test_the_rule_starts_the_service_that_there_is() -> None:
    """toolkit#1982: DRM nodes come with the last module, after the first specification."""
    rule = (SYSTEMD / "99-nvidia-cdi-refresh.rules").read_text().splitlines()[-1]
    match = dict(re.findall(r'(\w+(?:\{\w+\})?)(?:==|\+=)"([^"]*)"', rule))
    assert match["ENV{SYSTEMD_WANTS}"] == "nvidia-cdi-refresh.service"
    assert {"nvidia", "nvidia_drm", "nvidia_current_drm"} <= set(match["KERNEL"].split("|"))


def test_systemd_reads_the_units(enter: Enter) -> None:
    host = enter("t4x1")
    for name in ("nvidia-cdi-refresh.service", "nvidia-cdi-refresh.path"):
        done = host.run(["systemd-analyze", "verify", f"/lib/systemd/system/{name}"])
        assert (done.returncode, [line for line in done.stderr.splitlines() if "nvidia" in line]) == (0, [])
