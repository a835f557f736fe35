"""The driver libraries of a Jetson: what NVML, CUDA and nvidia-smi say of a GPU that the module nvgpu drives.

Texts of nvidia-smi: published outputs of 540.3.0, 540.4.0 and 580.00, without date and processes."""

import ctypes
import os
import subprocess

import cuda_client
import nvml_host
import pytest
from nvml_host import handle, number, text

from nvsim.native.compile import artifact

ORIN = "00000000-0000-0000-0000-000000000000"
IDENTITY = {"nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetIndex", "nvmlDeviceGetCudaComputeCapability"}
TABLES = {
    "540.4.0": """\
| NVIDIA-SMI 540.4.0                Driver Version: 540.4.0      CUDA Version: 12.6     |
|-----------------------------------------+----------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id        Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |         Memory-Usage | GPU-Util  Compute M. |
|                                         |                      |               MIG M. |
|=========================================+======================+======================|
|   0  Orin (nvgpu)                  N/A  | N/A              N/A |                  N/A |
| N/A   N/A  N/A               N/A /  N/A | Not Supported        |     N/A          N/A |
|                                         |                      |                  N/A |
+-----------------------------------------+----------------------+----------------------+
""",
    "580.00": """\
| NVIDIA-SMI 580.00                 Driver Version: 580.00         CUDA Version: 13.0     |
+-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  NVIDIA Thor                    Off |   00000000:01:00.0 Off |                  N/A |
| N/A   N/A  N/A             N/A  /  N/A  | Not Supported          |      0%      Default |
|                                         |                        |             Disabled |
+-----------------------------------------+------------------------+----------------------+
"""}


@pytest.fixture
def orin(tmp_path):
    return nvml_host.Host(tmp_path, ["ORIN-IGPU"], driver_version="540.4.0", cuda_version="12.6")


def started(host):
    lib = host.library()
    assert lib.nvmlInit_v2() == 0
    return lib


def count(lib):
    found = ctypes.c_uint()
    assert lib.nvmlDeviceGetCount_v2(ctypes.byref(found)) == 0
    return found.value


def by_bus_id(lib, bus_id):
    return lib.nvmlDeviceGetHandleByPciBusId_v2(bus_id, ctypes.byref(ctypes.c_void_p()))


def smi(host):
    done = subprocess.run([artifact("nvidia-smi")], env={**os.environ, "LD_LIBRARY_PATH": host.root},
                          capture_output=True, text=True, check=True)
    return done.stdout


def test_nvml_knows_who_the_gpu_is_and_its_compute_capability(orin):
    lib = started(orin)
    device, major, minor = handle(lib), ctypes.c_int(), ctypes.c_int()
    assert text(lib, "nvmlDeviceGetName", device) == "Orin (nvgpu)"
    assert text(lib, "nvmlDeviceGetUUID", device) == ORIN
    assert lib.nvmlDeviceGetCudaComputeCapability(device, ctypes.byref(major), ctypes.byref(minor)) == 0
    assert (major.value, minor.value) == (8, 7)
    assert text(lib, "nvmlSystemGetDriverVersion") == "540.4.0"


def test_everything_else_is_not_supported(orin):
    lib = started(orin)
    device = handle(lib)
    for name in ("PersistenceMode", "ComputeMode", "DisplayActive", "PerformanceState", "PowerUsage", "FanSpeed",
                 "MinorNumber", "EnforcedPowerLimit", "Brand", "Architecture", "NumGpuCores", "MemoryBusWidth"):
        assert number(lib, f"nvmlDeviceGet{name}", device) == -3, name
    room = ctypes.create_string_buffer(4096)
    for name in ("PciInfo_v3", "MemoryInfo", "UtilizationRates", "BAR1MemoryInfo"):
        assert getattr(lib, f"nvmlDeviceGet{name}")(device, room) == 3, name
    assert lib.nvmlDeviceGetTemperature(device, 0, room) == 3
    assert lib.nvmlDeviceGetMigMode(device, room, room) == 3
    assert lib.nvmlDeviceGetComputeRunningProcesses_v3(device, ctypes.byref(ctypes.c_uint()), None) == 3


def test_it_is_found_by_its_bare_uuid_and_by_no_address(orin):
    lib = started(orin)
    found = ctypes.c_void_p()
    assert lib.nvmlDeviceGetHandleByUUID(ORIN.encode(), ctypes.byref(found)) == 0
    assert lib.nvmlDeviceGetHandleByUUID(f"GPU-{ORIN}".encode(), ctypes.byref(found)) == 6  # JuliaGPU/CUDA.jl#2542
    assert [by_bus_id(lib, name) for name in (b"0000:01:00.0", b"0000:00:00.0")] == [6, 6]


def test_before_540_4_nvml_has_no_version_of_the_driver(tmp_path):
    host = nvml_host.Host(tmp_path, ["ORIN-IGPU"], driver_version="540.3.0", cuda_version="12.2")
    assert text(started(host), "nvmlSystemGetDriverVersion") == -3
    assert "| NVIDIA-SMI 540.3.0                Driver Version: N/A          CUDA Version: 12.2     |\n" in smi(host)


def test_nodes_of_nvgpu_decide_and_nvidiactl_does_not(orin):
    assert count(started(orin.without("nvidiactl", "nvidia0"))) == 1


def test_either_of_the_two_names_of_the_node_will_do(orin):
    orin.without("nvhost-ctrl-gpu")
    os.makedirs(f"{orin.root}/dev/nvgpu/igpu0")
    open(f"{orin.root}/dev/nvgpu/igpu0/ctrl", "w").close()
    assert count(started(orin)) == 1


def test_without_its_nodes_there_is_no_gpu_and_without_nvidiactl_no_driver(orin):
    assert count(started(orin.without("nvhost-ctrl-gpu"))) == 0
    assert orin.library().nvmlShutdown() == 0
    assert orin.without("nvidiactl").library().nvmlInit_v2() == 9


def test_a_discrete_gpu_beside_it_is_read_as_ever(tmp_path):
    lib = started(nvml_host.Host(tmp_path, ["ORIN-IGPU", "RTX-A6000"], driver_version="540.4.0"))
    assert number(lib, "nvmlDeviceGetMinorNumber", handle(lib, 1)) == 1
    assert text(lib, "nvmlDeviceGetName", handle(lib, 1)) == "NVIDIA RTX A6000"
    assert by_bus_id(lib, b"0000:02:00.0") == 0


@pytest.mark.parametrize(("model", "driver", "cuda"), [("ORIN-IGPU", "540.4.0", "12.6"),
                                                       ("THOR-IGPU", "580.00", "13.0")])
def test_nvidia_smi_prints_the_published_table(tmp_path, model, driver, cuda):
    assert TABLES[driver] in smi(nvml_host.Host(tmp_path, [model], driver_version=driver, cuda_version=cuda))


def test_thor_has_a_minor_and_an_address_but_no_temperature(tmp_path):
    lib = started(nvml_host.Host(tmp_path, ["THOR-IGPU"], driver_version="580.00"))
    assert number(lib, "nvmlDeviceGetMinorNumber", handle(lib)) == 0
    assert by_bus_id(lib, b"0000:01:00.0") == 0
    assert number(lib, "nvmlDeviceGetTemperature", handle(lib), 0) == -3
    assert number(lib, "nvmlDeviceGetPerformanceState", handle(lib)) == -3


def test_cuda_calls_the_gpu_orin_and_gives_it_the_bytes_of_nvmls_uuid(tmp_path):
    cuda = cuda_client.Host(tmp_path, "ORIN-IGPU").without("nvidiactl", "nvidia-uvm", "nvidia0").cuda()
    assert cuda.code("cuInit", 0) == 0
    assert cuda.names() == ["Orin"]
    assert cuda.uuid() == "000000a0000000000000000000000000"


@pytest.mark.parametrize("node", ["host1x-fence", "dri/renderD128"])
def test_cuda_since_jetpack_6_needs_the_render_node_and_the_fences(tmp_path, node):
    assert cuda_client.Host(tmp_path, "ORIN-IGPU").without(node).cuda().code("cuInit", 0) == 801


def test_cuda_before_jetpack_6_does_not(tmp_path):
    host = cuda_client.Host(tmp_path, "ORIN-IGPU", driver_version="35.3.1", cuda_version="11.4")
    assert host.without("host1x-fence", "dri/renderD128").cuda().code("cuInit", 0) == 0
