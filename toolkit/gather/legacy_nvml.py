"""GPUs and versions as `nvidia-container-cli` asks for them: NVML in a process of its own.

NVML is loaded inside the driver root, by a child that has given up root's rights before it does: it is foreign code,
and with rights it would make device nodes.  The child answers with lines of JSON and is killed when it takes too long.
Symbols are looked up by the names that libnvidia-container 1.20 uses, a missing one is NVML's own error 13.
"""

import ctypes
import json
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from toolkit.errors import HostError
from toolkit.model.native import Gpu, MigDevice

LIBRARY = "libnvidia-ml.so.1"
TIMEOUT = 10.0  # seconds until an answer
GOODBYE = 0.01  # seconds that nvmlShutdown may take before the child is killed
MAX_GPUS, MAX_MIGS = 64, 8
NOT_SUPPORTED, NOT_FOUND, FUNCTION_NOT_FOUND = 3, 6, 13
_BRANDS = ("Unknown", "Quadro", "Tesla", "NVS", "GRID", "GeForce", "TITAN", "VApps", "VPC", "VCS", "VWS", "CloudGaming",
           "QuadroRTX", "NvidiaRTX", "Nvidia", "GeForceRTX", "TitanRTX")
# nvmlPciInfo_t begins with busIdLegacy[16]; domain, bus and device follow in every version.
_PCI_BYTES, _PCI_DOMAIN = 128, 16


class Nvml(NamedTuple):
    """What NVML said.  Upstream asks for versions and GPUs at different moments, so each has its own error."""

    version: str = ""
    cuda_version: str = ""
    gpus: tuple[Gpu, ...] = ()
    version_error: str = ""
    gpu_error: str = ""

    def check(self, error: str) -> None:
        """Raises HostError for one of the two errors, unless it is empty."""
        if error:
            raise HostError(error, source="detection error", hint="nvidia-smi and dmesg may tell more about the GPU")


class _Failure(Exception):
    """An NVML call that failed, with its code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Library:
    """The functions of a loaded NVML."""

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)

    def call(self, name: str, *arguments: Any) -> None:
        try:
            function = getattr(self._library, name)
        except AttributeError:
            raise _Failure(FUNCTION_NOT_FOUND) from None
        code = function(*arguments)
        if code:
            raise _Failure(code)

    def text_of(self, code: int) -> str:
        """NVML's text of an error, in lower case as upstream prints it."""
        try:
            function = self._library.nvmlErrorString
        except AttributeError:
            return "nvml error: function not found"
        function.restype = ctypes.c_char_p
        return "nvml error: " + (function(code) or b"unknown error").decode(errors="replace").lower()

    def string(self, name: str, size: int, *arguments: Any) -> str:
        buffer = ctypes.create_string_buffer(size)
        self.call(name, *arguments, buffer, size)
        return buffer.value.decode(errors="replace")

    def number(self, name: str, *arguments: Any) -> int:
        value = ctypes.c_uint(0)
        self.call(name, *arguments, ctypes.byref(value))
        return value.value

    def handle(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        value = ctypes.c_void_p()
        self.call(name, *arguments, ctypes.byref(value))
        return value


def _gpu(nvml: _Library, index: int, wsl: bool) -> Gpu:
    """One GPU.  Under WSL 2 GPUs have neither nodes nor partitions, and the minor is 0."""
    device = nvml.handle("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index))
    name = nvml.string("nvmlDeviceGetName", 64, device)
    uuid = nvml.string("nvmlDeviceGetUUID", 96, device)
    pci = ctypes.create_string_buffer(_PCI_BYTES)
    nvml.call("nvmlDeviceGetPciInfo", device, pci)
    domain, bus, slot = (int.from_bytes(pci.raw[at:at + 4], "little") for at in range(_PCI_DOMAIN, _PCI_DOMAIN + 12, 4))
    major, minor_version = ctypes.c_int(0), ctypes.c_int(0)
    nvml.call("nvmlDeviceGetCudaComputeCapability", device, ctypes.byref(major), ctypes.byref(minor_version))
    brand = nvml.number("nvmlDeviceGetBrand", device)
    minor = 0 if wsl else nvml.number("nvmlDeviceGetMinorNumber", device)
    capable, migs = (False, ()) if wsl else _migs(nvml, device, index, minor)
    return Gpu(
        index=index, minor=minor, uuid=uuid, bus_id=f"{domain:08x}:{bus:02x}:{slot:02x}.0", name=name,
        brand=_BRANDS[brand] if brand < len(_BRANDS) else "Unknown",
        architecture=f"{major.value}.{minor_version.value}", mig_capable=capable, migs=migs,
    )


def _migs(nvml: _Library, device: ctypes.c_void_p, gpu: int, minor: int) -> tuple[bool, tuple[MigDevice, ...]]:
    """Whether a GPU can be partitioned, and its MIG devices: those of the current mode, the pending one is ignored."""
    current, pending = ctypes.c_uint(0), ctypes.c_uint(0)
    try:
        nvml.call("nvmlDeviceGetMigMode", device, ctypes.byref(current), ctypes.byref(pending))
    except _Failure as e:
        if e.code in (NOT_SUPPORTED, FUNCTION_NOT_FOUND):
            return False, ()
        raise
    found: list[MigDevice] = []
    count = nvml.number("nvmlDeviceGetMaxMigDeviceCount", device) if current.value == 1 else 0
    for index in range(count):
        try:
            mig = nvml.handle("nvmlDeviceGetMigDeviceHandleByIndex", device, ctypes.c_uint(index))
        except _Failure as e:
            if e.code == NOT_FOUND:  # the list ends here, whatever comes later
                break
            raise
        if index >= MAX_MIGS:
            raise HostError("too many MIG devices")
        found.append(MigDevice(
            index=index, uuid=nvml.string("nvmlDeviceGetUUID", 96, mig), gpu_index=gpu, gpu_minor=minor,
            gpu_instance=nvml.number("nvmlDeviceGetGpuInstanceId", mig),
            compute_instance=nvml.number("nvmlDeviceGetComputeInstanceId", mig),
        ))
    return True, tuple(found)


def _gpus(nvml: _Library, wsl: bool) -> tuple[Gpu, ...]:
    count = nvml.number("nvmlDeviceGetCount_v2")
    if count > MAX_GPUS:
        raise HostError("too many devices")
    return tuple(_gpu(nvml, index, wsl) for index in range(count))


def _answer(library: str, wsl: bool, enter: Callable[[], None], send: Callable[[Any], None]) -> None:
    """The child: one line {"init": error}, then one with everything else."""
    try:
        enter()
        nvml = _Library(library)
    except HostError as e:
        return send({"init": e.message})
    except OSError as e:  # ctypes: the loader's message, with the library's name in front
        text = str(e).split("\n")[0]
        start, colon, cause = text.rpartition(":")
        return send({"init": f"load library failed: {start}{colon}{cause.lower()}"})
    try:
        nvml.call("nvmlInit_v2")
    except _Failure as e:
        return send({"init": nvml.text_of(e.code)})
    send({"init": ""})
    try:
        version = nvml.string("nvmlSystemGetDriverVersion", 80)
        cuda = nvml.number("nvmlSystemGetCudaDriverVersion")
    except _Failure as e:
        return send({"version_error": nvml.text_of(e.code)})
    reply: dict[str, Any] = {"version": version, "cuda_version": f"{cuda // 1000}.{cuda % 100 // 10}"}
    try:
        reply["gpus"] = _gpus(nvml, wsl)
    except _Failure as e:
        reply["gpu_error"] = nvml.text_of(e.code)
    except HostError as e:
        reply["gpu_error"] = e.message
    send(reply)
    nvml.call("nvmlShutdown")
    return None


class _Child:
    """The process that talks to NVML, and the pipe that it answers through."""

    def __init__(self, library: str, wsl: bool, enter: Callable[[], None]) -> None:
        self._buffer = b""
        try:
            self._pipe, theirs = os.pipe()
            self._pid = os.fork()
        except OSError as e:
            raise HostError(f"process creation failed: {(e.strerror or '').lower()}",
                            source="initialization error") from None
        if self._pid:
            os.close(theirs)
            return
        try:
            os.close(self._pipe)
            _answer(library, wsl, enter, lambda value: _write(theirs, json.dumps(value).encode() + b"\n"))
        finally:  # whatever happened here must not become the parent's traceback
            os._exit(0)

    def line(self, timeout: float) -> dict[str, Any]:
        """The next answer.  Raises HostError when the child died or takes longer than `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._pipe], [], [], left)[0]:
                raise HostError("driver rpc error: timed out", hint="a GPU may have fallen off the bus: see dmesg")
            data = os.read(self._pipe, 65536)
            if not data:
                raise HostError("driver rpc error: failed to process request")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    def end(self) -> None:
        """Waits a moment for nvmlShutdown, then kills."""
        select.select([self._pipe], [], [], GOODBYE)
        os.kill(self._pid, signal.SIGKILL)
        os.close(self._pipe)
        os.waitpid(self._pid, 0)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data):]


def _gpu_of(row: list[Any]) -> Gpu:
    """A Gpu out of its JSON form, in which named tuples are lists."""
    gpu = Gpu(*row)
    return gpu._replace(migs=tuple(MigDevice(*mig) for mig in gpu.migs))


def read_nvml(enter: Callable[[], None] = lambda: None, *, library: str = LIBRARY, wsl: bool = False,
              timeout: float = TIMEOUT) -> Nvml:
    """Versions and GPUs.  `enter` runs in the child before NVML is loaded: it changes root and gives up rights.

    `wsl`: this is WSL 2, and `library` that of the driver store.  Raises HostError with source "initialization error"
    where NVML cannot be used at all."""
    child = _Child(library, wsl, enter)
    try:
        first = child.line(timeout).get("init", "")
        if first:
            raise HostError(first)
        reply = child.line(timeout)
    except HostError as e:
        raise e.within("initialization error") from None
    finally:
        child.end()
    gpus = tuple(_gpu_of(row) for row in reply.pop("gpus", ()))
    return Nvml(gpus=gpus, **reply)
