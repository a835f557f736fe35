"""`nvsim ctl nvlink`: links that go down and come back."""

from dataclasses import dataclass
from typing import Any

from nvsim.board_gpu import Gpu
from nvsim.ctl.targets import Target, targets
from nvsim.ctl.words import Words, chosen
from nvsim.errors import NvsimError


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An NVLink of a GPU, -1 for all of them, and whether it comes up."""

    gpu: str
    link: int
    up: bool

    def apply(self, root: str) -> list[str]:
        """What happened, a line per GPU.  Raises NvsimError if a GPU has no such link; then nothing has changed."""
        found = targets(root, self.gpu)
        for one in found:
            check(one, self.link)
        for one in found:
            one.edit(self._values)
        which = "NVLinks" if self.link < 0 else f"NVLink {self.link}"
        return [f"{one.name}: {which} {'up' if self.up else 'down'}" for one in found]

    def _values(self, gpu: Gpu) -> dict[str, Any]:
        if self.link >= 0:
            return up(gpu, self.link) if self.up else down(gpu, self.link)
        return {"nvlink_active": (1 << gpu.nvlink_links) - 1 if self.up else 0}


def parse(words: Words) -> Change:
    """`gpu=0 link=3 down`; without link= it is for all links."""
    if len(words.bare) != 1:
        raise NvsimError("expected up or down", source="ctl nvlink", hint="nvsim ctl nvlink gpu=0 link=3 down")
    state = chosen(words.bare[0], ("up", "down"), "ctl nvlink")
    return Change(gpu=words.text("gpu"), link=words.number("link", -1, most=35), up=state == "up")


def check(one: Target, link: int) -> None:
    """Raises NvsimError if the GPU has no such link, or none at all."""
    count = one.gpu.nvlink_links
    if not count:
        raise NvsimError("this GPU has no NVLinks", source=one.name)
    if link >= count:
        raise NvsimError(f"no NVLink {link}", source=one.name, hint=f"it has 0 to {count - 1}")


def first_up(gpu: Gpu) -> int:
    """The lowest link that is up, -1 if none is."""
    return (gpu.nvlink_active & -gpu.nvlink_active).bit_length() - 1


def down(gpu: Gpu, link: int) -> dict[str, Any]:
    """New values of the record."""
    return {"nvlink_active": gpu.nvlink_active & ~(1 << link)}


def up(gpu: Gpu, link: int) -> dict[str, Any]:
    """New values of the record."""
    return {"nvlink_active": gpu.nvlink_active | 1 << link}
