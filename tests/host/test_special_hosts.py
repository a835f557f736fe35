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


@pytest.mark.parametrize("host", ["t4x3-vfio"], indirect=True)
def test_a_gpu_bound_to_vfio_is_none_of_the_drivers(host: Machine, prefix: str) -> None:
    assert out(host, "nvidia-smi", "-L").count("UUID") == 1
    assert there(host, "/dev/nvidia[0-9]") == ["/dev/nvidia0"]
    assert len(there(host, "/dev/vfio/[0-9]*")) == len(there(host, "/sys/kernel/iommu_groups/*/devices/*")) == 2
    assert out(host, "readlink", "/sys/bus/pci/devices/0000:65:00.0/driver").strip().endswith("/vfio-pci")
    assert out(host, f"{prefix}/nvidia-container-cli", "info").count("Device Index") == 1


@pytest.mark.parametrize("host", ["a10x4-vfio"], indirect=True)
def test_a_host_that_hands_on_all_gpus_shows_no_driver(host: Machine) -> None:
    assert there(host, "/dev/nvidia*", "/proc/driver/nvidia") == []
    assert len(there(host, "/sys/bus/pci/drivers/vfio-pci/0000:*")) == 4


@pytest.mark.parametrize("host", ["kernel-module-only"], indirect=True)
def test_kernel_modules_without_libraries_leave_nvml_missing(host: Machine, prefix: str) -> None:
    assert there(host, "/dev/nvidia0", "/proc/driver/nvidia/version", "/usr/bin/nvidia-smi") == [
        "/dev/nvidia0", "/proc/driver/nvidia/version"]
    done = host.run([f"{prefix}/nvidia-container-cli", "info"])
    assert done.returncode != 0
    assert "load library failed: libnvidia-ml.so.1" in done.stderr


@pytest.mark.parametrize("host", ["libraries-only"], indirect=True)
def test_libraries_without_kernel_modules_answer_that_the_driver_is_not_loaded(host: Machine, prefix: str) -> None:
    assert there(host, "/dev/nvidia*") == []
    done = host.run([f"{prefix}/nvidia-container-cli", "info"])
    assert "nvml error: driver not loaded" in done.stderr
    said = host.run(["nvidia-smi"])
    assert (said.returncode, "couldn't communicate with the NVIDIA driver" in said.stdout) == (9, True)


@pytest.mark.parametrize("host", ["version-mismatch"], indirect=True)
def test_libraries_of_another_version_answer_that_driver_and_library_differ(host: Machine, prefix: str) -> None:
    assert "550.54.15" in out(host, "cat", "/proc/driver/nvidia/version")
    assert "Driver/library version mismatch" in host.run(["nvidia-smi"]).stdout
    assert "nvml error: driver/library version mismatch" in host.run([f"{prefix}/nvidia-container-cli", "info"]).stderr


@pytest.mark.parametrize("host", ["gpu-missing-from-dev"], indirect=True)
def test_a_gpu_without_a_node_is_in_proc_and_sys_and_not_in_nvml(host: Machine) -> None:
    missing = "0000:00:1c.0"
    assert len(there(host, f"/proc/driver/nvidia/gpus/{missing}", f"/sys/bus/pci/drivers/nvidia/{missing}")) == 2
    buses = out(host, "nvidia-smi", "--query-gpu=pci.bus_id", "--format=csv,noheader").lower().split()
    assert [bus[4:] for bus in buses] == ["0000:00:1b.0", "0000:00:1d.0", "0000:00:1e.0"]


@pytest.mark.parametrize("host", ["h100x8-gpudirect"], indirect=True)
def test_storage_rdma_and_copy_nodes_are_those_that_the_toolkits_modes_find(host: Machine, prefix: str) -> None:
    found = {}
    for mode in ("gds", "gdrcopy", "mofed"):
        spec = json.loads(out(host, f"{prefix}/nvidia-ctk", "cdi", "generate", "--format=json", f"--mode={mode}"))
        found[mode] = {node["path"] for device in spec["devices"] for node in device["containerEdits"]["deviceNodes"]}
    assert found["gds"] == {f"/dev/nvidia-fs{i}" for i in range(16)}
    assert found["gdrcopy"] == {"/dev/gdrdrv"}
    assert found["mofed"] == {"/dev/infiniband/rdma_cm"} | {f"/dev/infiniband/uverbs{i}" for i in range(10)}
    assert "gdrdrv" in out(host, "cat", "/proc/devices")


@pytest.mark.parametrize("host", ["t4x1-mps"], indirect=True)
def test_mps_shows_its_pipes_on_the_machine_and_leaves_nothing_beside_it(host: Machine, prefix: str) -> None:
    kinds = out(host, "stat", "-c", "%F", "/tmp/nvidia-mps/control", "/tmp/nvidia-mps/log", "/var/log/nvidia-mps")
    assert kinds.splitlines() == ["socket", "fifo", "directory"]
    assert "/tmp/nvidia-mps" in out(host, f"{prefix}/nvidia-container-cli", "list").splitlines()
    mode = out(host, "nvidia-smi", "--query-gpu=compute_mode", "--format=csv,noheader").strip()
    assert mode == "Exclusive_Process"
    assert out(host, "stat", "-c", "%a", "/tmp").strip() == f"{Path('/tmp').stat().st_mode & 0o7777:o}"
    assert not Path("/tmp/nvidia-mps").exists()
