"""The MIG instances that NVML shows → the value of a profile's key `mig`."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nvsim import mig, models, profile_mig
from nvsim.errors import NvsimError
from nvsim.profile_mig import Wanted
from nvsim.record_nvml import Instance

_Place = tuple[str, int, tuple[tuple[int, int], ...]]  # profile, start, compute instances


def written(model: str, instances: Sequence[Instance], version: str, source: str) -> list[Any]:
    """The instances of one GPU as a profile lists them, largest first; without places where the driver would put them
    there anyway.

    Raises NvsimError for an instance that the catalogue does not know."""
    key = models.model(model)["mig"]
    table = mig.table(key, int(version[:3])) if key else None
    known = {profile.id: profile for profile in table.profiles} if table else {}
    unknown = next((i.profile_id for i in instances if i.profile_id not in known), None)
    if unknown is not None:
        raise NvsimError(f"{model} with driver {version} has no MIG profile {unknown} in the catalogue", source=source,
                         hint="add it to nvsim/catalog/mig.yaml")
    ordered = sorted(((known[i.profile_id], i) for i in instances), key=lambda pair: (-pair[0].slices, pair[1].start))
    places = {(profile.name, i.start, i.compute) for profile, i in ordered}
    wanted = [Wanted(profile=profile.name, compute=tuple(size for _, size in i.compute)) for profile, i in ordered]
    if _placed(model, wanted, version) == places:
        return [_item(w, known[i.profile_id]) for w, (_, i) in zip(wanted, ordered, strict=True)]
    return [_item(replace(w, start=i.start), profile) for w, (profile, i) in zip(wanted, ordered, strict=True)]


def _item(wanted: Wanted, profile: mig.Profile) -> Any:
    if wanted.compute == (profile.slices,):
        return wanted.profile if wanted.start < 0 else f"{wanted.profile}:{wanted.start}"
    compute = [profile.compute_name(slices) for slices in wanted.compute]
    return {"profile": wanted.profile} | ({"start": wanted.start} if wanted.start >= 0 else {}) | {"compute": compute}


def _placed(model: str, wanted: Sequence[Wanted], version: str) -> set[_Place]:
    """Where a profile with these instances has them; nowhere if they do not fit so."""
    gpu = models.board_gpu(model, index=0, minor=0, uuid=f"GPU-{uuid.UUID(int=0)}", bus_id="0000:00:00.0",
                           driver_branch=int(version[:3]))
    try:
        gpu = replace(gpu, **profile_mig.fields(gpu, wanted, version, model))
    except NvsimError:
        return set()
    return {(i.profile.name, i.start, tuple(sorted((c.start, c.size) for c in i.compute)))
            for i in mig.instances(gpu, mig.table_of(gpu, version))}
