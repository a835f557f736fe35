"""libnvidia-ml.so.1 through ctypes: the functions that the toolkit calls, and no others.

Source: nvml.h 13.x; which functions and in which version: reference client go-nvlib.  A function that the library
lacks answers FUNCTION_NOT_FOUND, so a driver from before MIG still lists its GPUs (NVIDIA/nvidia-container-toolkit#77).
"""

import ctypes
import struct
from collections.abc import Iterator
from typing import NamedTuple

from toolkit.errors import HostError
from toolkit.model.host import Gpu, MigDevice

SUCCESS, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND, FUNCTION_NOT_FOUND = 0, 2, 3, 6, 13
ABSENT = (INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND, FUNCTION_NOT_FOUND)
TEXT = 96  # the longest of NVML's string buffers: UUID_V2, NAME_V2
MAX_GPUS, MAX_MIG_DEVICES = 4096, 64  # sanity, not a limit of NVML

GPU_PROFILES, COMPUTE_PROFILES = 18, 9
GFX_PROFILES = (10, 11, 12)  # NVML_GPU_INSTANCE_PROFILE_{1,2,4}_SLICE_GFX
ADDRESSING_MODE_V1, ADDRESSING_MODE_ATS = 8 | 1 << 24, 2

BRANDS = (
    "Unknown", "Quadro", "Tesla", "NVS", "GRID", "GeForce", "TITAN", "VApps", "VPC", "VCS", "VWS", "CloudGaming",
    "QuadroRTX", "NvidiaRTX", "Nvidia", "GeForceRTX", "TitanRTX",
)  # fmt: skip


class NvmlError(HostError):
    """A call that NVML answered with anything but SUCCESS; the message is NVML's own text."""

    def __init__(self, message: str, *, source: str = "", hint: str = "", code: int = -1) -> None:
        super().__init__(message, source=source, hint=hint)
        self.code = code


class Reading(NamedTuple):
    """What NVML says about the machine.  `version_error` is NVML's text where it could not tell the version."""

    driver_version: str
    version_error: str
    cuda_version: str  # "12.4"
    gpus: tuple[Gpu, ...]


class Session:
    """NVML between nvmlInit_v2 and nvmlShutdown, as a context manager.

    `path` is a file, or the plain name "libnvidia-ml.so.1" for the loader to find.  Entering raises HostError, with
    the message "ERROR_LIBRARY_NOT_FOUND" or the library's own text; the library is closed again on the way out.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._library: ctypes.CDLL

    def __enter__(self) -> "Session":
        self._library = loaded(self._path)
        code = self.call("nvmlInit_v2")
        if code != SUCCESS:
            error = NvmlError(self.text(code), code=code, hint="is the kernel module loaded? try `nvidia-smi`")
            closed(self._library)
            raise error
        return self

    def __exit__(self, *_: object) -> None:
        self.call("nvmlShutdown")
        closed(self._library)

    def call(self, name: str, *args: object) -> int:
        """NVML's return code; FUNCTION_NOT_FOUND where the library does not have the function."""
        try:
            function = getattr(self._library, name)
        except AttributeError:
            return FUNCTION_NOT_FOUND
        return int(function(*args))

    def text(self, code: int) -> str:
        """The library's text for a return code."""
        try:
            function = self._library.nvmlErrorString
        except AttributeError:
            return f"error {code}"
        function.restype = ctypes.c_char_p
        text = function(code)
        return text.decode(errors="replace") if text else f"error {code}"

    def check(self, name: str, *args: object) -> None:
        """Calls a function; raises NvmlError if it fails."""
        code = self.call(name, *args)
        if code != SUCCESS:
            raise NvmlError(self.text(code), code=code, source=name)

    def string(self, name: str, *args: object) -> str:
        """A string that a function writes into a buffer given with its length."""
        buffer = ctypes.create_string_buffer(TEXT)
        self.check(name, *args, buffer, TEXT)
        return buffer.value.decode(errors="replace")

    def number(self, name: str, *args: object) -> int:
        """An unsigned int that a function writes through its last argument."""
        value = ctypes.c_uint()
        self.check(name, *args, ctypes.byref(value))
        return value.value

    def pointer(self, name: str, *args: object) -> ctypes.c_void_p:
        """A handle that a function writes through its last argument."""
        value = ctypes.c_void_p()
        self.check(name, *args, ctypes.byref(value))
        return value

    def record(self, name: str, layout: str, *args: object) -> tuple[int, ...]:
        """The fields of a structure, in the layout of the struct module, that a function fills in."""
        buffer = ctypes.create_string_buffer(struct.calcsize(layout))
        self.check(name, *args, buffer)
        return struct.unpack(layout, buffer.raw)


def loaded(path: str) -> ctypes.CDLL:
    """The library at a path, or found by the loader.  Raises HostError as upstream names it."""
    try:
        return ctypes.CDLL(path)
    except OSError as e:
        raise HostError("ERROR_LIBRARY_NOT_FOUND", hint=f"install the driver's libraries ({e})") from None


def closed(library: ctypes.CDLL) -> None:
    """Unloads a library: a process that reads many machines must not keep the libraries of all."""
    close = ctypes.CDLL(None).dlclose
    close.argtypes = [ctypes.c_void_p]
    close(library._handle)


def read(path: str) -> Reading:
    """Everything that a plan may ask NVML for.

    Raises HostError, its message beginning "failed to initialize NVML: " or "error getting device count: "."""
    try:
        session = Session(path).__enter__()
    except HostError as e:
        raise HostError(f"failed to initialize NVML: {e.message}", hint=e.hint) from None
    try:
        return reading_of(session)
    finally:
        session.__exit__()


def read_names(path: str) -> tuple[str, ...]:
    """The names of the GPUs alone, which is far less to ask.  Raises HostError as soon as one does not answer."""
    with Session(path) as nvml:
        count = min(nvml.number("nvmlDeviceGetCount_v2"), MAX_GPUS)
        handles = [nvml.pointer("nvmlDeviceGetHandleByIndex_v2", index) for index in range(count)]
        return tuple(nvml.string("nvmlDeviceGetName", handle) for handle in handles)


def reading_of(nvml: Session) -> Reading:
    """What an open session says.  Raises HostError only if NVML cannot even count the GPUs."""
    version, error = "", ""
    try:
        version = nvml.string("nvmlSystemGetDriverVersion")
    except NvmlError as e:
        error = e.message
    cuda = ctypes.c_int()
    if nvml.call("nvmlSystemGetCudaDriverVersion", ctypes.byref(cuda)) != SUCCESS:
        cuda.value = 0
    return Reading(
        driver_version=version,
        version_error=error,
        cuda_version=f"{cuda.value // 1000}.{cuda.value % 1000 // 10}" if cuda.value else "",
        gpus=tuple(_gpus(nvml)),
    )


def _gpus(nvml: Session) -> Iterator[Gpu]:
    """Every GPU by NVML's index; one that does not answer has an `error` instead of an identity."""
    try:
        count = nvml.number("nvmlDeviceGetCount_v2")
    except NvmlError as e:
        raise HostError(f"error getting device count: {e.message}", hint=e.hint) from None
    for index in range(min(count, MAX_GPUS)):
        try:
            yield _gpu(nvml, index, nvml.pointer("nvmlDeviceGetHandleByIndex_v2", index))
        except NvmlError as e:
            yield Gpu(index=index, uuid="", minor=-1, pci_bus_id="", error=e.message)


def _gpu(nvml: Session, index: int, device: ctypes.c_void_p) -> Gpu:
    """One GPU.  Identity must be answered; what only describes it may be missing, and is then empty."""
    mode, pending = ctypes.c_uint(), ctypes.c_uint()
    code = nvml.call("nvmlDeviceGetMigMode", device, ctypes.byref(mode), ctypes.byref(pending))
    if code not in (SUCCESS, *ABSENT):
        raise NvmlError(nvml.text(code), code=code, source="nvmlDeviceGetMigMode")
    memory = _optional(nvml, "nvmlDeviceGetMemoryInfo", "=QQQ", device)
    brand = _optional(nvml, "nvmlDeviceGetBrand", "=I", device)
    minor = ctypes.c_uint()
    minor_code = nvml.call("nvmlDeviceGetMinorNumber", device, ctypes.byref(minor))
    bus_id, bus_id_error = _bus_id(nvml, device)
    count = _optional(nvml, "nvmlDeviceGetMaxMigDeviceCount", "=I", device) if code == SUCCESS else ()
    most = count[0] if count else 0
    return Gpu(
        index=index,
        uuid=nvml.string("nvmlDeviceGetUUID", device),
        minor=minor.value if minor_code == SUCCESS else -1,
        minor_error="" if minor_code == SUCCESS else nvml.text(minor_code),
        pci_bus_id=bus_id,
        bus_id_error=bus_id_error,
        name=_optional_string(nvml, "nvmlDeviceGetName", device),
        brand=BRANDS[brand[0]] if brand and brand[0] < len(BRANDS) else BRANDS[0],
        compute_capability=_compute_capability(nvml, device),
        memory_mib=memory[0] >> 20 if memory else 0,
        mig_enabled=code == SUCCESS and mode.value == 1,
        mig_capable=code == SUCCESS,
        mig_devices=tuple(_mig_devices(nvml, device, most)),
        max_mig_devices=most,
        coherent=_coherent(nvml, device),
    )


def _optional(nvml: Session, name: str, layout: str, *args: object) -> tuple[int, ...]:
    """The fields of a structure, or () if NVML has none."""
    try:
        return nvml.record(name, layout, *args)
    except NvmlError:
        return ()


def _optional_string(nvml: Session, name: str, *args: object) -> str:
    try:
        return nvml.string(name, *args)
    except NvmlError:
        return ""


def _bus_id(nvml: Session, device: ctypes.c_void_p) -> tuple[str, str]:
    """The PCI bus id as sysfs writes it: lower case, four digits of domain if those suffice; or why there is none."""
    buffer = ctypes.create_string_buffer(68)  # nvmlPciInfo_t; busId is a char[32] at offset 36
    if code := nvml.call("nvmlDeviceGetPciInfo_v3", device, buffer):
        return "", nvml.text(code)
    text = buffer.raw[36:68].split(b"\0")[0].decode(errors="replace").lower()
    return text[4:] if text.startswith("0000") and len(text) > len("0000:00:00.0") else text, ""


def _compute_capability(nvml: Session, device: ctypes.c_void_p) -> str:
    major, minor = ctypes.c_int(), ctypes.c_int()
    code = nvml.call("nvmlDeviceGetCudaComputeCapability", device, ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}" if code == SUCCESS else ""


def _coherent(nvml: Session, device: ctypes.c_void_p) -> bool:
    """CPU and GPU share page tables (Grace Hopper): addressing mode ATS."""
    buffer = ctypes.create_string_buffer(struct.pack("=II", ADDRESSING_MODE_V1, 0), 8)
    code = nvml.call("nvmlDeviceGetAddressingMode", device, buffer)
    return code == SUCCESS and struct.unpack("=II", buffer.raw)[1] == ADDRESSING_MODE_ATS


def _mig_devices(nvml: Session, parent: ctypes.c_void_p, most: int) -> Iterator[MigDevice]:
    """The MIG devices of a GPU, of which it can have `most`, by their index; one without a device is skipped."""
    for index in range(min(most, MAX_MIG_DEVICES)):
        handle = ctypes.c_void_p()
        code = nvml.call("nvmlDeviceGetMigDeviceHandleByIndex", parent, index, ctypes.byref(handle))
        if code in (NOT_FOUND, INVALID_ARGUMENT):
            continue
        if code != SUCCESS:
            raise NvmlError(nvml.text(code), code=code, source="nvmlDeviceGetMigDeviceHandleByIndex")
        device = MigDevice(
            index=index,
            uuid=nvml.string("nvmlDeviceGetUUID", handle),
            gpu_instance=nvml.number("nvmlDeviceGetGpuInstanceId", handle),
            compute_instance=nvml.number("nvmlDeviceGetComputeInstanceId", handle),
            name=_optional_string(nvml, "nvmlDeviceGetName", handle),
        )
        try:
            yield device._replace(gfx=_profile(nvml, parent, handle, device) in GFX_PROFILES)
        except NvmlError as e:
            yield device._replace(profile_error=e.message)


def _profile(nvml: Session, parent: ctypes.c_void_p, handle: ctypes.c_void_p, device: MigDevice) -> int:
    """The index of the GPU instance profile of a MIG device, found as go-nvlib does: by trying all of them.

    Indexes name a kind of profile; the ids that instances carry are another numbering, different per board.
    """
    nvml.record("nvmlDeviceGetAttributes_v2", "=8IQ", handle)
    gpu_instance = nvml.pointer("nvmlDeviceGetGpuInstanceById", parent, device.gpu_instance)
    gpu_profile = nvml.record("nvmlGpuInstanceGetInfo", "=QIIII", gpu_instance)[2]
    compute_instance = nvml.pointer("nvmlGpuInstanceGetComputeInstanceById", gpu_instance, device.compute_instance)
    compute_profile = nvml.record("nvmlComputeInstanceGetInfo_v2", "=QQIIII", compute_instance)[3]
    for index in range(GPU_PROFILES):
        info = _optional(nvml, "nvmlDeviceGetGpuInstanceProfileInfo", "=10IQ", parent, index)
        if not info or info[0] != gpu_profile:
            continue
        for kind in range(COMPUTE_PROFILES):
            compute = _optional(nvml, "nvmlGpuInstanceGetComputeInstanceProfileInfo", "=9I", gpu_instance, kind, 0)
            if compute and compute[0] == compute_profile:
                return index
    raise NvmlError("no matching profile found", source="nvmlDeviceGetGpuInstanceProfileInfo")
