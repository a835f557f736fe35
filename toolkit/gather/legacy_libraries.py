"""The driver's libraries as the loader's cache names them.  Source: libnvidia-container 1.20.

There is no search in directories: a library that is not in the cache is missing.  Matching is by the beginning of the
cache's key; of several entries for a name the last one that fits wins.
"""

import os
import posixpath
import stat
from collections.abc import Callable

from toolkit.errors import HostError
from toolkit.gather import elf, ldcache
from toolkit.gather.legacy_root import Root, why
from toolkit.model.driver_names import ALL_LIBRARIES, DXCORE

Say = Callable[[str, str], None]  # level ("I", "W", "E") and message of the debug log

# Cache flags of this machine's libraries and of their 32-bit kin: None where there are none.
_ARCHITECTURES: dict[str, tuple[int, int | None]] = {
    "x86_64": (0x0300, 0x0000), "aarch64": (0x0A00, 0x0900), "ppc64le": (0x0500, None),
}
_LINUX_ABI = (0, 2, 3, 99)  # the note of the libnvidia-tls variant for kernels with NPTL
_TLS = "libnvidia-tls.so"
_MAX_CACHE = 64 << 20


def architectures(machine: str = "") -> tuple[int, int | None]:
    """The cache's architecture bits for 64-bit and for 32-bit libraries of a machine (default: this one).

    Raises HostError for a machine without a driver."""
    machine = machine or os.uname().machine
    if machine not in _ARCHITECTURES:
        raise HostError(f"unsupported machine: {machine}", hint="the driver exists for x86_64, aarch64 and ppc64le")
    return _ARCHITECTURES[machine]


def read_cache(root: Root, path: str) -> tuple[ldcache.Entry, ...]:
    """The entries of the ld.so.cache at a path below the root.  Raises HostError with upstream's texts."""
    resolved = root.resolve(path)
    shown = root.shown(resolved)
    try:
        fd = root.open(resolved)
    except OSError as e:
        raise HostError(f"open failed: {shown}: {why(e)}",
                        hint="run ldconfig, or name the cache with --ldcache") from None
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        os.close(fd)
        raise HostError(f"file mapping failed: {shown}: no such device")
    with open(fd, "rb") as f:
        data = f.read(_MAX_CACHE) if stat.S_ISREG(mode) else b""
    if not data:
        raise HostError(f"file mapping failed: {shown}: invalid argument")
    try:
        return ldcache.parse(data, shown)
    except HostError as e:
        raise HostError(f"unsupported file format: {shown}", hint=e.message) from None


def _fits(root: Root, path: str, version: str) -> bool:
    """Whether a library belongs to this driver.  Raises HostError for a file that the cache names and that is gone."""
    shown = root.shown(path)
    try:
        os.close(root.open(path))
    except OSError as e:
        raise HostError(f"open failed: {shown}: {why(e)}",
                        hint="the loader's cache is out of date: run ldconfig") from None
    found = root.lstat(path)
    if found and stat.S_ISDIR(found.st_mode):
        raise HostError(f"elf file read error: {shown}")
    name = posixpath.basename(path)
    if name.startswith(_TLS):
        fd = root.open(path)
        try:
            note = elf.read_elf(f"/proc/self/fd/{fd}").abi_tag
        except HostError:
            raise HostError(f"elf section read error: {shown}: invalid `elf' handle") from None
        finally:
            os.close(fd)
        if note is None:
            raise HostError(f"elf section 0x7 missing: {shown}")
        if note != _LINUX_ABI:
            return False
    return name.endswith(version)


def _native(root: Root, version: str) -> "Callable[[str, str], bool]":
    """Takes libraries of the driver's version."""
    return lambda path, former: _fits(root, path, version)


def _windows(path: str, former: str) -> bool:
    """WSL 2: takes what the cache names, unseen; what lies in the folder that Windows shares is not given up."""
    return "/wsl/lib/" not in former


def _chosen(entries: tuple[ldcache.Entry, ...], names: tuple[str, ...], root: Root, say: Say,
            takes: "Callable[[str, str], bool]") -> dict[str, str]:
    """The resolved path of each name that was found.  `takes` is asked with a path and with the one taken before."""
    chosen: dict[str, str] = {}
    for entry in entries:
        for name in names:
            if not entry.name.startswith(name):
                continue
            try:
                path = root.resolve(entry.path)
            except HostError as e:
                if not e.message.endswith("permission denied"):
                    raise
                say("W", f"skipping {entry.path}: permission denied")
                break
            if chosen.get(name) == path:
                continue
            if takes(path, chosen.get(name, "")):
                over = f" over {chosen[name]}" if name in chosen else ""
                say("I", f"selecting {path}{over}")
                chosen[name] = path
            else:
                say("I", f"skipping {path}")
            break
    return chosen


def read_libraries(root: Root, cache: str, version: str, say: Say, *,
                   wsl: bool = False) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The driver's 64-bit and 32-bit libraries of one version, resolved, in the order of the table of names.

    Under WSL 2 the libraries of Windows have another version than the driver, and the version is not asked for."""
    entries = read_cache(root, cache)
    names = (*ALL_LIBRARIES, DXCORE) if wsl else ALL_LIBRARIES
    both = []
    for bits in architectures():
        fitting = tuple(e for e in entries if e.flags & 1 and e.architecture == bits)
        both.append(_chosen(fitting, names, root, say, _windows if wsl else _native(root, version)))
    for chosen, kind in zip(both, ("library", "compat32 library"), strict=True):
        for name in names:
            if name not in chosen:
                say("W", f"missing {kind} {name}")
    native, compat32 = (tuple(dict.fromkeys(chosen[name] for name in names if name in chosen)) for chosen in both)
    return native, compat32
