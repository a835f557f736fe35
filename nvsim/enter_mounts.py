"""What process 1 of a machine does with mounts as a whole: a root of its own, control groups."""

import os
from collections.abc import Callable

from nvsim import procfs
from nvsim import syscalls as sc

LDCONFIG_NOTES = "/var/cache/ldconfig"  # its file is aux-cache


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


def hide_ldconfig_notes(fresh: str, shadow: Callable[[str], None]) -> None:
    """Gives the machine notes of ldconfig of its own, in `fresh`, a folder that is not there yet.

    ldconfig keeps what it read of each file, by inode and time, in one file for all roots of a kernel: many machines
    at once would write the real one, and take each other's files for theirs.  `shadow` shows a folder again in which
    things can be made; ldconfig makes the folder of its notes if there is none."""
    if not os.path.isdir(LDCONFIG_NOTES):
        if not os.path.isdir(os.path.dirname(LDCONFIG_NOTES)):
            return
        shadow(os.path.dirname(LDCONFIG_NOTES))
        os.mkdir(LDCONFIG_NOTES, 0o700)
    os.mkdir(fresh, 0o700)
    sc.mount(fresh, LDCONFIG_NOTES, flags=sc.BIND)


def show_cgroup(wanted: str) -> None:
    """"v1": hides cgroup2 of a hybrid host, which crun refuses; "v2": shows nothing but cgroup2."""
    base = "/sys/fs/cgroup"
    if wanted == "v1" and os.path.ismount(f"{base}/unified"):
        sc.umount(f"{base}/unified")
    if wanted == "v2" and not os.path.exists(f"{base}/cgroup.controllers"):
        for point in sorted([*procfs.mounts_below(base), base], reverse=True):
            sc.umount(point)
        sc.mount("cgroup2", base, "cgroup2")
