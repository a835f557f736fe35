"""A WSL 2 machine that was entered: what programs find there."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit.launchers import install

pytestmark = pytest.mark.host
CLIENT = str(Path(__file__).parents[1] / "contract" / "dxcore_client.py")
HYBRID = "wsl2-rtx4060-hybrid"
STORES = "/usr/lib/wsl/drivers"
PYNVML = """
import pynvml as n
n.nvmlInit()
print(n.nvmlSystemGetDriverVersion(), n.nvmlDeviceGetCount(), n.nvmlDeviceGetUUID(n.nvmlDeviceGetHandleByIndex(0)))
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    root = str(tmp_path_factory.mktemp("wsl") / "root")
    build.build(profile.load(HYBRID), root)
    with Machine(root) as m:
        yield m


def out(machine: Machine, *argv: str) -> str:
    done = machine.run(argv)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nvidia_smi_is_on_the_path_and_lists_the_gpu(machine: Machine) -> None:
    uuid = profile.load(HYBRID).gpus[0].uuid
    assert out(machine, "nvidia-smi", "-L") == f"GPU 0: NVIDIA GeForce RTX 4060 Laptop GPU (UUID: {uuid})\n"


def test_pynvml_unmodified_sees_the_gpu_and_the_driver_of_windows(machine: Machine) -> None:
    assert out(machine, sys.executable, "-c", PYNVML).split() == ["555.99", "1", profile.load(HYBRID).gpus[0].uuid]


def test_dxcore_is_found_by_the_loader_and_lists_the_adapters(machine: Machine) -> None:
    answer = json.loads(out(machine, sys.executable, CLIENT))
    assert [adapter["store"] for adapter in answer["adapters"]] == [
        f"{STORES}/iigd_dch.inf_amd64_73655f941b1dd71f", f"{STORES}/nvlti.inf_amd64_9a2c79b60d6607c6"]


def test_the_machine_shows_dxg_and_no_kernel_module_of_nvidia(machine: Machine) -> None:
    assert out(machine, "stat", "-c", "%A %t", "/dev/dxg") == "crw-rw-rw- a\n"
    assert "dxg" in out(machine, "cat", "/proc/misc")
    assert "microsoft-standard-WSL2" in out(machine, "cat", "/proc/version")
    assert out(machine, "ls", "-d", "/run/WSL", "/mnt/wsl").split() == ["/mnt/wsl", "/run/WSL"]
    assert "nvidia" not in out(machine, "cat", "/proc/devices")
    assert machine.run(["sh", "-c", "ls -d /dev/nvidia* /proc/driver/nvidia"]).stdout == ""


def test_the_loaders_cache_has_windows_libraries(machine: Machine) -> None:
    listed = out(machine, "/sbin/ldconfig", "-p")
    for name in ("libcuda.so.1", "libnvidia-ml.so.1", "libdxcore.so"):
        assert f"{name} (libc6,x86-64) => /usr/lib/wsl/lib/{name}\n" in listed
    assert STORES not in listed


def test_nvidia_ctk_knows_the_machine_for_wsl(machine: Machine, tmp_path: Path) -> None:
    install(str(tmp_path))
    document = out(machine, f"{tmp_path}/nvidia-ctk", "cdi", "generate", "--mode=auto")
    assert "path: /dev/dxg" in document and f"{STORES}/nvlti.inf_amd64_9a2c79b60d6607c6/libcuda.so.1.1" in document


def test_nvidia_container_cli_knows_the_machine_for_wsl(machine: Machine, tmp_path: Path) -> None:
    install(str(tmp_path))
    assert "/dev/dxg" in out(machine, f"{tmp_path}/nvidia-container-cli", "list").split()


def test_nvsim_exec_finds_nvidia_smi_without_a_path_to_it() -> None:
    done = subprocess.run([sys.executable, "-m", "nvsim.cli", "exec", "wsl2-rtx4090", "--", "nvidia-smi", "-L"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-")
