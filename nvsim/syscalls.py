"""The few system calls that entering a machine needs, through ctypes, and binds.  Each raises OSError.

Kept free of everything but ctypes, os and stat: process 1 of a machine imports it."""

import ctypes
import os
import stat

NEWNS, NEWCGROUP, NEWUSER, NEWPID = 0x00020000, 0x02000000, 0x10000000, 0x20000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
MNT_DETACH, PR_SET_PDEATHSIG, IN_MODIFY = 2, 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)


def unshare(flags: int) -> None:
    """unshare(2)."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2); the target is the file name of the error."""
    _checked(_libc.mount(source.encode(), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags),
                         options.encode() or None), target)


def umount(target: str) -> None:
    """umount2(2), lazily."""
    _checked(_libc.umount2(os.fsencode(target), MNT_DETACH), target)


def bind_file(source: str, target: str) -> None:
    """Binds a file or folder; an empty file is made first where there is nothing."""
    if not os.path.lexists(target):
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    mount(source, target, flags=BIND)


def protect(target: str) -> None:
    """Makes a bind read-only: the kernel's files cannot be written, not even by root in a container."""
    mount("none", target, flags=BIND | REMOUNT | RDONLY | NOSUID | NODEV | NOEXEC)


def copy_mode(source: int, target: str) -> None:
    """Gives a path the permission bits of what a descriptor stands for."""
    found = os.stat(f"/proc/self/fd/{source}")
    os.chmod(target, stat.S_IMODE(found.st_mode))


def pivot_root(folder: str) -> None:
    """pivot_root(2): the mount point `folder` becomes /, and the old root is gone from this namespace."""
    os.chdir(folder)
    _checked(_libc.pivot_root(b".", b"."), folder)
    umount(".")  # the old root lies on top of the new one
    os.chdir("/")


def die_with_parent(signal: int) -> None:
    """Asks the kernel to send `signal` to this process when the thread that made it ends."""
    _checked(_libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl")


def watch_writes(*paths: str) -> int:
    """An inotify(7) descriptor from which something can be read after each write to a file, by whatever mount."""
    fd = int(_libc.inotify_init1(os.O_CLOEXEC))
    _checked(fd, "inotify_init1")
    for path in paths:
        watch_also(fd, path)
    return fd


def watch_also(fd: int, path: str) -> None:
    """Makes an inotify(7) descriptor tell of writes to one more file; nothing changes if it does already."""
    _checked(_libc.inotify_add_watch(fd, os.fsencode(path), IN_MODIFY), path)
