"""A WSL 2 machine, for `nvsim record`: its driver stores, and what Windows' driver tells of the GPUs.

The kernel shows nothing of them, so libdxcore.so and NVML are asked."""

import ctypes
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nvsim import plan_wsl, profile_wsl, record_dxcore, record_nvml
from nvsim.profile_wsl import Store
from nvsim.record_dxcore import Adapter
from nvsim.record_facts import PciGpu

_NVML = "libnvidia-ml.so.1"
_VERSION = re.compile(r"\d{3}\.\d{2,3}(?:\.\d{2})?")
_MOST_CPUS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """`driver` is the version of the libraries, `kernel_driver` that of Windows' driver; empty without.  `serials` by
    bus id; `why`: what NVML says instead of answering."""

    driver: str
    kernel_driver: str
    stores: tuple[Store, ...]
    gpus: tuple[PciGpu, ...]
    serials: dict[str, str]
    why: str = ""


def gather() -> Windows:
    """What this machine shows.  Raises NvsimError where libdxcore.so does not answer, and as record_nvml.ask does."""
    library = f"{plan_wsl.LIB}/{_NVML}"
    adapters = record_dxcore.adapters(f"{plan_wsl.LIB}/libdxcore.so")
    nvml, why = record_nvml.opened(library) if os.path.exists(library) else (None, "")
    gpus: tuple[PciGpu, ...] = ()
    windows, serials = "", dict[str, str]()
    if nvml:
        try:
            windows = nvml.nvmlSystemGetDriverVersion()
            handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
            gpus = tuple(_gpu(nvml, handle) for handle in handles)
            serials = {gpu.bus_id: record_nvml.answer(nvml, "", nvml.nvmlDeviceGetSerial, handle)
                       for gpu, handle in zip(gpus, handles, strict=True)}
        finally:
            nvml.nvmlShutdown()
    driver = _version_of(library)
    return Windows(driver=driver, kernel_driver=windows, gpus=gpus, serials=serials, why=why,
                   stores=_stores(adapters, driver, windows or driver))


def written(found: Windows, profile_name: str) -> Any:
    """The value of a profile's key `wsl`."""
    if found.stores == profile_wsl.one(profile_name):
        return True
    entries: list[dict[str, Any]] = []
    for store in found.stores:
        entry: dict[str, Any] = {"name": store.name}
        if store.vendor_nvidia != store.name.startswith("nv") or store.driver:
            entry["driver"] = (store.driver or found.driver) if store.vendor_nvidia else "none"
        if store.windows_driver:
            entry["windows_driver"] = store.windows_driver
        if store.adapters >= 0:
            entry["adapters"] = store.adapters
        if store.wddm != profile_wsl.WDDM:
            entry["wddm"] = store.wddm
        entries.append(entry)
    return entries


def _stores(adapters: tuple[Adapter, ...], driver: str, windows: str) -> tuple[Store, ...]:
    """The stores: those of adapters in their order, then the others.  A value that follows is not said."""
    there = sorted(os.listdir(plan_wsl.STORES)) if os.path.isdir(plan_wsl.STORES) else []
    names = list(dict.fromkeys([*(adapter.store for adapter in adapters), *there]))
    wddm = {adapter.store: adapter.wddm for adapter in adapters}
    stores = tuple(_store(name, wddm.get(name, profile_wsl.WDDM), driver, windows) for name in names)
    counts = Counter(adapter.store for adapter in adapters)
    first = next((store.name for store in stores if store.vendor_nvidia), "")
    follow = profile_wsl.used(stores, counts[first])
    return tuple(store if counts[store.name] == usual else _with_adapters(store, counts[store.name])
                 for store, usual in zip(stores, follow, strict=True))


def _with_adapters(store: Store, count: int) -> Store:
    return Store(name=store.name, vendor_nvidia=store.vendor_nvidia, driver=store.driver, wddm=store.wddm,
                 windows_driver=store.windows_driver, adapters=count)


def _store(name: str, wddm: int, driver: str, windows: str) -> Store:
    folder = f"{plan_wsl.STORES}/{name}"
    if not os.path.exists(f"{folder}/{_NVML}"):
        return Store(name=name, vendor_nvidia=False, wddm=wddm)
    own = _version_of(f"{folder}/{_NVML}")
    own = "" if own == driver else own
    said = plan_wsl.windows_version(_text(f"{folder}/{plan_wsl.inf_name(name)}"))
    usual = plan_wsl.windows_version(plan_wsl.inf_text(own or windows))
    return Store(name=name, driver=own, wddm=wddm, windows_driver="" if said in ("", usual) else said)


def _version_of(library: str) -> str:
    """The driver version that an NVML library says of itself; empty if there is none.  It answers before nvmlInit."""
    try:
        text = ctypes.create_string_buffer(80)  # NVML_SYSTEM_NVML_VERSION_BUFFER_SIZE
        if ctypes.CDLL(library).nvmlSystemGetNVMLVersion(text, len(text)):
            return ""
    except (OSError, AttributeError):
        return ""
    version = text.value.decode(errors="replace").partition(".")[2]  # the first number is CUDA's
    return version if _VERSION.fullmatch(version) else ""


def _gpu(nvml: Any, handle: Any) -> PciGpu:
    pci = nvml.nvmlDeviceGetPciInfo(handle)
    words = record_nvml.answer(nvml, (), nvml.nvmlDeviceGetCpuAffinity, handle, _MOST_CPUS // 64)
    cpus = [64 * place + bit for place, word in enumerate(words) for bit in range(64) if word >> bit & 1]
    return PciGpu(bus_id=f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0", device=pci.pciDeviceId, numa_node=0,
                  cpus=_ranges(cpus), name=nvml.nvmlDeviceGetName(handle), uuid=nvml.nvmlDeviceGetUUID(handle))


def _ranges(cpus: Iterable[int]) -> str:
    """Numbers in order as Linux lists them: 0-15,32-47."""
    runs: list[list[int]] = []
    for cpu in cpus:
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(f"{first}-{last}" for first, last in runs)


def _text(path: str) -> str:
    """A file of Windows': UTF-16 with its mark, or one byte a character."""
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError:
        return ""
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1", errors="replace")
