"""Linux system calls that Python's `os` lacks, through ctypes.  Each raises OSError(errno, text, file name).

Descriptors are opened close-on-exec.  Numbers are those of x86-64 and aarch64 (asm/unistd.h); flags are those of the
kernel's uapi headers.  `bpf(2)` lives in `linux_bpf.py`, which only the device cgroup needs.
"""

import ctypes
import errno
import os

# mount(2), linux/mount.h
RDONLY, NOSUID, NODEV, NOEXEC = 0x1, 0x2, 0x4, 0x8
REMOUNT, NOATIME, NODIRATIME, BIND, MOVE, REC = 0x20, 0x400, 0x800, 0x1000, 0x2000, 0x4000
PRIVATE, SLAVE, RELATIME = 1 << 18, 1 << 19, 1 << 21
MNT_DETACH, UMOUNT_NOFOLLOW = 0x2, 0x8
# unshare(2), setns(2)
NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
# openat2(2), linux/openat2.h
RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS = 0x01, 0x02, 0x04
RESOLVE_BENEATH, RESOLVE_IN_ROOT = 0x08, 0x10
# prctl(2), linux/prctl.h
PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 15, 22, 24
PR_GET_SECUREBITS, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 27, 28, 38, 47
PR_CAP_AMBIENT_RAISE, PR_CAP_AMBIENT_CLEAR_ALL = 2, 4
SECCOMP_MODE_FILTER = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
# capabilities(7): the bit numbers, linux/capability.h
CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_KILL, CAP_SETGID, CAP_SETUID = 0, 1, 2, 3, 5, 6, 7
CAP_SETPCAP, CAP_NET_ADMIN, CAP_SYS_MODULE, CAP_SYS_CHROOT, CAP_SYS_PTRACE = 8, 12, 16, 18, 19
CAP_SYS_ADMIN, CAP_MKNOD = 21, 27
_CAPABILITY_VERSION_3 = 0x20080522

# Mount descriptors, linux/mount.h
_CLOEXEC, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 0x1, 1, 6
_AT_EMPTY_PATH = 0x1000  # linux/fcntl.h
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH, _MOVE_MOUNT_T_EMPTY_PATH = 0x1, 0x4, 0x40

_ALIKE = {"open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "openat2": 437,
          "mount_setattr": 442}
_NUMBERS = {
    "x86_64": {"pivot_root": 155, "bpf": 321, "capget": 125, "capset": 126, **_ALIKE},
    "aarch64": {"pivot_root": 41, "bpf": 280, "capget": 90, "capset": 91, **_ALIKE},
}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(result: int, what: str | bytes) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
    return result


def machine() -> str:
    """The architecture as the kernel names it: "x86_64", "aarch64"."""
    return os.uname().machine


def syscall(name: str, *arguments: object) -> int:
    """A call that the C library has no function for.  Unknown here or to the kernel: OSError(ENOSYS)."""
    number = _NUMBERS.get(machine(), {}).get(name)
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)
    wide = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    return _checked(int(_libc.syscall(ctypes.c_long(number), *wide)), name)


def at(fd: int) -> str:
    """A path that names exactly the object behind a descriptor; valid where this process's /proc is mounted."""
    return f"/proc/self/fd/{fd}"


def mount(source: str | None, target: str, kind: str | None = None, flags: int = 0, data: str = "") -> None:
    """mount(2).  `data` are the options of the file system type."""
    result = _libc.mount(
        None if source is None else os.fsencode(source), os.fsencode(target), kind.encode() if kind else None,
        ctypes.c_ulong(flags), os.fsencode(data) or None,
    )
    _checked(result, target)


def umount2(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2), lazily unless told otherwise."""
    _checked(_libc.umount2(os.fsencode(target), flags), target)


def detached_tmpfs(size: int) -> int:
    """A descriptor of a new tmpfs of `size` bytes that is mounted nowhere.  Linux 5.2."""
    context = syscall("fsopen", b"tmpfs", _CLOEXEC)
    try:
        syscall("fsconfig", context, _FSCONFIG_SET_STRING, b"size", str(size).encode(), 0)
        syscall("fsconfig", context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return syscall("fsmount", context, _CLOEXEC, 0)
    finally:
        os.close(context)


def clone_mount(dir_fd: int, path: str) -> int:
    """A descriptor of a new mount of a file or directory, attached nowhere yet; "" for what `dir_fd` holds.  Linux 5.2.

    What is mounted below it does not come along."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (0 if path else _AT_EMPTY_PATH)
    return syscall("open_tree", dir_fd, os.fsencode(path), flags)


def restrict_mount(mount_fd: int, flags: int) -> None:
    """Adds RDONLY, NOSUID, NODEV, NOEXEC to a mount, which need not be attached.  Linux 5.12, ENOSYS before.

    struct mount_attr: set, clear, propagation, user namespace; the four bits are those of mount(2)."""
    attributes = (ctypes.c_uint64 * 4)(flags)
    syscall("mount_setattr", mount_fd, b"", _AT_EMPTY_PATH, attributes, ctypes.sizeof(attributes))


def move_mount(mount_fd: int, target_fd: int) -> None:
    """Attaches such a mount to what a descriptor holds; no path is walked."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    syscall("move_mount", mount_fd, b"", target_fd, b"", flags)


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2).  EINVAL or EBUSY: `new` is no mount point, or the root is the initial RAM file system."""
    syscall("pivot_root", os.fsencode(new), os.fsencode(old))


def unshare(flags: int) -> None:
    """unshare(2).  NEWPID changes only where later children go."""
    _checked(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int = 0) -> None:
    """setns(2).  NEWNS also moves root and working directory to those of that namespace."""
    _checked(_libc.setns(fd, kind), at(fd))


def openat2(dir_fd: int, path: str, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2) with O_CLOEXEC.  EAGAIN, a rename that crossed a `..`, is tried again a bounded number of times."""
    how = (ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, mode, resolve)
    name = os.fsencode(path)
    for attempt in range(64):
        try:
            return syscall("openat2", dir_fd, name, ctypes.byref(how), ctypes.sizeof(how))
        except OSError as e:
            if e.errno not in (errno.EAGAIN, errno.EINTR) or attempt == 63:
                raise OSError(e.errno, e.strerror, path) from None
    raise AssertionError("unreachable")


def prctl(option: int, *arguments: int) -> int:
    """prctl(2) with numbers as arguments."""
    four = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(_libc.prctl(option, *map(ctypes.c_ulong, four)), "prctl")


def die_with_parent(signal: int) -> None:
    """Has the kernel send `signal` to this process when the parent ends.

    A change of user or group id cancels it.  The caller must check that the parent had not ended before."""
    prctl(PR_SET_PDEATHSIG, signal)


def set_name(name: str) -> None:
    """Names this process, as `ps -o comm` shows it; the kernel keeps 15 bytes."""
    _checked(_libc.prctl(PR_SET_NAME, os.fsencode(name), 0, 0, 0), "prctl")


def capget() -> tuple[int, int, int]:
    """This process's capability sets: effective, permitted, inheritable, as bit masks."""
    sets = (ctypes.c_uint32 * 6)()
    syscall("capget", (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), sets)
    return sets[0] | sets[3] << 32, sets[1] | sets[4] << 32, sets[2] | sets[5] << 32


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Replaces the three capability sets of this process."""
    masks = (effective, permitted, inheritable)
    sets = (ctypes.c_uint32 * 6)(*(m & 0xFFFFFFFF for m in masks), *(m >> 32 for m in masks))
    syscall("capset", (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), sets)


def drop_bounding(kept: int = 0) -> None:
    """Removes every capability but those of the mask `kept` from the bounding set.  Needs CAP_SETPCAP."""
    for capability in range(64):
        if kept >> capability & 1:
            continue
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError as e:
            if e.errno == errno.EINVAL:  # one past the kernel's last capability
                return
            raise


def setfsuid(uid: int) -> None:
    """Sets the user id that file accesses are made with; EPERM when the kernel did not take it over."""
    _libc.setfsuid(ctypes.c_uint32(uid))
    if _libc.setfsuid(ctypes.c_uint32(0xFFFFFFFF)) != uid:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), "setfsuid")


def setfsgid(gid: int) -> None:
    """As `setfsuid`, for the group id."""
    _libc.setfsgid(ctypes.c_uint32(gid))
    if _libc.setfsgid(ctypes.c_uint32(0xFFFFFFFF)) != gid:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), "setfsgid")


def load_seccomp(program: bytes) -> None:
    """Puts a classic BPF filter (struct sock_filter, 8 bytes each) in front of this process's system calls.

    Needs no_new_privs or CAP_SYS_ADMIN.  struct sock_fprog: u16 count, padding, pointer (linux/filter.h)."""
    code = ctypes.create_string_buffer(program, len(program))
    header = (ctypes.c_uint64 * 2)(len(program) // 8, ctypes.addressof(code))
    _checked(_libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(header), 0, 0), "seccomp")
