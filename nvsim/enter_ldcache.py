"""The loader's cache of a machine that is entered: of the real host's libraries and the emulated one's together."""

import os
import shutil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CACHE = "/etc/ld.so.cache"


def write(root: str, scratch: str, host: "dict[str, Any]") -> None:
    """Writes /etc/ld.so.cache, in process 1 of the machine.

    `root` is the built host, `scratch` a folder for passing files, `host` its machine.json.  This machine's own
    ldconfig writes it, told the folders that the host's one reads without being told.  It must look into each file:
    what it noted of other machines, by inode and time, can fit one of these (`-i`)."""
    tool = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
    if not tool or not os.path.exists(root + CACHE):
        return
    folders = f"{scratch}/ld.so.conf"
    with open(folders, "w") as f:
        f.write("\n".join(["include /etc/ld.so.conf", *host["ld_directories"], ""]))
    child = os.fork()
    if child == 0:
        quiet = os.open("/dev/null", os.O_RDWR)
        os.dup2(quiet, 2)
        os.execv(tool, ["ldconfig", "-X", "-i", "-f", folders])
    os.waitpid(child, 0)
    if host["ld_as_built"]:
        _correct(root)


def _correct(root: str) -> None:
    """Lets the cache say of the host's libraries what the built one says: some it lacks, others are gone."""
    from nvsim import ldcache  # dataclasses: only a machine with a broken cache pays for them

    with open(CACHE, "rb") as f:
        found = ldcache.read(f.read())
    with open(root + CACHE, "rb") as f:
        built = {(entry.key, entry.path): entry for entry in ldcache.read(f.read())}
    kept = [entry for entry in found
            if (entry.key, entry.path) in built or not os.path.lexists(root + entry.path)]
    there = {(entry.key, entry.path) for entry in kept}
    kept += [entry for name, entry in built.items() if name not in there]
    with open(CACHE, "wb") as f:
        f.write(ldcache.cache(kept))
