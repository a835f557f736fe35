"""What of a host's driver files and device nodes a machine does not have, and the state of its loader cache."""

import os
from dataclasses import replace
from posixpath import basename, dirname, join
from typing import Any

from nvsim import ldcache, plan, plan_driver, plan_host, plan_tegra, plan_wsl
from nvsim.errors import NvsimError
from nvsim.ops import File
from nvsim.profile import Cache, Profile


def compat32(root: str, profile: Profile) -> bool:
    """Whether any of the 32-bit libraries is there; true where the layout has no place for them, which says nothing."""
    place = root + profile.driver_root.rstrip("/")
    paths = [{op.path for op in plan_driver.files(plan_host.host(replace(profile, compat32=wanted)))}
             for wanted in (True, False)]
    only = paths[0] - paths[1]
    return not only or any(os.path.lexists(place + path) for path in only)


def absent(root: str, profile: Profile) -> tuple[str, ...]:
    """Patterns of the device nodes and driver files that the profile gives and the machine does not have."""
    top = profile.driver_root.rstrip("/")
    made = plan_host.host(profile)
    places = ("/dev/", f"{top}/dev/", f"{plan_wsl.LIB}/", f"{plan_wsl.STORES}/")
    ours = {top + op.path for op in (plan_tegra if made.jetson else plan_driver).files(made)}
    planned = [op.path for op in plan.plan(profile) if op.path in ours or op.path.startswith(places)]
    others = [f"/dev/dri/by-path/pci-{bus_id}-card" for bus_id in made.other_cards]  # a profile does not say where
    planned = [path for path in planned if path not in others]
    there = {path for path in planned if os.path.lexists(root + path)}
    return _patterns(planned, there)


def _patterns(planned: list[str], there: set[str]) -> tuple[str, ...]:
    """The fewest readable patterns for what is planned and not there: folders, then libraries with their links."""
    found: dict[str, None] = {}
    for path in planned:
        if path in there or any(path.startswith(f"{folder}/") for folder in found):
            continue
        folder, name = dirname(path), basename(path)
        if folder.count("/") > 1 and not any(other.startswith(f"{folder}/") for other in there):
            found[folder] = None
            continue
        stem = name.partition(".so")[0] + ".so"
        of_library = {other for other in planned if other.startswith(f"{folder}/{stem}")}
        whole = len(of_library) > 1 and not of_library & there
        found[f"{folder}/{stem}*" if whole else path] = None
    return tuple(found)


def cache(root: str, profile: Profile) -> Cache:
    """The state of the loader's cache, by the names of the driver's libraries in it."""
    path = join(profile.driver_root, "etc/ld.so.cache")
    fresh, stale = (_planned(replace(profile, ldcache=Cache(state=state)), path) for state in ("fresh", "stale"))
    data = _content(root + path)
    if data is None:
        return Cache(state="absent") if fresh else Cache()
    known = cached(data, path)
    state: Any = "stale" if (stale - fresh) & known else "fresh"
    expected = stale if state == "stale" else fresh
    missing = expected - known
    lacks = ("*",) if missing and missing == expected else tuple(sorted(missing))
    return Cache(state=state, lacks=lacks)


def _planned(profile: Profile, path: str) -> set[str]:
    return {key for op in plan.plan(profile) if op.path == path and isinstance(op, File)
            for key in cached(op.data, path)}


def cached(data: bytes, source: str) -> set[str]:
    """The library names in a loader cache; the part in the older format, which may stand first, is passed over.

    Raises NvsimError for one that is cut short or has neither format."""
    try:
        return {entry.key for entry in ldcache.read(data)}
    except ValueError as e:
        raise NvsimError(f"not a loader cache: {e}", source=source, hint="ldconfig writes a new one") from e


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None
