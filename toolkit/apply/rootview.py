"""Looking below a container root, never outside it; `rootfs.py` adds the changes.

The root is hostile: its content may be links to anywhere, and may change while we work.  So each path is resolved by
the kernel (openat2(2), RESOLVE_IN_ROOT: links are followed as if the root were `/`, `..` stops there, magic links of
procfs are refused), and what we then use is what that descriptor holds.  No path is joined with the root as text.
"""

import errno
import os
import stat as stat_bits

from toolkit.apply import linux
from toolkit.errors import ApplyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_MAX_LINKS = 19  # libnvidia-container follows 19 links and refuses the 20th


class RootfsError(ApplyError):
    """The kernel refused something at `source`, a path as the container sees it; `errno` says why."""

    def __init__(self, message: str, *, source: str = "", hint: str = "", errno: int = 0) -> None:
        super().__init__(message, source=source, hint=hint)
        self.errno = errno

    def within(self, outer: str) -> "RootfsError":
        source = f"{outer}: {self.source}" if self.source else outer
        return RootfsError(self.message, source=source, hint=self.hint, errno=self.errno)


def reason(code: int) -> str:
    """The text of an errno as upstream prints it: first letter in lower case."""
    text = os.strerror(code)
    return text[:1].lower() + text[1:]


def refused(error: OSError, path: str) -> RootfsError:
    """The OSError of a call that worked on `path`, a path in the container."""
    code = error.errno or 0
    if code == errno.ENOSYS:
        return RootfsError("paths cannot be resolved inside the container root", source=path, errno=code,
                           hint="openat2(2) is needed: Linux 5.6 or newer, and a seccomp profile that allows it")
    if code == errno.EXDEV:
        return RootfsError("path escapes from parent", source=path, errno=code)
    return RootfsError(reason(code), source=path, errno=code)


class RootView:
    """A container's root directory, held open for reading.  Use as a context manager, or `close()`.

    Paths are the container's, with or without a leading slash.  Everything raises RootfsError."""

    def __init__(self, path: str, *, strict: bool = False) -> None:
        """Opens the root.  `strict`: a link that is absolute or leaves the root is EXDEV instead of being scoped."""
        self.path = path
        self._resolve = linux.RESOLVE_NO_MAGICLINKS | (linux.RESOLVE_BENEATH if strict else linux.RESOLVE_IN_ROOT)
        try:
            self.fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as e:
            raise refused(e, path) from None

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, path: str, flags: int = os.O_RDONLY, mode: int = 0) -> int:
        """A descriptor; links are followed inside the root, the last one too unless O_NOFOLLOW.

        Never waits: a FIFO without a writer is opened as it is."""
        try:
            if not flags & os.O_PATH:
                flags |= os.O_NONBLOCK
            return linux.openat2(self.fd, path.lstrip("/") or ".", flags, mode, self._resolve)
        except OSError as e:
            raise refused(e, path) from None

    def stat(self, path: str, *, follow: bool = True) -> os.stat_result:
        """fstat(2) of what the path names; of the link itself unless `follow`."""
        fd = self.open(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def exists(self, path: str, *, follow: bool = True) -> bool:
        """Whether there is something, inside the root; a path through a file or a dangling link is not there."""
        try:
            self.stat(path, follow=follow)
        except RootfsError as e:
            if e.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return False
            raise
        return True

    def is_file(self, path: str) -> bool:
        """Whether something other than a directory lies there, the test for /etc/debian_version and its like."""
        return self.exists(path) and not stat_bits.S_ISDIR(self.stat(path).st_mode)

    def readlink(self, path: str) -> str:
        """The text of a link, uninterpreted.  EINVAL when it is none."""
        fd = self.open(path, os.O_PATH | os.O_NOFOLLOW)
        try:
            if not stat_bits.S_ISLNK(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "")
            return os.readlink("", dir_fd=fd)
        except OSError as e:
            raise refused(e, path) from None
        finally:
            os.close(fd)

    def listdir(self, path: str) -> list[str]:
        """Names in a directory, sorted."""
        fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return sorted(os.listdir(fd))
        except OSError as e:
            raise refused(e, path) from None
        finally:
            os.close(fd)

    def open_file(self, path: str, *, follow: bool = True) -> int:
        """A regular file for reading; EINVAL for anything else, which is not even opened: a device might notice."""
        held = self.open(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
        try:
            if not stat_bits.S_ISREG(os.fstat(held).st_mode):
                raise OSError(errno.EINVAL, "")
            return os.open(linux.at(held), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            raise refused(e, path) from None
        finally:
            os.close(held)

    def read_file(self, path: str, limit: int = 1 << 20) -> bytes:
        """At most `limit` bytes of a regular file."""
        fd = self.open_file(path)
        try:
            content = b""
            while len(content) < limit and (more := os.read(fd, limit - len(content))):
                content += more
            return content
        except OSError as e:
            raise refused(e, path) from None
        finally:
            os.close(fd)

    def name_of(self, fd: int) -> str:
        """Where a descriptor's object lies, as the container sees it: for messages, never to act on."""
        inside, here = os.readlink(linux.at(fd)), os.readlink(linux.at(self.fd))
        return inside if here == "/" else inside.removeprefix(here) or "/"

    def resolve(self, path: str) -> str:
        """The path without links, as libnvidia-container resolves it (03-driver-info, "In-root path resolution").

        Components that do not exist are kept as they are.  A `..` above the root is an error, not clamped.  The
        result is text: act on it with the other methods, which hold to the root whatever has changed since."""
        todo = path.split("/")[::-1]
        done: list[str] = []
        links = 0
        while todo:
            component = todo.pop()
            if component in ("", "."):
                continue
            if component == "..":
                if not done:
                    raise RootfsError(f"path error: {path} resolves outside of {self.path}")
                done.pop()
                continue
            try:
                target = self.readlink("/".join((*done, component)))
            except RootfsError as e:
                if e.errno not in (errno.EINVAL, errno.ENOENT):
                    raise RootfsError(f"path error: {self.path}/{path}: {e.message}", errno=e.errno) from None
                done.append(component)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise RootfsError(f"path error: {self.path}/{path}: {reason(errno.ELOOP)}", errno=errno.ELOOP)
            if target.startswith("/"):
                done.clear()
            todo += target.split("/")[::-1]
        return "/" + "/".join(done)
