"""What a change of a GPU's processes brings with it: memory in use, and the accounting of those that ended."""

from collections.abc import Mapping
from typing import Any

from nvsim.board_gpu import ACCOUNTED

UNKNOWN = 2**64 - 1  # process_memory of a process of which the driver does not know it
# Where the ring of accounted processes has what the table has of a process.
_KEPT = {"accounted_pid": "process_pid", "accounted_sm": "process_sm",
         "accounted_memory_utilization": "process_memory_utilization", "accounted_memory": "process_memory",
         "accounted_started": "process_started"}


def consequences(now: Mapping[str, Any], changes: Mapping[str, Any], clock_us: int) -> dict[str, Any]:
    """Further values that change with the table: none if it stays as it is, or if `changes` gives them itself.

    `now` is the record before the change, `clock_us` the time in microseconds since 1970."""
    following = {**now, **changes}
    if following["process_pid"] == now["process_pid"] and following["process_memory"] == now["process_memory"]:
        return {}
    found = {"memory_used": max(0, now["memory_used"] + _memory(following) - _memory(now))}
    if now["accounting_mode"]:
        found |= _accounted(now, _ended(now, following), clock_us)
    return {name: value for name, value in found.items() if name not in changes}


def _memory(record: Mapping[str, Any]) -> int:
    """Bytes that the processes of a record hold, as far as they are known."""
    return sum(memory for pid, memory in zip(record["process_pid"], record["process_memory"], strict=False)
               if pid and memory != UNKNOWN)


def _ended(now: Mapping[str, Any], following: Mapping[str, Any]) -> list[int]:
    """Places in the table of the processes that are no longer there and that accounting counts."""
    return [place for place, pid in enumerate(now["process_pid"])
            if pid and pid not in following["process_pid"] and now["process_started"][place] >= now["accounting_since"]]


def _accounted(now: Mapping[str, Any], ended: list[int], clock_us: int) -> dict[str, Any]:
    """The ring with the processes that ended."""
    ring = {name: list(now[name]) for name in (*_KEPT, "accounted_time")}
    count = now["accounted_count"]
    for place in ended:
        for name, source in _KEPT.items():
            ring[name][count % ACCOUNTED] = now[source][place]
        ring["accounted_time"][count % ACCOUNTED] = max(0, clock_us - now["process_started"][place]) // 1000
        count += 1
    return {"accounted_count": count, **{name: tuple(values) for name, values in ring.items()}} if ended else {}
