"""`nvsim ctl nvlink`: links that go down, come back, and count errors."""

from dataclasses import dataclass
from typing import Any

from nvsim.board_gpu import LINKS, Gpu
from nvsim.ctl.targets import Target, targets
from nvsim.ctl.words import Words, chosen
from nvsim.errors import NvsimError

COUNTERS = ("replay", "recovery", "crc-flit", "crc-data", "ecc-data")  # nvmlNvLinkErrorCounter_t, in its order


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An NVLink of a GPU, -1 for all of them: up, down, or errors of one kind that are counted."""

    gpu: str
    link: int
    state: str = ""
    errors: int = 0
    kind: str = "crc-flit"

    def apply(self, root: str) -> list[str]:
        """What happened, a line per GPU.  Raises NvsimError if a GPU has no such link; then nothing has changed."""
        found = targets(root, self.gpu)
        for one in found:
            check(one, self.link)
        for one in found:
            one.edit(self._values)
        which = "NVLinks" if self.link < 0 else f"NVLink {self.link}"
        what = self.state or f"{self.errors} {self.kind} errors"
        return [f"{one.name}: {which} {what}" for one in found]

    def _values(self, gpu: Gpu) -> dict[str, Any]:
        links = range(gpu.nvlink_links) if self.link < 0 else (self.link,)
        mask = sum(1 << link for link in links)
        if self.state:
            return {"nvlink_active": gpu.nvlink_active | mask if self.state == "up" else gpu.nvlink_active & ~mask}
        return counted(gpu, tuple(links), self.kind, self.errors)


def parse(words: Words) -> Change:
    """`gpu=0 link=3 down`, `gpu=0 link=3 errors=5 kind=replay`; without link= it is for all links."""
    gpu, link = words.text("gpu"), words.number("link", -1, most=LINKS - 1)
    if "errors" in words.named and not words.bare:
        return Change(gpu=gpu, link=link, errors=words.number("errors", most=2**48),
                      kind=words.choice("kind", COUNTERS, "crc-flit"))
    if len(words.bare) != 1 or {"errors", "kind"} & set(words.named):
        raise NvsimError("expected up, down, or errors=N", source="ctl nvlink",
                         hint="nvsim ctl nvlink gpu=0 link=3 down")
    return Change(gpu=gpu, link=link, state=chosen(words.bare[0], ("up", "down"), "ctl nvlink"))


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


def counted(gpu: Gpu, links: tuple[int, ...], kind: str, count: int) -> dict[str, Any]:
    """The error counters after some more errors on some links."""
    counters = list(gpu.nvlink_errors)
    for link in links:
        place = link * len(COUNTERS) + COUNTERS.index(kind)
        counters[place] = min(counters[place] + count, 2**64 - 2)
    return {"nvlink_errors": tuple(counters)}


def failed(gpu: Gpu, link: int) -> dict[str, Any]:
    """A link that went down by an error, from which it did not recover."""
    return {"nvlink_active": gpu.nvlink_active & ~(1 << link), **counted(gpu, (link,), "recovery", 1)}
