"""runc and crun on an emulated machine: the level `container`.

A foreground container runs the probe, which runs the command of the case; so one start shows both what the command
said and what a process there could see.  The container is created as an engine does it: `create` through the runtime
that the command line asks for, then `start` and `delete` by the low-level runtime.
"""

import contextlib
import functools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO, Any

from nvsim import device_rules
from nvsim.ctl.reload import DaemonReload
from nvsim.ctl.verbs import Action
from nvsim.errors import NvsimError
from scenarios import bundle, cgroups, checks
from scenarios.checks import Expect
from scenarios.engines import logs, probe
from scenarios.engines.on_machine import TIMEOUT, OnMachine, opened, unavailable
from scenarios.engines.session import Engine, Session, Tools
from scenarios.model import Case, Step
from scenarios.outcome import NOT_STARTED, Outcome
from scenarios.request import Exec, Run

HOOKS_SAID = "hooks-stderr"
HOLD = ("/bin/sh", "-c", "while :; do sleep 1000; done")  # process 1 of a container that a person looks at


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container on the machine.  `spec` is what the engine asked for."""

    id: str
    bundle: str
    cgroup: str
    spec: dict[str, Any]

    @property
    def log(self) -> str:
        return f"{self.bundle}/log.json"


def engine(name: str) -> Engine:
    """runc or crun."""
    return Engine(name=name, level="container", unavailable=functools.partial(unavailable, name),
                  open=functools.partial(_open, name))


@contextlib.contextmanager
def _open(name: str, case: Case, folder: str, tools: Tools) -> Iterator[Session]:
    with opened(name, "container", case, folder, tools) as on:
        session = OciSession(name, on, tools)
        try:
            yield session
        finally:
            session.clear()


class OciSession:
    """One case on one machine."""

    def __init__(self, name: str, on: OnMachine, tools: Tools) -> None:
        self._name, self._case, self._folder, self._tools = name, on.case, on.folder, tools
        self._on, self._machine = on, on.machine
        self._containers: dict[str, Container] = {}
        self._made = 0

    def do(self, step: Step, expect: Expect) -> Outcome:
        """Carries out one step and looks at what `expect` asks for."""
        if step.kind == "ctl" and step.change:
            self._change(step.change)
            return Outcome(level="container")
        if step.kind == "host":
            return self._on.around(expect, lambda: self._on.shell(step.line))
        if step.execute:
            return self._on.around(expect, functools.partial(self._exec, step.execute, expect))
        assert step.run
        return self._on.around(expect, functools.partial(self._run, step.run, expect))

    def clear(self) -> None:
        """Removes every container that is left, and its control group."""
        for container in list(self._containers.values()):
            self._delete(container)
        for number in range(1, self._made + 1):
            cgroups.remove_own(self._label(number))

    # Running containers

    def _run(self, run: Run, expect: Expect) -> Outcome:
        files, libraries, _ = checks.wanted(expect)
        image = self._tools.images.get(self._case.image, run.image, f"{self._case.path}: image")
        own = (run.entrypoint,) if run.entrypoint else ()
        command = (*own, *(run.command or (() if own else image.command if run.detach else ())))
        args = command if run.detach else probe.command(files=files, libraries=libraries, execute=command)
        mounts = self._on.mounts()
        container = self._make(run, image.path, image.env, tuple(args))
        outcome = self._detached(container, run, expect) if run.detach else self._foreground(container, run)
        if run.name and outcome.started and run.detach:
            self._containers[run.name] = container
            return outcome
        self._delete(container)
        left = [path for path in self._on.mounts() if path not in mounts]
        return replace(outcome, left=tuple(left))

    def _make(self, run: Run, image: str, env: tuple[tuple[str, str], ...], args: tuple[str, ...]) -> Container:
        """Writes a bundle and mounts its root file system: an overlay over the image, or a copy where there is none."""
        self._made += 1
        label = self._label(self._made)
        folder = f"{self._folder}/c{self._made}"
        for part in ("upper", "work", "rootfs"):
            os.makedirs(f"{folder}/{part}")
        layers = f"lowerdir={image},upperdir={folder}/upper,workdir={folder}/work"
        if self._on.command(["mount", "-t", "overlay", "-o", layers, "overlay", f"{folder}/rootfs"]).returncode:
            os.rmdir(f"{folder}/rootfs")
            shutil.copytree(image, f"{folder}/rootfs", symlinks=True)
        spec = bundle.spec_of(run, env=env, command=args, cgroup=f"/{cgroups.name(label)}", probe=self._tools.probe,
                              capabilities=bundle.own_capabilities())
        if self._name == "crun":  # crun drops what hooks say, unless it is given a file
            spec["annotations"] |= {"run.oci.hooks.stderr": f"{folder}/{HOOKS_SAID}"}
        with open(f"{folder}/config.json", "w", encoding="utf-8") as f:
            json.dump(spec, f)
        container = Container(id=f"nvsim-{label}", bundle=folder, cgroup=cgroups.name(label), spec=spec)
        self._containers[container.id] = container
        return container

    def _label(self, number: int) -> str:
        return f"{os.path.basename(self._folder)}-{number}"

    def _create(self, container: Container, run: Run) -> list[str]:
        program = bundle.runtime_of(run) or self._name
        return [program, "--root", self._state(), "--log", container.log, "--log-format", "json", "create", "--bundle",
                container.bundle, container.id]

    def _state(self) -> str:
        return f"{self._folder}/state"

    def _foreground(self, container: Container, run: Run) -> Outcome:
        """Creates, starts, and waits until the container's output ends."""
        with self._start(container, run, subprocess.PIPE, subprocess.PIPE) as process:
            try:
                started = process.wait(TIMEOUT) == 0
                start = self._low_level("start", container.id) if started else None
                if start and start.returncode:
                    self._low_level("kill", container.id, "KILL")
                out, err = process.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired as e:
                self._low_level("delete", "--force", container.id)
                process.kill()
                raise NvsimError(f"the container did not end within {TIMEOUT:.0f} seconds",
                                 source=container.bundle) from e
        if not start or start.returncode:
            return self._refused(container, err + (start.stderr if start else ""))
        return replace(self._facts(container), **probe.seen(probe.parse(out, container.bundle)))

    def _detached(self, container: Container, run: Run, expect: Expect) -> Outcome:
        """Creates and starts; then the probe looks at it from inside."""
        with open(f"{container.bundle}/output", "w+b") as output:
            with self._start(container, run, output, output) as process:
                failed = process.wait(TIMEOUT)
            start = None if failed else self._low_level("start", container.id)
            if not start or start.returncode:
                output.seek(0)
                said = output.read().decode(errors="replace") + (start.stderr if start else "")
                return self._refused(container, said)
        return self._inside(container, expect, ())

    def _start(self, container: Container, run: Run, out: int | IO[bytes], err: int | IO[bytes],
               ) -> "subprocess.Popen[str]":
        return self._machine.popen(self._create(container, run), cwd=container.bundle, env=self._on.environment(),
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=err, errors="replace")

    def _refused(self, container: Container, said: str) -> Outcome:
        """A container that could not be created or started: everything that was said, in docker's way of ending."""
        said += logs.text(f"{container.bundle}/{HOOKS_SAID}")
        return replace(self._facts(container), started=False, exit=NOT_STARTED, stdout="",
                       stderr=logs.with_errors(said, container.log))

    def _exec(self, execute: Exec, expect: Expect) -> Outcome:
        if execute.name not in self._containers:
            raise NvsimError(f"no container named {execute.name!r} runs", source=self._case.path,
                             hint="start it in an earlier step: docker run -d --name NAME …")
        return self._inside(self._containers[execute.name], expect, execute.command, execute.env)

    def _inside(self, container: Container, expect: Expect, command: tuple[str, ...],
                env: tuple[tuple[str, str], ...] = ()) -> Outcome:
        files, libraries, _ = checks.wanted(expect)
        words = probe.command(files=files, libraries=libraries, execute=command)
        given = [word for name, value in env for word in ("--env", f"{name}={value}")]
        done = self._low_level("exec", *given, container.id, *words)
        facts = self._facts(container)
        if done.returncode or not done.stdout:
            return replace(facts, exit=done.returncode or NOT_STARTED, stdout=done.stdout, stderr=done.stderr)
        return replace(facts, **probe.seen(probe.parse(done.stdout, container.bundle)))

    def _facts(self, container: Container) -> Outcome:
        """What the bundle shows once the runtime has been at it."""
        with open(f"{container.bundle}/config.json", encoding="utf-8") as f:
            edited = logs.without_kernel(json.load(f))
        said = logs.read(container.log) + logs.text(f"{container.bundle}/{HOOKS_SAID}")
        return Outcome(level="container", spec=edited, original=container.spec, hooks=logs.hooks_of(edited),
                       log=said + self._on.debug_log(self._name))

    def _delete(self, container: Container) -> None:
        self._low_level("delete", "--force", container.id)
        self._on.command(["umount", "-l", f"{container.bundle}/rootfs"])
        self._containers = {name: one for name, one in self._containers.items() if one is not container}

    # Live changes

    def _change(self, action: Action) -> None:
        if isinstance(action, DaemonReload):
            for container in {one.id: one for one in self._containers.values()}.values():
                self._reload(container)
            return
        self._on.change(action)

    def _reload(self, container: Container) -> None:
        """What systemd does to a container's scope on daemon-reload: the rules that the engine told it, no others."""
        with open(f"{container.bundle}/config.json", encoding="utf-8") as f:
            rules = json.load(f)["linux"]["resources"]["devices"]
        device_rules.apply_again(container.cgroup, rules)

    def _low_level(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self._on.command([self._name, "--root", self._state(), *words])

    def enter(self, step: Step) -> int:
        """A shell in the container of a step, or on the machine where there is none (or it does not start)."""
        container = None
        if step.run:
            image = self._tools.images.get(self._case.image, step.run.image, f"{self._case.path}: image")
            container = self._make(step.run, image.path, image.env, HOLD)
            refused = self._detached(container, replace(step.run, detach=True), Expect())
            if not refused.started:
                print(f"the container does not start; this is the machine, its bundle is {container.bundle}\n"
                      f"{refused.stderr}\nto try again: {' '.join(self._create(container, step.run))}")
                container = None
        elif step.execute:
            container = self._containers.get(step.execute.name)
        terminal = ["--tty"] if os.isatty(0) else []
        words = [self._name, "--root", self._state(), "exec", *terminal, container.id, "/bin/sh"] if container else \
            ["/bin/sh"]
        return self._on.interactive(words, container.bundle if container else self._folder)
