"""An emulated host for tests of other projects: `with GpuHost("a100x8") as host: host.run(["nvidia-smi", "-L"])`.

The pytest fixture `gpu_host` makes these; unittest and fixtures of a wider scope use them directly.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any

from nvsim import board, build, kernel, profile, state
from nvsim.errors import NvsimError
from nvsim.machine import Machine, in_place


class RunsInPlace(UserWarning):
    """Programs run on the real machine with the host's libraries, because the host cannot be entered."""


class GpuHost:
    """One emulated host, from a profile's name, a YAML file or a mapping with a profile's keys.

    Keyword arguments are keys of a profile that differ: GpuHost("a100x8", driver="535.261.03").  `entered`: True enters
    the host or fails, False never does, None enters it where the kernel allows and warns (RunsInPlace) where not.
    The host ends with the context, or with this process, whatever ends it.
    """

    def __init__(self, wanted: str | Mapping[str, Any], /, *, entered: bool | None = None, **changes: Any) -> None:
        """Raises NvsimError for what is no profile."""
        self._profile = profile.changed(wanted, changes)
        self._wish = entered
        self._stack = contextlib.ExitStack()
        self._machine: Machine | None = None
        self._built: build.Machine | None = None
        self._folder = ""

    def __enter__(self) -> "GpuHost":
        if not self._built:
            self._folder = self._stack.enter_context(state.workdir("test"))
            try:
                self._built = build.build(self._profile, self.root)
                self._mirror()
            except BaseException:
                self.close()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the host with every program that still runs on it.  May be called twice."""
        self._machine = self._built = None
        self._stack.close()

    def __repr__(self) -> str:
        return f"<GpuHost {self._profile.name}, {len(self._profile.gpus)} GPUs, driver {self.driver or 'none'}>"

    @property
    def profile(self) -> str:
        """The profile's name."""
        return self._profile.name

    @property
    def driver(self) -> str:
        """Version of the driver's files; empty on a host without."""
        return self._profile.driver

    @property
    def gpus(self) -> tuple[build.Gpu, ...]:
        """What the profile says of each GPU: index, minor, uuid, bus_id, name, model."""
        return self._described().gpus

    @property
    def root(self) -> str:
        """The folder with the host's files, laid out as on the host: ROOT/usr/bin/nvidia-smi, ROOT/dev/nvidia0."""
        return f"{self._folder}/root"

    @property
    def libnvml(self) -> str:
        """libnvidia-ml.so.1 for this process or others outside the host: ctypes.CDLL(host.libnvml).

        Changes made with `set` and `ctl` show here too.  Raises NvsimError for a host without driver."""
        return self._library("libnvidia-ml.so.1")

    @property
    def libcuda(self) -> str:
        """libcuda.so.1, in the same way.  A process starts CUDA once, and sees the devices that there were then."""
        return self._library("libcuda.so.1")

    @property
    def env(self) -> dict[str, str]:
        """This process's environment with the host's programs on PATH and its driver on LD_LIBRARY_PATH: for programs
        that a test starts itself, outside the host."""
        folders = {f"{self.root}{os.path.dirname(path)}" for path in self._described().boards}
        return in_place(self.root, os.pathsep.join([self._in_place, *sorted(folders)]))

    @property
    def entered(self) -> bool:
        """Whether `run` runs programs on the host itself, with its /dev, /proc and /sys, and not in place."""
        return self._running() is not None

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | None = None,
            input: str | None = None, timeout: float | None = 60) -> "subprocess.CompletedProcess[str]":
        """Runs a program on the host to its end.  `env` is added to the environment; output is text.

        Raises subprocess.TimeoutExpired after `timeout` seconds, with the program killed."""
        machine = self._running()
        if machine:
            return machine.run(argv, env={**os.environ, **(env or {})}, cwd=cwd, input=input, timeout=timeout)
        return subprocess.run(self._found(argv), env={**self.env, **(env or {})}, cwd=cwd, input=input, timeout=timeout,
                              capture_output=True, text=True, errors="replace", check=False)

    def popen(self, argv: Sequence[str], **options: Any) -> "subprocess.Popen[str]":
        """Starts a program on the host, such as an exporter that a test then asks; options of subprocess.Popen.

        A program that still runs when the host ends is killed."""
        machine = self._running()
        if machine:
            process = machine.popen(argv, **options)
        else:
            process = subprocess.Popen(self._found(argv), **{"text": True, "env": self.env, **options})
        self._stack.callback(_end, process)
        return process

    def set(self, gpu: int | str = "all", **values: int | str | None) -> None:
        """Changes values that every program sees at once: host.set(gpu=2, temperature=91, memory_used=10 * 2**30).

        `gpu` is an index, a UUID, a PCI address or "all"; None: the board does not have that.  `nvsim ctl set --help`
        lists the names.  Raises NvsimError for another name, a value that does not fit, or a GPU that is not there."""
        places = [found.board_index for found in self.gpus if gpu in ("all", found.index, found.uuid, found.bus_id)]
        if not places:
            raise NvsimError(f"no GPU {gpu!r}", source=self._profile.name, hint=f"all, or 0 to {len(self.gpus) - 1}")
        for path in self._described().boards:
            for place in places:
                board.update(f"{self.root}{path}", place, **values)
        self._mirror()

    def ctl(self, *words: str) -> str:
        """What `nvsim ctl WORDS` does to this host, and prints.  Raises NvsimError if it fails."""
        done = subprocess.run([sys.executable, "-m", "nvsim", "ctl", "--host", self.root, *words], check=False,
                              capture_output=True, text=True, env={**os.environ, "NVSIM_STATE": state.state_dir()})
        if done.returncode:
            raise NvsimError(done.stderr.strip().removeprefix("nvsim: "), source=f"ctl {' '.join(words)}")
        self._mirror()
        return done.stdout

    @property
    def _in_place(self) -> str:
        """The folder with the driver libraries that work outside the host, and dev/ with what they look at."""
        return f"{self._folder}/in-place"

    def _described(self) -> build.Machine:
        if not self._built:
            raise NvsimError("the host has ended", source=self._profile.name,
                             hint="use it inside `with GpuHost(…) as host:`, or as long as the test runs")
        return self._built

    def _library(self, name: str) -> str:
        self._described()
        path = f"{self._in_place}/{name}"
        if not os.path.exists(path):
            raise NvsimError(f"this host has no {name}", source=self._profile.name)
        return path

    def _found(self, argv: Sequence[str]) -> list[str]:
        """The command line with the program's own path: a program of the host comes before one of this machine."""
        found = shutil.which(argv[0], path=self.env["PATH"])
        return [found or argv[0], *argv[1:]]

    def _running(self) -> Machine | None:
        """The host as a machine that programs enter, started when the first one does; None where none can be."""
        self._described()
        if self._machine or self._wish is False:
            return self._machine
        try:
            self._machine = self._stack.enter_context(Machine(self.root))
        except NvsimError as e:
            if self._wish:
                raise
            self._wish = False
            warnings.warn(f"{self._profile.name}: programs run in place, with /dev, /proc and /sys of this machine: "
                          f"{e.message}", RunsInPlace, stacklevel=3)
        return self._machine

    def _mirror(self) -> None:
        """Brings the libraries that are used in place, and the nodes they look at, up to date with the host's."""
        os.makedirs(self._in_place, exist_ok=True)
        described = self._described()
        _mirror_nodes(f"{self.root}{kernel.devs(asdict(described))[0]}", f"{self._in_place}/dev")
        for path in described.boards:
            source, name = f"{self.root}{path}", os.path.basename(path)
            target = f"{self._in_place}/{name}"
            if not os.path.exists(target):
                shutil.copyfile(source, target)
                link = f"{self._in_place}/{name.partition('.so')[0]}.so.1"
                if not os.path.lexists(link):  # of two versions the first is the one that programs load
                    os.symlink(name, link)
            board.follow(target, source, dev_root=self._in_place)


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    with process:  # closes its pipes, and waits for it
        pass


def _mirror_nodes(source: str, target: str) -> None:
    """An empty file for each node below `source`, and no other."""
    os.makedirs(target, exist_ok=True)
    there = os.listdir(source) if os.path.isdir(source) else []
    for name in set(os.listdir(target)) - set(there):
        state.remove(f"{target}/{name}") if os.path.isdir(f"{target}/{name}") else os.unlink(f"{target}/{name}")
    for name in there:
        if os.path.isdir(f"{source}/{name}"):
            _mirror_nodes(f"{source}/{name}", f"{target}/{name}")
        elif not os.path.lexists(f"{target}/{name}"):
            with open(f"{target}/{name}", "w"):
                pass
