"""This machine against a profile: `nvsim record --check PROFILE`.

Two profiles are the same where the same machine is built of them, however they say it."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from nvsim import plan, plan_host, profile
from nvsim.errors import NvsimError
from nvsim.profile import Profile
from nvsim.profile_fabric import NO_CLUSTER
from nvsim.profile_gpus import Gpu
from nvsim.record import Kept, record, said_in_full

_MOST_TEXT = 60


def check(wanted: Profile, kept: Kept) -> tuple[list[str], tuple[str, ...]]:
    """What of the machine that this runs on differs from a profile, a line each, and what could not be recorded.

    UUIDs and serial numbers count where they are kept.  Raises NvsimError as `record` does."""
    found = record(name=wanted.name, kept=kept)
    return differences(profile.parse(found.text, f"{wanted.name}.yaml"), wanted, kept), found.notes


def differences(found: Profile, wanted: Profile, kept: Kept) -> list[str]:
    """The lines that say where the machine `found` is another one than `wanted`; none if it is the same."""
    found, wanted = _alike(found, wanted, kept), said_in_full(wanted)
    planned = plan.plan(wanted)
    if plan.plan(found) == planned:
        return []
    other = [field.name for field in fields(Profile) if field.name not in ("name", "about")
             and getattr(found, field.name) != getattr(wanted, field.name)]
    telling = [name for name in other if _planned(replace(wanted, **{name: getattr(found, name)})) != planned]
    return [line for name in telling or other for line in _lines(name, getattr(found, name), getattr(wanted, name))]


def _planned(one: Profile) -> Any:
    """What is built of a profile; the reason where nothing can be."""
    try:
        return plan.plan(one)
    except NvsimError as e:
        return str(e)


def _alike(found: Profile, wanted: Profile, kept: Kept) -> Profile:
    """`found` with everything said as `wanted` says it that means the same: default places, and what identifies the
    machine where that is not kept."""
    found = said_in_full(found)
    gpus = tuple(_gpu_alike(found, wanted, n, kept) for n in range(len(found.gpus)))
    cluster = found.fabric.cluster
    if not kept.uuids and NO_CLUSTER not in (cluster, wanted.fabric.cluster):
        cluster = wanted.fabric.cluster
    vfio = tuple(replace(gpu, uuid=same.uuid, serial=same.serial)
                 for gpu, same in zip(found.vfio, wanted.vfio, strict=False)) + found.vfio[len(wanted.vfio):]
    return replace(found, gpus=gpus, vfio=vfio, fabric=replace(found.fabric, cluster=cluster))


def _gpu_alike(found: Profile, wanted: Profile, n: int, kept: Kept) -> Gpu:
    """One GPU; MIG instances are the same where they lie in the same places, in whatever order they are listed."""
    gpu = found.gpus[n]
    if n >= len(wanted.gpus):
        return gpu
    same = wanted.gpus[n]
    gpu = replace(gpu, uuid=gpu.uuid if kept.uuids else same.uuid, serial=gpu.serial if kept.serials else same.serial)
    if None in (gpu.mig, same.mig) or _instances(found, n) != _instances(wanted, n):
        return gpu
    return replace(gpu, mig=same.mig)


def _instances(one: Profile, n: int) -> tuple[set[Any], set[Any]]:
    """Ids and places of a GPU's instances, and of the compute instances in them, as they are on the board."""
    board = plan_host.host(one).gpus[n].board
    return (set(zip(board.gi_id, board.gi_profile, board.gi_start, board.gi_size, strict=True)),
            set(zip(board.ci_gpu_instance, board.ci_id, board.ci_profile, board.ci_start, board.ci_size, strict=True)))


def _lines(path: str, found: Any, wanted: Any) -> Iterator[str]:
    """Lines for two values that differ, as deep as they are of one form."""
    if found == wanted:
        return
    if is_dataclass(found) and type(found) is type(wanted):
        for field in fields(found):
            yield from _lines(f"{path}.{field.name}", getattr(found, field.name), getattr(wanted, field.name))
    elif isinstance(found, tuple) and isinstance(wanted, tuple) and len(found) == len(wanted):
        for n, (here, there) in enumerate(zip(found, wanted, strict=True)):
            yield from _lines(f"{path}[{n}]", here, there)
    elif isinstance(found, tuple) and isinstance(wanted, tuple) and all(map(is_dataclass, found + wanted)):
        yield f"{path}: {len(found)} here, {len(wanted)} in the profile"
    else:
        yield f"{path}: {_text(found)} here, {_text(wanted)} in the profile"


def _text(value: Any) -> str:
    """A value on one line, not too long."""
    if isinstance(value, tuple):
        parts = [": ".join(map(str, item)) if isinstance(item, tuple) else str(item) for item in value]
        text = ", ".join(parts) or "none"
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        text = str(value) if value not in ("", None) else "none"
    text = " ".join(text.split())
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT - 1] + "…"
