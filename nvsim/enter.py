"""Process 1 of a machine: lays a built host over the real one in namespaces of its own, then serves or runs a command.

Executed as a script, `python3 -IS enter.py OPTIONS`, OPTIONS being JSON: `root` (a built host), `cgroup` ("host", "v1",
"v2"), `lowlevel` (wrapper per low-level runtime: name → launcher text), `argv` (empty: serve until stdin ends), `cwd`,
`hint` (what to do where namespaces cannot be made).
Everything lives in one mount and one PID namespace.  When process 1 ends, by whatever cause, the kernel ends every
other process of the machine and drops every mount; nothing of it was ever visible outside.

nvsim/enter_layers.py says what is laid where.
"""

import contextlib
import errno
import json
import os
import signal
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from nvsim import enter_layers
from nvsim import syscalls as sc

WSL = "/usr/lib/wsl/lib"
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main(argv: list[str]) -> int:
    """Makes the namespaces and process 1; passes on its exit code.  Writes "ready PID" or "error TEXT" to fd 1 of the
    creator when serving."""
    options = json.loads(argv[1])
    serving = not options["argv"]
    try:
        _namespaces()
        child = os.fork()
    except OSError as e:
        limit = " (a limit in /proc/sys/user)" if e.errno == errno.ENOSPC else ""
        return _failed(options, f"cannot make namespaces: {e.strerror}{limit}")
    if child == 0:
        os._exit(_process_1(options, serving))
    if serving:
        print(f"pid {child}", flush=True)
        os.close(0)  # process 1 alone holds the line to the creator
    _ignore_terminal()
    return _exit_code(os.waitpid(child, 0)[1])


def _namespaces() -> None:
    """Mount and PID namespaces; for an ordinary user a user namespace first, in which that user is root."""
    uid, gid = os.geteuid(), os.getegid()
    if uid:
        sc.unshare(sc.NEWUSER | sc.NEWNS | sc.NEWPID)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as f:
                f.write(text)
    else:
        sc.unshare(sc.NEWNS | sc.NEWPID)


def _process_1(options: "dict[str, Any]", serving: bool) -> int:
    sc.die_with_parent(signal.SIGKILL)
    try:
        enter_layers.Layers(options["root"]).lay(options["cgroup"], options["lowlevel"])
    except OSError as e:
        return _failed(options, f"cannot lay the host over this machine: {e.strerror}: {e.filename}")
    if os.path.isdir(options["root"] + WSL):  # WSL's own start-up puts it there
        os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:{WSL}"
    if serving:
        print("ready", flush=True)
        return _serve()
    return _run(options["argv"], options["cwd"])


def _failed(options: "dict[str, Any]", text: str) -> int:
    """Says so to the creator, or to the user of the command that does not start."""
    if options["argv"]:
        print(f"nvsim: {text}\n  hint: {options['hint']}", file=sys.stderr, flush=True)
    else:
        print(f"error {text}", flush=True)
    return 125


def _serve() -> int:
    """Reaps orphans until the creator closes its end of stdin, by intent or by dying."""
    signal.signal(signal.SIGCHLD, lambda *_: _reap())
    _ignore_terminal()
    devnull = os.open("/dev/null", os.O_RDWR)
    os.dup2(devnull, 1)
    while os.read(0, 1):
        pass
    return 0


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _run(argv: list[str], cwd: str) -> int:
    """Runs the command in the foreground, reaping orphans; its exit code."""
    child = os.fork()
    if child == 0:
        try:
            with contextlib.suppress(OSError):
                os.chdir(cwd)
            os.execvp(argv[0], argv)
        except OSError as e:
            print(f"nvsim: cannot run {argv[0]}: {e.strerror}", file=sys.stderr)
            os._exit(127 if e.errno == 2 else 126)
    _ignore_terminal()
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return _exit_code(status)


def _ignore_terminal() -> None:
    """Ctrl-C and Ctrl-\\ are for the command; we wait for what it does with them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)


def _exit_code(status: int) -> int:
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
