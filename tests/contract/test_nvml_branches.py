"""What NVML of an older driver does differently: texts, versions of structs, layouts, functions that it lacks."""

import ctypes
import os
import struct
import subprocess

import pytest
from nvml_host import A100, Host, handle

from nvsim import board, build, profile
from nvsim.native.compile import compile_all
from toolkit.gather.host import read_host

VERSIONS = {"470": "470.256.02", "535.43": "535.54.03", "535": "535.261.03", "550": "550.163.01", "555": "555.58.02",
            "595": "595.71.05"}


@pytest.fixture
def host(tmp_path):
    return lambda variant: Host(tmp_path, [A100], variant, driver_version=VERSIONS[variant])


@pytest.mark.parametrize(("variant", "unknown"), [
    ("470", {21, 22, 25, 26, 27, 28, 29}), ("535", {28, 29}), ("550", set()), ("555", set())])
def test_error_texts_of_codes_that_came_later_are_unknown(host, variant, unknown):
    lib = host(variant).library()
    lib.nvmlErrorString.restype = ctypes.c_char_p
    assert {code for code in range(30) if lib.nvmlErrorString(code) == b"Unknown Error"} == unknown
    assert lib.nvmlErrorString(30) == b"Unknown Error"


@pytest.mark.parametrize(("variant", "before"), [("470", 1), ("535", 0), ("550", 0)])
def test_the_version_of_nvml_can_be_asked_before_init_since_535(host, variant, before):
    lib, text = host(variant).library(), ctypes.create_string_buffer(80)
    assert lib.nvmlSystemGetNVMLVersion(text, 80) == before
    assert (lib.nvmlInit_v2(), lib.nvmlSystemGetNVMLVersion(text, 80)) == (0, 0)
    assert text.value.decode() == f"12.{VERSIONS[variant]}"


@pytest.mark.parametrize(("variant", "version", "code"), [("550", 2, 0), ("550", 3, 25), ("595", 3, 0), ("595", 4, 25)])
def test_a_version_of_a_struct_that_came_later_is_refused(host, variant, version, code):
    lib = host(variant).library()
    lib.nvmlInit_v2()
    size = {2: 36, 3: 40, 4: 40}[version]
    info = ctypes.create_string_buffer(struct.pack("<I", version << 24 | size), 64)
    assert lib.nvmlDeviceGetGpuFabricInfoV(handle(lib), info) in ((0, 3) if code == 0 else (25,))


@pytest.mark.parametrize(("variant", "third"), [("535", 25), ("550", 0)])
def test_the_third_version_of_a_mig_profile_is_known_since_545(host, variant, third):
    lib = host(variant).library()
    lib.nvmlInit_v2()
    said = [lib.nvmlDeviceGetGpuInstanceProfileInfoV(
        handle(lib), 0, ctypes.create_string_buffer(struct.pack("<I", version), 152))
        for version in (0x02000098, 0x03000098)]
    assert said == [0, third]


@pytest.mark.parametrize(("variant", "size"), [("535.43", 32), ("535", 24), ("550", 24)])
def test_the_first_releases_of_535_write_a_larger_entry_for_a_process(host, variant, size):
    machine = host(variant)
    lib = machine.library()
    lib.nvmlInit_v2()
    board.edit(machine.path, 0, lambda _: {"process_pid": (1, 2), "process_kind": (1, 1), "process_memory": (5, 6)})
    count, entries = ctypes.c_uint(2), ctypes.create_string_buffer(b"\xAA" * 64, 64)
    assert lib.nvmlDeviceGetComputeRunningProcesses_v3(handle(lib), ctypes.byref(count), entries) == 0
    assert struct.unpack_from("<I4xQ", entries, size) == (2, 6)
    assert entries.raw[2 * size:] == b"\xAA" * (64 - 2 * size)
    assert hasattr(lib, "nvmlDeviceGetRunningProcessDetailList") == (variant != "535.43")
    assert hasattr(lib, "nvmlDeviceGetConfComputeMemSizeInfo"), "what nvitop tells the two layouts apart by"


@pytest.mark.parametrize(("variant", "code"), [("470", 0), ("550", 0), ("595", 26)])
def test_applications_clocks_are_deprecated_since_595(host, variant, code):
    lib = host(variant).library()
    lib.nvmlInit_v2()
    assert lib.nvmlDeviceGetApplicationsClock(handle(lib), 0, ctypes.byref(ctypes.c_uint())) == code


PYNVML = """from pynvml import *
nvmlInit()
device = nvmlDeviceGetHandleByIndex(0)
def answer(function, *arguments):
    try:
        return function(*arguments)
    except NVMLError as e:
        return type(e).__name__
print(nvmlSystemGetDriverVersion(), nvmlDeviceGetName(device), nvmlDeviceGetMemoryInfo(device).total >> 20)
print(answer(nvmlDeviceGetMemoryInfo, device, nvmlMemory_v2) if VERSION else "")
print(answer(nvmlDeviceGetComputeRunningProcesses_v2, device), answer(nvmlDeviceGetComputeRunningProcesses_v3, device))
print(answer(nvmlDeviceGetMigMode, device), answer(nvmlDeviceGetTemperatureV, device, 0))
""".replace(" if VERSION else \"\"", "")


def test_pynvml_does_not_find_what_an_old_driver_lacks(host):
    assert host("470").run(PYNVML).splitlines() == [
        "470.256.02 NVIDIA A100-SXM4-40GB 40960", "NVMLError_FunctionNotFound", "[] NVMLError_FunctionNotFound",
        "[0, 0] NVMLError_FunctionNotFound"]


@pytest.mark.parametrize("version", ["470.256.02", "535.54.03", "535.261.03", "610.43.03"])
def test_the_runtime_and_nvidia_smi_work_with_a_driver_of_any_age(tmp_path, version):
    compile_all()
    root = f"{tmp_path}/root"
    machine = build.build(profile.of({"profile": "a100x8", "driver": version}, "host"), root, dev_root=root)
    try:
        seen = read_host(root=root)
        assert (seen.nvml_error, seen.driver.version) == ("", version)
        assert [(gpu.uuid, gpu.minor) for gpu in seen.gpus] == [(gpu.uuid, gpu.minor) for gpu in machine.gpus]
        folder = next(path for path in machine.boards if "nvidia-ml" in path).rpartition("/")[0]
        smi = subprocess.run([f"{root}/usr/bin/nvidia-smi", "-L"], env={**os.environ, "LD_LIBRARY_PATH": root + folder},
                             capture_output=True, text=True, check=True)
        assert smi.stdout.splitlines() == [f"GPU {gpu.index}: {gpu.name} (UUID: {gpu.uuid})" for gpu in machine.gpus]
    finally:
        build.remove(root)
