"""What a GPU shows while it works: second by second, from a pattern, a seed, and the limits of its board.

Demand → power, capped by the limit → temperature, which follows with inertia → clocks, fans, reasons.  All of it is
computed from second 0 on, so the same seed gives the same values at the same moment on every machine.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from nvsim.board_gpu import Gpu

IDLE, POWER_CAP, THERMAL = 0x1, 0x4, 0x20  # nvmlClocksEventReason* bits
CLOCK_STEP = 15  # MHz between supported clocks
HEAT_SECONDS = 25.0  # time in which two thirds of a change of temperature happen
COOLER = 12  # °C that remain below the highest operating temperature at full power
UNKNOWN_POWER = 2000  # milliwatt at rest
LANE_KBPS = 985_000  # KB/s of a lane of PCIe 3.0; twice as much with each generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a program asks for in one second, as parts of what there is: 0 to 1."""

    compute: float = 0.0
    bandwidth: float = 0.0
    memory: float = 0.0
    pcie: float = 0.0


Pattern = Callable[[random.Random], Iterator[Demand]]


def _steady(chance: random.Random) -> Iterator[Demand]:
    """The same all the time, but for noise."""
    while True:
        yield Demand(compute=0.8 + chance.uniform(-0.02, 0.02), bandwidth=0.45, memory=0.5, pcie=0.02)


def _training(chance: random.Random) -> Iterator[Demand]:
    """Fifteen seconds of loading, then steps that end with an exchange; a checkpoint every two minutes."""
    step, second = chance.randrange(8, 15), 0
    while True:
        held = 0.88 * min(1.0, (second + 1) / 15)
        if second < 15:
            yield Demand(compute=0.05, bandwidth=0.1, memory=held, pcie=0.6)
        elif second % 120 >= 115:
            yield Demand(compute=0.02, bandwidth=0.15, memory=held, pcie=0.4)
        elif second % step == step - 1:
            yield Demand(compute=0.45 + chance.uniform(-0.1, 0.1), bandwidth=0.3, memory=held, pcie=0.25)
        else:
            yield Demand(compute=0.97 + chance.uniform(-0.03, 0.03), bandwidth=0.68, memory=held, pcie=0.05)
        second += 1


def _inference(chance: random.Random) -> Iterator[Demand]:
    """Requests that come in waves."""
    period, phase, second = chance.uniform(60, 120), chance.uniform(0, 2 * math.pi), 0
    while True:
        wave = 0.4 + 0.25 * math.sin(2 * math.pi * second / period + phase) + chance.uniform(-0.12, 0.12)
        yield Demand(compute=wave, bandwidth=wave * 0.7, memory=0.62, pcie=0.05)
        second += 1


def _spiky(chance: random.Random) -> Iterator[Demand]:
    """Rest, and bursts of a few seconds."""
    left = 0
    while True:
        left = left - 1 if left else chance.randrange(2, 7) if chance.random() < 0.15 else 0
        yield Demand(compute=1.0, bandwidth=0.8, memory=0.3, pcie=0.1) if left else Demand(memory=0.3)


PATTERNS: dict[str, Pattern] = {"steady": _steady, "training": _training, "inference": _inference, "spiky": _spiky}


def moments(rest: Gpu, pattern: str, seed: int) -> Iterator[dict[str, Any]]:
    """The values of second 0, 1, 2, …  `rest` is the GPU with nothing to do; each GPU has a course of its own.

    What its board does not have is left out.  Energy is what second 0 started with and all since."""
    body = _Body(rest)
    for demand in PATTERNS[pattern](random.Random(f"{seed} {pattern} {rest.uuid}")):
        yield {name: value for name, value in body.second(demand).items() if getattr(rest, name) is not None}


class _Body:
    """A board with its heat."""

    def __init__(self, rest: Gpu) -> None:
        self._rest = rest
        self._idle_power = float(rest.power_usage or UNKNOWN_POWER)  # a board that does not say gets warm nevertheless
        self._limit = float(rest.power_limit_enforced or rest.power_limit or 10 * self._idle_power)
        self._power = self._idle_power
        self._cool = float(rest.temperature or 0)
        self._temperature = self._cool
        self._energy = float(rest.energy or 0)

    def second(self, demand: Demand) -> dict[str, Any]:
        """The values after another second of this demand."""
        compute, bandwidth = _part(demand.compute), _part(demand.bandwidth)
        before = self._power
        wanted = self._idle_power + self._span() * (0.74 * compute + 0.26 * bandwidth + 0.06 * (compute > 0))
        self._power += (min(wanted, self._limit) - self._power) * 0.6
        self._energy += self._power
        self._heat()
        reasons = (POWER_CAP if wanted > self._limit else 0) | (THERMAL if self._temperature >= self._hottest() else 0)
        if not compute:
            reasons = IDLE
        return {**self._clocks(compute, min(1.0, self._limit / max(wanted, 1)), reasons), **self._memory(demand),
                **self._temperatures(), "clocks_event_reasons": reasons, "power_usage": round(self._power),
                "power_average": round((before + self._power) / 2), "energy": round(self._energy),
                "utilization_gpu": round(100 * compute), "utilization_memory": round(100 * bandwidth)}

    def _span(self) -> float:
        """Milliwatt from rest to everything at once: a little more than the board may draw as delivered."""
        return max(0.0, float(self._rest.power_limit_default or self._limit) * 1.02 - self._idle_power)

    def _hottest(self) -> float:
        """°C at which clocks are lowered."""
        return float(self._rest.threshold_gpu_max or self._rest.threshold_slowdown or 90)

    def _heat(self) -> None:
        span = max(1.0, float(self._rest.power_limit_default or self._limit) - self._idle_power)
        resistance = (self._hottest() - COOLER - self._cool) / span
        goal = self._cool + (self._power - self._idle_power) * resistance
        self._temperature += (goal - self._temperature) / HEAT_SECONDS

    def _clocks(self, compute: float, capped: float, reasons: int) -> dict[str, Any]:
        if not compute:
            return {name: getattr(self._rest, name) for name in
                    ("clock_graphics", "clock_sm", "clock_memory", "clock_video", "pstate")}
        speed = (1 - 0.03 * compute) * math.sqrt(capped) * (0.85 if reasons & THERMAL else 1)
        values: dict[str, Any] = {"pstate": 0, "clock_memory": self._rest.clock_max_memory or self._rest.clock_memory}
        for name in ("graphics", "sm", "video"):
            most = getattr(self._rest, f"clock_max_{name}") or getattr(self._rest, f"clock_{name}") or 0
            if name != "video" and self._rest.lock_graphics_max is not None:
                most = min(most, self._rest.lock_graphics_max)
            values[f"clock_{name}"] = max(self._rest.clock_min_graphics, int(most * speed) // CLOCK_STEP * CLOCK_STEP)
        return values

    def _memory(self, demand: Demand) -> dict[str, Any]:
        free = max(0, (self._rest.memory_total or 0) - self._rest.memory_reserved - self._rest.memory_used)
        link = self._rest.pcie_width * LANE_KBPS * 2.0 ** (self._rest.pcie_gen - 3)
        return {"memory_used": self._rest.memory_used + int(free * _part(demand.memory)) // 4096 * 4096,
                "pcie_tx": self._rest.pcie_tx + round(link * _part(demand.pcie) / 3),
                "pcie_rx": self._rest.pcie_rx + round(link * _part(demand.pcie))}

    def _temperatures(self) -> dict[str, Any]:
        rise = self._temperature - self._cool
        fan = max(0, min(100, round(30 + 1.4 * (self._temperature - 45)))) if self._temperature >= 45 else \
            self._rest.fan_speed
        return {"temperature": round(self._temperature), "fan_speed": fan, "fan_rpm": 30 * (fan or 0),
                "temperature_memory": round((self._rest.temperature_memory or 0) + 1.1 * rise)}


def _part(value: float) -> float:
    return max(0.0, min(1.0, value))
