"""The keys `gpus` and `vfio` of a profile: the GPUs of the machine, each with its place, UUID and serial number."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from nvsim import document, models, profile_mig
from nvsim.document import Keys
from nvsim.errors import NvsimError

MOST_GPUS = 64
KEYS = ("model", "count", "minors", "uuids", "bus_ids", "serials", "numa", "mig")
_UUID = re.compile(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BUS_ID = re.compile(r"(?:([0-9a-f]{4}|[0-9a-f]{8}):)?([0-9a-f]{2}):([0-1][0-9a-f])\.0")
# Where the eight GPUs of a DGX A100 and a DGX H100 sit; further ones continue in the next PCI domain.
_BUSES = ((0x07, 0x0F, 0x47, 0x4E, 0x87, 0x90, 0xB7, 0xBD), (0x1B, 0x43, 0x52, 0x61, 0x9D, 0xC3, 0xD1, 0xDF))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU.  `model` is a key of gpus.yaml; `index` is NVML's order, which is that of the bus ids.

    `numa_node` is -1 where it follows from the index: the GPUs are spread evenly over the nodes.  `mig` are the
    instances of a GPU in MIG mode, None of one that is not."""

    index: int
    minor: int
    model: str
    uuid: str
    bus_id: str
    serial: str
    numa_node: int = -1
    mig: tuple[profile_mig.Wanted, ...] | None = None


def gpus(keys: Keys, key: str, name: str, first: int) -> tuple[Gpu, ...]:
    """The GPUs of a list in the order of their bus ids, after `first` others.

    Minors follow that order, as the driver hands them out at probe."""
    found: list[tuple[str, dict[str, Any]]] = []
    for where, item in keys.items(key):
        found += _group(item, where, name, first + len(found))
        if len(found) > MOST_GPUS:
            raise NvsimError(f"more than {MOST_GPUS} GPUs", source=where)
    ordered = sorted(found, key=lambda pair: pair[0])
    return tuple(Gpu(index=index, minor=index if values["minor"] < 0 else values["minor"], bus_id=bus_id,
                     model=values["model"], uuid=values["uuid"], serial=values["serial"],
                     numa_node=values["numa_node"], mig=values["mig"])
                 for index, (bus_id, values) in enumerate(ordered))


def _group(item: object, where: str, name: str, first: int) -> list[tuple[str, dict[str, Any]]]:
    """The GPUs of one entry: bus id, and the values of a Gpu; minor -1 where it follows the order."""
    keys = Keys(item, where, KEYS)
    if "model" not in keys:
        raise NvsimError("the model is missing", source=where, hint="model: KEY; see: nvsim list gpus")
    try:
        model = models.model(keys.text("model"))["key"]
    except NvsimError as e:
        raise NvsimError(e.message, source=keys.where("model"), hint=e.hint) from None
    count = keys.integer("count", 1, 1, MOST_GPUS)
    minors = [document.integer(value, at, 0, 247) for at, value in _list(keys, "minors", count)]
    bare = models.model(model).get("integrated") == models.BY_NVGPU
    uuids = [_uuid(value, at, bare=bare) for at, value in _list(keys, "uuids", count)]
    bus_ids = [_bus_id(value, at) for at, value in _list(keys, "bus_ids", count)]
    serials = [_serial(value, at) for at, value in _list(keys, "serials", count)]
    nodes = [document.integer(value, at, 0, 63) for at, value in _list(keys, "numa", count)]
    instances = profile_mig.parse(keys.raw("mig"), keys.where("mig"), model, count) if "mig" in keys else {}
    return [(bus_ids[i] if bus_ids else _default_bus_id(first + i, model),
             {"model": model, "minor": minors[i] if minors else -1, "numa_node": nodes[i] if nodes else -1,
              "mig": instances.get(i),
              "uuid": uuids[i] if uuids else _default_uuid(name, first + i, bare=bare),
              "serial": serials[i] if serials else _default_serial(name, first + i)}) for i in range(count)]


def _list(keys: Keys, key: str, count: int) -> list[tuple[str, Any]]:
    found = keys.items(key)
    if key in keys and len(found) != count:
        raise NvsimError(f"{len(found)} values for {count} GPUs", source=keys.where(key))
    return found


def _uuid(value: object, source: str, *, bare: bool) -> str:
    """The UUID of a GPU; `bare`: that of one that nvgpu drives, which has no prefix."""
    text = document.text(value, source)
    if not _UUID.fullmatch(f"GPU-{text}" if bare else text):
        raise NvsimError(f"{text[:60]!r} is not a GPU UUID", source=source,
                         hint=f"{'' if bare else 'GPU-'}xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx in lower-case "
                              "hexadecimal: clients parse it")
    return text


def _bus_id(value: object, source: str) -> str:
    """A PCI address as Linux writes it; the domain may be left out or have eight digits."""
    text = document.text(value, source).lower()
    found = _BUS_ID.fullmatch(text)
    if not found or int(found[1] or "0", 16) > 0xFFFF:
        raise NvsimError(f"{text[:60]!r} is not a PCI address", source=source, hint="such as 0000:07:00.0")
    return f"{int(found[1] or '0', 16):04x}:{found[2]}:{found[3]}.0"


def _serial(value: object, source: str) -> str:
    text = document.text(value, source)
    if not re.fullmatch(r"[0-9A-Z]{0,30}", text):
        raise NvsimError(f"{text[:60]!r} is not a serial number", source=source, hint="13 digits")
    return text


def _default_bus_id(index: int, model: str) -> str:
    """Places of the first table, or of the second if the model's base board has NVSwitches in those of the first.

    A GPU of nvgpu has none; 0 stands for it, so that it comes first.  Thor's own is always at 0000:01:00.0."""
    if "integrated" in models.model(model):
        return "0000:00:00.0" if models.model(model)["integrated"] == models.BY_NVGPU else "0000:01:00.0"
    switches = models.model(model).get("nvswitch_bus_ids", ())
    buses = _BUSES[any(f"0000:{bus:02x}:00.0" in switches for bus in _BUSES[0])]
    return f"{index // len(buses):04x}:{buses[index % len(buses)]:02x}:00.0"


def _default_uuid(name: str, index: int, *, bare: bool) -> str:
    """UUIDs of nvgpu are of version 5."""
    digits = hashlib.sha256(f"uuid of {name}/{index}".encode()).hexdigest()
    if bare:
        digits = f"{digits[:12]}5{digits[13:16]}a{digits[17:]}"
    return ("" if bare else "GPU-") + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def _default_serial(name: str, index: int) -> str:
    number = int.from_bytes(hashlib.sha256(f"serial of {name}/{index}".encode()).digest()[:6])
    return f"132{number % 10**10:010d}"
