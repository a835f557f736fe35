"""`nvsim ctl set`: single values of a GPU, by the names of the board."""

from dataclasses import dataclass
from typing import Any

from nvsim import board
from nvsim.ctl import words as _words
from nvsim.ctl.targets import targets
from nvsim.ctl.words import Words
from nvsim.errors import NvsimError


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """New values of a GPU.  `gpu` is "all", a number in PCI bus order, a UUID, or a PCI address."""

    gpu: str
    values: dict[str, Any]

    def apply(self, root: str) -> list[str]:
        """Changes every driver library of a built host; what was changed, a line per GPU."""
        said = []
        for one in targets(root, self.gpu):
            one.edit(lambda _: self.values)
            said.append(f"{one.name}: {' '.join(f'{k}={v}' for k, v in self.values.items())}")
        return said


def parse(words: Words) -> Set:
    """`gpu=0 temperature=85 fabric_state=none`; without gpu= it is for all GPUs.

    Numbers are decimal or 0x…, sizes may end in KiB, MiB or GiB; none = the board does not have that.
    Raises NvsimError for a word without =, or a value that is no number."""
    words.no_bare()
    values = {name: _value(name, value) for name, value in words.named.items() if name != "gpu"}
    if not values:
        raise NvsimError("nothing to set", source=f"ctl set {' '.join(words.named)}".rstrip(),
                         hint="nvsim ctl set --help lists what can be set")
    return Set(gpu=words.text("gpu", "all"), values=values)


def settable() -> dict[str, str]:
    """What can be changed: names, with meaning and unit."""
    return dict(board.SETTABLE)


def _value(name: str, value: str) -> Any:
    slot = board.RECORD.slot(name)
    if slot.kind == "text":
        slot.pack(value)
        return value
    if value == "none":
        return None
    number = _words.number(value, f"ctl set: {name}", board.SETTABLE[name])
    slot.pack(number)
    return number
