"""What ldconfig may change in a container, kept so that a configure that fails after it can put it back.

ldconfig gives each library a link of its SONAME, turns older links round, and writes its cache and a second cache of
its own; when it is stopped on the way, some of that is done already.  Source: ldconfig(8), glibc elf/ldconfig.c.
"""

import errno
import os
import stat

from toolkit.apply.rootfs import Rootfs, RootfsError
from toolkit.apply.rootview import refused

CACHE, AUX_CACHE = "/etc/ld.so.cache", "/var/cache/ldconfig/aux-cache"
_NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV)  # no such path inside the root
_LIMIT = 64 << 20  # of a cache that is kept; ldconfig cannot write one of this size


class LinkerState:
    """Links of some directories, and both caches, as they are now."""

    def __init__(self, rootfs: Rootfs, dirs: tuple[str, ...]) -> None:
        """Raises RootfsError where the container's root cannot be read."""
        self._rootfs = rootfs
        self._links = {path: _links(rootfs, path) for path in dirs}
        self._files = {path: _file(rootfs, path) for path in (CACHE, AUX_CACHE)}
        self._had_folder = rootfs.exists(os.path.dirname(AUX_CACHE))

    def restore(self) -> None:
        """Puts back what is different.  Raises RootfsError."""
        for folder, before in self._links.items():
            now = _links(self._rootfs, folder)
            for name in now.keys() - before.keys():
                self._rootfs.remove_created(f"{folder}/{name}")
            for name, target in before.items():
                if now.get(name) != target:
                    self._rootfs.symlink(target, f"{folder}/{name}", replace=True)
        for path, kept in self._files.items():
            self._restore_file(path, kept)
        if not self._had_folder:
            self._rootfs.remove_created(os.path.dirname(AUX_CACHE))

    def _restore_file(self, path: str, before: "tuple[bytes, os.stat_result] | str | None") -> None:
        now = _file(self._rootfs, path)
        if _same(now, before):
            return
        if before is None:
            self._rootfs.unlink(path)
        elif isinstance(before, str):
            self._rootfs.symlink(before, path, replace=True)
        else:
            content, found = before
            self._rootfs.write_file(path, content, found.st_mode & 0o7777)
            fd = self._rootfs.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fchown(fd, found.st_uid, found.st_gid)
            finally:
                os.close(fd)


def _links(rootfs: Rootfs, folder: str) -> dict[str, str]:
    """The links of a directory, name → text; none where there is no such directory."""
    try:
        fd = rootfs.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except RootfsError as e:
        if e.errno not in _NOTHING:
            raise
        return {}
    try:
        with os.scandir(fd) as entries:
            return {entry.name: os.readlink(entry.name, dir_fd=fd) for entry in entries if entry.is_symlink()}
    except OSError as e:
        raise refused(e, folder) from None
    finally:
        os.close(fd)


def _file(rootfs: Rootfs, path: str) -> "tuple[bytes, os.stat_result] | str | None":
    """A file's content and owner, a link's text; None for nothing, and for what ldconfig would not replace either."""
    try:
        found = rootfs.stat(path, follow=False)
        if stat.S_ISLNK(found.st_mode):
            return rootfs.readlink(path)
        return (rootfs.read_file(path, _LIMIT), found) if stat.S_ISREG(found.st_mode) else None
    except RootfsError as e:
        if e.errno not in _NOTHING:
            raise
        return None


def _same(one: "tuple[bytes, os.stat_result] | str | None", other: "tuple[bytes, os.stat_result] | str | None") -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return one[0] == other[0] and (one[1].st_mode, one[1].st_uid) == (other[1].st_mode, other[1].st_uid)
    return one == other
