"""The libraries of a second driver version beside those of a machine's driver → the value of a profile's key
`leftover`."""

import os
import re
from collections.abc import Mapping
from posixpath import basename, dirname, join
from typing import Any

from nvsim import plan, profile, record_files
from nvsim.record_layout import Driver

_VERSIONED = re.compile(r"lib[\w.+-]+\.so\.(\d{3}\.\d{2,3}(?:\.\d{2})?)")


def leftover(keys: Mapping[str, Any], driver: Driver) -> dict[str, Any]:
    """What the machine has of another version, of several the newest; empty for none.  `keys` are those of its profile
    so far."""
    folder = dirname(driver.library)
    files = {name: found[1] for name in os.listdir(folder) if (found := _VERSIONED.fullmatch(name))
             and not os.path.islink(join(folder, name))}
    others = sorted({version for version in files.values() if version != driver.version and int(version[:3]) >= 470})
    if not others:
        return {}
    version = others[-1]
    value: dict[str, Any] = {"driver": version}
    if os.path.realpath(join(folder, "libcuda.so.1")).endswith(f".so.{version}"):
        value["links"] = True
    known = _cached_versions(join(driver.root, "etc/ld.so.cache"))
    if (driver.version in known) != (version in known):
        value["ldcache"] = "driver" if driver.version in known else "leftover"
    planned = {basename(op.path) for op in plan.plan(profile.of({**keys, "leftover": value}, "leftover"))
               if dirname(op.path) == folder and op.path.endswith(f".so.{version}")}
    there = {name for name, of in files.items() if of == version}
    return value if planned <= there else {**value, "only": sorted(planned & there)}


def _cached_versions(path: str) -> set[str]:
    """The versions in the names of a loader's cache: some libraries bear theirs in the SONAME."""
    try:
        with open(path, "rb") as f:
            names = record_files.cached(f.read(), path)
    except FileNotFoundError:
        return set()
    return {found[1] for name in names if (found := _VERSIONED.fullmatch(name))}
