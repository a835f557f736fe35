"""Whole files, written so that a reader sees the old one or the new one."""

import os

from toolkit.errors import ApplyError


def replace_file(path: str, data: bytes, *, mode: int = 0o644) -> None:
    """Writes a file beside its place and renames it there; missing parent folders are made, 0755.

    The mode does not depend on the umask.  Raises ApplyError; then neither the file nor a temporary one is left.
    """
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, 0o755, exist_ok=True)
    except OSError as e:
        raise _failed("failed to create Spec dir: mkdir", e, folder) from None
    fresh = os.path.join(folder, f"spec.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise _failed("failed to create temporary Spec file: open", e, fresh) from None
    try:
        with open(fd, "wb") as f:
            f.write(data)
            f.flush()
            os.fchmod(fd, mode)
            os.fsync(fd)
        os.rename(fresh, path)
    except BaseException as e:
        os.unlink(fresh)
        if isinstance(e, OSError):
            raise _failed("failed to write Spec file: write", e, path) from None
        raise


def _failed(what: str, error: OSError, path: str) -> ApplyError:
    return ApplyError(
        f"{what} {error.filename or path}: {(error.strerror or 'failed').lower()}",
        hint="is the folder writable, and is there room on the disk?",
    )
