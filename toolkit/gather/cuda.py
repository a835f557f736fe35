"""libcuda.so.1 → the CUDA version of the driver and the compute capability of the first GPU.

The library is that of the loader's own search, whatever the driver root is.  Source: toolkit v1.20, internal/cuda.
"""

import ctypes
from typing import NamedTuple

LIBRARY = "libcuda.so.1"
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…


class Cuda(NamedTuple):
    """Both as "major.minor", "" where the driver does not say, with a note why."""

    version: str
    capability: str
    notes: tuple[str, ...]


def read_cuda() -> Cuda:
    """What the driver of this machine says."""
    try:
        library = ctypes.CDLL(LIBRARY, mode=ctypes.RTLD_GLOBAL)
    except OSError as e:
        cause = f"error opening DynamicLibrary for CUDA: {e}"
        return Cuda("", "", (_note("CUDA version", cause), _note("CUDA Compute Capability", cause)))
    notes: list[str] = []
    values = []
    for what, read in (("CUDA version", _version), ("CUDA Compute Capability", _capability)):
        try:
            values.append(read(library))
        except _Refused as e:
            values.append("")
            notes.append(_note(what, str(e)))
    return Cuda(values[0], values[1], tuple(notes))


class _Refused(Exception):
    pass


def _version(library: ctypes.CDLL) -> str:
    version = ctypes.c_int()
    _call(library, "cuDriverGetVersion", ctypes.byref(version))
    return f"{version.value // 1000}.{version.value % 100 // 10}"


def _capability(library: ctypes.CDLL) -> str:
    device, parts = ctypes.c_int(), []
    _call(library, "cuInit", ctypes.c_uint(0))
    _call(library, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
    for attribute in (MAJOR, MINOR):
        value = ctypes.c_int()
        _call(library, "cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), device)
        parts.append(str(value.value))
    return ".".join(parts)


def _call(library: ctypes.CDLL, name: str, *arguments: object) -> None:
    try:
        result = getattr(library, name)(*arguments)
    except AttributeError:
        raise _Refused(f"{LIBRARY} has no {name}") from None
    if result:
        raise _Refused(f"failed to call {name}: result={result}")


def _note(what: str, cause: str) -> str:
    return f"Failed to get {what}: {cause}"
