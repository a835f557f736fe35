"""The part of a machine's kernel that acts: a process that keeps what the machine shows in step with its tree.

Programs change the board in the driver library's file, through whichever mount they see it, in containers too.  This
child of process 1 watches that file and changes the built tree, whose /proc/driver the machine and its containers show
read-only, and the machine's own /dev.  A container has a /dev of its own and keeps the nodes that it was given.
It also shows a driver that comes or goes (nvsim/appear.py), when `nvsim ctl driver` has changed the tree.
"""

import contextlib
import fcntl
import json
import os
import signal
import time

from nvsim import capabilities, phase, procfs
from nvsim import syscalls as sc

TWINS = ".nvsim/twins"  # ELF files of this machine's architecture, beside those of the host's own
MACHINES = ".nvsim/machines"  # a file for each machine on this tree, locked by its process: what it has shown last
TURN = ".nvsim/turn"  # a number that grows whenever the driver comes or goes
PATIENCE_S = 10.0

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def live(root: str, host: "dict[str, Any]") -> str:
    """The folder whose driver libraries a machine shows: the tree at `root`, or in it those of this architecture.

    `host` is what its machine.json says."""
    return f"{root}/{TWINS}" if host.get("twins") else root


def start(root: str, host: "dict[str, Any]", show: "Callable[[], None]") -> None:
    """Starts it on a machine whose tree is at `root` and whose machine.json is `host`, if a driver belongs to it.

    `show` brings the machine in step with the tree after the driver came or went."""
    if not os.path.exists(f"{root}/{phase.FACTS}"):
        return
    library = next((path for path in host["boards"] if "/libnvidia-ml.so" in path), "")
    library = live(root, host) + library if library and any(gpu["mig"] for gpu in host["gpus"]) else ""
    os.makedirs(f"{root}/{MACHINES}", exist_ok=True)
    name = os.urandom(8).hex()
    fresh = f"{root}/{MACHINES}/.{name}"  # until it is locked
    own = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    fcntl.flock(own, fcntl.LOCK_EX)
    os.rename(fresh, f"{root}/{MACHINES}/{name}")
    os.close(os.open(f"{root}/{TURN}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
    changes = sc.watch_writes(f"{root}/{TURN}", *([library] if os.path.exists(library) else []))
    if os.fork():
        os.close(changes)
        os.close(own)  # the child's copy keeps the lock
        return
    try:  # whatever happens, this process never goes on as a second process 1
        _detach()
        _follow(root, library, changes, host, own, show)
    finally:
        os._exit(1)


def appear(root: str) -> None:
    """Returns when every machine on a tree shows the driver as the tree has it now: that it came, or that it is gone.

    Raises NvsimError for a machine that does not."""
    from nvsim.errors import NvsimError

    turn = str(int(procfs.text(f"{root}/{TURN}") or 0) + 1)
    fd = os.open(f"{root}/{TURN}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    os.pwrite(fd, turn.encode(), 0)  # in one go: it never gets shorter
    os.close(fd)
    end = time.monotonic() + PATIENCE_S
    while behind := [path for path in _machines(root) if _shown(path) < int(turn)]:
        if time.monotonic() > end:
            raise NvsimError("the machine does not show the change", source=behind[0], hint="end it and start it again")
        time.sleep(0.002)
    for path in _machines(root):
        if why := procfs.text(path).partition(" ")[2]:
            raise NvsimError(f"the machine cannot show the change: {why}", source=path,
                             hint="end it and start it again")


def _shown(path: str) -> int:
    """The turn that a machine has shown last."""
    return int(procfs.text(path).partition(" ")[0] or 0)


def follow(root: str) -> None:
    """Returns when a built host shows the instances on its board: a machine's process sees to it, or else this call.

    Raises NvsimError if the tree cannot be changed."""
    from nvsim import board
    from nvsim.errors import NvsimError

    try:
        with open(f"{root}/.nvsim/machine.json", encoding="utf-8") as f:
            host = json.load(f)
        library = next((path for path in host["boards"] if "/libnvidia-ml.so" in path), "")
        after = capabilities.shown(board.read(live(root, host) + library).gpus) if library else {}
        end = time.monotonic() + PATIENCE_S
        while _machines(root) and capabilities.state(root) != after and time.monotonic() < end:
            time.sleep(0.002)
        if capabilities.state(root) == after:
            return
        capabilities.follow_tree(root, after, major=caps_major(host), devs=devs(host),
                                 placeholders=bool(host["placeholders"]))
    except OSError as e:
        raise NvsimError(f"cannot show the MIG instances: {e.strerror}", source=e.filename or root) from e


def _machines(root: str) -> list[str]:
    """The files of the machines that run on this tree.  Those of others are removed."""
    folder, found = f"{root}/{MACHINES}", []
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name.startswith("."):
            continue
        lock = os.open(f"{folder}/{name}", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(f"{folder}/{name}")
        except BlockingIOError:
            found.append(f"{folder}/{name}")
        finally:
            os.close(lock)
    return found


def caps_major(host: "dict[str, Any]") -> int:
    """The major of the capability nodes; 0 on a host without them."""
    return next((int(node["major"]) for node in host["devices"] if "/nvidia-caps/" in node["path"]), 0)


def devs(host: "dict[str, Any]") -> tuple[str, ...]:
    """The dev folders with the driver's nodes: that of the dev root, else of the machine and of the driver root."""
    roots = [host["dev_root"]] if host["dev_root"] else ["/", host["driver_root"]]
    return tuple(dict.fromkeys(capabilities.dev_of(root) for root in roots))


def _detach() -> None:
    """Nobody talks to it, and a key pressed for the command does not end it."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)


def _follow(root: str, library: str, changes: int, host: "dict[str, Any]", own: int,
            show: "Callable[[], None]") -> None:
    major, placeholders = caps_major(host), bool(host["placeholders"])
    # What came or went between laying the machine and watching the tree is shown now; nobody is told of it later.
    shown = _show(root, own, show)
    before = capabilities.state(root)
    while os.read(changes, 4096):
        if procfs.text(f"{root}/{TURN}") != shown:
            shown = _show(root, own, show)
            before = capabilities.state(root)
            if library:
                with contextlib.suppress(OSError):
                    sc.watch_also(changes, library)  # it may have come just now
        if not library or not os.path.exists(library):
            continue
        from nvsim import board  # 30 ms; most machines never need it
        from nvsim.errors import NvsimError

        with contextlib.suppress(OSError, NvsimError):  # a library that is being replaced; the next write counts
            after = capabilities.shown(board.read(library).gpus)
            for dev in devs(host):
                capabilities.follow_nodes(dev, before, after, major=major, placeholders=placeholders)
            before = after
            capabilities.follow_tree(root, after, major=major, devs=devs(host), placeholders=placeholders)


def _show(root: str, own: int, show: "Callable[[], None]") -> str:
    """Brings the machine in step with its tree; the turn that it shows then, which is written down with what failed."""
    turn = said = procfs.text(f"{root}/{TURN}")
    try:
        show()
    except OSError as e:
        said += f" {e.strerror}" + (f": {e.filename}" if e.filename else "")
    os.ftruncate(own, 0)
    os.pwrite(own, said.encode(), 0)
    return turn
