"""Libraries of two driver versions in the same folders: see nvsim.profile_leftover."""

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import replace
from posixpath import basename, dirname, join, normpath

from nvsim import catalogue
from nvsim.ops import Op, Symlink
from nvsim.plan_host import Host
from nvsim.profile import Profile
from nvsim.profile_leftover import Leftover


def beside(host: Host, own: Iterable[Op], theirs: Iterable[Op]) -> list[Op]:
    """The driver's libraries and those of the other version: a name that both have is the driver's, or with `links` a
    link of the other one's.  A link without what it leads to is left out."""
    there = {op.path: op for op in own}
    other = {op.path: op for op in theirs}
    files = {path for path, op in other.items() if not isinstance(op, Symlink) and path not in there
             and any(fnmatch.fnmatchcase(basename(path), pattern) for pattern in host.profile.leftover.only)}
    links = {path for path, op in other.items() if isinstance(op, Symlink) and _end(path, other) in files
             and (path not in there or host.profile.leftover.links)}
    return list((there | {path: other[path] for path in other if path in files | links}).values())


def _end(path: str, ops: Mapping[str, Op]) -> str:
    """What a link leads to in the end, by way of others of the same version."""
    while isinstance(op := ops.get(path), Symlink):
        path = normpath(join(dirname(path), op.target))
    return path


def other(host: Host) -> Host:
    """The host as the other version's packages would find it."""
    return replace(host, driver=catalogue.release(host.profile.leftover.driver))


def alone(profile: Profile) -> Profile | None:
    """The machine that ldconfig saw when only one of the versions was there; None if it has seen both."""
    found = profile.leftover
    if not found.driver or found.ldcache == "both":
        return None
    return replace(profile, leftover=Leftover(),
                   driver=profile.driver if found.ldcache == "driver" else found.driver)
