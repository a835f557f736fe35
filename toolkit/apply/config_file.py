"""Configuration files of others, replaced so that a reader sees the old one or the new one, several of them as one.

Upstream truncates and writes in place, so that a failure between two files, or a full disk, leaves an engine with half
of its configuration.
"""

import os
import stat
from errno import EBUSY

from toolkit.errors import ApplyError


def write_files(files: dict[str, bytes | None], *, make_folders: bool = True) -> None:
    """Writes all files or none; None removes one.  Folders on the way are made, 0755, and links are followed.

    Owner and permissions of a file that exists are kept, and a place that is no file, such as /dev/stdout, is written
    to.  A file that cannot be renamed over, as one that is mounted into a container, is written in place.  Raises
    ApplyError with Go's text; then every file is as it was.
    """
    before: list[tuple[str, bytes | None]] = []
    made: list[str] = []
    try:
        for name, data in files.items():
            path = os.path.realpath(name)
            if make_folders and data is not None:
                _make_folders(os.path.dirname(path), made)
            before.append((path, _content(path)))
            _write(path, data)
    except OSError as e:
        _restore(before, made)
        raise ApplyError(f"open {name}: {_cause(e)}", source=name,
                         hint="is the folder writable, and is there room on the disk?") from None
    except ApplyError:
        _restore(before, made)
        raise


def _make_folders(path: str, made: list[str]) -> None:
    """Makes the folders that are missing, the outermost first, and notes them.  Raises ApplyError "mkdir …"."""
    missing: list[str] = []
    while path and not os.path.isdir(path):
        missing.insert(0, path)
        path = os.path.dirname(path)
    for folder in missing:
        try:
            os.mkdir(folder, 0o755)
        except OSError as e:
            cause = "not a directory" if isinstance(e, FileExistsError) else _cause(e)
            raise ApplyError(f"mkdir {folder}: {cause}", source=folder, hint="name another place") from None
        made.append(folder)


def _content(path: str) -> bytes | None:
    """What a file holds, for the way back; None if there is none, or it is no file."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


def _write(path: str, data: bytes | None) -> None:
    if data is None:
        os.unlink(path)
        return
    try:
        old = os.stat(path)
    except FileNotFoundError:
        old = None
    if old and not stat.S_ISREG(old.st_mode):
        _write_in_place(path, data)
        return
    fresh = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}")
    if os.path.lexists(fresh):  # of an earlier process of this number that was killed
        os.unlink(fresh)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600 if old else 0o666)
    try:
        with open(fd, "wb") as f:
            f.write(data)
            f.flush()
            if old:
                os.fchown(fd, old.st_uid, old.st_gid)
                os.fchmod(fd, stat.S_IMODE(old.st_mode))
            os.fsync(fd)
        os.rename(fresh, path)
    except BaseException as e:
        os.unlink(fresh)
        if not isinstance(e, OSError) or e.errno != EBUSY:  # that is: the file is a mount
            raise
        _write_in_place(path, data)


def _write_in_place(path: str, data: bytes) -> None:
    with open(path, "wb") as f:
        f.write(data)


def _restore(before: list[tuple[str, bytes | None]], made: list[str]) -> None:
    """Puts the old files back, the last first; the failure that led here is the one to report."""
    for path, data in reversed(before):
        try:
            if data is not None or os.path.isfile(path):
                _write(path, data)
        except OSError:
            pass
    for folder in reversed(made):
        try:
            os.rmdir(folder)
        except OSError:
            pass


def _cause(error: OSError) -> str:
    return (error.strerror or "failed").lower()
