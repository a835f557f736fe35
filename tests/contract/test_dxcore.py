"""libdxcore.so and the driver libraries of WSL 2 machines that were built in place."""

import _ctypes
import ctypes
import json
import os
import subprocess
import sys

import dxcore_client as client
import nvml_host
import pytest

from nvsim import board, build, profile

LIB = "/usr/lib/wsl/lib"
INTEL, NVIDIA, OLD = (f"/usr/lib/wsl/drivers/{name}" for name in (
    "iigd_dch.inf_amd64_73655f941b1dd71f", "nvlti.inf_amd64_9a2c79b60d6607c6", "nvlti.inf_amd64_0b1f6a52c7d84e93"))
UNSUCCESSFUL, INVALID_HANDLE, INVALID_PARAMETER, TOO_SMALL, NOT_SUPPORTED = (
    0xC0000001, 0xC0000008, 0xC000000D, 0xC0000023, 0xC00000BB)


@pytest.fixture
def built(tmp_path):
    """`built(name)` builds a host in place; its root."""
    def make(name="wsl2-rtx4060-hybrid"):
        root = str(tmp_path / name)
        build.build(profile.load(name), root, nodes=False, dev_root=root)
        return root

    return make


@pytest.fixture
def loaded():
    """`loaded(path)` is the library until the test ends: to the toolkit, a process with libdxcore.so is one of WSL."""
    libraries = []

    def load(path):
        libraries.append(ctypes.CDLL(path))
        return libraries[-1]

    yield load
    for library in libraries:
        _ctypes.dlclose(library._handle)


@pytest.fixture
def dxcore(built, loaded):
    return loaded(f"{built()}{LIB}/libdxcore.so")


def run(root, *argv, folder=LIB):
    return subprocess.run(argv, env={**os.environ, "LD_LIBRARY_PATH": root + folder}, capture_output=True, text=True,
                          check=False, timeout=60)


def test_the_structs_of_the_client_have_the_sizes_of_the_abi():
    assert [ctypes.sizeof(s) for s in (client.AdapterInfo, client.Enum2, client.Enum3, client.Query, client.Registry)
            ] == [20, 16, 24, 24, 1072]


@pytest.mark.parametrize("function", ["D3DKMTEnumAdapters2", "D3DKMTEnumAdapters3"])
def test_adapters_are_listed_with_their_driver_stores(built, function):
    done = run(built(), sys.executable, client.__file__, "libdxcore.so", function)
    answer = json.loads(done.stdout)
    assert answer["status"] == 0
    assert [(a["store"], a["wddm"]) for a in answer["adapters"]] == [(INTEL, 3100), (NVIDIA, 3100)]
    assert len({a["luid"] for a in answer["adapters"]}) == 2


def test_too_small_an_array_is_an_error_that_says_how_many_there_are(dxcore):
    status, count, _ = client.enumerate_adapters(dxcore, room=1)
    assert (status & 0xFFFFFFFF, count) == (TOO_SMALL, 2)


def test_a_larger_array_is_filled_as_far_as_there_are_adapters(dxcore):
    status, count, adapters = client.enumerate_adapters(dxcore, room=5)
    assert (status, count) == (0, 2)
    assert [bool(a.handle) for a in adapters] == [True, True, False, False, False]


def test_handles_of_no_adapter_are_refused(dxcore):
    version = client.U32()
    handle = client.enumerate_adapters(dxcore)[2][-1].handle
    for wrong in (0, 1, handle + 1, handle + 0x40, 0xFFFFFFFF):
        status = client.query(dxcore, wrong, client.DRIVER_VERSION, version, 4)
        assert status & 0xFFFFFFFF == INVALID_HANDLE
        assert dxcore.D3DKMTCloseAdapter(ctypes.byref(client.U32(wrong))) & 0xFFFFFFFF == INVALID_HANDLE
    assert dxcore.D3DKMTCloseAdapter(ctypes.byref(client.U32(handle))) == 0


def test_queries_that_cannot_be_answered_say_why(dxcore):
    handle = client.enumerate_adapters(dxcore)[2][0].handle
    version, head = client.U32(), client.Registry(type=3)
    assert client.query(dxcore, handle, 1, version, 4) & 0xFFFFFFFF == NOT_SUPPORTED
    assert client.query(dxcore, handle, client.DRIVER_VERSION, version, 2) & 0xFFFFFFFF == INVALID_PARAMETER
    assert client.query(dxcore, handle, client.REGISTRY, head, 1071) & 0xFFFFFFFF == INVALID_PARAMETER
    assert client.query(dxcore, handle, client.REGISTRY, head, 1072) == 0
    assert head.status == 2
    for function in (dxcore.D3DKMTEnumAdapters2, dxcore.D3DKMTEnumAdapters3, dxcore.D3DKMTQueryAdapterInfo):
        assert function(None) & 0xFFFFFFFF == INVALID_PARAMETER


def test_a_buffer_one_byte_too_small_for_the_path_is_not_written_beyond(dxcore):
    handle = client.enumerate_adapters(dxcore)[2][1].handle
    needed = 4 * (len(NVIDIA) + 1)
    data = ctypes.create_string_buffer(b"\xAA" * 2000, 2000)
    asked = client.Registry.from_buffer(data)
    asked.type, asked.size = client.DRIVER_STORE_PATH, needed
    assert client.query(dxcore, handle, client.REGISTRY, asked, 1064 + needed - 1) == 0
    assert (asked.status, asked.size) == (1, needed)
    assert set(data.raw[1064:]) == {0xAA}


def test_without_dxg_no_adapter_is_found_and_nvml_does_not_start(built, loaded):
    root = built()
    dxcore = loaded(f"{root}{LIB}/libdxcore.so")
    os.unlink(f"{root}/dev/dxg")
    assert client.enumerate_adapters(dxcore)[0] & 0xFFFFFFFF == UNSUCCESSFUL
    assert ctypes.CDLL(f"{root}{LIB}/libnvidia-ml.so.1").nvmlInit_v2() == 9
    assert ctypes.CDLL(f"{root}{LIB}/libcuda.so.1").cuInit(0) == 100


def test_the_library_says_what_its_board_holds(built, loaded):
    root = built()
    dxcore = loaded(f"{root}{LIB}/libdxcore.so")
    adapters = client.enumerate_adapters(dxcore)[2]
    assert board.read(f"{root}{LIB}/libdxcore.so").adapters == tuple(
        board.Adapter(luid=a.high << 32 | a.low, wddm=client.wddm(dxcore, a.handle),
                      store=client.driver_store(dxcore, a.handle)) for a in adapters)


def test_adapters_are_there_without_a_driver_of_nvidia(built):
    done = run(built("wsl2-no-nvidia"), sys.executable, client.__file__)
    assert [a["store"] for a in json.loads(done.stdout)["adapters"]] == [INTEL]


@pytest.mark.parametrize("folder", [LIB, NVIDIA])
def test_nvidia_smi_names_both_versions_from_either_folder(built, folder):
    root = built()
    done = run(root, f"{root}{folder}/nvidia-smi", folder=folder)
    assert done.returncode == 0, done.stdout
    assert "| NVIDIA-SMI 555.52.01              Driver Version: 555.99         CUDA Version: 12.5     |" in done.stdout


def test_nvml_keeps_to_the_limits_of_wsl(built):
    root = built()
    library = f"{root}{LIB}/libnvidia-ml.so.1"
    board.edit(library, 0, lambda gpu: {"process_pid": (4711,), "process_kind": (1,)})
    lib = ctypes.CDLL(library)
    assert lib.nvmlInit_v2() == 0
    gpu = nvml_host.handle(lib)
    assert nvml_host.number(lib, "nvmlDeviceGetMinorNumber", gpu) == -3
    assert nvml_host.text(lib, "nvmlDeviceGetUUID", gpu) == profile.load("wsl2-rtx4060-hybrid").gpus[0].uuid
    count = ctypes.c_uint(0)
    assert lib.nvmlDeviceGetComputeRunningProcesses_v3(gpu, ctypes.byref(count), None) == 0
    assert count.value == 0
    modes = ctypes.c_uint(), ctypes.c_uint()
    assert lib.nvmlDeviceGetMigMode(gpu, *map(ctypes.byref, modes)) == 3
    assert nvml_host.text(lib, "nvmlSystemGetDriverVersion") == "555.99"
    assert nvml_host.text(lib, "nvmlSystemGetNVMLVersion") == "12.555.52.01"


def test_the_libraries_of_another_driver_than_windows_runs_are_blocked(built):
    root = built()
    old = ctypes.CDLL(f"{root}{OLD}/libnvidia-ml.so.1")
    assert old.nvmlInit_v2() == 17
    assert ctypes.CDLL(f"{root}{OLD}/libcuda.so.1.1").cuInit(0) == 304
    done = run(root, f"{root}{OLD}/nvidia-smi", folder=OLD)
    assert done.stdout.startswith("Failed to initialize NVML: GPU access blocked by the operating system")


def test_an_update_of_windows_driver_blocks_those_who_start_afterwards(built):
    root = built()
    done = subprocess.run([sys.executable, "-m", "nvsim.cli", "ctl", "--host", root, "driver", "upgrade", "560.94"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ctypes.CDLL(f"{root}{LIB}/libnvidia-ml.so.1").nvmlInit_v2() == 17


def test_cuda_finds_the_gpu_without_a_node_of_its_own(built):
    cuda, count = ctypes.CDLL(f"{built()}{LIB}/libcuda.so.1"), ctypes.c_int()
    assert cuda.cuInit(0) == 0
    assert cuda.cuDeviceGetCount(ctypes.byref(count)) == 0
    assert count.value == 1
