"""Events of a GPU: the ring in its record, out of which every process that waits in nvmlEventSetWait is served."""

from dataclasses import dataclass
from typing import Any

from nvsim.board_gpu import EVENTS, Gpu

SINGLE_BIT_ECC, DOUBLE_BIT_ECC, XID = 1, 2, 8  # nvmlEventType*
NOT_MIG = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`type` is one nvmlEventType* bit, `data` the Xid number for type 8; the instances are those of a MIG device."""

    type: int
    data: int = 0
    gpu_instance: int = NOT_MIG
    compute_instance: int = NOT_MIG


def raised(gpu: Gpu, *events: Event) -> dict[str, Any]:
    """New values of the record after these events, the oldest first; more than the ring holds push out the first."""
    rings = {"event_type": list(gpu.event_type), "event_data": list(gpu.event_data),
             "event_gpu_instance": list(gpu.event_gpu_instance),
             "event_compute_instance": list(gpu.event_compute_instance)}
    for number, event in enumerate(events, gpu.event_count):
        for name, ring in rings.items():
            ring[number % EVENTS] = getattr(event, name.removeprefix("event_"))
    return {name: tuple(ring) for name, ring in rings.items()} | {"event_count": gpu.event_count + len(events)}
