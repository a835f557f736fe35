"""What every engine offers: a session per case, in which steps are done one after the other."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from scenarios.checks import Expect
from scenarios.images import Store
from scenarios.model import Case, Step
from scenarios.outcome import Outcome
from scenarios.real import Real


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the cases of one run share.  `toolkit` is the folder of the programs under test, `toolkit_version` what they
    say of themselves, `probe` the folder of the probe, `folder` the run's work folder."""

    folder: str
    images: Store
    toolkit: str
    probe: str
    toolkit_version: str = ""
    here: Real | None = None  # this machine, when cases run on its own GPUs
    machines: set[int] = field(default_factory=set)  # process 1 of each machine that runs, for an interrupted run
    generated: dict[tuple[str, ...], tuple[str, int]] = field(default_factory=dict)  # see scenarios.engines.before

    @contextmanager
    def registered(self, pid: int) -> Iterator[None]:
        """Lists a machine while it runs."""
        self.machines.add(pid)
        try:
            yield
        finally:
            self.machines.discard(pid)


class Session(Protocol):
    """One case on one engine."""

    def do(self, step: Step, expect: Expect) -> Outcome:
        """Carries out a step.  Raises NvsimError if it cannot be carried out at all, NotRun if not here."""

    def enter(self, step: Step) -> int:
        """Opens a shell where a step happens; its exit code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """`unavailable` says why this machine cannot run it, "" if it can; `open` starts a session in a folder; `version`
    is that of the program, "" where none is installed."""

    name: str
    level: str
    unavailable: Callable[[], str]
    open: Callable[[Case, str, Tools], AbstractContextManager[Session]]
    version: Callable[[], str] = str


class NotRun(Exception):
    """A step that this engine or this machine cannot carry out; the text says why.

    `allowed`: that is so by the engine's nature, and nothing that CI should stumble over."""

    allowed = False
