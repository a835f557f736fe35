"""Changes below a container root, never outside it.

What we change is what a descriptor holds that the kernel resolved inside the root (see `rootview.py`): `*at` calls
relative to it, mounts on `/proc/self/fd/N`.
"""

import errno
import os
import stat as stat_bits

from toolkit.apply import linux
from toolkit.apply.rootview import RootfsError as RootfsError
from toolkit.apply.rootview import RootView, reason, refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_HERE = linux.RESOLVE_BENEATH | linux.RESOLVE_NO_SYMLINKS
_KEPT_FLAGS = linux.NOSUID | linux.NODEV | linux.NOEXEC | linux.NOATIME | linux.NODIRATIME | linux.RDONLY
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_all(fd: int, content: bytes) -> None:
    """Writes all of `content`; a file descriptor may take less at a time."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view):]


def take_back(undo: "list[Callable[[], object]]") -> None:
    """Runs the steps that undo what was done, the latest first; one that fails does not keep the others from it."""
    while undo:
        try:
            undo.pop()()
        except RootfsError:
            continue


class Rootfs(RootView):
    """A container's root directory, held open for changes.  Each method names the container's path in its error."""

    def mkdirs(self, path: str, mode: int = 0o755) -> tuple[str, ...]:
        """Makes the missing directories of a path, one by one; gives those made, outermost first.

        A link that leads to nothing inside the root is not followed and made, it is ENOTDIR."""
        made: list[str] = []
        so_far: list[str] = []
        here = os.dup(self.fd)
        try:
            for component in path.split("/"):
                if component in ("", "."):
                    continue
                so_far.append(component)
                there, new = self._step(here, component, "/".join(so_far), mode)
                os.close(here)
                here = there
                if new:
                    made.append("/" + "/".join(so_far))
        except RootfsError:
            for name in reversed(made):
                self.remove_created(name)
            raise
        finally:
            os.close(here)
        return tuple(made)

    def _step(self, here: int, component: str, so_far: str, mode: int) -> tuple[int, bool]:
        try:
            return self.open(so_far, os.O_PATH | os.O_DIRECTORY), False
        except RootfsError as e:
            if e.errno != errno.ENOENT:
                raise RootfsError(e.message, source="/" + so_far, hint=e.hint, errno=e.errno) from None
        try:
            new = True
            try:
                os.mkdir(component, mode, dir_fd=here)
            except FileExistsError:  # made by someone else meanwhile, or a dangling link: the next line tells
                new = False
            try:
                return linux.openat2(here, component, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, 0, _HERE), new
            except OSError:
                if new:
                    os.rmdir(component, dir_fd=here)
                raise
        except OSError as e:
            code = errno.ENOTDIR if e.errno == errno.ELOOP else e.errno or 0
            raise RootfsError(reason(code), source="/" + so_far, errno=code) from None

    def parent(self, path: str) -> tuple[int, str]:
        """A descriptor of the directory that holds a path's last component, and that component."""
        folder, _, base = path.rstrip("/").rpartition("/")
        if base in ("", ".", ".."):
            raise RootfsError(reason(errno.EINVAL), source=path, errno=errno.EINVAL)
        return self.open(folder or "/", os.O_PATH | os.O_DIRECTORY), base

    def touch(self, path: str, mode: int = 0o644) -> bool:
        """Makes an empty file to mount on, unless something is there; whether it made one.

        What is there is neither opened nor changed: a FIFO cannot stop us and a device does not notice."""
        if self.exists(path):
            return False
        folder, base = self.parent(path)
        try:
            fd = os.open(base, _NEW_FILE, mode, dir_fd=folder)
            os.close(fd)
        except OSError as e:
            raise refused(e, path) from None
        finally:
            os.close(folder)
        return True

    def symlink(self, target: str, path: str, *, replace: bool = False) -> bool:
        """Makes a link whose text is `target`, which is never looked at; whether it did.

        Something there is kept, or replaced at once (EISDIR for a directory)."""
        folder, base = self.parent(path)
        try:
            if not replace:
                os.symlink(target, base, dir_fd=folder)
                return True
            name = f"{base[:200]}-{os.urandom(8).hex()}"
            os.symlink(target, name, dir_fd=folder)
            _rename(folder, name, base)
        except FileExistsError:
            return False
        except OSError as e:
            raise refused(e, path) from None
        finally:
            os.close(folder)
        return True

    def write_file(self, path: str, content: bytes, mode: int = 0o644, *, exclusive: bool = False) -> None:
        """Puts a whole file in place by rename, with exactly `mode`; a link there is replaced, not followed.

        `exclusive`: EEXIST when something is there."""
        folder, base = self.parent(path)
        name = f".{base[:200]}-{os.urandom(8).hex()}"
        try:
            fd = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
            try:
                write_all(fd, content)
                os.fchmod(fd, mode)
                if exclusive:
                    os.link(name, base, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
                    os.unlink(name, dir_fd=folder)
                else:
                    os.rename(name, base, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                os.unlink(name, dir_fd=folder)
                raise
            finally:
                os.close(fd)
        except OSError as e:
            raise refused(e, path) from None
        finally:
            os.close(folder)

    def unlink(self, path: str) -> None:
        """Removes a file or link, not what the link names."""
        folder, base = self.parent(path)
        try:
            os.unlink(base, dir_fd=folder)
        except OSError as e:
            raise refused(e, path) from None
        finally:
            os.close(folder)

    def remove_created(self, path: str) -> None:
        """Takes back what `touch`, `symlink` or `mkdirs` made: an empty file or directory, or a link.

        Whatever has got content since, or is in use, stays; so does everything below a mount."""
        try:
            folder, base = self.parent(path)
        except RootfsError:
            return
        try:
            found = os.stat(base, dir_fd=folder, follow_symlinks=False)
            if stat_bits.S_ISDIR(found.st_mode):
                os.rmdir(base, dir_fd=folder)
            elif stat_bits.S_ISLNK(found.st_mode) or (stat_bits.S_ISREG(found.st_mode) and not found.st_size):
                os.unlink(base, dir_fd=folder)
        except OSError:
            return
        finally:
            os.close(folder)

    def bind(self, source: str | int, path: str, flags: int = 0) -> None:
        """Mounts a path of the host, or what a descriptor holds, on what `path` names; not what is mounted below it.

        `flags` (RDONLY, NOSUID, NODEV, NOEXEC) hold from the first moment, except before Linux 5.12, where they take a
        second call.  The restrictions that the source's own mount has are kept."""
        try:
            held = source if isinstance(source, int) else os.open(source, os.O_PATH | os.O_CLOEXEC)
        except OSError as e:
            raise refused(e, str(source)) from None
        try:
            target = self.open(path, os.O_PATH)
            try:
                mount = linux.clone_mount(held, "")
                try:
                    _attach(mount, target, flags)
                finally:
                    os.close(mount)
            finally:
                os.close(target)
        except OSError as e:
            raise refused(e, path) from None
        finally:
            if not isinstance(source, int):
                os.close(held)

    def mount_file(self, path: str, name: str, content: bytes, *, mode: int, flags: int) -> None:
        """Mounts a new file over what `path` names, which exists.

        The file lives in a file system of its own that no path leads to, so nothing is left to remove."""
        target = self.open(path, os.O_PATH)
        folder = -1
        try:
            folder, _ = self.parent(path)
            file = _mount_of_file(folder, name, content, mode)
            try:
                _attach(file, target, flags)
            finally:
                os.close(file)
        except OSError as e:
            raise refused(e, path) from None
        finally:
            for fd in (folder, target):
                if fd >= 0:
                    os.close(fd)

    def mount_tmpfs(self, path: str, flags: int = linux.NOSUID | linux.NODEV | linux.NOEXEC, data: str = "") -> None:
        """An empty file system on a directory; `data` such as "mode=0555" or "size=4096"."""
        self.mount("tmpfs", path, "tmpfs", flags, data)

    def mount(self, source: str, path: str, kind: str, flags: int = 0, data: str = "") -> None:
        """mount(2) of a new file system on what `path` names."""
        target = self.open(path, os.O_PATH)
        try:
            linux.mount(source, linux.at(target), kind, flags, data)
        except OSError as e:
            raise refused(e, path) from None
        finally:
            os.close(target)

    def remount(self, path: str, flags: int) -> None:
        """Changes the restrictions of the mount on `path` to exactly `flags`."""
        self.mount("", path, "", linux.REMOUNT | linux.BIND | flags)

    def umount(self, path: str) -> None:
        """Detaches what is mounted on `path`."""
        target = self.open(path, os.O_PATH)
        try:
            linux.umount2(linux.at(target))
        except OSError as e:
            raise refused(e, path) from None
        finally:
            os.close(target)


def _attach(mount: int, target: int, flags: int) -> None:
    """Puts a mount that is attached nowhere on what a descriptor holds, with restrictions."""
    late = False
    if flags:
        try:
            linux.restrict_mount(mount, flags)
        except OSError as e:
            if e.errno != errno.ENOSYS:
                raise
            late = True
    linux.move_mount(mount, target)
    if late:
        kept = os.fstatvfs(mount).f_flag & _KEPT_FLAGS
        try:
            linux.mount(None, linux.at(mount), None, linux.BIND | linux.REMOUNT | kept | flags)
        except OSError:
            linux.umount2(linux.at(mount))
            raise


def _rename(folder: int, name: str, base: str) -> None:
    try:
        os.rename(name, base, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.unlink(name, dir_fd=folder)
        raise


def _mount_of_file(folder: int, name: str, content: bytes, mode: int) -> int:
    """A descriptor of a mount of a new file, attached nowhere.

    Kernels before 6.15 clone only what is attached, so the file's tmpfs lies over `folder` for that moment."""
    scratch = linux.detached_tmpfs(len(content))
    try:
        fd = os.open(name, _NEW_FILE, 0o600, dir_fd=scratch)
        try:
            write_all(fd, content)
            os.fchmod(fd, mode)
        finally:
            os.close(fd)
        linux.move_mount(scratch, folder)
        try:
            return linux.clone_mount(scratch, name)
        finally:
            linux.umount2(linux.at(scratch))
    finally:
        os.close(scratch)
