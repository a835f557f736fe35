"""How `nvidia-container-cli` gives up rights that it does not need.  Source: libnvidia-container 1.20.

The permitted set is cut to thirteen capabilities, each of which root has to hold; the bounding set to what ldconfig and
modprobe may inherit; the effective set is replaced at each step by what the step needs.
"""

import os
import signal

from toolkit.apply import linux
from toolkit.apply.rootview import reason
from toolkit.errors import ApplyError, HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Step = Literal["init", "init_kmods", "container", "info", "mount", "ldcache", "shutdown"]


def _mask(*capabilities: int) -> int:
    return sum(1 << capability for capability in capabilities)


_KILL = _mask(linux.CAP_KILL)
_CONTAINER = _KILL | _mask(linux.CAP_DAC_READ_SEARCH, linux.CAP_SYS_PTRACE)
_INIT = _KILL | _mask(linux.CAP_SETUID, linux.CAP_SETGID, linux.CAP_SYS_CHROOT)
STEPS: "dict[Step, int]" = {
    "init": _INIT,
    "init_kmods": _INIT | _mask(linux.CAP_CHOWN, linux.CAP_FOWNER, linux.CAP_MKNOD, linux.CAP_SETPCAP),
    "container": _CONTAINER,
    "info": _KILL,
    "mount": _CONTAINER | _INIT | _mask(linux.CAP_NET_ADMIN, linux.CAP_SYS_ADMIN, linux.CAP_DAC_OVERRIDE),
    "ldcache": _CONTAINER | _INIT | _mask(linux.CAP_SYS_ADMIN, linux.CAP_SETPCAP),
    "shutdown": _KILL,
}
PERMITTED = STEPS["mount"] | STEPS["init_kmods"] | STEPS["ldcache"]
_BOUNDING = _mask(linux.CAP_DAC_OVERRIDE, linux.CAP_SYS_MODULE)


def _refused(code: int) -> ApplyError:
    return ApplyError(f"capability change failed: {reason(code)}", source="permission error",
                      hint="run as root with the capabilities of an ordinary root, SYS_ADMIN and SYS_PTRACE included")


def limit() -> None:
    """Cuts the permitted, inheritable and bounding sets.  Raises ApplyError where one of the thirteen is not held."""
    try:
        effective, _, _ = linux.capget()
        linux.capset(effective & PERMITTED, PERMITTED, 0)
        step("init_kmods")  # dropping from the bounding set takes SETPCAP
        linux.drop_bounding(_BOUNDING)
    except OSError as e:
        raise _refused(e.errno or 0) from None


def step(name: "Step") -> None:
    """Replaces the effective set.  Raises ApplyError.  For a caller without any rights there is nothing to replace."""
    _, permitted, _ = linux.capget()
    try:
        linux.capset(STEPS[name] & permitted, permitted, 0)
    except OSError as e:
        raise _refused(e.errno or 0) from None


def confine(parent: int, root: str, uid: int, gid: int) -> None:
    """What the process that loads NVML does first: changes root, becomes an ordinary user, lets go of all rights.

    `parent` is the process that it must not outlive.  The signal for that is set last, since a change of identity
    cancels it.  Raises HostError."""
    linux.set_name("nvc:[driver]")
    if root != "/":
        _preload()
        try:
            os.chroot(root)
            os.chdir("/")
        except OSError as e:
            raise HostError(f"change root failed: {reason(e.errno or 0)}") from None
    try:
        _become(uid, gid)
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.capset(0, 0, 0)
        linux.die_with_parent(signal.SIGKILL)
    except OSError as e:
        raise HostError(f"privilege change failed: {reason(e.errno or 0)}",
                        hint="in a user namespace, give --user without a value") from None
    if os.getppid() != parent:
        os._exit(1)


def _preload() -> None:
    """The host's own libraries, before those of a root with another glibc would be found."""
    import ctypes

    names = ["libm.so.6", "librt.so.1", "libpthread.so.0"] + ["libgcc_s.so.1"] * (linux.machine() == "aarch64")
    for name in names:
        try:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            pass


def _become(uid: int, gid: int) -> None:
    if os.getegid() != gid or os.getgid() != gid:
        if os.getgroups() not in ([], [gid]):
            os.setgroups([gid])
        os.setresgid(gid, gid, gid)
    if os.geteuid() != uid or os.getuid() != uid:
        os.setresuid(uid, uid, uid)
