"""podman on an emulated machine: its command line, with stores of its own in the run's folder.

Images lie in a store that all cases of a run read (`additionalimagestores`); what a case writes lies in its own.
"""

import contextlib
import functools
import os
import subprocess
import threading
from collections.abc import Iterator

from nvsim.errors import NvsimError
from scenarios import cgroups
from scenarios.archive import Archive
from scenarios.engines.containers import SPECS, CannotExpress, EngineSession, Ran
from scenarios.engines.on_machine import RUN, OnMachine, opened, unavailable, version_of
from scenarios.engines.session import Engine, Session, Tools
from scenarios.model import Case
from scenarios.request import Exec, Run, flags
from scenarios.versions import at_least

GPUS_SINCE = "5.0"
# Root without CAP_SYS_RESOURCE cannot raise limits, and podman asks for more than the usual hard ones.
CONF = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
{containers}
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
[engine.runtimes]
nvidia = ["/usr/bin/nvidia-container-runtime"]
nvidia-cdi = ["/usr/bin/nvidia-container-runtime.cdi"]
nvidia-legacy = ["/usr/bin/nvidia-container-runtime.legacy"]
"""
# With a runroot of more than 50 characters each run waits 20 seconds for its clean-up: it lies in the machine's /run.
STORAGE = """[storage]
driver = "overlay"
graphroot = "{0}/graph"
rootless_storage_path = "{0}/graph"
runroot = "{2}"
[storage.options]
additionalimagestores = [{1}]
"""
_LOADING = threading.Lock()


@contextlib.contextmanager
def _open(case: Case, folder: str, tools: Tools) -> Iterator[Session]:
    with opened("runc", "engine", case, folder, tools) as on:
        driver = Podman(on, f"{folder}/podman", f"{tools.folder}/podman-images")
        try:
            yield EngineSession(driver, on, tools)
        finally:
            driver.clear()


ENGINE = Engine(name="podman", level="engine", unavailable=functools.partial(unavailable, "podman", "runc"), open=_open,
                version=functools.partial(version_of, "podman"))


class Podman:
    """podman as root."""

    name = "podman"
    loaded = "podman"  # beside an archive: the mark that the store of all cases has it
    as_user: tuple[str, ...] = ()  # what leads a command to the user of the engine
    state = RUN  # a folder of that user, on the machine

    def __init__(self, on: OnMachine, folder: str, images: str) -> None:
        self.version = version_of("podman")
        self._on, self._folder, self._images = on, folder, images
        self._stays: set[str] = set()  # containers that do not go by themselves
        self._unsure = False  # whether a container was started and its end was not seen
        self._label = os.path.basename(on.folder)
        os.makedirs(folder)
        os.makedirs(images, exist_ok=True)
        limits = "pids_limit = 0" if on.case.cgroup == "v2" else ""  # a hybrid host's cgroup2 may lack that controller
        self._write("containers.conf", CONF.format(containers=limits))
        self._write("storage.conf", STORAGE.format(folder, f'"{images}"', f"{self.state}/podman"))
        shared = STORAGE.format(images, "", f"{self.state}/podman-images")
        self._write("images.conf", shared.replace(f"{images}/graph", images))

    def _write(self, name: str, text: str) -> None:
        with open(f"{self._folder}/{name}", "w", encoding="utf-8") as f:
            f.write(text)

    def _podman(self, *words: str, storage: str = "storage.conf") -> "subprocess.CompletedProcess[str]":
        return self._on.command([*self.as_user, "podman", *words], self._environment(storage))

    def _environment(self, storage: str = "storage.conf") -> dict[str, str]:
        return {"HOME": self._folder, "CONTAINERS_CONF": f"{self._folder}/containers.conf",
                "CONTAINERS_STORAGE_CONF": f"{self._folder}/{storage}"}

    def load(self, image: Archive) -> None:
        """Loads the image into the store of all cases, unless another case did."""
        with _LOADING:
            if os.path.exists(f"{image.path}.{self.loaded}"):
                return
            done = self._podman("load", "--quiet", "--input", image.path, storage="images.conf")
            if done.returncode:
                raise NvsimError(f"podman load failed: {done.stderr.strip()}", source=image.path)
            with open(f"{image.path}.{self.loaded}", "w", encoding="ascii"):
                pass

    def run(self, run: Run, image: Archive) -> Ran:
        """`podman run` as a user of podman writes the request.  Raises CannotExpress for --gpus of docker."""
        if run.gpus:
            does = "takes names of CDI devices by it" if at_least(self.version, GPUS_SINCE) else "ignores it"
            raise CannotExpress(f"--gpus is docker's: podman {self.version} {does}")
        return self._background(run, image) if run.detach else self._foreground(run, image)

    def _foreground(self, run: Run, image: Archive) -> Ran:
        """A container that podman itself removes at its end: to be asked for that is one more start of podman."""
        before = set(self._told())
        self._unsure = True
        done = self._podman("run", "--rm", *self._words(run, image))
        self._unsure = False
        told = [name for name in self._told() if name not in before]
        return Ran(id=told[0] if told else "", exit=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def _told(self) -> list[str]:
        """The containers that the low-level runtime was told about."""
        specs = self._on.outside(f"{self._on.host.root}/{SPECS}")
        return [name.removesuffix(".json") for name in os.listdir(specs) if name.endswith(".json")]

    def _background(self, run: Run, image: Archive) -> Ran:
        file = f"{self._folder}/cid-{len(os.listdir(self._folder))}"
        done = self._podman("run", "--cidfile", file, *self._words(run, image))
        container = ""
        if os.path.exists(file):
            with open(file, encoding="ascii") as f:
                container = f.read().strip()
        self._stays.add(container)
        return Ran(id=container, exit=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def _words(self, run: Run, image: Archive) -> list[str]:
        runtime = ["--runtime", f"/usr/bin/{run.runtime}"] if run.runtime else []
        return ["--pull", "never", "--hostname", "nvsim", *self._in_cgroup(), *runtime, *flags(run), image.name,
                *run.command]

    def _in_cgroup(self) -> list[str]:
        return ["--cgroups", "no-conmon", "--cgroup-parent", f"/{cgroups.name(self._label)}"]

    def execute(self, container: str, run: Exec) -> Ran:
        """`podman exec`."""
        given = [word for name, value in run.env for word in ("--env", f"{name}={value}")]
        done = self._podman("exec", *given, container, *run.command)
        return Ran(id=container, exit=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def remove(self, container: str) -> None:
        """`podman rm --force`, without waiting for a process that does not listen."""
        if container in self._stays:
            self._podman("rm", "--force", "--time", "0", container)

    def shell(self, container: str, *, terminal: bool) -> list[str]:
        """`podman exec` with the settings of this case."""
        settings = [f"{name}={value}" for name, value in self._environment().items()]
        return [*self.as_user, "env", *settings, "podman", "exec", *(["--tty"] if terminal else []), "--interactive",
                container, "/bin/sh"]

    def own(self, mount: str) -> bool:
        """podman keeps its stores mounted on themselves."""
        return mount in (f"{self._folder}/graph/overlay", f"{self._images}/overlay")

    def clear(self) -> None:
        """Removes all containers that may be there, then what is left of their control groups."""
        if self._stays or self._unsure:
            self._podman("rm", "--all", "--force", "--time", "0")
        cgroups.remove_own(self._label)
