"""`nvsim ctl lose`, `reset` and `recover`: a GPU that is gone, and how it comes back."""

from dataclasses import dataclass
from typing import Any

from nvsim import kernel, mig
from nvsim.board_gpu import Gpu
from nvsim.ctl import config_space, memory_errors, processes, rest
from nvsim.ctl.targets import Target, targets
from nvsim.ctl.words import Words
from nvsim.errors import NvsimError
from nvsim.xids import RECOVERY

LOST, RESET_REQUIRED = 15, 16  # nvmlReturn_t


@dataclass(frozen=True, slots=True, kw_only=True)
class Lose:
    """A GPU falls off the bus without a word."""

    gpu: str

    def apply(self, root: str) -> list[str]:
        """What happened, a line per GPU."""
        return [lose(one) for one in targets(root, self.gpu)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """A GPU starts anew.  `power`: as after a reboot of the machine, which also brings back a lost one."""

    gpu: str
    power: bool

    def apply(self, root: str) -> list[str]:
        """What happened, a line per GPU.  Raises NvsimError for the reset of a lost GPU; then nothing has changed."""
        found = targets(root, self.gpu)
        for one in found:
            if one.gpu.fault == LOST and not self.power:
                raise NvsimError("a lost GPU cannot be reset", source=one.name, hint="nvsim ctl recover")
        said = [_restore(one, power=self.power) for one in found]
        kernel.follow(root)
        return said


def parse_lose(words: Words) -> Lose:
    """`gpu=0`."""
    words.no_bare()
    return Lose(gpu=words.text("gpu"))


def parse_reset(words: Words) -> Restore:
    """`gpu=0`: nvidia-smi -r."""
    words.no_bare()
    return Restore(gpu=words.text("gpu"), power=False)


def parse_recover(words: Words) -> Restore:
    """`gpu=0`: as after a reboot."""
    words.no_bare()
    return Restore(gpu=words.text("gpu"), power=True)


def lose(one: Target) -> str:
    """Takes a GPU off the bus."""
    one.edit(lambda gpu: {"fault": LOST, "recovery_action": RECOVERY["reboot"],
                          **processes.without(gpu, lambda _: True)})
    config_space.hide(one.root, one.gpu.bus_id)
    return f"{one.name}: lost"


def _restore(one: Target, *, power: bool) -> str:
    config_space.show(one.root, one.gpu.bus_id)
    one.edit(lambda gpu: restored(gpu) | (mig.reloaded(gpu) if power else {}))
    rest.put_back(one)
    return f"{one.name}: all well"


def restored(gpu: Gpu) -> dict[str, Any]:
    """The record after a reset: no process, volatile counters at 0, pending modes in force, rows remapped, links up."""
    values: dict[str, Any] = {"fault": 0, "recovery_action": 0, **processes.without(gpu, lambda _: True)}
    values |= memory_errors.cleared(gpu, ("volatile",))
    values |= {"ecc_mode": gpu.ecc_pending, **mig.reset(gpu)}
    for name in ("remapped_pending", "retired_pages_pending"):
        if getattr(gpu, name) is not None:
            values[name] = 0
    if any(gpu.nvlink_remote):
        values["nvlink_active"] = (1 << gpu.nvlink_links) - 1
    return values
