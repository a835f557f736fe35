"""A container before it is configured: its directories, its owner, its compatibility libraries, its device cgroup.

Source: libnvidia-container 1.20.  Image content is hostile: it is only looked at, inside the root, links followed
there; what is done to it later opens everything anew.
"""

import os
import posixpath
import re
from typing import NamedTuple

from toolkit.errors import HostError
from toolkit.gather.legacy_root import Root, why
from toolkit.model.native import Container

CUDA = "/usr/local/cuda"
_DEBIAN_DIRS = {
    "x86_64": ("/usr/lib/x86_64-linux-gnu", "/usr/lib/i386-linux-gnu"),
    "aarch64": ("/usr/lib/aarch64-linux-gnu", "/var/empty"),
    "ppc64le": ("/usr/lib/powerpc64le-linux-gnu", "/var/empty"),
}
_MAX_COMPAT = 4096  # entries of a compat directory that are looked at


class Process(NamedTuple):
    """The container's first process.  `proc` is the /proc that shows it, `supervised` False: that of the container."""

    pid: int
    proc: str
    supervised: bool

    @property
    def namespace(self) -> str:
        """The mount namespace in which the container's root is being prepared."""
        return f"{self.proc}/{self.pid}/ns/mnt"


def process(pid: int, parent: int, rootfs: str) -> Process:
    """Who is configured: a pid above 0 as this machine counts; otherwise the caller's parent, as ROOTFS/proc does."""
    if pid > 0:
        return Process(pid=pid, proc="/proc", supervised=True)
    return Process(pid=parent, proc=f"{rootfs.rstrip('/')}/proc", supervised=False)


def read_container(target: Process, rootfs: str, *, compat: bool, machine: str = "") -> Container:
    """Where things go in a container.  `compat`: look for CUDA compatibility libraries as well.

    Raises HostError with source "container error"."""
    try:
        with _opened(target, rootfs) as root:
            libs, libs32 = _library_dirs(root, machine or os.uname().machine)
            ldconfig = "/sbin/ldconfig.real" if root.exists("/sbin/ldconfig.real") else "/sbin/ldconfig"
        owner = _owner(target)
        libraries: tuple[str, ...] = ()
        if compat:
            # Upstream looks for these where its own mount namespace shows the root.
            with Root(rootfs) as own:
                libraries = _compat_libraries(own)
    except HostError as e:
        raise e.within("container error") from None
    return Container(rootfs=rootfs, libs_dir=libs, libs32_dir=libs32, ldconfig=ldconfig, compat=libraries,
                     uid=owner.st_uid, gid=owner.st_gid)


def spec_container(rootfs: str, machine: str = "") -> Container:
    """The same for an image that no process runs in: compatibility libraries are looked at, the owner is root."""
    with Root(rootfs) as root:
        libs, libs32 = _library_dirs(root, machine or os.uname().machine)
        ldconfig = "/sbin/ldconfig.real" if root.exists("/sbin/ldconfig.real") else "/sbin/ldconfig"
        return Container(rootfs=rootfs, libs_dir=libs, libs32_dir=libs32, ldconfig=ldconfig,
                         compat=_compat_libraries(root))


def _opened(target: Process, rootfs: str) -> Root:
    """The container's root as its own mount namespace shows it; in standalone mode that is ours too."""
    if not target.supervised:
        return Root(rootfs)
    top = f"{target.proc}/{target.pid}/root"
    with Root(top, name=f"{top}/") as root:
        resolved = root.resolve(rootfs)
    return Root(top + resolved, name=top + resolved)


def _owner(target: Process) -> os.stat_result:
    path = f"{target.proc}/{target.pid}"
    try:
        return os.stat(path)
    except OSError as e:
        raise HostError(f"stat failed: {path}: {why(e)}",
                        hint="without --pid, the root has to show a /proc with the calling process") from None


def _library_dirs(root: Root, machine: str) -> tuple[str, str]:
    """Where libraries and 32-bit libraries go: decided by the image, not by the host."""
    if root.exists("/etc/debian_version"):
        return _DEBIAN_DIRS.get(machine, ("/usr/lib64", "/var/empty"))
    if root.exists("/usr/lib32"):
        return "/usr/lib64", "/usr/lib32"
    own, other = root.resolve("/usr/lib64"), root.resolve("/usr/lib")
    return "/usr/lib64", "/usr/lib" if other != own and root.lstat(other) else "/usr/lib32"


def _compat_libraries(root: Root) -> tuple[str, ...]:
    """/usr/local/cuda/compat/lib*.so.* of the image, sorted, links resolved inside it, each once."""
    folder = posixpath.join(root.resolve(CUDA), "compat")
    names = [name for name in root.listing(folder) if re.fullmatch(r"lib.*\.so\..*", name, re.DOTALL)]
    if len(names) > _MAX_COMPAT:
        raise HostError(f"glob search failed: {root.shown(folder)}: argument list too long")
    resolved = dict.fromkeys(root.resolve(posixpath.join(folder, name)) for name in names)
    # A path that does not exist yet may come to exist by what we do ourselves (CVE-2024-0132): it is not there.
    return tuple(path for path in resolved if root.lstat(path))
