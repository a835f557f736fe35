"""`nvsim ctl ecc`: memory errors without an Xid."""

from dataclasses import dataclass
from typing import Any

from nvsim.board_events import raised
from nvsim.board_gpu import Gpu
from nvsim.ctl import memory_errors
from nvsim.ctl.memory_errors import KINDS, PLACES, SCOPES
from nvsim.ctl.targets import targets
from nvsim.ctl.words import Words, chosen
from nvsim.errors import NvsimError

BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """`count` errors of a kind in a place; `repair`: what becomes of a page or row, "" nothing."""

    gpu: str
    kind: str
    place: str
    count: int
    scopes: tuple[str, ...]
    repair: str = ""

    def apply(self, root: str) -> list[str]:
        """What happened, a line per GPU.  Raises NvsimError for a GPU without ECC; then nothing has changed."""
        found = targets(root, self.gpu)
        for one in found:
            memory_errors.check(one, f"an error in {self.place.upper()}")
            if self.repair and not memory_errors.repairable(one.gpu):
                raise NvsimError("this board retires no pages and remaps no rows", source=one.name,
                                 hint="leave repair= away")
        for one in found:
            one.edit(self._values)
        what = f"{self.count} {self.kind} errors in {self.place.upper()}"
        return [f"{one.name}: {what}{f', repair {self.repair}' if self.repair else ''}" for one in found]

    def _values(self, gpu: Gpu) -> dict[str, Any]:
        repair = memory_errors.repair(gpu, self.repair, self.kind) if self.repair else {}
        return {**memory_errors.counted(gpu, self.kind, self.place, self.count, self.scopes), **repair,
                **raised(gpu, *memory_errors.events(self.kind, self.count))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clear:
    """Counters begin anew, as by nvidia-smi -p."""

    gpu: str
    scopes: tuple[str, ...]

    def apply(self, root: str) -> list[str]:
        """What happened, a line per GPU.  Raises NvsimError for a GPU without ECC; then nothing has changed."""
        found = targets(root, self.gpu)
        for one in found:
            memory_errors.check(one, "clearing counters")
        for one in found:
            one.edit(lambda gpu: memory_errors.cleared(gpu, self.scopes))
        return [f"{one.name}: {' and '.join(self.scopes)} counters at 0" for one in found]


def parse(words: Words) -> Errors | Clear:
    """`gpu=0 uncorrected dram count=2 scope=volatile repair=pending`, or `gpu=0 clear`."""
    scope = words.choice("scope", (*SCOPES, BOTH), BOTH)
    scopes = SCOPES if scope == BOTH else (scope,)
    first = chosen(words.bare[0] if words.bare else "", (*KINDS, "clear"), "ctl ecc")
    if len(words.bare) != (1 if first == "clear" else 2):
        raise NvsimError("expected corrected or uncorrected, dram or sram; or clear", source="ctl ecc",
                         hint="nvsim ctl ecc gpu=0 uncorrected dram")
    if first == "clear":
        return Clear(gpu=words.text("gpu"), scopes=scopes)
    return Errors(gpu=words.text("gpu"), kind=first, place=chosen(words.bare[1], PLACES, "ctl ecc"), scopes=scopes,
                  count=words.number("count", 1, least=1, most=2**48),
                  repair=words.choice("repair", ("pending", "failed")) if "repair" in words.named else "")
