"""`nvsim ctl throttle`: a GPU that runs slower than it could, and says why."""

from dataclasses import dataclass
from typing import Any

from nvsim.board_gpu import Gpu
from nvsim.ctl import rest
from nvsim.ctl.targets import targets
from nvsim.ctl.words import Words
from nvsim.errors import NvsimError

CLOCK_STEP = 15  # MHz between supported clocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """`bits` are those of nvmlClocksEventReason*, `speed` the part of the highest clocks that is left.

    `at`: the temperature or power that goes with it, a field of the board; "" leaves both."""

    bits: int
    speed: float
    at: str = ""


REASONS = {
    "applications-clocks": Reason(bits=0x2, speed=0.75),
    "power": Reason(bits=0x4, speed=0.85, at="power_limit_enforced"),
    "hw-slowdown": Reason(bits=0x8, speed=0.5),
    "sync-boost": Reason(bits=0x10, speed=0.9),
    "thermal": Reason(bits=0x20, speed=0.7, at="threshold_gpu_max"),
    "hw-thermal": Reason(bits=0x8 | 0x40, speed=0.5, at="threshold_slowdown"),
    "power-brake": Reason(bits=0x8 | 0x80, speed=0.5),
}
OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """A reason, or "off"."""

    gpu: str
    reason: str

    def apply(self, root: str) -> list[str]:
        """What happened, a line per GPU.  Raises NvsimError if a board has no such reason; then nothing has changed."""
        found = targets(root, self.gpu)
        if self.reason == OFF:
            return [f"{one.name}: {'as before' if rest.put_back(one) else 'not throttled'}" for one in found]
        for one in found:
            missing = REASONS[self.reason].bits & ~one.gpu.clocks_event_reasons_supported
            if missing:
                raise NvsimError(f"this board is never throttled for this reason ({missing:#x})", source=one.name)
        for one in found:
            rest.keep(one)
            one.edit(self._values)
        return [f"{one.name}: throttled, {self.reason}, {one.now().clock_sm} MHz" for one in found]

    def _values(self, gpu: Gpu) -> dict[str, Any]:
        reason = REASONS[self.reason]
        values: dict[str, Any] = {"clocks_event_reasons": reason.bits, "pstate": 0}
        for name in ("graphics", "sm"):
            most = getattr(gpu, f"clock_max_{name}")
            if most is not None:
                values[f"clock_{name}"] = max(gpu.clock_min_graphics,
                                              int(most * reason.speed) // CLOCK_STEP * CLOCK_STEP)
        if gpu.clock_max_memory is not None:
            values["clock_memory"] = gpu.clock_max_memory
        value = getattr(gpu, reason.at) if reason.at else None
        if value is not None:
            values["power_usage" if "power" in reason.at else "temperature"] = value
        return values


def parse(words: Words) -> Throttle:
    """`gpu=0 reason=thermal`, `gpu=0 off`."""
    if words.bare not in ((), (OFF,)) or bool(words.bare) == ("reason" in words.named):
        raise NvsimError("expected reason=…, or off", source="ctl throttle",
                         hint=f"reasons: {', '.join(REASONS)}")
    return Throttle(gpu=words.text("gpu"), reason=OFF if words.bare else words.choice("reason", (*REASONS, OFF)))
