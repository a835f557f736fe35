"""ECC errors and what follows from them: counters, events, pages and rows, as values of a GPU's record."""

import time
from typing import Any

from nvsim.board_events import DOUBLE_BIT_ECC, SINGLE_BIT_ECC, Event
from nvsim.board_gpu import PAGES, UNITS, Gpu
from nvsim.ctl.targets import Target
from nvsim.errors import NvsimError

KINDS, PLACES, SCOPES = ("corrected", "uncorrected"), ("dram", "sram"), ("volatile", "aggregate")
EVENTS_AT_ONCE = 16  # what the ring holds


def check(one: Target, what: str) -> None:
    """Raises NvsimError if ECC is off or absent."""
    if one.gpu.ecc_mode != 1:
        raise NvsimError(f"{what} needs ECC, which is {'absent' if one.gpu.ecc_mode is None else 'off'}",
                         source=one.name)


def counted(gpu: Gpu, kind: str, place: str, count: int, scopes: tuple[str, ...] = SCOPES) -> dict[str, Any]:
    """The counters after some more errors: `kind` of KINDS, `place` of PLACES."""
    names = [f"ecc_{scope}_{kind}_{place}" for scope in scopes]
    return {name: min(getattr(gpu, name) + count, 2**64 - 2) for name in names}


def cleared(gpu: Gpu, scopes: tuple[str, ...]) -> dict[str, Any]:
    """The counters at 0; those of the volatile errors begin anew when the driver does."""
    units = list(gpu.ecc_units)
    for scope in scopes:
        first = 2 * UNITS * SCOPES.index(scope)
        units[first:first + 2 * UNITS] = [0] * (2 * UNITS)
    values: dict[str, Any] = {f"ecc_{scope}_{kind}_{place}": 0
                              for scope in scopes for kind in KINDS for place in PLACES}
    return values | {"ecc_units": tuple(units)} | {f"ecc_sram_parity_{scope}": 0 for scope in scopes}


def events(kind: str, count: int) -> list[Event]:
    """An event for each error, not more than a client could see."""
    number = SINGLE_BIT_ECC if kind == "corrected" else DOUBLE_BIT_ECC
    return [Event(type=number)] * min(count, EVENTS_AT_ONCE)


def repairable(gpu: Gpu) -> bool:
    """Whether the board retires pages or remaps rows."""
    return gpu.remapped_pending is not None or gpu.retired_pages_pending is not None


def repair(gpu: Gpu, state: str, kind: str) -> dict[str, Any]:
    """A page (before Ampere) or row that is taken out of use: `state` pending, it waits for a reset, or failed.

    Boards that do neither change nothing."""
    if gpu.remapped_pending is not None:
        return _remapped(gpu, kind) if state == "pending" else {"remapped_failure": 1}
    if gpu.retired_pages_pending is not None and state == "pending":
        return _retired(gpu, kind)
    return {}


def _remapped(gpu: Gpu, kind: str) -> dict[str, Any]:
    """The spare row comes out of a bank that had them all, as long as there is one."""
    name = "remapped_correctable" if kind == "corrected" else "remapped_uncorrectable"
    banks = {"remap_banks_max": gpu.remap_banks_max - 1,
             "remap_banks_high": gpu.remap_banks_high + 1} if gpu.remap_banks_max else {}
    return {"remapped_pending": 1, name: (getattr(gpu, name) or 0) + 1, **banks}


def _retired(gpu: Gpu, kind: str) -> dict[str, Any]:
    """The page goes into the list behind the others of its kind: those of single-bit errors come first."""
    single, double = gpu.retired_pages_sbe or 0, gpu.retired_pages_dbe or 0
    times = list(gpu.retired_time)
    times.insert(single if kind == "corrected" else single + double, time.time_ns() // 1000)
    count = {"retired_pages_sbe": single + 1} if kind == "corrected" else {"retired_pages_dbe": double + 1}
    return {"retired_pages_pending": 1, "retired_time": tuple(times[:PAGES]), **count}
