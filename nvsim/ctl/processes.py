"""The table of processes on a GPU, as values of its record."""

from collections.abc import Callable
from typing import Any

from nvsim.board_gpu import Gpu

COLUMNS = tuple(name for name in Gpu.__dataclass_fields__ if name.startswith("process_"))


def rows(gpu: Gpu) -> list[dict[str, Any]]:
    """The entries in use, each by column without its prefix: pid, kind, memory, …"""
    return [{column.removeprefix("process_"): getattr(gpu, column)[place] for column in COLUMNS}
            for place, pid in enumerate(gpu.process_pid) if pid]


def table(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """New values of the record for these entries."""
    return {column: tuple(entry[column.removeprefix("process_")] for entry in entries) for column in COLUMNS}


def without(gpu: Gpu, leaves: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """New values of the record after some processes have left, with the memory that they give back.

    Nothing changes if none leaves."""
    gone = [entry for entry in rows(gpu) if leaves(entry)]
    if not gone:
        return {}
    kept = [entry for entry in rows(gpu) if not leaves(entry)]
    return {**table(kept), "memory_used": max(0, gpu.memory_used - sum(entry["memory"] for entry in gone))}
