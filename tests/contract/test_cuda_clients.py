"""Programs that use the CUDA driver API, unmodified: NVIDIA's own bindings for Python, and nvitop's."""

import json
import os
import subprocess
import sys

import pytest
from cuda_client import UUID, Host

MODELS = ("H100-SXM5-80GB", "T4", "H100-SXM5-80GB")

BINDINGS = """
import json
from cuda.bindings import driver

def call(function, *arguments):
    code, *values = function(*arguments)
    assert code == driver.CUresult.CUDA_SUCCESS, (function, code)
    return values[0] if len(values) == 1 else values

call(driver.cuInit, 0)
device = call(driver.cuDeviceGet, 1)
context = call(driver.cuCtxCreate, None, 0, device)
address = call(driver.cuMemAlloc, 1000)
call(driver.cuMemcpyHtoD, address, b"round trip", 10)
stream, start, end = call(driver.cuStreamCreate, 0), call(driver.cuEventCreate, 0), call(driver.cuEventCreate, 0)
call(driver.cuEventRecord, start, stream)
call(driver.cuMemsetD8Async, address, ord("R"), 1, stream)
call(driver.cuEventRecord, end, stream)
back = bytearray(10)
call(driver.cuMemcpyDtoH, back, address, 10)
attributes = driver.CUdevice_attribute
print(json.dumps({
    "version": call(driver.cuDriverGetVersion), "count": call(driver.cuDeviceGetCount), "copied": back.decode(),
    "name": call(driver.cuDeviceGetName, 96, device).split(b"\\0")[0].decode(),
    "uuid": bytes(call(driver.cuDeviceGetUuid, device).bytes).hex(),
    "sm": call(driver.cuDeviceGetAttribute, attributes.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device),
    "time": call(driver.cuEventElapsedTime, start, end) >= 0,
    "module": int(driver.cuModuleLoadData(b"none")[0])}))
"""

NVITOP = """
import json
from nvitop import libcuda
libcuda.cuInit()
devices = [libcuda.cuDeviceGet(i) for i in range(libcuda.cuDeviceGetCount())]
print(json.dumps([[libcuda.cuDeviceGetName(d), libcuda.cuDeviceGetUuid(d), libcuda.cuDeviceGetPCIBusId(d)]
                  for d in devices]))
"""


@pytest.fixture
def run(tmp_path):
    """Runs Python code on a host with two H100 and, between them on the bus, a T4: what it printed as JSON."""
    host = Host(tmp_path, *MODELS, driver_version="580.105.08", cuda_version="13.0")

    def run(code, **env):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CUDA_")}
        done = subprocess.run([sys.executable, "-c", code], env={**clean, "LD_LIBRARY_PATH": host.root, **env},
                              capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_nvidias_bindings_describe_allocate_copy_and_measure(run):
    assert run(BINDINGS) == {
        "version": 13000, "count": 3, "copied": "Round trip", "name": "NVIDIA H100 80GB HBM3", "sm": 132, "time": True,
        "uuid": UUID.format(0xA2).removeprefix("GPU-").replace("-", ""), "module": 801}


@pytest.mark.parametrize(("visible", "places"), [("0,1,2", (0, 2, 1)), ("2", (1,)), (UUID.format(0xA2), (2,))])
def test_nvitop_sees_the_devices_that_the_environment_chooses(run, visible, places):
    names = {0: "NVIDIA H100 80GB HBM3", 1: "Tesla T4", 2: "NVIDIA H100 80GB HBM3"}
    assert run(NVITOP, CUDA_VISIBLE_DEVICES=visible) == [
        [names[i], UUID.format(0xA0 + i).removeprefix("GPU-"), f"0000:{i + 1:02x}:00.0"] for i in places]
