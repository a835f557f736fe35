"""Reads below a root, a driver's or a container's, without ever leaving it: component by component, no link followed.

Source: libnvidia-container 1.20.  Unlike openat2's RESOLVE_IN_ROOT, which keeps `..` at the root, a path that climbs
above it is an error: an image that tries deserves no container.  Results are text: whoever changes something there
opens it again, in the root, so a file system that changes in between gains nothing.
"""

import errno
import os
import stat as st
from collections.abc import Callable

from toolkit.errors import HostError
from toolkit.model.native import below

MAX_LINKS = 19
PATH_MAX = 4096
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def resolve_in(path: str, readlink: Callable[[str], str], root: str) -> str:
    """The path below the root that `path` leads to.  What does not exist is appended as it is written.

    `readlink` gives the target of a link at a path below the root, "" for anything else; FileNotFoundError says that
    there is nothing, any other OSError ends the resolution.  `root` is the root's name in messages.

    Raises HostError "path error: …".
    """
    done: list[str] = []
    left = path.split("/")[::-1]
    links, missing = 0, -1  # missing: how many components lie above the first that does not exist
    while left:
        part = left.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not done:
                raise HostError(f"path error: {path} resolves outside of {root}",
                                hint="a symbolic link in the container's image leads out of it")
            done.pop()
            missing = -1 if len(done) <= missing else missing
            continue
        target = ""
        if missing < 0:
            try:
                target = readlink("/" + "/".join([*done, part]))
            except FileNotFoundError:
                missing = len(done)
            except OSError as e:
                raise _error(root, path, why(e)) from None
        if not target:
            done.append(part)
            continue
        links += 1
        if links > MAX_LINKS:
            raise _error(root, path, "too many levels of symbolic links")
        left += target.split("/")[::-1]
        if target.startswith("/"):
            done.clear()
    found = "/" + "/".join(done)
    if len(found) >= PATH_MAX:
        raise _error(root, path, "file name too long")
    return found


def why(error: OSError) -> str:
    """The text of an errno as upstream prints it."""
    return (error.strerror or "failed").lower()


def _error(root: str, path: str, cause: str) -> HostError:
    return HostError(f"path error: {root}/{path}: {cause}")


class Root:
    """A directory as root.  `name` is what messages call it.  Descriptors of directories are kept until `close`."""

    def __init__(self, path: str, name: str = "") -> None:
        self.name = name or path
        try:
            self._folders = {"/": os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)}
        except OSError as e:
            raise HostError(f"open failed: {self.name}: {why(e)}") from None

    def __enter__(self) -> "Root":
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._folders.values():
            os.close(fd)
        self._folders.clear()

    def shown(self, path: str) -> str:
        """A path below this root as messages show it."""
        return below(self.name, path)

    def _folder(self, path: str) -> int:
        """The descriptor of a directory whose path has no links; OSError if there is none."""
        if path not in self._folders:
            parent, _, name = path.rpartition("/")
            self._folders[path] = os.open(name, _STEP | os.O_DIRECTORY, dir_fd=self._folder(parent or "/"))
        return self._folders[path]

    def _split(self, path: str) -> tuple[int, str]:
        parent, _, name = path.rstrip("/").rpartition("/")
        return self._folder(parent or "/"), name or "."

    def readlink(self, path: str) -> str:
        """The target of a link at a resolved path, "" for what is no link.  OSError as readlink(2)."""
        folder, name = self._split(path)
        try:
            return os.readlink(name, dir_fd=folder)
        except OSError as e:
            if e.errno == errno.EINVAL:
                return ""
            raise

    def resolve(self, path: str) -> str:
        """Where a path leads, links followed below this root.  Raises HostError "path error: …"."""
        return resolve_in(path, self.readlink, self.name)

    def lstat(self, resolved: str) -> os.stat_result | None:
        """The status of a resolved path; None if there is nothing, or nothing that we may see."""
        try:
            folder, name = self._split(resolved)
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        """Whether a path leads to something."""
        return self.lstat(self.resolve(path)) is not None

    def listing(self, path: str) -> list[str]:
        """The sorted names in a directory; none if it cannot be read."""
        try:
            fd = self.open(self.resolve(path))
            try:
                return sorted(os.listdir(fd))
            finally:
                os.close(fd)
        except OSError:
            return []

    def open(self, resolved: str) -> int:
        """A readable descriptor of a resolved path.  A FIFO gives its end at once, nothing waits.  OSError."""
        folder, name = self._split(resolved)
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)

    def read(self, path: str, limit: int = 1 << 20) -> bytes | None:
        """The first `limit` bytes of a regular file; None if it is missing or something else.  Raises HostError."""
        resolved = self.resolve(path)
        found = self.lstat(resolved)
        if not found or not st.S_ISREG(found.st_mode):
            return None
        try:
            fd = self.open(resolved)
        except OSError:
            return None
        with open(fd, "rb") as f:
            return f.read(limit)
