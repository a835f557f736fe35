"""Entering a built host: a machine is the built root laid over this one in namespaces of its own (DESIGN D5).

`nvsim/enter.py` is process 1 of each machine and says what is laid where.  This module starts it, runs programs in it
and ends it.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

from nvsim.errors import NvsimError
from nvsim.lowlevel import VERBS
from nvsim.native import compile as native

Cgroup = Literal["host", "v1", "v2"]
NEEDS = "entering a host needs CAP_SYS_ADMIN, or a kernel that lets ordinary users make namespaces"
HERE = os.path.dirname(os.path.realpath(__file__))
LOW_LEVEL = ("runc", "crun")
# A shell lets pass what nvsim.lowlevel has no business with: Python takes ten times as long to start.
WRAPPER = """#!/bin/sh
''':'
for word; do
  case $word in {verbs}) exec "{python}" -IS "$0" "$@" ;; esac
done
exec "@REAL@" "$@"
'''
import sys
sys.path.insert(0, {home!r})
from nvsim.lowlevel import main
sys.exit(main(sys.argv, "@REAL@", {hook!r}))
"""
WSL = "/usr/lib/wsl/lib"  # on PATH where it is


def _options(root: str, cgroup: Cgroup, argv: Sequence[str], cwd: str) -> str:
    if not os.path.exists(f"{root}/.nvsim/machine.json"):
        raise NvsimError("this is not a built host: it has no .nvsim/machine.json", source=root,
                         hint="build one: nvsim build PROFILE DIR")
    _refuse_other_machines(root)
    # A machine with GPUs of its own has a kernel that shows them in containers.
    hook = "" if os.path.exists(f"{root}/.nvsim/real") else native.artifact("nvsim-kernel")
    wrapper = WRAPPER.format(verbs="|".join(VERBS), python=sys.executable, home=os.path.dirname(HERE), hook=hook)
    return json.dumps({"root": os.path.realpath(root), "cgroup": cgroup, "argv": list(argv), "cwd": cwd,
                       "lowlevel": dict.fromkeys(LOW_LEVEL, wrapper),
                       "hint": f"{NEEDS}; without: nvsim exec --in-place"})


def _refuse_other_machines(root: str) -> None:
    """Raises NvsimError for a tree whose programs do not run on this machine."""
    with open(f"{root}/.nvsim/machine.json", encoding="utf-8") as f:
        host = json.load(f)
    if native.MACHINE not in (host.get("elf"), host.get("twins")):
        raise NvsimError(f"this host was built for other machines: its programs are {host.get('elf')}", source=root,
                         hint="build it here, without --in-place: nvsim build PROFILE DIR")


def _enter(options: str) -> list[str]:
    return [sys.executable, "-IS", f"{HERE}/enter.py", options]


def execute(root: str, argv: Sequence[str], *, cgroup: Cgroup = "host", cwd: str | None = None,
            env: Mapping[str, str] | None = None) -> int:
    """Runs a program in the foreground on a machine of its own; its exit code, 128 + N if signal N ended it.

    Raises NvsimError if `root` is not a built host."""
    options = _options(root, cgroup, argv, cwd or os.getcwd())
    return _wait(subprocess.Popen(_enter(options), env=dict(os.environ if env is None else env)))


def _wait(command: "subprocess.Popen[bytes]") -> int:
    while True:
        try:
            return command.wait()
        except KeyboardInterrupt:  # the program got the signal too, and decides
            continue


def execute_in_place(root: str, libdir: str, argv: Sequence[str]) -> int:
    """Runs a program on this machine that finds the driver of a host that was built for use in place.

    `libdir` is where the driver libraries are on the host.  Exit code as of `execute`."""
    env = in_place(root, root + libdir)
    try:
        command = subprocess.Popen([shutil.which(argv[0], path=env["PATH"]) or argv[0], *argv[1:]], env=env)
    except OSError as e:
        print(f"nvsim: cannot run {argv[0]}: {e.strerror}", file=sys.stderr)
        return 127 if isinstance(e, FileNotFoundError) else 126
    code = _wait(command)
    return code if code >= 0 else 128 - code


def in_place(root: str, libraries: str) -> dict[str, str]:
    """This process's environment, with the programs of a built host first on PATH and the folders of its driver
    libraries first on LD_LIBRARY_PATH: for programs that use the host without entering it."""
    folders = [root + folder for folder in ("/usr/bin", "/usr/sbin", WSL) if os.path.isdir(root + folder)]
    before = os.environ.get("LD_LIBRARY_PATH", "")
    return {**os.environ, "PATH": os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)]),
            "LD_LIBRARY_PATH": os.pathsep.join(filter(None, (libraries, before)))}


class Machine:
    """A running machine: `with Machine(root) as m: m.run(["nvidia-smi", "-L"])`.

    It ends with the context, and also when this process dies, even by SIGKILL; then every process in it ends and every
    mount of it vanishes.  Several threads may use one machine.
    """

    def __init__(self, root: str, *, cgroup: Cgroup = "host") -> None:
        self.root = os.path.realpath(root)
        self._cgroup: Cgroup = cgroup
        self._process: subprocess.Popen[str] | None = None
        self.pid = 0  # of its process 1, as this process sees it

    def __enter__(self) -> "Machine":
        options = _options(self.root, self._cgroup, (), "/")
        self._process = subprocess.Popen(_enter(options), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        said: dict[str, str] = {}
        for line in self._process.stdout:  # two processes say it, each when it comes to it
            word, _, rest = line.strip().partition(" ")
            said[word] = rest
            if "error" in said or {"pid", "ready"} <= said.keys():
                break
        if not {"pid", "ready"} <= said.keys():
            self.close()
            raise NvsimError(said.get("error", "the machine ended while it was being set up"), source=self.root,
                             hint=NEEDS)
        self.pid = int(said["pid"])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the machine with all its processes.  May be called twice."""
        if self._process:
            assert self._process.stdin and self._process.stdout
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def command(self, argv: Sequence[str], cwd: str | None = None) -> list[str]:
        """The command line that runs `argv` on this machine, for use by other programs."""
        if not self.pid:
            raise NvsimError("the machine is not running", source=self.root)
        nsenter = shutil.which("nsenter") or "/usr/bin/nsenter"
        user = ["-U", "--preserve-credentials"] if os.geteuid() else []
        path = f'PATH="$PATH:{WSL}"; ' if os.path.isdir(self.root + WSL) else ""
        inside = ["/bin/sh", "-c", f'{path}cd -- "$0" && exec "$@"', cwd or os.getcwd(), *argv]
        return [nsenter, "-t", str(self.pid), *user, "-m", "-p", "--", *inside]

    def popen(self, argv: Sequence[str], *, cwd: str | None = None, **options: Any) -> "subprocess.Popen[str]":
        """Starts a program on the machine, in a session of its own; options are those of subprocess.Popen."""
        return subprocess.Popen(self.command(argv, cwd), **{"text": True, "start_new_session": True, **options})

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | None = None,
            input: str | None = None, timeout: float | None = None) -> "subprocess.CompletedProcess[str]":
        """Runs a program on the machine to its end; output that is not UTF-8 is replaced.

        Raises subprocess.TimeoutExpired after `timeout` seconds, with the program and what it started killed."""
        with self.popen(argv, cwd=cwd, env=dict(env) if env is not None else None, stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, errors="replace") as process:
            try:
                out, err = process.communicate(input, timeout)
            except BaseException:
                os.killpg(process.pid, 9)
                raise
        return subprocess.CompletedProcess(list(argv), process.returncode, out, err)
