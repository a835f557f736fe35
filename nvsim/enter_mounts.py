"""What process 1 of a machine does with mounts as a whole: a root of its own, folders in memory, control groups."""

import contextlib
import os
import stat
from collections.abc import Callable

from nvsim import procfs
from nvsim import syscalls as sc

LDCONFIG_NOTES = "/var/cache/ldconfig"  # its file is aux-cache


def add_top_folders(root: str, special: tuple[str, ...], fresh: str, *, nodes: bool) -> None:
    """Makes the top-level folders of a built host that this machine lacks, such as /nix, but for the special ones.

    Nothing may be made in the real root, so the machine then gets one of its own: a tmpfs on `fresh`, a path where
    nothing is yet, in which each entry is kept.  Files that were opened before cannot be bound any more."""
    missing = [entry.name for entry in os.scandir(root) if entry.name not in special
               and entry.is_dir(follow_symlinks=False) and not os.path.exists(f"/{entry.name}")]
    if not missing:
        return
    os.mkdir(fresh)
    sc.mount("nvsim", fresh, "tmpfs", options="mode=755")
    # The folder that holds the new root goes first, while there is nothing in that: the binds take along what is below.
    for name in sorted(os.listdir("/"), key=lambda name: not fresh.startswith(f"/{name}/")):
        keep(f"/{name}", f"{fresh}/{name}", nodes=nodes)
    for name in missing:
        os.mkdir(f"{fresh}/{name}")
    sc.pivot_root(fresh)


def hide_ldconfig_notes(scratch: str, *, nodes: bool) -> None:
    """Gives the machine notes of ldconfig of its own, in a new folder of `scratch`.

    ldconfig keeps what it read of each file, by inode and time, in one file for all roots of a kernel: many machines
    at once would write the real one, and take each other's files for theirs.  It makes the folder of its notes itself
    if there is none; `nodes` as for `shadow`."""
    if not os.path.isdir(LDCONFIG_NOTES):
        above = os.path.dirname(LDCONFIG_NOTES)
        if not os.path.isdir(above):
            return
        shadow(above, f"{scratch}/{above.replace('/', '-')}", skip=lambda name: False, nodes=nodes)
        os.mkdir(LDCONFIG_NOTES, 0o700)
    os.mkdir(f"{scratch}/ldconfig", 0o700)
    sc.mount(f"{scratch}/ldconfig", LDCONFIG_NOTES, flags=sc.BIND)


def show_cgroup(wanted: str) -> None:
    """"v1": hides cgroup2 of a hybrid host, which crun refuses; "v2": shows nothing but cgroup2."""
    base = "/sys/fs/cgroup"
    if wanted == "v1" and os.path.ismount(f"{base}/unified"):
        sc.umount(f"{base}/unified")
    if wanted == "v2" and not os.path.exists(f"{base}/cgroup.controllers"):
        for point in sorted([*procfs.mounts_below(base), base], reverse=True):
            sc.umount(point)
        sc.mount("cgroup2", base, "cgroup2")


def shadow(target: str, fresh: str, skip: Callable[[str], bool], *, nodes: bool) -> None:
    """A tmpfs on `target` with all that was there but for the names to skip: nodes copied, the rest bound."""
    real = os.open(target, os.O_PATH | os.O_DIRECTORY)
    os.mkdir(fresh)
    sc.mount("nvsim", fresh, "tmpfs")
    sc.copy_mode(real, fresh)
    for name in os.listdir(f"/proc/self/fd/{real}"):
        if not skip(name):
            with contextlib.suppress(OSError):  # an entry that vanished, or that this user may not see
                keep(f"/proc/self/fd/{real}/{name}", f"{fresh}/{name}", nodes=nodes)
    sc.mount(fresh, target, flags=sc.BIND | sc.REC)


def keep(source: str, target: str, *, nodes: bool) -> None:
    """An entry as it is, in another place.  `nodes`: whether this user can make device nodes; else they are bound."""
    found = os.lstat(source)
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISDIR(found.st_mode):
        os.mkdir(target)
        sc.mount(source, target, flags=sc.BIND | sc.REC)
    elif (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)) and nodes:
        os.mknod(target, stat.S_IFMT(found.st_mode) | 0o600, found.st_rdev)
        os.chown(target, found.st_uid, found.st_gid)
        os.chmod(target, stat.S_IMODE(found.st_mode))
    else:
        sc.bind_file(source, target)


def bind_tree(source: str, target: str, *, readonly: bool = False) -> None:
    """Each entry of `source` bound below `target`; nothing for a folder that is not there."""
    for entry in sorted(os.scandir(source), key=lambda e: e.name) if os.path.isdir(source) else []:
        bind(entry.path, f"{target}/{entry.name}", readonly=readonly)


def bind(source: str, place: str, *, readonly: bool = False) -> None:
    """A file, link or folder bound in its place; a folder that is there already is entered."""
    if os.path.islink(source):
        if not os.path.lexists(place):
            os.symlink(os.readlink(source), place)
    elif os.path.isdir(source) and os.path.isdir(place):
        bind_tree(source, place, readonly=readonly)
    else:
        if os.path.isdir(source):
            os.mkdir(place)
        sc.bind_file(source, place)
        if readonly:
            sc.protect(place)
