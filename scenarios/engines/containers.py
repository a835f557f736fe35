"""The level `engine`: podman, docker and containerd on an emulated machine, as their users call them.

A session is the same for all of them; what differs is a driver, which knows how the engine is called.  The probe is
process 1 of a container in the foreground, as at level `container`; what the toolkit made of the specification is
what the machine's low-level runtime was told (nvsim/lowlevel.py).
"""

import functools
import json
import os
import shlex
from dataclasses import dataclass, replace
from typing import Protocol

from nvsim.ctl.reload import DaemonReload
from nvsim.errors import NvsimError
from scenarios import bundle, checks
from scenarios.archive import Archive
from scenarios.checks import Expect
from scenarios.engines import logs, probe
from scenarios.engines.on_machine import OnMachine
from scenarios.engines.session import NotRun, Tools
from scenarios.model import Case, Step
from scenarios.outcome import NOT_STARTED, Outcome
from scenarios.request import Bind, Exec, Run

SPECS = ".nvsim/scratch/specs"  # nvsim.lowlevel.SPECS, below the built root
RELOAD = "import sys; sys.path.insert(0, {0!r}); from nvsim.ctl.reload import DaemonReload; DaemonReload().apply({1!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What an engine said about one container.  `id` is "" if none was made; `exit` that of the engine's command."""

    id: str = ""
    exit: int = 0
    stdout: str = ""
    stderr: str = ""


class Driver(Protocol):
    """How one engine is called.  Every method may raise NvsimError; `run` raises CannotExpress."""

    name: str
    version: str

    def load(self, image: Archive) -> None:
        """Makes an image known to the engine; once per session and image."""

    def run(self, run: Run, image: Archive) -> Ran:
        """Makes and starts a container of `run.command`; waits for its end, unless `run.detach`."""

    def execute(self, container: str, run: Exec) -> Ran:
        """A command in a container that runs."""

    def remove(self, container: str) -> None:
        """Ends and removes a container."""

    def shell(self, container: str, *, terminal: bool) -> list[str]:
        """The command line, on the machine, of a shell in a container."""

    def own(self, mount: str) -> bool:
        """Whether a mount point is the engine's own business, and no leftover of a container."""


def with_environment(run: Exec) -> list[str]:
    """The command of an exec with its environment, for engines whose exec takes none: a shell sets it."""
    if not run.env:
        return list(run.command)
    exports = "; ".join(f"export {shlex.quote(f'{name}={value}')}" for name, value in run.env)
    return ["/bin/sh", "-c", f'{exports}; exec "$@"', "sh", *run.command]


def image_of(case: Case, run: Run, tools: Tools) -> tuple[Archive, tuple[str, ...]]:
    """The image of a request, and its command.  Raises NvsimError if it cannot be made."""
    image = tools.images.get(case.image, run.image, f"{case.path}: image")
    return tools.images.archive(image, bundle.PATH), image.command


class CannotExpress(NotRun):
    """A request that this engine, or this version of it, has no words for."""

    allowed = True


class EngineSession:
    """One case on one engine."""

    def __init__(self, driver: Driver, on: OnMachine, tools: Tools) -> None:
        self.driver, self._on, self._tools = driver, on, tools
        self._named: dict[str, str] = {}  # container ids by the names that the case gives them
        self._loaded: set[str] = set()
        on.command(["mkdir", "-p", f"{on.host.root}/{SPECS}"])

    def do(self, step: Step, expect: Expect) -> Outcome:
        """Carries out one step and looks at what `expect` asks for."""
        if step.kind == "ctl" and step.change:
            if isinstance(step.change, DaemonReload):
                self._reload()
            else:
                self._on.change(step.change)
            return Outcome(level="engine")
        if step.kind == "host":
            return self._on.around(expect, lambda: self._on.shell(step.line))
        if step.execute:
            return self._on.around(expect, functools.partial(self._exec, step.execute, expect))
        assert step.run
        return self._on.around(expect, functools.partial(self._run, step.run, expect))

    def _reload(self) -> None:
        """Only processes of the machine see the containers that it knows."""
        here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        done = self._on.command(["python3", "-c", RELOAD.format(here, self._on.host.root)])
        if done.returncode:
            raise NvsimError(f"daemon-reload failed: {done.stderr.strip()}", source=self._on.case.path)

    def _image(self, run: Run) -> tuple[Archive, tuple[str, ...]]:
        """The image of a request, known to the engine, and its command."""
        made, default = image_of(self._on.case, run, self._tools)
        if made.name not in self._loaded:
            self.driver.load(made)
            self._loaded.add(made.name)
        return made, default

    def _run(self, run: Run, expect: Expect) -> Outcome:
        files, libraries, _ = checks.wanted(expect)
        image, default = self._image(run)
        own = (run.entrypoint,) if run.entrypoint else ()
        command = (*own, *(run.command or (() if own else default if run.detach else ())))
        if not run.detach:
            command = tuple(probe.command(files=files, libraries=libraries, execute=command))
        mounts = self._on.mounts()
        ran = self.driver.run(self._asked(run, command), image)
        outcome = self._started(ran, run, expect)
        if run.detach and run.name and outcome.started:
            self._named[run.name] = ran.id
            return outcome
        if ran.id:
            self.driver.remove(ran.id)
        left = [path for path in self._on.mounts() if path not in mounts and not self.driver.own(path)]
        return replace(outcome, left=tuple(left))

    def _asked(self, run: Run, command: tuple[str, ...]) -> Run:
        """The request with the probe's folder in it, and with names that are those of a case gone: they are ours."""
        return replace(run, command=command, entrypoint="", name="",
                       binds=(*run.binds, Bind(source=self._tools.probe, target=bundle.PROBE, read_only=True)))

    def _started(self, ran: Ran, run: Run, expect: Expect) -> Outcome:
        if run.detach:
            return self._inside(ran.id, expect, Exec(name=run.name, command=())) if not ran.exit else \
                self._refused(ran)
        if not ran.stdout.startswith("{"):  # the probe did not come to say anything
            return self._refused(ran)
        return replace(self._facts(ran.id), **probe.seen(probe.parse(ran.stdout, self._on.case.path)))

    def _refused(self, ran: Ran) -> Outcome:
        """A container that could not be created or started."""
        return replace(self._facts(ran.id), started=False, exit=NOT_STARTED, stdout="",
                       stderr=logs.with_errors(ran.stderr, ""))

    def _exec(self, execute: Exec, expect: Expect) -> Outcome:
        if execute.name not in self._named:
            raise NvsimError(f"no container named {execute.name!r} runs", source=self._on.case.path,
                             hint="start it in an earlier step: docker run -d --name NAME …")
        return self._inside(self._named[execute.name], expect, execute)

    def _inside(self, container: str, expect: Expect, execute: Exec) -> Outcome:
        files, libraries, _ = checks.wanted(expect)
        words = probe.command(files=files, libraries=libraries, execute=execute.command)
        ran = self.driver.execute(container, replace(execute, command=tuple(words)))
        if ran.exit or not ran.stdout:
            return replace(self._facts(container), exit=ran.exit or NOT_STARTED, stdout=ran.stdout, stderr=ran.stderr)
        return replace(self._facts(container), **probe.seen(probe.parse(ran.stdout, self._on.case.path)))

    def _facts(self, container: str) -> Outcome:
        """What the low-level runtime was told.  An engine does not keep what the toolkit was told before that."""
        kept = f"/proc/{self._on.machine.pid}/root{self._on.host.root}/{SPECS}/{container}"
        debug = self._on.debug_log("runc")
        if not container or not os.path.exists(f"{kept}.json"):
            return Outcome(level="engine", log=debug or None)
        with open(f"{kept}.json", encoding="utf-8") as f:
            edited = logs.without_kernel(json.load(f))
        return Outcome(level="engine", spec=edited, hooks=logs.hooks_of(edited),
                       log=logs.read(f"{kept}.log") + debug if debug or os.path.exists(f"{kept}.log") else None)

    def enter(self, step: Step) -> int:
        """A shell in the container of a step, or on the machine where there is none (or it does not start)."""
        container = ""
        if step.run:
            image, _ = self._image(step.run)
            ran = self.driver.run(replace(self._asked(step.run, ("/bin/sh", "-c", "while :; do sleep 1000; done")),
                                          detach=True), image)
            container = "" if ran.exit else ran.id
            if not container:
                print(f"the container does not start; this is the machine\n{ran.stderr}")
        elif step.execute:
            container = self._named.get(step.execute.name, "")
        words = self.driver.shell(container, terminal=os.isatty(0)) if container else ["/bin/sh"]
        return self._on.interactive(words, self._on.folder)
