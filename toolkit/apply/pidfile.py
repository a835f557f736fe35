"""The file that lets one installer run at a time, and tells its process.

Source: toolkit v1.20, cmd/nvidia-ctk-installer.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.errors import ApplyError
from toolkit.log import Log


@contextmanager
def only_one(path: str, log: Log) -> Iterator[None]:
    """Holds the lock of `path`, which has this process's number, and removes it at the end.  Raises ApplyError.

    The number of another process that holds the lock stays in the file; upstream empties it.
    """
    fd = _opened(path)
    try:
        _lock(fd, path, log)
        _note(fd, path)
        try:
            yield
        finally:
            log.info("Shutting Down")
            try:
                os.unlink(path)
            except OSError as e:
                log.warning(f"Unable to remove pidfile: remove {path}: {(e.strerror or 'failed').lower()}")
    finally:
        os.close(fd)


def _opened(path: str) -> int:
    try:
        os.makedirs(os.path.dirname(path) or ".", 0o755, exist_ok=True)
    except OSError as e:
        raise _failed(f"unable to create folder for pidfile: mkdir {e.filename}", e, path) from None
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as e:
        raise _failed(f"unable to create pidfile: open {path}", e, path) from None


def _note(fd: int, path: str) -> None:
    try:
        os.truncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
    except OSError as e:
        raise _failed("unable to write PID to pidfile", e, path) from None


def _lock(fd: int, path: str, log: Log) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        log.warning(f"Unable to get exclusive lock on '{path}'")
        log.warning("This normally means an instance of the NVIDIA toolkit Container is already running, aborting")
        raise _failed("unable to get flock on pidfile", e, path) from None


def _failed(what: str, error: OSError, path: str) -> ApplyError:
    cause = (error.strerror or "failed").lower()
    return ApplyError(f"unable to initialize: {what}: {cause}", source=path,
                      hint="end the installer that runs, or name another file by --pid-file")
