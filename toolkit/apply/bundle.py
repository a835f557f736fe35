"""Writes config.json: the old one or the new one, never a part.

Upstream truncates the file and writes it in place, so a crash leaves half of it; ours is replaced by rename.
"""

import os

from toolkit.errors import ApplyError


def write_config(path: str, data: bytes) -> None:
    """Replaces the file, keeping its owner and permissions; links on the way to it are followed.

    Raises ApplyError; the old file is then untouched.
    """
    path = os.path.realpath(path)
    fresh = f"{path}.{os.getpid()}"
    try:
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:  # of an earlier process of this number that was killed
        os.unlink(fresh)
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as e:
        raise _failed("opening", path, e) from e
    try:
        _fill(file, path, data)
        os.rename(fresh, path)
    except BaseException as e:
        os.unlink(fresh)
        if isinstance(e, OSError):
            raise _failed("writing", path, e) from e
        raise
    finally:
        os.close(file)


def _fill(file: int, path: str, data: bytes) -> None:
    """The content, then owner and permissions of the file that is to be replaced."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
    old = os.stat(path)
    new = os.fstat(file)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(file, old.st_uid, old.st_gid)
    os.fchmod(file, old.st_mode & 0o7777)


def _failed(verb: str, path: str, e: OSError) -> ApplyError:
    return ApplyError(f"error writing OCI specification to file: error {verb} OCI specification file: "
                      f"{(e.strerror or 'failed').lower()}", source=path,
                      hint="the bundle's folder must be writable, and its disk not full")
