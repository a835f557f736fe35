"""What NVML tells of a machine's GPUs, for `nvsim record`: through NVIDIA's own binding, nvidia-ml-py."""

import ctypes
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nvsim.errors import NvsimError
from nvsim.profile_fabric import NO_CLUSTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A GPU instance: NVML's profile id, first placement unit, and the first slice and slices of its compute
    instances."""

    profile_id: int
    start: int
    compute: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What NVML says of one GPU.  `links` are the bus ids that its active NVLinks lead to; `mig` its instances, None
    where MIG is off or not there."""

    serial: str = ""
    virtualization: int = 0  # nvmlGpuVirtualizationMode_t
    links: tuple[str, ...] = ()
    mig: tuple[Instance, ...] | None = None
    cluster: str = NO_CLUSTER
    clique: int = 0


def ask(library: str, bus_ids: Iterable[str]) -> tuple[dict[str, Said], str]:
    """What NVML says, by bus id, of those GPUs that it knows, and why it says nothing of any: empty if it does.

    `library` is the path of libnvidia-ml.so.1.  Raises NvsimError without nvidia-ml-py, and for an answer of NVML that
    is not about the driver's state."""
    nvml, why = opened(library)
    if nvml is None:
        return {}, why
    try:
        return {bus_id: said for bus_id in bus_ids if (said := _said(nvml, bus_id))}, ""
    finally:
        nvml.nvmlShutdown()


def opened(library: str) -> tuple[Any, str]:
    """nvidia-ml-py after nvmlInit, or None and why NVML cannot be used.  Raises NvsimError as `ask` does."""
    try:
        import pynvml as nvml
    except ImportError as e:
        raise NvsimError("record asks NVML through nvidia-ml-py, which is not installed",
                         hint="pip install 'gpu-container-harness[record]'") from e
    try:
        ctypes.CDLL(library)  # the binding finds it by its SONAME then, wherever the loader looks
    except OSError as e:
        return None, str(e)
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError_DriverNotLoaded, nvml.NVMLError_LibraryNotFound, nvml.NVMLError_LibRmVersionMismatch,
            nvml.NVMLError_OperatingSystem) as e:  # the last one: on WSL 2, that Windows has loaded another driver
        return None, str(e)
    except nvml.NVMLError as e:
        raise NvsimError(f"NVML cannot be used: {e}", source=library) from e
    return nvml, ""


def answer(nvml: Any, default: Any, call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call returns; the default where this driver or this GPU has no such thing."""
    try:
        return call(*arguments)
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_NotFound,
            nvml.NVMLError_InvalidArgument):
        return default


def _said(nvml: Any, bus_id: str) -> Said | None:
    """What NVML says of a GPU; None of one that it does not know, or that fell off the bus."""
    try:
        handle = answer(nvml, None, nvml.nvmlDeviceGetHandleByPciBusId, bus_id)
        if handle is None:
            return None
        cluster, clique = _fabric(nvml, handle)
        return Said(serial=answer(nvml, "", nvml.nvmlDeviceGetSerial, handle),
                    virtualization=answer(nvml, 0, nvml.nvmlDeviceGetVirtualizationMode, handle),
                    links=_links(nvml, handle), mig=_instances(nvml, handle), cluster=cluster, clique=clique)
    except nvml.NVMLError_GpuIsLost:
        return None
    except nvml.NVMLError_NoPermission as e:
        raise NvsimError(f"NVML: {e}", source=f"GPU {bus_id}", hint="be root: NVML shows it MIG instances") from e
    except nvml.NVMLError as e:
        raise NvsimError(f"NVML: {e}", source=f"GPU {bus_id}", hint="nvidia-smi -q says more of this GPU") from e


def _links(nvml: Any, handle: Any) -> tuple[str, ...]:
    active = [link for link in range(nvml.NVML_NVLINK_MAX_LINKS)
              if answer(nvml, 0, nvml.nvmlDeviceGetNvLinkState, handle, link)]
    remote = [answer(nvml, None, nvml.nvmlDeviceGetNvLinkRemotePciInfo, handle, link) for link in active]
    return tuple(f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0" for pci in remote if pci)


def _fabric(nvml: Any, handle: Any) -> tuple[str, int]:
    info = nvml.c_nvmlGpuFabricInfo_t()
    if answer(nvml, None, nvml.nvmlDeviceGetGpuFabricInfo, handle, ctypes.byref(info)) is None:
        return NO_CLUSTER, 0
    return str(uuid.UUID(bytes=bytes(info.clusterUuid))), info.cliqueId


def _instances(nvml: Any, handle: Any) -> tuple[Instance, ...] | None:
    """The GPU instances by placement; None with MIG off."""
    if not answer(nvml, (0, 0), nvml.nvmlDeviceGetMigMode, handle)[0]:
        return None
    found: list[Instance] = []
    for number in range(nvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        profile = answer(nvml, None, nvml.nvmlDeviceGetGpuInstanceProfileInfo, handle, number, 1)
        if profile:
            handles = (nvml.c_nvmlGpuInstance_t * profile.instanceCount)()
            for instance in _counted(handles, nvml.nvmlDeviceGetGpuInstances, handle, profile.id):
                info = nvml.nvmlGpuInstanceGetInfo(instance)
                found.append(Instance(profile_id=info.profileId, start=info.placement.start,
                                      compute=_compute(nvml, instance)))
    return tuple(sorted(found, key=lambda instance: instance.start))


def _compute(nvml: Any, instance: Any) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for number in range(nvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT):
        profile = answer(nvml, None, nvml.nvmlGpuInstanceGetComputeInstanceProfileInfo, instance, number,
                      nvml.NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED, 1)
        if profile:
            handles = (nvml.c_nvmlComputeInstance_t * profile.instanceCount)()
            for compute in _counted(handles, nvml.nvmlGpuInstanceGetComputeInstances, instance, profile.id):
                place = nvml.nvmlComputeInstanceGetInfo(compute).placement
                found.append((place.start, place.size))
    return tuple(sorted(found))


def _counted(handles: Any, call: Callable[..., Any], *arguments: Any) -> list[Any]:
    """The handles that a call fills in."""
    count = ctypes.c_uint(len(handles))
    call(*arguments, handles, ctypes.byref(count))
    return list(handles[:count.value])
