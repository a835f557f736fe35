"""An emulated machine as every engine uses it: commands on it, what is looked at around a step, live changes."""

import contextlib
import functools
import itertools
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from nvsim.ctl.verbs import Action
from nvsim.errors import NvsimError
from nvsim.machine import Cgroup, Machine
from scenarios import bundle, cgroups, checks, hosts
from scenarios.checks import Expect
from scenarios.engines import before, logs
from scenarios.engines.session import Tools
from scenarios.model import Case
from scenarios.outcome import Outcome

TIMEOUT = 60.0  # seconds for any one command; a hang is a failure
RUN = "/run/nvsim-engine"  # on the machine, for sockets: their paths may not be longer than 104 characters
LISTING = "%y %m %U:%G %s %T@ %l %p\n"  # find(1) -printf: kind, mode, owner, size, mtime, link, path


PROGRAMS = ("runc", "crun", "podman", "dockerd", "containerd", "ctr")


def search_path() -> str:
    """PATH on a machine: folders with engines that somebody put in front of those of a distribution, these, then
    the rest of this process's own.

    No other folder comes first: the toolkit under test lies in /usr/bin, and a virtual environment would hide it.
    """
    standard = bundle.PATH.split(":")
    own = [folder for folder in os.environ.get("PATH", "").split(":") if folder]
    front = [folder for folder in itertools.takewhile(lambda folder: folder not in standard, own)
             if any(os.access(f"{folder}/{name}", os.X_OK) for name in PROGRAMS)]
    return ":".join(dict.fromkeys([*front, *standard, *own]))


@functools.cache
def version_of(program: str) -> str:
    """What `PROGRAM --version` says, such as 20.10.24; "0" for one that is not there or says none."""
    path = shutil.which(program, path=search_path())
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout if path else ""
    found = re.search(r"\sv?([0-9]+(\.[0-9]+)+)", said)
    return found[1] if found else "0"


def unavailable(*programs: str) -> str:
    """Why containers of these programs cannot run here, "" if they can."""
    if os.geteuid():
        return "containers on an emulated machine need root"
    packages = {"dockerd": "docker.io", "ctr": "containerd", "newuidmap": "uidmap"}
    missing = [name for name in programs if not shutil.which(name, path=search_path())]
    return f"{missing[0]} is not installed; apt-get install {packages.get(missing[0], missing[0])}" if missing else ""


def cgroup_view(name: str, wanted: str) -> Cgroup:
    """Which control groups the machine shows.  crun refuses a hybrid host: there it gets the v1 part alone."""
    if wanted in ("v1", "v2"):
        return "v1" if wanted == "v1" else "v2"
    hybrid = os.path.isdir(f"{cgroups.MOUNT}/unified")
    return "v1" if name == "crun" and hybrid else "host"


def kill(process: "subprocess.Popen[str]") -> None:
    """Ends a daemon that `Machine.popen` started, and waits for it.

    The program that led it into the machine goes last, by itself: without that one the dead daemon would be a child of
    the real machine's process 1, which may collect it late, and until then the machine could not end."""
    led: list[int] = []
    if process.poll() is None:
        with contextlib.suppress(OSError), open(  # not every kernel lists children
                f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as f:
            led = [int(word) for word in f.read().split()]
    for pid in led:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not led:
        process.kill()
    process.wait()


@contextlib.contextmanager
def opened(runtime: str, level: str, case: Case, folder: str, tools: Tools,
           config: hosts.Table | None = None) -> "Iterator[OnMachine]":
    """Builds the machine of a case, with what the engine needs in config.toml, enters it, runs `before`.

    Raises NvsimError if a command of `before` fails."""
    host = hosts.prepare(case, f"{folder}/host", runtimes=(runtime,), toolkit=tools.toolkit, here=tools.here,
                         config=config)
    with Machine(host.root, cgroup=cgroup_view(runtime, case.cgroup)) as machine, tools.registered(machine.pid):
        on = OnMachine(case, level, folder, host, machine)
        if level == "engine":
            on.shield("/var/lib")
        for number, line in enumerate(case.before):
            done = before.done(on, number, tools)
            if done.exit:
                raise NvsimError(f"`{line}` exited {done.exit}: {(done.stderr or '').strip()}",
                                 source=f"{case.path}: before")
        yield on


class OnMachine:
    """One machine that runs, for one case."""

    def __init__(self, case: Case, level: str, folder: str, host: hosts.Host, machine: Machine) -> None:
        self.case, self.level, self.folder, self.host, self.machine = case, level, folder, host, machine

    def command(self, argv: list[str], env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Runs a program to its end.  Raises NvsimError if that takes more than TIMEOUT."""
        try:
            return self.machine.run(argv, env=self.environment() | (env or {}), cwd="/", timeout=TIMEOUT)
        except subprocess.TimeoutExpired as e:
            raise NvsimError(f"`{' '.join(argv)[:200]}` did not end within {TIMEOUT:.0f} seconds",
                             source=self.case.path) from e

    def environment(self) -> dict[str, str]:
        """That of a login as root."""
        return {"PATH": search_path(), "HOME": "/root", "LANG": "C.UTF-8"}

    def shell(self, line: str) -> Outcome:
        """A command line, by the machine's shell."""
        done = self.command(["/bin/sh", "-c", line])
        return Outcome(level=self.level, exit=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def around(self, expect: Expect, act: Callable[[], Outcome]) -> Outcome:
        """A step, with the host paths that `expect` names looked at before and after."""
        paths = checks.wanted(expect)[2]
        before = {path: self._listing(path) for path in paths}
        outcome = act()
        seen = {path: (before[path], self._listing(path)) for path in paths}
        migs = {mig.name: (mig.uuid, mig.parent) for mig in hosts.migs(self.host.root)}
        return replace(outcome, host=seen, host_gpus=self.host.gpus, host_migs=migs)

    def _listing(self, path: str) -> str:
        return self.command(["find", path, "-printf", LISTING]).stdout

    def shield(self, path: str) -> None:
        """Keeps what is written below a folder, which the machine shares with the real one, in the case's own folder:
        engines have caches there, whatever they are told.  Raises NvsimError if that is not possible."""
        layers = f"{self.folder}/shield{path}"
        for name in ("upper", "work"):
            os.makedirs(f"{layers}/{name}")
        options = f"lowerdir={path},upperdir={layers}/upper,workdir={layers}/work"
        done = self.command(["mount", "-t", "overlay", "-o", options, "nvsim", path])
        if done.returncode:
            raise NvsimError(f"cannot keep writes out of {path}: {done.stderr.strip()}", source=self.case.path)

    def outside(self, path: str) -> str:
        """A path of the machine as this process reaches it, sockets too."""
        return f"/proc/{self.machine.pid}/root{path}"

    def read(self, path: str) -> str:
        """A file of the machine, "" if there is none."""
        return logs.text(self.outside(path))

    def write(self, path: str, text: str) -> None:
        """Writes a file of the machine's own; the folder is made."""
        os.makedirs(os.path.dirname(self.outside(path)), exist_ok=True)
        with open(self.outside(path), "w", encoding="utf-8") as f:
            f.write(text)

    def made(self, path: str) -> bool:
        """Whether a file of the machine is not simply the real machine's, shown through."""
        there, real = self.outside(path), path
        return os.path.exists(there) and not (os.path.exists(real) and logs.text(there) == logs.text(real))

    def mounts(self) -> list[str]:
        """The machine's mount points."""
        with open(f"/proc/{self.machine.pid}/mountinfo", encoding="utf-8", errors="replace") as f:
            return sorted(line.split()[4] for line in f)

    def change(self, action: Action) -> None:
        """A live change of the host."""
        action.apply(self.host.root)

    def debug_log(self, runtime: str) -> str:
        """The file that config.toml names as the runtime's debug log."""
        config: Any = hosts.config_of(self.case, (runtime,)).get("nvidia-container-runtime", {})
        path = str(config.get("debug", "/dev/null"))
        return "" if path == "/dev/null" else self.command(["cat", path]).stdout

    def interactive(self, argv: list[str], cwd: str, env: dict[str, str] | None = None) -> int:
        """A program that a person uses; its exit code."""
        shell = self.machine.popen(argv, cwd=cwd, env=self.environment() | (env or {}), start_new_session=False)
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is for the shell
                return shell.wait()
