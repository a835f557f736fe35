"""The table of processes on a GPU, as values of its record."""

from collections.abc import Callable
from typing import Any

from nvsim.board_gpu import Gpu
from nvsim.board_processes import UNKNOWN

COLUMNS = tuple(name for name in Gpu.__dataclass_fields__ if name.startswith("process_"))


def rows(gpu: Gpu) -> list[dict[str, Any]]:
    """The entries in use, each by column without its prefix: pid, kind, memory, …"""
    return [{column.removeprefix("process_"): getattr(gpu, column)[place] for column in COLUMNS}
            for place, pid in enumerate(gpu.process_pid) if pid]


def table(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """New values of the record for these entries."""
    return {column: tuple(entry[column.removeprefix("process_")] for entry in entries) for column in COLUMNS}


def without(gpu: Gpu, leaves: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """New values of the record after some processes have left; none if none leaves.

    Memory in use and accounting follow by themselves (nvsim/board_processes.py)."""
    kept = [entry for entry in rows(gpu) if not leaves(entry)]
    return table(kept) if len(kept) < len(rows(gpu)) else {}


def memory(gpu: Gpu) -> int:
    """Bytes that the processes hold, as far as they are known."""
    return sum(entry["memory"] for entry in rows(gpu) if entry["memory"] != UNKNOWN)
