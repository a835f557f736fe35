"""What a report says about a machine, as far as it says anything.  Empty: not said."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as some output shows it.  `name` may be cut short with "..."; `mig` are profile names, None: not said."""

    index: int
    name: str = ""
    uuid: str = ""
    bus_id: str = ""
    minor: int = -1
    memory_mib: int = 0
    mig: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`kernel_driver` is the version of the loaded module, `driver` that of the libraries.  `systems` are candidates
    for a layout, the fitting one first, of the distribution `system`.  `nodes` are device nodes of a listing, `missing`
    paths that somebody looked for in vain.  `specs` are CDI specifications as they were pasted; `config` is
    config.toml, `first_card` the number of the first DRM card of NVIDIA's.  `wsl`: it is a WSL 2 machine, with the
    driver stores `stores`; `operator`: the GPU Operator runs there, and says `dev_root`.  `cgroup` is v1 or v2, `asked`
    how many GPUs one container is given at most.  `found` says which kinds of output there are."""

    gpus: tuple[Gpu, ...] = ()
    driver: str = ""
    kernel_driver: str = ""
    kernel_module: str = ""
    systems: tuple[str, ...] = ()
    system: str = ""
    driver_root: str = ""
    virtualization: str = ""
    toolkit: str = ""
    mode: str = ""
    nodes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    persistenced: str = ""
    default_runtime: str = ""
    first_card: int = 0
    wsl: bool = False
    stores: tuple[str, ...] = ()
    operator: bool = False
    dev_root: str = ""
    cgroup: str = ""
    asked: int = 0
    specs: tuple[str, ...] = ()
    config: dict[str, object] = field(default_factory=dict)
    found: tuple[str, ...] = ()


def merged(parts: Iterable[Facts]) -> Facts:
    """Several readings as one: lists are joined, of everything else the first that says something counts."""
    whole = Facts()
    for part in parts:
        values: dict[str, Any] = {}
        for item in fields(Facts):
            old, new = getattr(whole, item.name), getattr(part, item.name)
            if item.name == "gpus":
                values["gpus"] = _merged_gpus(old, new)
            elif item.name in ("nodes", "missing", "specs", "stores", "found"):
                values[item.name] = (*old, *(value for value in new if value not in old))
            else:
                values[item.name] = old or new
        whole = Facts(**values)
    return whole


def _merged_gpus(old: tuple[Gpu, ...], new: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """GPUs of two outputs, matched by UUID, else by bus id, else by index; the longer list is that of the machine."""
    longer, shorter = (old, new) if len(old) >= len(new) else (new, old)
    return tuple(_filled(gpu, _twin(gpu, shorter)) for gpu in longer)


def _twin(gpu: Gpu, others: tuple[Gpu, ...]) -> Gpu:
    for key in ("uuid", "bus_id", "index"):
        for other in others:
            if getattr(gpu, key) != "" and getattr(gpu, key) == getattr(other, key):
                return other
    return gpu


def _filled(gpu: Gpu, other: Gpu) -> Gpu:
    cut = gpu.name.endswith("...") and other.name and not other.name.endswith("...")
    return replace(gpu, name=other.name if cut else gpu.name or other.name, uuid=gpu.uuid or other.uuid,
                   bus_id=gpu.bus_id or other.bus_id, minor=gpu.minor if gpu.minor >= 0 else other.minor,
                   memory_mib=gpu.memory_mib or other.memory_mib, mig=gpu.mig or (other.mig if gpu.mig is None else ())
                   or other.mig)


def bus_id_of(text: str) -> str:
    """A bus id of nvidia-smi or of the kernel as a profile writes it: 00000000:07:00.0 → 0000:07:00.0."""
    domain, _, rest = text.lower().partition(":")
    return f"{int(domain, 16):04x}:{rest}"
