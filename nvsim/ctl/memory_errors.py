"""ECC errors and what follows from them: counters, events, pages and rows, as values of a GPU's record."""

from typing import Any

from nvsim.board_events import DOUBLE_BIT_ECC, SINGLE_BIT_ECC, Event
from nvsim.board_gpu import Gpu

COUNTERS = tuple(f"ecc_{scope}_{kind}_{where}" for scope in ("volatile", "aggregate")
                 for kind in ("corrected", "uncorrected") for where in ("dram", "sram"))
EVENTS_AT_ONCE = 16  # what the ring holds


def has_ecc(gpu: Gpu) -> bool:
    """Whether ECC is on now."""
    return gpu.ecc_mode == 1


def counted(gpu: Gpu, kind: str, where: str, count: int,
            scopes: tuple[str, ...] = ("volatile", "aggregate")) -> dict[str, Any]:
    """The counters after some more errors: `kind` corrected or uncorrected, `where` dram or sram."""
    names = [f"ecc_{scope}_{kind}_{where}" for scope in scopes]
    return {name: min(getattr(gpu, name) + count, 2**64 - 2) for name in names}


def events(kind: str, count: int) -> list[Event]:
    """An event for each error, not more than a client could see."""
    number = SINGLE_BIT_ECC if kind == "corrected" else DOUBLE_BIT_ECC
    return [Event(type=number)] * min(count, EVENTS_AT_ONCE)


def repair(gpu: Gpu, state: str, kind: str) -> dict[str, Any]:
    """A page (before Ampere) or row that is taken out of use: `state` pending, it waits for a reset, or failed.

    A row comes out of the spare rows of a bank that had them all.  Boards without either change nothing."""
    if gpu.remapped_pending is not None:
        name = "remapped_correctable" if kind == "corrected" else "remapped_uncorrectable"
        if state == "failed":
            return {"remapped_failure": 1}
        banks = {"remap_banks_max": gpu.remap_banks_max - 1,
                 "remap_banks_high": gpu.remap_banks_high + 1} if gpu.remap_banks_max else {}
        return {"remapped_pending": 1, name: (getattr(gpu, name) or 0) + 1, **banks}
    if gpu.retired_pages_pending is not None and state == "pending":
        name = "retired_pages_sbe" if kind == "corrected" else "retired_pages_dbe"
        return {"retired_pages_pending": 1, name: (getattr(gpu, name) or 0) + 1}
    return {}
