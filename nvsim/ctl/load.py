"""`nvsim ctl load`: GPUs that work for a while, or as they would be at one moment of it."""

import contextlib
import itertools
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from nvsim import workload
from nvsim.board_gpu import Gpu
from nvsim.ctl import rest
from nvsim.ctl.targets import Target, targets
from nvsim.ctl.words import Words
from nvsim.errors import NvsimError

DAY = 24 * 3600
PATTERNS = (*workload.PATTERNS, "idle")
SHOWN = ("utilization_gpu", "memory_used", "clock_sm", "power_usage", "temperature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A pattern that goes on for `seconds`, None: until it is interrupted; then the GPUs are at rest again."""

    gpu: str
    pattern: str
    seed: int
    seconds: float | None

    @property
    def endless(self) -> bool:
        return self.seconds is None

    def apply(self, root: str) -> list[str]:
        """Works in the foreground; Ctrl-C and SIGTERM end it as time does.  A line per GPU."""
        found = _healthy(root, self.gpu)
        end = None if self.seconds is None else time.monotonic() + self.seconds
        with _interruptible():
            try:
                self._work(found, end)
            finally:
                for one in found:
                    rest.put_back(one)
        return [f"{one.name}: {self.pattern} ended, at rest" for one in found]

    def _work(self, found: list[Target], end: float | None) -> None:
        """A step each second, by the clock: a step that comes late does not put off the next."""
        began = time.monotonic()
        courses = [(one, workload.moments(self._start(one), self.pattern, self.seed)) for one in found]
        for second in itertools.count(1):
            for one, course in courses:
                values = next(course)
                one.edit(lambda _, values=values: values)  # type: ignore[misc]
            following = began + second
            if end is not None and following >= end:
                time.sleep(max(0.0, end - time.monotonic()))
                return
            time.sleep(max(0.0, following - time.monotonic()))

    def _start(self, one: Target) -> Gpu:
        """The GPU at rest, with the energy that it has used by now."""
        return replace(rest.keep(one), energy=one.now().energy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The values of one second of a pattern; they stay until `load gpu=… idle`."""

    gpu: str
    pattern: str
    seed: int
    second: int

    def apply(self, root: str) -> list[str]:
        """The chief values, a line per GPU."""
        return [self._set(one) for one in _healthy(root, self.gpu)]

    def _set(self, one: Target) -> str:
        course = workload.moments(rest.keep(one), self.pattern, self.seed)
        values: dict[str, Any] = next(itertools.islice(course, self.second, None))
        one.edit(lambda _: values)
        shown = " ".join(f"{name}={values[name]}" for name in SHOWN if name in values)
        return f"{one.name}: {self.pattern} at {self.second} s: {shown}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """The GPUs have nothing to do."""

    gpu: str

    def apply(self, root: str) -> list[str]:
        """A line per GPU."""
        return [f"{one.name}: {'at rest' if rest.put_back(one) else 'was at rest'}" for one in targets(root, self.gpu)]


def parse(words: Words) -> Run | Moment | Idle:
    """`gpu=all pattern=training seed=7 for=60s`, or `at=30s`; the pattern may stand alone."""
    if len(words.bare) + ("pattern" in words.named) != 1:
        raise NvsimError("expected one pattern", source="ctl load", hint=f"patterns: {', '.join(PATTERNS)}")
    if words.bare:
        words = Words(verb=words.verb, bare=(), named={**words.named, "pattern": words.bare[0]})
    pattern, gpu, seed = words.choice("pattern", PATTERNS), words.text("gpu", "all"), words.number("seed", 0)
    if {"for", "at"} <= set(words.named):
        raise NvsimError("a load runs for a time, or is set as at a moment", source="ctl load", hint="leave one away")
    if pattern == "idle":
        return Idle(gpu=gpu)
    if "at" in words.named:
        second = int(words.seconds("at", 0))
        if second > DAY:
            raise NvsimError("expected a moment of the first day", source="ctl load: at")
        return Moment(gpu=gpu, pattern=pattern, seed=seed, second=second)
    return Run(gpu=gpu, pattern=pattern, seed=seed, seconds=words.seconds("for", 0) if "for" in words.named else None)


def _healthy(root: str, gpu: str) -> list[Target]:
    """Raises NvsimError for a GPU that answers nothing."""
    found = targets(root, gpu)
    for one in found:
        if one.gpu.fault:
            raise NvsimError("this GPU is lost or has to be reset, so it does not work", source=one.name,
                             hint=f"nvsim ctl recover gpu={one.index}")
    return found


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM end the context early, and nothing else."""
    def interrupted(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, interrupted) if main else None
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        if main:
            signal.signal(signal.SIGTERM, previous)
