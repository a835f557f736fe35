"""The part of a machine's kernel that acts: a process that keeps the MIG files in step with the board.

Programs change the board in the driver library's file, through whichever mount they see it, in containers too.  This
child of process 1 watches that file and changes the built tree, whose /proc/driver the machine and its containers show
read-only, and the machine's own /dev.  A container has a /dev of its own and keeps the nodes that it was given.
"""

import contextlib
import fcntl
import json
import os
import signal
import time

from nvsim import capabilities
from nvsim import syscalls as sc

TWINS = ".nvsim/twins"  # ELF files of this machine's architecture, beside those of the host's own
LOCK = ".nvsim/kernel"  # held, shared, by the process of each machine on this tree
PATIENCE_S = 2.0

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def live(root: str, host: "dict[str, Any]") -> str:
    """The folder whose driver libraries a machine shows: the tree at `root`, or in it those of this architecture.

    `host` is what its machine.json says."""
    return f"{root}/{TWINS}" if host.get("twins") else root


def start(root: str, host: "dict[str, Any]") -> None:
    """Starts it on a machine whose tree is at `root` and whose machine.json is `host`, if a GPU of it can do MIG."""
    library = next((path for path in host["boards"] if "/libnvidia-ml.so" in path), "")
    if not library or not any(gpu["mig"] for gpu in host["gpus"]):
        return
    library = live(root, host) + library
    changes = sc.watch_writes(library)
    lock = os.open(f"{root}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    fcntl.flock(lock, fcntl.LOCK_SH)
    if os.fork():
        os.close(changes)
        os.close(lock)  # the child's copy keeps the lock
        return
    try:  # whatever happens, this process never goes on as a second process 1
        _detach()
        _follow(root, library, changes, host)
    finally:
        os._exit(1)


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
        while _followed(root) and capabilities.state(root) != after and time.monotonic() < end:
            time.sleep(0.002)
        if capabilities.state(root) == after:
            return
        capabilities.follow_tree(root, after, major=caps_major(host), devs=devs(host),
                                 placeholders=bool(host["placeholders"]))
    except OSError as e:
        raise NvsimError(f"cannot show the MIG instances: {e.strerror}", source=e.filename or root) from e


def _followed(root: str) -> bool:
    """Whether a machine runs on this tree."""
    try:
        lock = os.open(f"{root}/{LOCK}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


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


def _follow(root: str, library: str, changes: int, host: "dict[str, Any]") -> None:
    major, placeholders = caps_major(host), bool(host["placeholders"])
    before = capabilities.state(root)
    while os.read(changes, 4096):
        from nvsim import board  # 30 ms; most machines never need it
        from nvsim.errors import NvsimError

        with contextlib.suppress(OSError, NvsimError):  # a library that is being replaced; the next write counts
            after = capabilities.shown(board.read(library).gpus)
            for dev in devs(host):
                capabilities.follow_nodes(dev, before, after, major=major, placeholders=placeholders)
            before = after
            capabilities.follow_tree(root, after, major=major, devs=devs(host), placeholders=placeholders)
