"""The loader's cache of a host that has another one than ldconfig would write: older than the files, or not whole."""

import os

from nvsim import ldcache

CACHE = "/etc/ld.so.cache"


def keep(built: str, root: str) -> None:
    """Rewrites the machine's cache: of the files of the host, which lie in the tree `root`, it then has the names that
    the cache of the tree `built` has, and no others.  Names of this machine's own libraries stay."""
    with open(f"{built}{CACHE}", "rb") as f:
        wanted = {(entry.key, entry.flags): entry for entry in ldcache.read(f.read())}
    with open(CACHE, "rb") as f:
        now = ldcache.read(f.read())
    kept = [entry for entry in now if (entry.key, entry.flags) in wanted or not _is_of(root, entry.path)]
    known = {(entry.key, entry.flags) for entry in kept}
    missing = [entry for key, entry in wanted.items() if key not in known]
    with open(f"{CACHE}.nvsim-new", "wb") as f:
        f.write(ldcache.cache([*missing, *kept]))
    os.chmod(f"{CACHE}.nvsim-new", 0o644)
    os.rename(f"{CACHE}.nvsim-new", CACHE)


def _is_of(root: str, path: str) -> bool:
    """Whether a library is one of the host."""
    folder, _, name = path.rpartition("/")
    return os.path.lexists(f"{root}{os.path.realpath(folder)}/{name}")
