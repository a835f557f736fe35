"""Hosts for tests of other projects, used in place: no namespaces, no root."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvsim import profile
from nvsim.errors import NvsimError
from nvsim.gpu_host import GpuHost
from nvsim.native.compile import compile_all

TEMPERATURES = ("nvidia-smi", "--query-gpu=temperature.gpu", "--format=csv,noheader")


@pytest.fixture(autouse=True, scope="module")
def compiled() -> None:
    compile_all()


@pytest.fixture
def host() -> Iterator[GpuHost]:
    with GpuHost("t4x4", entered=False) as started:
        yield started


def test_a_host_says_what_its_profile_says(host: GpuHost) -> None:
    assert (host.profile, host.driver, host.entered) == ("t4x4", "580.173.02", False)
    assert [gpu.uuid for gpu in host.gpus] == [gpu.uuid for gpu in profile.load("t4x4").gpus]
    assert os.path.exists(f"{host.root}/usr/bin/nvidia-smi")


def test_programs_in_place_use_the_hosts_driver_and_programs(host: GpuHost) -> None:
    assert host.run(["nvidia-smi", "-L"]).stdout.count("Tesla T4") == 4
    assert host.run(["sh", "-c", "nvidia-smi -L; exit 3"]).returncode == 3
    assert host.run(["sh", "-c", "echo $COLOUR; cat"], env={"COLOUR": "green"}, input="tea").stdout == "green\ntea"


def test_a_program_started_by_the_test_itself_finds_the_driver_through_env(host: GpuHost) -> None:
    program = "import pynvml as n; n.nvmlInit(); print(n.nvmlDeviceGetCount())"
    assert subprocess.run([sys.executable, "-c", program], env=host.env, capture_output=True, text=True,
                          check=True).stdout == "4\n"


def test_a_process_opens_the_library_itself(host: GpuHost) -> None:
    nvml, count = ctypes.CDLL(host.libnvml), ctypes.c_uint()
    assert (nvml.nvmlInit_v2(), nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)), count.value) == (0, 0, 4)
    nvml.nvmlShutdown()


def test_a_process_opens_the_cuda_driver_itself_and_sees_changes(host: GpuHost) -> None:
    cuda, value, compute_mode = ctypes.CDLL(host.libcuda), ctypes.c_int(), 20
    assert (cuda.cuInit(0), cuda.cuDeviceGetCount(ctypes.byref(value)), value.value) == (0, 0, 4)
    host.set(gpu="all", compute_mode=3)
    assert (cuda.cuDeviceGetAttribute(ctypes.byref(value), compute_mode, 0), value.value) == (0, 3)


def test_changes_reach_programs_that_run_already_and_the_process_itself(host: GpuHost) -> None:
    nvml, device, value = ctypes.CDLL(host.libnvml), ctypes.c_void_p(), ctypes.c_uint()
    assert nvml.nvmlInit_v2() == nvml.nvmlDeviceGetHandleByIndex_v2(2, ctypes.byref(device)) == 0
    host.set(gpu=2, temperature=91)
    assert (nvml.nvmlDeviceGetTemperature(device, 0, ctypes.byref(value)), value.value) == (0, 91)
    host.ctl("set", "gpu=2", "temperature=92")
    assert (nvml.nvmlDeviceGetTemperature(device, 0, ctypes.byref(value)), value.value) == (0, 92)
    host.set(gpu=2, fault=15)
    assert nvml.nvmlDeviceGetTemperature(device, 0, ctypes.byref(value)) == 15
    nvml.nvmlShutdown()


def test_a_value_that_cannot_be_set_is_an_error_that_names_it(host: GpuHost) -> None:
    for gpu, values, said in ((0, {"name": "T5"}, "'name' cannot be changed"), (9, {"temperature": 1}, "no GPU 9"),
                              (0, {"temperature": "hot"}, "temperature"), ("GPU-0", {"fault": 0}, "no GPU 'GPU-0'")):
        with pytest.raises(NvsimError, match=said):
            host.set(gpu, **values)
    with pytest.raises(NvsimError, match="coffee"):
        host.ctl("set", "coffee=1")


def test_keywords_and_mappings_change_a_profile() -> None:
    with GpuHost("t4x1", entered=False, driver="470.256.02") as host:
        assert "470.256.02" in host.run(["nvidia-smi"]).stdout
    with GpuHost({"driver": "550.54.15", "gpus": [{"model": "L4", "count": 3}]}, entered=False) as host:
        assert host.run(["nvidia-smi", "-L"]).stdout.count("NVIDIA L4") == 3


def test_a_file_is_a_profile_and_keywords_change_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("driver: 550.54.15\ngpus: [{model: A30}]\n")
    with GpuHost(str(tmp_path / "mine.yaml"), entered=False, driver="535.261.03") as host:
        assert (host.profile, host.driver) == ("mine", "535.261.03")


def test_a_missing_file_and_an_unknown_key_are_errors(tmp_path: Path) -> None:
    for wanted, changes in ((str(tmp_path / "no.yaml"), {"driver": "550.54.15"}), ("t4x1", {"dirver": "550.54.15"})):
        with pytest.raises(NvsimError):
            GpuHost(wanted, **changes)


def test_nothing_is_left_of_a_host_that_ended_or_could_not_be_built() -> None:
    with GpuHost("t4x1", entered=False) as host:
        folder = os.path.dirname(host.root)
    assert not os.path.exists(folder)
    with pytest.raises(NvsimError, match="the host has ended"):
        host.run(["true"])
    with pytest.raises(NvsimError, match="nothing on this host matches"):
        GpuHost("t4x1", absent=["/nonsense"]).__enter__()


def test_a_program_that_still_runs_ends_with_the_host() -> None:
    with GpuHost("t4x1", entered=False) as host:
        server = host.popen(["sh", "-c", "echo ready; exec sleep 300"], stdout=subprocess.PIPE)
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
    assert server.returncode == -9


def test_a_host_without_a_driver_has_no_library_to_open() -> None:
    with GpuHost("no-driver", entered=False) as host, pytest.raises(NvsimError, match="no libnvidia-ml.so.1"):
        host.libnvml  # noqa: B018


def test_two_hosts_at_once_have_different_gpus() -> None:
    with GpuHost("t4x1", entered=False) as one, GpuHost("l4x1", entered=False) as other:
        assert "T4" in one.run(["nvidia-smi", "-L"]).stdout
        assert "L4" in other.run(["nvidia-smi", "-L"]).stdout
