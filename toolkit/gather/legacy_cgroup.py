"""Which device cgroup a process is in, and where that lies.  Source: libnvidia-container 1.20, `nvcgo`."""

import posixpath
import re
from typing import NamedTuple

from toolkit.errors import HostError

# Upstream takes a file that it cannot use for cgroup version 0.
_NO_VERSION = "unable to create cgroupv0 interface: invalid version"


class Cgroup(NamedTuple):
    """A device cgroup: `version` 1 or 2, and its directory."""

    version: int
    directory: str


def _fail(message: str, hint: str = "") -> HostError:
    return HostError(message, source="container error", hint=hint)


def _prefixed(step: str, message: str) -> HostError:
    return _fail(f"failed to get device cgroup {step} path: {message}",
                 hint="the device cgroup cannot be changed here; --no-cgroups leaves it alone")


def read_cgroup(*, proc: str, pid: int, mounts_of: int, prefix: str = "") -> Cgroup:
    """The device cgroup of `pid` as `proc` shows it, found through the mounts that process `mounts_of` sees.

    `prefix` is put in front of the directory: the container's root where `proc` is the container's.
    Raises HostError with source "container error".
    """
    try:
        membership = _membership(_read(f"{proc}/{pid}/cgroup"))
    except OSError:
        raise _prefixed("mount", _NO_VERSION) from None
    try:
        mounts = _entries(_read(f"{proc}/{mounts_of}/mountinfo"))
    except OSError as e:
        raise _prefixed("mount", f"failed to open mountinfo: {(e.strerror or '').lower()}") from None
    version, mount, root = _hierarchy(membership, mounts)
    path = membership[version]
    if ".." in path.split("/"):
        raise _prefixed("root", f"relative path in cgroup entry: {path}")
    if root.startswith("/.."):
        raise _prefixed("mount", f"relative path in mount prefix: {root}")
    if root != "/":
        path = path.removeprefix(root)
    return Cgroup(version=version, directory=posixpath.normpath(f"{prefix}{mount}/{path}"))


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        return f.read(1 << 24)


def _membership(text: str) -> dict[int, str]:
    """The path of the `devices` line as 1, and that of the line without controllers as 2; at least one of them.

    A list of controllers that merely contains `devices` does not count, as upstream has it."""
    found: dict[int, str] = {}
    for line in text.splitlines():
        fields = line.split(":", 2)
        if len(fields) != 3:
            raise _prefixed("mount", _NO_VERSION)
        if fields[1] in ("devices", ""):
            found.setdefault(1 if fields[1] else 2, fields[2])
    if not found:
        raise _prefixed("mount", _NO_VERSION)
    return found


def _entries(text: str) -> list[tuple[str, str, str]]:
    """(root, mount point, file system type) of each line of mountinfo."""
    rows = []
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) < 5:
            raise _prefixed("mount", f"malformed mountinfo entry: {line}")
        rows.append((_unescaped(fields[3]), _unescaped(fields[4]), fields[-3]))
    return rows


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), field)


def _hierarchy(membership: dict[int, str], mounts: list[tuple[str, str, str]]) -> tuple[int, str, str]:
    """Version, mount point and root of the hierarchy to use: version 1 wins.

    Where that is mounted nowhere and version 2 is, low-level runtimes use version 2, and so do we; upstream fails."""
    named = [(mount, root) for root, mount, kind in mounts if kind == "cgroup"]
    first = [(mount, root) for mount, root in named if posixpath.basename(mount) == "devices"]
    second = [(mount, root) for root, mount, kind in mounts if kind == "cgroup2"]
    if 1 in membership and first:
        return 1, *first[0]
    if 2 in membership and second:
        return 2, *second[0]
    if 1 in membership:
        raise _prefixed("mount", "no cgroup filesystem mounted for the devices subsytem in mountinfo file")
    raise _prefixed("mount", "no cgroup2 filesystem in mountinfo file")
