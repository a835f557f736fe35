"""What process 1 of a machine does with mounts as a whole: a root of its own, control groups."""

import os
from collections.abc import Callable

from nvsim import procfs
from nvsim import syscalls as sc


def add_top_folders(root: str, special: tuple[str, ...], fresh: str, keep: Callable[[str, str], None]) -> None:
    """Makes the top-level folders of a built host that this machine lacks, such as /nix, but for the special ones.

    Nothing may be made in the real root, so the machine then gets one of its own: a tmpfs on `fresh`, a path where
    nothing is yet, in which `keep` shows each entry again.  Files that were opened before cannot be bound any more."""
    missing = [entry.name for entry in os.scandir(root) if entry.name not in special
               and entry.is_dir(follow_symlinks=False) and not os.path.exists(f"/{entry.name}")]
    if not missing:
        return
    os.mkdir(fresh)
    sc.mount("nvsim", fresh, "tmpfs", options="mode=755")
    # The folder that holds the new root goes first, while there is nothing in that: the binds take along what is below.
    for name in sorted(os.listdir("/"), key=lambda name: not fresh.startswith(f"/{name}/")):
        keep(f"/{name}", f"{fresh}/{name}")
    for name in missing:
        os.mkdir(f"{fresh}/{name}")
    sc.pivot_root(fresh)


def show_cgroup(wanted: str) -> None:
    """"v1": hides cgroup2 of a hybrid host, which crun refuses; "v2": shows nothing but cgroup2."""
    base = "/sys/fs/cgroup"
    if wanted == "v1" and os.path.ismount(f"{base}/unified"):
        sc.umount(f"{base}/unified")
    if wanted == "v2" and not os.path.exists(f"{base}/cgroup.controllers"):
        for point in sorted([*procfs.mounts_below(base), base], reverse=True):
            sc.umount(point)
        sc.mount("cgroup2", base, "cgroup2")
