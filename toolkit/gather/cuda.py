"""libcuda.so.1 through ctypes: what csv mode compares requirements with.  Source: toolkit v1.20, internal/cuda."""

import ctypes

from toolkit.errors import HostError
from toolkit.gather.locate import Locator

LIBRARY = "libcuda.so.1"
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…


def read_cuda(locator: Locator) -> tuple[str, str]:
    """The CUDA version, "12.6", and the compute capability of the first device, "8.7".

    What cannot be read is "", and a note of the locator.  The library is the one that this machine's loader finds, or
    below a mounted machine's root the one that is there.
    """
    path = LIBRARY
    if locator.tree.real("/") != "/":
        found = locator.libraries(LIBRARY)
        path = locator.tree.real(found[0]) if found else f"/{LIBRARY}"
    version = capability = ""
    try:
        version = _version(path)
    except HostError as e:
        locator.notes.append(f"Failed to get CUDA version: {e.message}")
    try:
        capability = _capability(path)
    except HostError as e:
        locator.notes.append(f"Failed to get CUDA Compute Capability: {e.message}")
    return version, capability


def _version(path: str) -> str:
    version = ctypes.c_int()
    _check(_library(path), "cuDriverGetVersion", "failed to get CUDA version", ctypes.byref(version))
    return f"{version.value // 1000}.{version.value % 100 // 10}"


def _capability(path: str) -> str:
    library = _library(path)
    device, values = ctypes.c_int(), (ctypes.c_int(), ctypes.c_int())
    _check(library, "cuInit", "failed to initialize CUDA", 0)
    _check(library, "cuDeviceGet", "failed to get CUDA device 0", ctypes.byref(device), 0)
    for attribute, word, value in ((MAJOR, "major", values[0]), (MINOR, "minor", values[1])):
        what = f"failed to get CUDA compute capability {word} for device 0"
        _check(library, "cuDeviceGetAttribute", what, ctypes.byref(value), attribute, device)
    return f"{values[0].value}.{values[1].value}"


def _library(path: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(path)
    except OSError as e:
        raise HostError(f"error opening DynamicLibrary for CUDA: {e}") from None


def _check(library: ctypes.CDLL, name: str, what: str, *args: object) -> None:
    function = getattr(library, name, None)
    if function is None:
        raise HostError(f"failed to lookup symbol: {name}")
    if code := function(*args):
        raise HostError(f"{what}: result={code}")
