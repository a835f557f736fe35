"""/dev, /proc and /sys → device nodes, their links, DRM entries, MIG capability minors.

Source: toolkit v1.20, internal/discover and internal/nvcaps.  Device nodes lie below the dev root; what /proc and
/sys say is always the machine's own, whatever the two roots are.
"""

import os
import stat
from collections.abc import Iterable
from posixpath import normpath

from toolkit.gather.tree import Tree
from toolkit.model.host import CharDevice

PATTERNS = {
    "nvml": ("/dev/nvidia*", "/dev/nvidia-caps/nvidia-cap*", "/dev/dri/*"),
    "management": ("/dev/nvidia*", "/dev/nvidia-caps/nvidia-cap*", "/dev/nvidia-caps-imex-channels/channel*"),
    "gds": ("/dev/nvidia-fs*",),
    "mofed": ("/dev/infiniband/uverbs*", "/dev/infiniband/rdma_cm"),
    "gdrcopy": ("/dev/gdrdrv",),
    "nvswitch": ("/dev/nvidia-nvswitchctl", "/dev/nvidia-nvswitch*"),
    "imex": ("/dev/nvidia-caps-imex-channels/channel*",),
    "wsl": ("/dev/dxg",),
}
"""The device nodes that each generator mode may hand out."""

MIG_MINORS = "/proc/driver/nvidia-caps/mig-minors"


def read_devices(tree: Tree, dev_root: str, patterns: Iterable[str]) -> tuple[CharDevice, ...]:
    """The character devices that match, each once, in the order of the patterns and sorted within each.

    A symbolic link to a device is not one, and neither is a plain file of that name.
    """
    prefix = "" if dev_root.strip("/") == "" else "/" + dev_root.strip("/")
    found: dict[str, CharDevice] = {}
    for pattern in patterns:
        for host_path in tree.glob(prefix + pattern):
            status = tree.lstat(host_path)
            if host_path not in found and status is not None and stat.S_ISCHR(status.st_mode):
                found[host_path] = _device(host_path[len(prefix) :], host_path, status)
    return tuple(found.values())


def read_listed_devices(tree: Tree, dev_root: str, paths: Iterable[str]) -> tuple[CharDevice, ...]:
    """Devices that somebody else has listed: of one that is not there major and mode are 0."""
    prefix = normpath(dev_root).removesuffix("/dev")
    prefix = "" if prefix == "/" else prefix
    return tuple(_device(path.removeprefix(prefix), path, tree.lstat(path)) for path in paths)


def _device(path: str, host_path: str, status: os.stat_result | None) -> CharDevice:
    if status is None:
        return CharDevice(path=path, host_path=host_path, major=0, minor=0, mode=0)
    return CharDevice(
        path=path,
        host_path=host_path,
        major=status.st_rdev >> 8 & 0xFFF | status.st_rdev >> 32 & ~0xFFF,
        minor=status.st_rdev & 0xFF | status.st_rdev >> 12 & 0xFFF00,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
    )


def read_drm(tree: Tree, pci_bus_id: str) -> tuple[str, ...]:
    """The DRM entries of a PCI device in sysfs, e.g. ("card1", "renderD128")."""
    folder = tree.folder(f"/sys/bus/pci/devices/{pci_bus_id}/drm") if pci_bus_id else ""
    return tuple(sorted(tree.listing(folder) or ())) if folder else ()


def read_by_path_links(tree: Tree, dev_root: str, pci_bus_id: str) -> tuple[tuple[str, str], ...]:
    """The links of udev that name the DRM nodes of a PCI device: their path, dev root included, and their text."""
    prefix = "" if dev_root.strip("/") == "" else "/" + dev_root.strip("/")
    paths = (f"{prefix}/dev/dri/by-path/pci-{pci_bus_id}-{kind}" for kind in ("card", "render"))
    return tuple((path, tree.readlink(path)) for path in paths if tree.is_link(path))


def read_mig_minors(tree: Tree) -> tuple[tuple[str, int], ...]:
    """The capabilities and their minors, e.g. ("gpu0/gi1/access", 12); () if the driver does not have the file.

    Lines of any other form are left out.  A driver lists every combination that could exist, 4,323 of them.
    """
    text = (tree.read(MIG_MINORS) or b"").decode(errors="replace")
    pairs = (line.split() for line in text.splitlines())
    return tuple((pair[0], int(pair[1])) for pair in pairs if len(pair) == 2 and _is_number(pair[1]))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
