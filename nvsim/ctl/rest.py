"""What a GPU shows when it has nothing to do: kept before a load or a throttle changes it, and put back afterwards.

DIR/.nvsim/rest/UUID.json is there as long as the GPU shows something else.
"""

import contextlib
import json
import os
from dataclasses import replace
from typing import Any

from nvsim.board_gpu import Gpu
from nvsim.ctl import processes
from nvsim.ctl.targets import Target
from nvsim.errors import NvsimError

FOLDER = ".nvsim/rest"
FIELDS = ("memory_used", "clock_graphics", "clock_sm", "clock_memory", "clock_video", "clocks_event_reasons", "pstate",
          "power_usage", "power_average", "temperature", "temperature_memory", "fan_speed", "fan_rpm",
          "utilization_gpu", "utilization_memory", "utilization_encoder", "utilization_decoder", "pcie_tx", "pcie_rx",
          "energy")
SPENT = ("energy",)  # does not come back
PROCESSES = "processes"  # bytes that those in the table held


def keep(one: Target) -> Gpu:
    """The GPU at rest, which from now on is kept; if it is kept already, that one.

    Raises NvsimError if it cannot be written down."""
    path = f"{one.root}/{FOLDER}/{one.gpu.uuid}.json"
    now = one.now()
    kept = _read(path)
    if kept is None:
        kept = {name: getattr(now, name) for name in FIELDS} | {PROCESSES: processes.memory(now)}
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as f:
                json.dump(kept, f)
            os.rename(f.name, path)
        except OSError as e:
            raise NvsimError(f"cannot keep the values of rest: {e.strerror}", source=path) from e
    return replace(now, **{name: kept[name] for name in FIELDS})


def put_back(one: Target) -> bool:
    """The values that were kept; whether there were any.  Memory follows the processes that came or left meanwhile."""
    path = f"{one.root}/{FOLDER}/{one.gpu.uuid}.json"
    kept = _read(path)
    if kept is None:
        return False
    values: dict[str, Any] = {name: kept[name] for name in FIELDS if name not in SPENT}
    one.edit(lambda gpu: {**values, "memory_used": max(
        0, values["memory_used"] + processes.memory(gpu) - kept[PROCESSES])})
    with contextlib.suppress(FileNotFoundError):  # another command was faster
        os.unlink(path)
    return True


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8") as f:
            found: dict[str, Any] = json.load(f)
        return {name: found[name] for name in (*FIELDS, PROCESSES)}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise NvsimError("this is not what nvsim wrote", source=path, hint="remove the file") from e
