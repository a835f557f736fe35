"""Where running hosts and runs keep their files, and how the files of dead ones are found and removed.

Each live user of a work folder holds a lock on `FOLDER/.lock`.  The kernel drops the lock when the process dies, by
whatever cause, so a folder whose lock can be taken belongs to nobody: the next command sweeps it.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator

from nvsim.errors import NvsimError


def state_dir() -> str:
    """$NVSIM_STATE, else a folder of this user in memory, where programs may be executed; made on first use, mode 0700.

    For root /run/nvsim, else $XDG_RUNTIME_DIR/nvsim; then /dev/shm/nvsim-UID; where neither is a tmpfs that allows
    execution, /tmp/nvsim-UID.  A host has a thousand small files: on a disk, building it costs ten times as much.
    Raises NvsimError if it belongs to somebody else or cannot be made."""
    chosen = os.environ.get("NVSIM_STATE") or _default()
    try:
        os.makedirs(chosen, mode=0o700, exist_ok=True)
        found = os.lstat(chosen)
    except OSError as e:
        raise NvsimError(f"cannot make the state folder: {e.strerror}", source=chosen,
                         hint="set NVSIM_STATE to a folder that you may write") from e
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise NvsimError("the state folder belongs to another user", source=chosen,
                         hint="set NVSIM_STATE to a folder of your own")
    return os.path.realpath(chosen)


def _default() -> str:
    uid = os.geteuid()
    own = "/run" if uid == 0 else os.environ.get("XDG_RUNTIME_DIR", "")
    for parent, name in ((own, "nvsim"), ("/dev/shm", f"nvsim-{uid}")):
        if parent and os.access(parent, os.W_OK) and _in_memory(parent):
            if not os.statvfs(parent).f_flag & os.ST_NOEXEC:
                return f"{parent}/{name}"
    return f"/tmp/nvsim-{uid}"


def _in_memory(folder: str) -> bool:
    """Whether a folder lies on a tmpfs, by the last mount on it or on what holds it (proc(5), mountinfo)."""
    folder, kind, best = os.path.realpath(folder), "", 0
    with open("/proc/self/mountinfo") as f:
        for line in f:
            before, _, after = line.partition(" - ")
            point = before.split()[4]
            inside = folder == point or folder.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= best:
                kind, best = after.split()[0], len(point)
    return kind == "tmpfs"


@contextlib.contextmanager
def workdir(kind: str) -> Iterator[str]:
    """A new folder `STATE/KIND-XXXX`, locked while the context lives and removed with it; sweeps dead ones first."""
    sweep()
    base = state_dir()
    with _gate(base):
        folder = tempfile.mkdtemp(prefix=f"{kind}-", dir=base)
        lock = os.open(f"{folder}/.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        remove(folder)
        os.close(lock)


def live(kind: str) -> list[str]:
    """The work folders of a kind whose owner still lives, oldest first."""
    base = state_dir()
    found = [f"{base}/{n}" for n in os.listdir(base) if n.startswith(f"{kind}-")]
    return sorted((f for f in found if _held(f)), key=lambda f: os.stat(f).st_mtime)


def sweep() -> list[str]:
    """Removes the work folders of dead processes; the folders removed."""
    base = state_dir()
    with _gate(base):
        dead = [f"{base}/{n}" for n in sorted(os.listdir(base)) if n != ".gate" and not _held(f"{base}/{n}")]
        for folder in dead:
            remove(folder)
    return dead


def remove(folder: str) -> None:
    """Removes a folder tree that may hold anything a host may hold: sockets, nodes, read-only folders."""
    def unlock(function: Callable[[str], object], path: str, _: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), 0o700)  # a read-only folder keeps its entries from an ordinary user
            function(path)

    shutil.rmtree(folder, onerror=unlock)


@contextlib.contextmanager
def _gate(base: str) -> Iterator[None]:
    """One process at a time makes or sweeps folders: a new folder is never swept before it holds its lock."""
    fd = os.open(f"{base}/.gate", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _held(folder: str) -> bool:
    """Whether a live process holds the lock of a work folder."""
    try:
        fd = os.open(f"{folder}/.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
