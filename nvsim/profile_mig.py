"""The key `mig` of a profile: which GPUs of a group are in MIG mode, and with which instances.

`{0: [3g.20gb, 2g.10gb, 1g.5gb], 1: []}`: numbers within the group; an empty list is MIG mode without instances.  An
instance is a profile, `PROFILE:START`, or `{profile: 3g.20gb, start: 4, compute: [1c.3g.20gb, 2c.3g.20gb]}`; without
`compute` it has one compute instance, with all of its slices."""

import dataclasses
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nvsim import document, mig, models
from nvsim.board_gpu import Gpu
from nvsim.document import Keys
from nvsim.errors import NvsimError

NEWEST = 10_000  # a driver branch that knows every profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A GPU instance of a profile.  `start` -1: wherever the driver puts it; `compute` are slices, in order."""

    profile: str
    start: int = -1
    compute: tuple[int, ...] = ()


def parse(value: object, source: str, model: str, count: int) -> dict[int, tuple[Wanted, ...]]:
    """What each GPU in MIG mode has, by its number within the group.

    Raises NvsimError that names the key and the nearest profile."""
    if not isinstance(value, dict):
        raise NvsimError(f"expected GPU numbers and lists of profiles, got {document.kind(value)}", source=source,
                         hint="such as {0: [3g.20gb, 1g.5gb]}")
    table = mig.table(models.model(model)["mig"], NEWEST) if models.model(model)["mig"] else None
    if table is None:
        raise NvsimError(f"{model} has no MIG", source=source)
    keys = Keys(value, source, tuple(map(str, range(count))))
    return {int(number): tuple(_wanted(item, where, table) for where, item in keys.items(number)) for number in value}


def _wanted(item: object, source: str, table: mig.Table) -> Wanted:
    if isinstance(item, str):
        name, colon, start = item.partition(":")
        profile = _profile(name, source, table)
        return Wanted(profile=profile.name, start=_start(start, source, profile) if colon else -1,
                      compute=(profile.slices,))
    keys = Keys(item, source, ("profile", "start", "compute"))
    profile = _profile(keys.text("profile"), keys.where("profile"), table)
    compute = tuple(_slices(text, where, profile) for where, text in keys.items("compute"))
    return Wanted(profile=profile.name, compute=compute if "compute" in keys else (profile.slices,),
                  start=_start(keys.text("start"), keys.where("start"), profile) if "start" in keys else -1)


def _profile(name: str, source: str, table: mig.Table) -> mig.Profile:
    slices, _, rest = name.partition("c.")
    if slices.isdigit() and rest:
        raise NvsimError(f"{name[:60]!r} is a compute instance", source=source,
                         hint=f"{{profile: {rest}, compute: [{name}, …]}}")
    return table.profile(name, source)


def _start(text: str, source: str, profile: mig.Profile) -> int:
    start = document.integer(text, source, 0, 99)
    if start not in profile.starts:
        raise NvsimError(f"{profile.name} cannot start at {start}", source=source,
                         hint=f"legal: {', '.join(map(str, profile.starts))}")
    return start


def _slices(value: object, source: str, profile: mig.Profile) -> int:
    names = {profile.compute_name(compute.slices): compute.slices for compute in profile.compute}
    name = document.text(value, source)
    if name not in names:
        raise NvsimError(f"{name[:60]!r} is no compute instance of {profile.name}", source=source,
                         hint=f"known: {', '.join(names)}")
    return names[name]


def check(model: str, wanted: Sequence[Wanted], driver_version: str, source: str) -> None:
    """Raises NvsimError if a GPU of that model cannot have these instances with that driver."""
    gpu = models.board_gpu(model, index=0, minor=0, uuid=f"GPU-{uuid.UUID(int=0)}", bus_id="0000:00:00.0",
                           driver_branch=int(driver_version.partition(".")[0]))
    fields(gpu, wanted, driver_version, source)


def fields(gpu: Gpu, wanted: Sequence[Wanted], driver_version: str, source: str) -> dict[str, Any]:
    """The record's fields with these instances, made in the order of the profile, or else those with a place first,
    then the largest.

    Raises NvsimError if they do not fit together, or the driver has no MIG on this GPU."""
    by_size = sorted(wanted, key=lambda w: (w.start < 0, -int(w.profile.partition("g")[0])))
    try:
        return _made(gpu, wanted, driver_version)
    except NvsimError as e:
        try:
            return _made(gpu, by_size, driver_version)
        except NvsimError:
            names = ", ".join(w.profile for w in wanted)
            raise NvsimError(e.message, source=source, hint=f"{names} do not fit on one {gpu.name}"
                             if "Resources" in e.message else e.hint) from None


def _made(gpu: Gpu, wanted: Sequence[Wanted], driver_version: str) -> dict[str, Any]:
    mig.table_of(gpu, driver_version)
    changes: dict[str, Any] = {"mig_mode": 1, "mig_pending": 1}
    for one in wanted:
        now = dataclasses.replace(gpu, **changes)
        made, instance_id = mig.create(now, driver_version, one.profile, None if one.start < 0 else one.start)
        changes |= made
        for slices in one.compute:
            now = dataclasses.replace(gpu, **changes)
            changes |= mig.create_compute(now, driver_version, instance_id, slices)[0]
    return changes
