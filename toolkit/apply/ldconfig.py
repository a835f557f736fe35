"""The host's ldconfig, run inside a container root that may be hostile.

Two users: `nvidia-container-cli configure` (`run_confined`, libnvidia-container's sequence) and the update-ldcache hook
(`run_in_root`, nvidia-cdi-hook's sequence).  Both exec a sealed copy of the host's program with an empty environment in
a child with namespaces of its own, which ends with its parent and, unlike upstream's, after a bounded time.
"""

import errno
import os
import resource
import signal

from toolkit.apply import confine, linux, seccomp
from toolkit.apply.rootfs import Rootfs
from toolkit.apply.rootview import RootfsError, reason
from toolkit.errors import ApplyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

WALL_CLOCK_SECONDS = 30.0  # upstream has no such limit: a FIFO as /etc/ld.so.cache~ holds it up for ever
_LIMITS = (
    (resource.RLIMIT_CPU, 10),
    (resource.RLIMIT_AS, 2 << 30),
    (resource.RLIMIT_NOFILE, 64),
    (resource.RLIMIT_FSIZE, 2 << 20),
)
_KEPT = 1 << linux.CAP_DAC_OVERRIDE


def arguments(*folders: str) -> tuple[str, ...]:
    """What both users pass to ldconfig.  ValueError for a folder that it could take for an option."""
    if wrong := [folder for folder in folders if not folder.startswith("/")]:
        raise ValueError(f"not an absolute path: {wrong[0]!r}")
    return ("-f", "/etc/ld.so.conf", "-C", "/etc/ld.so.cache", *folders)


def run_confined(
    ldconfig: str, options: tuple[str, ...], *, rootfs: str, mount_namespace: int, uid: int, gid: int,
    host_program: bool = True, pivot: bool = True, secure: bool = True, warn: "Callable[[str], None]" = lambda _: None,
    output: "Callable[[str], None] | None" = None, seconds: float = WALL_CLOCK_SECONDS,
) -> bool:
    """Runs ldconfig as `nvidia-container-cli configure` does; whether it ran.

    `ldconfig` is a path without "@": of the host if `host_program`, else of the image.  `rootfs` is the container's
    root as seen in `mount_namespace`, a descriptor of its mount namespace; `uid`, `gid` are the container's owner.
    `secure` False is NVC_INSECURE_MODE.  Warnings go to `warn`; `output` gets ldconfig's lines, else they are dropped.

    False, with a warning: something was not there (ENOENT), in most images the program itself.  Raises ApplyError with
    upstream's text, which begins with "ldcache error: ".  Source: reference 06-configure, §10.
    """
    if not host_program and secure:
        warn("running in secure mode without host ldconfig, containers may require additional tuning")
    program = _sealed(ldconfig, warn) if host_program else -1
    null = ours = theirs = -1
    try:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        ours, theirs = os.pipe()
        keep_groups = _groups_are_fixed()

        def body() -> "NoReturn":
            os.close(ours)
            _redirect(null, output is not None)
            linux.set_name("nvc:[ldconfig]")
            linux.setns(mount_namespace, linux.NEWNS)
            _limit_capabilities(uid, inherit=host_program or not secure)
            _confine(rootfs, pivot=pivot, fresh_proc=host_program)
            _limit_resources()
            _become(uid, gid, keep_groups=keep_groups)
            if confine.closed_by_reader(theirs):  # our parent ended while nothing told us so
                os._exit(1)
            linux.load_seccomp(seccomp.ldconfig_filter(linux.machine()))
            os.execve(program if host_program else ldconfig, (ldconfig, *options), {})

        status = confine.run_child(body, linux.NEWPID | linux.NEWIPC, seconds=seconds, output=output)
    except confine.Unstarted as e:
        if e.errno == errno.ENOENT:
            warn(f"could not start {ldconfig}: process execution failed: {reason(e.errno)}")
            return False
        raise _failed(ldconfig, "failed with error code: 1", hint=str(e)) from None
    except ApplyError as e:
        raise _failed(ldconfig, f"was stopped: {e.message}", hint=e.hint) from None
    except OSError as e:
        raise _failed(ldconfig, "failed with error code: 1",
                      hint=f"process creation failed: {reason(e.errno or 0)}") from None
    finally:
        for fd in (null, ours, theirs, program):
            if fd >= 0:
                os.close(fd)
    if os.WIFSIGNALED(status):
        raise _failed(ldconfig, f"terminated with signal {os.WTERMSIG(status)}")
    if code := os.WEXITSTATUS(status):
        raise _failed(ldconfig, f"failed with error code: {code}")
    return True


def _failed(ldconfig: str, what: str, *, hint: str = "") -> ApplyError:
    return ApplyError(f"ldcache error: process {ldconfig} {what}", hint=hint)


def _sealed(ldconfig: str, warn: "Callable[[str], None]") -> int:
    try:
        return confine.seal(ldconfig, warn)
    except OSError as e:
        raise ApplyError(f"ldcache error: open failed: {ldconfig}: {reason(e.errno or 0)}") from None


def _groups_are_fixed() -> bool:
    """Whether this user namespace forbids setgroups(2), or there are no groups to give up."""
    with open("/proc/self/setgroups", "rb") as f:
        return f.read(4) == b"deny" or not os.getgroups()


def _redirect(null: int, keep_output: bool) -> None:
    for fd in (0,) if keep_output else (0, 1, 2):
        os.dup2(null, fd)


def _limit_capabilities(uid: int, *, inherit: bool) -> None:
    """What the program will have: DAC_OVERRIDE if `inherit`, an empty bounding set."""
    effective, permitted, _ = linux.capget()
    linux.capset(effective, permitted, 0)
    if inherit and _tolerated(lambda: linux.capset(effective, permitted, _KEPT)) and uid:
        _tolerated(lambda: linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_RAISE, linux.CAP_DAC_OVERRIDE))
    linux.drop_bounding()


def _tolerated(call: "Callable[[], object]") -> bool:
    try:
        call()
    except OSError as e:
        if e.errno not in (errno.EPERM, errno.EINVAL):
            raise
        return False
    return True


def _confine(rootfs: str, *, pivot: bool, fresh_proc: bool) -> None:
    """Moves this process into `rootfs`, with nothing of the kernel's file systems but a /proc of its own.

    What is not there raises ENOENT, which ends in a skip: never in an unconfined run."""
    linux.unshare(linux.NEWNS)
    linux.mount(None, "/", None, linux.PRIVATE | linux.REC)
    linux.mount(rootfs, rootfs, None, linux.BIND | linux.REC)
    confine.enter_root(rootfs, pivot=pivot)
    restricted = linux.RDONLY | linux.NOSUID | linux.NODEV | linux.NOEXEC
    if fresh_proc:
        linux.mount("proc", "/proc", "proc", restricted)
    else:
        linux.mount("tmpfs", "/proc", "tmpfs", restricted)
    linux.mount("tmpfs", "/sys", "tmpfs", restricted)
    linux.mount("tmpfs", "/dev", "tmpfs", restricted & ~linux.RDONLY, "mode=0755")
    os.symlink("/proc/self/fd", "/dev/fd")
    linux.mount(None, "/dev", None, linux.REMOUNT | restricted)


def _limit_resources() -> None:
    for which, most in _LIMITS:
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (most, most))


def _become(uid: int, gid: int, *, keep_groups: bool) -> None:
    if uid:
        bits = linux.prctl(linux.PR_GET_SECUREBITS)
        _tolerated(lambda: linux.prctl(linux.PR_SET_SECUREBITS, bits | linux.SECBIT_NO_SETUID_FIXUP))
    if not keep_groups:
        os.setgroups([gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    linux.die_with_parent(signal.SIGKILL)  # the change of identity cancelled it
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)


def run_in_root(
    rootfs: str, ldconfig: str, options: tuple[str, ...], *, pivot: bool = True,
    warn: "Callable[[str], None]" = lambda _: None, seconds: float = WALL_CLOCK_SECONDS,
) -> int:
    """Runs the host's ldconfig as the update-ldcache hook does; its exit status, 128 + n after signal n.

    `rootfs` must be a mount point, as it is for a createContainer hook.  stdin, stdout and stderr stay ours.  A /proc
    that had to be made for it is left to the container on success and removed on failure.  Raises ApplyError with
    upstream's text for what prevents ldconfig from starting.  Source: reference 08-cdi-hook, §5."""
    try:
        program = confine.seal(ldconfig, warn)
    except OSError as e:
        raise ApplyError(f"error reading host ldconfig: stat {ldconfig}: {reason(e.errno or 0)}") from None
    made: tuple[str, ...] = ()
    done = False
    try:
        with Rootfs(rootfs, strict=True) as root:
            try:
                made = root.mkdirs("proc")
            except RootfsError as e:
                raise ApplyError(f"error mounting /proc: mkdirat proc: {e.message}", hint=e.hint) from None
            try:
                status = _run_sealed(rootfs, program, ldconfig, options, pivot=pivot, seconds=seconds)
                done = not status
            finally:
                for path in () if done else reversed(made):
                    root.remove_created(path)
    finally:
        os.close(program)
    return status


def _run_sealed(
    rootfs: str, program: int, ldconfig: str, options: tuple[str, ...], *, pivot: bool, seconds: float
) -> int:
    steps = ["error mounting /proc"]

    def body() -> "NoReturn":
        linux.mount(None, "/", None, linux.PRIVATE | linux.REC)
        root = Rootfs(rootfs, strict=True)  # again, as a descriptor from another namespace cannot be mounted on
        root.mount("proc", "proc", "proc", linux.NOSUID | linux.NODEV | linux.NOEXEC)
        steps[0] = "error running pivot_root"
        if not pivot:
            _hide_kernel_file_systems(rootfs)
        confine.enter_root(root.fd, pivot=pivot)
        steps[0] = "error running ldconfig"
        os.execve(program, (os.path.basename(ldconfig), *options), {})

    def staged() -> "NoReturn":
        try:
            body()
        except OSError as e:
            what = f"{os.fsdecode(e.filename)} .: " if e.filename == "pivot_root" else ""
            raise RootfsError(f"{steps[0]}: {what}{reason(e.errno or 0)}", errno=e.errno or 0) from None
        except RootfsError as e:
            raise RootfsError(f"{steps[0]}: {e.message}", errno=e.errno) from None

    namespaces = linux.NEWNS | linux.NEWUTS | linux.NEWIPC | linux.NEWPID | linux.NEWNET
    try:
        status = confine.run_child(staged, namespaces, seconds=seconds)
    except confine.Unstarted as e:
        # The text for a program that cannot be executed is bare, as the kernel gives it.
        raise ApplyError(e.message.removeprefix("error running ldconfig: "), hint=e.hint) from None
    except ApplyError as e:
        raise ApplyError(f"process {ldconfig} was stopped: {e.message}", hint=e.hint) from None
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _hide_kernel_file_systems(rootfs: str) -> None:
    """Detaches each whole proc and sysfs outside the new root, which a move of the root would leave reachable."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        mounts = [line.split(" ") for line in f]
    for fields in mounts:
        kind, point = fields[fields.index("-") + 1], _unescaped(fields[4])
        if fields[3] != "/" or kind not in ("proc", "sysfs") or (point + "/").startswith(rootfs.rstrip("/") + "/"):
            continue
        try:
            linux.mount(None, point, None, linux.SLAVE | linux.REC)
            linux.umount2(point)
        except OSError as e:
            if e.errno not in (errno.EINVAL, errno.EPERM):
                raise
            linux.mount("tmpfs", point, "tmpfs")


def _unescaped(text: str) -> str:
    for code, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(code, character)
    return text
