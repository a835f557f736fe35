"""containerd on an emulated machine: a daemon with everything of its own, called by `ctr`.

Facts: containerd 1.6 to 2.3, `ctr run --help`; `--gpus` makes ctr call nvidia-container-cli from its own PATH, without
config.toml, until 2.2, and means CDI devices from 2.3 on; CDI devices by `--device` since 2.0.
"""

import contextlib
import functools
import os
import subprocess
import time
from collections.abc import Iterator

from nvsim.errors import NvsimError
from scenarios import cgroups
from scenarios.archive import Archive
from scenarios.engines import logs
from scenarios.engines.containers import CannotExpress, EngineSession, Ran, with_environment
from scenarios.engines.on_machine import RUN, OnMachine, kill, opened, unavailable, version_of
from scenarios.engines.session import Engine, Session, Tools
from scenarios.model import Case
from scenarios.request import RUNTIMES, Bind, Exec, Run
from scenarios.versions import at_least

CDI_SINCE = "2.0"
USER_SINCE = "1.7"
SOCKET = f"{RUN}/containerd.sock"
START = 30.0  # seconds
CONFIG = """version = 2
root = "{0}/root"
state = "{2}/state"
{1}
[grpc]
address = "{2}/containerd.sock"
"""
CRI_OFF = ('disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", '
           '"io.containerd.cri.v1.images"]')


@contextlib.contextmanager
def daemon(on: OnMachine, more: str) -> Iterator[str]:
    """containerd on a machine, while the context lives: its socket there.  `more` is the rest of its configuration.

    Raises NvsimError with the end of its log if it does not start."""
    folder = f"{on.folder}/containerd"
    os.mkdir(folder)
    with open(f"{folder}/config.toml", "w", encoding="utf-8") as f:
        f.write(CONFIG.format(folder, more, RUN))
    with open(f"{folder}/log", "wb") as log:
        process = on.machine.popen(["containerd", "--config", f"{folder}/config.toml"], cwd="/", stdout=log, stderr=log,
                                   env=on.environment(), stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + START
    try:
        while not _ready(on):
            if process.poll() is not None or time.monotonic() > deadline:
                with open(f"{folder}/log", encoding="utf-8", errors="replace") as f:
                    said = f.read().splitlines()[-5:]
                raise NvsimError("containerd did not start: " + " | ".join(said), source=folder)
            time.sleep(0.03)
        yield SOCKET
    finally:
        kill(process)


def _ready(on: OnMachine) -> bool:
    return os.path.exists(on.outside(SOCKET)) and on.command(["ctr", "--address", SOCKET, "version"]).returncode == 0


@contextlib.contextmanager
def _open(case: Case, folder: str, tools: Tools) -> Iterator[Session]:
    with opened("runc", "engine", case, folder, tools) as on, daemon(on, CRI_OFF) as socket:
        driver = Containerd(on, socket)
        try:
            yield EngineSession(driver, on, tools)
        finally:
            driver.clear()


ENGINE = Engine(name="containerd", level="engine", open=_open, version=functools.partial(version_of, "containerd"),
                unavailable=functools.partial(unavailable, "containerd", "ctr", "runc"))


class Containerd:
    """containerd by its own client."""

    name = "containerd"

    def __init__(self, on: OnMachine, socket: str) -> None:
        self.version = version_of("containerd")
        self._on, self._socket = on, socket
        self._label = os.path.basename(on.folder)
        self._made = 0

    def _ctr(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self._on.command(["ctr", "--address", self._socket, *words])

    def load(self, image: Archive) -> None:
        """`ctr image import`."""
        done = self._ctr("image", "import", image.path)
        if done.returncode:
            raise NvsimError(f"ctr image import failed: {done.stderr.strip()}", source=image.path)

    def run(self, run: Run, image: Archive) -> Ran:
        """`ctr run` as a user writes the request.  Raises CannotExpress for what ctr has no words for."""
        words = self._words(run)
        self._made += 1
        name = f"nvsim-{self._label}-{self._made}"
        return self._logged("run", "--cgroup", f"/{cgroups.name(self._label)}/{name}", *words, image.name, name,
                            *run.command, container=name)

    def _logged(self, *words: str, container: str) -> Ran:
        """`ctr` with what the program says in a file: that of 2.3 itself stops to read when the program ends."""
        log = f"{self._on.folder}/containerd/output-{self._made}"
        at = 2 if words[0] == "task" else 1
        done = self._ctr(*words[:at], "--log-uri", f"file://{log}", *words[at:])
        return Ran(id=container, exit=done.returncode, stdout=logs.text(log), stderr=done.stderr)

    def _words(self, run: Run) -> list[str]:
        """The flags of ctr for a request."""
        if run.cdi and not at_least(self.version, CDI_SINCE):
            raise CannotExpress(f"ctr {self.version} has no CDI devices; containerd {CDI_SINCE} knows them")
        if run.user and not at_least(self.version, USER_SINCE):
            raise CannotExpress(f"ctr {self.version} has no --user; containerd {USER_SINCE} knows it")
        if run.gpus == "all":
            raise CannotExpress("ctr names GPUs one by one: --gpus 0")
        binary = f"/usr/bin/{run.runtime}" if run.runtime in RUNTIMES.values() else ""
        words = ["--runc-binary", binary] if binary else []
        words += [word for index in run.gpus.split(",") if index for word in ("--gpus", index)]
        for flag, values in (("--env", run.env), ("--annotation", run.annotations)):
            words += [word for name, value in values for word in (flag, f"{name}={value}")]
        words += [word for bind in run.binds for word in ("--mount", _mount(bind))]
        words += [word for name in run.cdi for word in ("--device", name)]
        words += [word for name in run.cap_add for word in ("--cap-add", name)]
        words += ["--user", run.user] if run.user else []
        words += ["--cwd", run.workdir] if run.workdir != "/" else []
        words += ["--cpu-shares", "0"] if self._on.case.cgroup == "v2" and at_least(self.version, "2.0") else []
        return [*words, *(["--privileged"] if run.privileged else []), *(["--read-only"] if run.read_only else []),
                *(["--detach"] if run.detach else [])]

    def execute(self, container: str, run: Exec) -> Ran:
        """`ctr task exec`, which has no --env."""
        self._made += 1
        return self._logged("task", "exec", "--exec-id", f"e{self._made}", container, *with_environment(run),
                            container=container)

    def remove(self, container: str) -> None:
        """Ends the task and removes the container."""
        self._ctr("task", "delete", "--force", container)
        self._ctr("container", "delete", container)

    def shell(self, container: str, *, terminal: bool) -> list[str]:
        """`ctr task exec`."""
        return ["ctr", "--address", self._socket, "task", "exec", *(["--tty"] if terminal else []), "--exec-id",
                "shell", container, "/bin/sh"]

    def own(self, mount: str) -> bool:
        """containerd mounts nothing but the containers' root file systems."""
        return False

    def clear(self) -> None:
        """Removes all containers, then what is left of their control groups."""
        for name in self._ctr("container", "list", "--quiet").stdout.split():
            self.remove(name)
        cgroups.remove_own(self._label)


def _mount(bind: Bind) -> str:
    options = ":".join(["rbind", bind.propagation, "ro" if bind.read_only else "rw"])
    return f"type=bind,src={bind.source},dst={bind.target},options={options}"
