"""The installer's folder: built beside its place and put there at once, so that a container that starts meanwhile
finds the old programs or the new ones.

Upstream removes the folder before it looks for what to install.
"""

import os

from toolkit.errors import ApplyError
from toolkit.model.install import Copy, Link, Package, Part, Text

_COMPILED = ("__pycache__", "*.so")


class Place:
    """The folder `path`, which `build` makes anew.  Until `keep` was called, `undo` brings the old one back."""

    def __init__(self, path: str) -> None:
        self._path = path.rstrip("/")
        self._fresh, self._old = f"{self._path}.{os.getpid()}.new", f"{self._path}.{os.getpid()}.old"
        self._done = False

    def build(self, parts: tuple[Part, ...]) -> None:
        """Writes the parts into a new folder beside the old one.  Raises ApplyError; then nothing is left of it."""
        try:
            os.makedirs(self._fresh, 0o755)
            os.chmod(self._fresh, 0o755)
            for part in parts:
                _write(self._fresh, part)
        except OSError as e:
            _remove(self._fresh)
            raise _failed("error creating destination", e, self._path) from None

    def put(self) -> None:
        """Puts the new folder at its place, and the old one aside.  Raises ApplyError; then the old one is there."""
        try:
            if os.path.lexists(self._path):
                os.rename(self._path, self._old)
            os.rename(self._fresh, self._path)
        except OSError as e:
            self._back()
            _remove(self._fresh)
            raise _failed("error removing toolkit directory", e, self._path) from None
        self._done = True

    def keep(self) -> None:
        """Removes the old folder; there is no way back."""
        _remove(self._old)
        self._done = False

    def undo(self) -> None:
        """The old folder again, or none if there was none."""
        if self._done:
            _remove(self._path)
            self._back()
        _remove(self._fresh)

    def _back(self) -> None:
        if os.path.lexists(self._old) and not os.path.lexists(self._path):
            os.rename(self._old, self._path)


def copy_package(source: str, target: str) -> None:
    """A Python package without what is compiled for one machine or one interpreter.  Raises OSError."""
    import shutil

    try:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_COMPILED))
    except shutil.Error as e:
        raise OSError(5, str(e.args[0][0][2]), e.args[0][0][0]) from None


def _write(folder: str, part: Part) -> None:
    path = os.path.join(folder, part.name)
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    if isinstance(part, Link):
        os.symlink(part.target, path)
    elif isinstance(part, Package):
        copy_package(part.source, path)
    elif isinstance(part, Copy):
        with open(part.source, "rb") as source, open(path, "xb") as f:
            while block := source.read(1 << 20):
                f.write(block)
            os.fchmod(f.fileno(), part.mode)
    else:
        assert isinstance(part, Text)
        with open(path, "x", encoding="utf-8", errors="surrogateescape") as text:
            text.write(part.text)
            os.fchmod(text.fileno(), part.mode)


def _remove(path: str) -> None:
    import shutil

    if os.path.islink(path):
        os.unlink(path)
    else:
        shutil.rmtree(path, ignore_errors=True)


def _failed(what: str, error: OSError, path: str) -> ApplyError:
    cause = (error.strerror or "failed").lower()
    return ApplyError(f"{what}: {error.filename or path}: {cause}", source=path,
                      hint="is the folder writable, and is there room on the disk?")
