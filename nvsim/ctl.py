"""Live changes of a built host: `nvsim ctl set gpu=0 temperature=85 memory_used=10GiB`.

Every program that has the host's driver library mapped, in containers too, sees the new values at its next call."""

import json
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nvsim import board
from nvsim.errors import NvsimError

_UNITS = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_NUMBER = re.compile(r"(-?\d+|0x[0-9a-fA-F]+)(KiB|MiB|GiB|)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """New values of a GPU.  `gpu` is "all", a number in PCI bus order, a UUID, or a PCI address."""

    gpu: str
    values: dict[str, Any]


def parse(words: Sequence[str]) -> Change:
    """A change from `gpu=0 temperature=85 fabric_state=none`; without gpu= it is for all GPUs.

    Numbers are decimal or 0x…, sizes may end in KiB, MiB or GiB; none = the board does not have that.
    Raises NvsimError for a word without =, a value that cannot be changed, or one that is no number."""
    gpu, values = "all", {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise NvsimError("expected NAME=VALUE", source=word, hint="such as gpu=0 temperature=85")
        if name == "gpu":
            gpu = value
        else:
            values[name] = _value(name, value)
    if not values:
        raise NvsimError("nothing to set", source=" ".join(words), hint=f"known: {', '.join(board.SETTABLE)}")
    return Change(gpu=gpu, values=values)


def settable() -> dict[str, str]:
    """What can be changed: names, with meaning and unit."""
    return dict(board.SETTABLE)


def set_values(root: str, words: Sequence[str]) -> list[str]:
    """Applies a change to every driver library of a built host; what was changed, a line per GPU.

    Raises NvsimError as `parse` does, and if `root` is no built host, or no GPU of it is meant."""
    change, said = parse(words), []
    for path in boards(root):
        for place in _chosen(board.read(path).gpus, change.gpu, path):
            board.update(path, place, **change.values)
            said.append(f"{path}: GPU {place}: {' '.join(f'{k}={v}' for k, v in change.values.items())}")
    return said


def boards(root: str) -> list[str]:
    """The files of a built host that carry a board, from its .nvsim/machine.json."""
    source = posixpath.join(root, ".nvsim/machine.json")
    try:
        with open(source, encoding="utf-8") as f:
            found = [posixpath.join(root, str(path).lstrip("/")) for path in json.load(f)["boards"]]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise NvsimError("not a built host", source=source, hint="build one: nvsim build PROFILE DIR") from e
    if not found:
        raise NvsimError("this host has no driver, so no GPU to change", source=source)
    return found


def _chosen(gpus: Sequence[board.Gpu], wanted: str, path: str) -> list[int]:
    """Places on the board of the GPUs that are meant."""
    order = sorted(range(len(gpus)), key=lambda i: (gpus[i].pci_domain, gpus[i].pci_bus, gpus[i].pci_device))
    if wanted == "all":
        return order
    if wanted.isdecimal() and int(wanted) < len(order):
        return [order[int(wanted)]]
    found = [i for i in order if wanted.lower() in (gpus[i].uuid.lower(), gpus[i].bus_id)]
    if not found:
        raise NvsimError(f"no GPU {wanted!r}", source=path,
                         hint=f"all, 0 to {len(gpus) - 1}, a UUID, or a PCI address such as 0000:07:00.0")
    return found


def _value(name: str, value: str) -> Any:
    if name not in board.SETTABLE:
        raise NvsimError("this cannot be changed", source=name, hint=f"known: {', '.join(board.SETTABLE)}")
    slot = board.RECORD.slot(name)
    if slot.kind == "text":
        return value
    if value == "none":
        return None
    found = _NUMBER.fullmatch(value)
    if not found:
        raise NvsimError(f"expected a number, got {value!r}", source=name, hint=board.SETTABLE[name])
    number = int(found[1], 0 if found[1].startswith("0x") else 10) * _UNITS[found[2]]
    slot.pack(number)
    return number
