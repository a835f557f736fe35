"""Hosts that are not an ordinary machine with a driver: what each shows, entered."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit.launchers import install

pytestmark = pytest.mark.host
DRIVER = "/run/nvidia/driver"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the toolkit's commands."""
    folder = str(tmp_path_factory.mktemp("toolkit"))
    install(folder)
    return folder


@pytest.fixture
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    build.build(profile.of(request.param, "host"), str(tmp_path / "root"))
    with Machine(str(tmp_path / "root")) as machine:
        yield machine


def out(machine: Machine, *argv: str) -> str:
    done = machine.run(argv)
    assert done.returncode == 0, done.stderr
    return done.stdout


def there(machine: Machine, *paths: str) -> list[str]:
    """Those of the paths that the machine has; patterns are for the shell."""
    return machine.run(["sh", "-c", f"ls -d {' '.join(paths)} 2>/dev/null"]).stdout.split()


@pytest.mark.parametrize("host", ["a100x8-operator-dev-root"], indirect=True)
def test_with_a_dev_root_nodes_and_programs_are_in_the_driver_container_alone(host: Machine, prefix: str) -> None:
    assert there(host, "/dev/nvidia*", "/usr/bin/nvidia-smi") == []
    assert len(there(host, f"{DRIVER}/dev/nvidia[0-9]")) == 8
    assert out(host, "chroot", DRIVER, "nvidia-smi", "-L").count("UUID") == 8
    assert out(host, "chroot", DRIVER, "sh", "-c", "cat /proc/driver/nvidia/version && test -c /dev/null")
    assert out(host, "sh", "-c", ". /run/nvidia/validations/driver-ready; echo $NVIDIA_DEV_ROOT").strip() == DRIVER

    listed = out(host, f"{prefix}/nvidia-container-cli", f"--root={DRIVER}", "list").splitlines()
    assert {"/dev/nvidiactl", "/dev/nvidia7", "/usr/bin/nvidia-smi"} <= set(listed)
    spec = json.loads(out(host, f"{prefix}/nvidia-ctk", "cdi", "generate", "--format=json",
                          f"--driver-root={DRIVER}", f"--dev-root={DRIVER}"))
    nodes = {node["path"]: node["hostPath"] for node in spec["devices"][0]["containerEdits"]["deviceNodes"]}
    assert nodes == {"/dev/nvidia0": f"{DRIVER}/dev/nvidia0"}
    libraries = {mount["containerPath"]: mount["hostPath"] for mount in spec["containerEdits"]["mounts"]}
    library = "/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.15"
    assert libraries[library] == f"{DRIVER}{library}"


@pytest.mark.parametrize("host", ["a100x8-operator"], indirect=True)
def test_without_the_driver_root_the_toolkit_finds_no_driver_on_an_operator_host(host: Machine, prefix: str) -> None:
    done = host.run([f"{prefix}/nvidia-container-cli", "info"])
    assert done.returncode != 0
    assert "load library failed: libnvidia-ml.so.1" in done.stderr


# checkpoint-restore/criu#2509: the sign of a driver is /dev/nvidiactl for CRIU 4.0, /proc/driver/nvidia/gpus for 4.1.
@pytest.mark.parametrize(("host", "node"), [
    ("t4x1", "/dev/nvidiactl"), ("t4x1-operator-host-driver", "/dev/nvidiactl"),
    ("a100x8-operator", "/dev/nvidiactl"), ("a100x8-operator-dev-root", f"{DRIVER}/dev/nvidiactl"),
    ("no-driver", "")], indirect=["host"])
def test_a_checkpoint_tool_finds_a_driver_in_proc_wherever_its_nodes_are(host: Machine, node: str) -> None:
    places = there(host, "/dev/nvidiactl", f"{DRIVER}/dev/nvidiactl")
    assert places[:1] == ([node] if node else [])
    gpus = [gpu.bus_id for gpu in build.describe(host.root).gpus] if node else []
    assert [Path(path).name for path in there(host, "/proc/driver/nvidia/gpus/*")] == gpus
