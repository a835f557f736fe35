"""MIG as the driver's rules have it: profiles of a board, legal placements, what still fits, and changes of instances.

The tables are nvsim/catalog/mig.yaml; nvsim/native/nvml/mig_*.c follows the same rules for programs that call NVML.
Changes are values: fields of the board's record, for `board.edit` or for a record that is being made."""

import difflib
import functools
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nvsim.board_gpu import MIG_SLOTS, Gpu
from nvsim.errors import NvsimError

CATALOG = Path(__file__).resolve().parent / "catalog" / "mig.yaml"
HOPPER = 9
ENGINES = ("decoders", "encoders", "jpeg", "ofa")
CONFIG_CHANGE = 256  # nvmlEventMigConfigChange


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeProfile:
    """A compute instance profile inside a GPU instance: its slices, its id, and how many there can be."""

    slices: int
    id: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A GPU instance profile.  `id` is what nvidia-smi shows, `index` NVML_GPU_INSTANCE_PROFILE_*; `gi_ids` are the
    ids of instances at `starts`."""

    name: str
    index: int
    id: int
    slices: int
    most: int
    memory_mib: int
    sm: int
    engines: tuple[int, ...]  # as in ENGINES
    size: int
    starts: tuple[int, ...]
    gi_ids: tuple[int, ...]
    compute: tuple[ComputeProfile, ...]

    def compute_name(self, slices: int) -> str:
        """3g.20gb for all of its slices, 1c.3g.20gb for one of them."""
        return self.name if slices == self.slices else f"{slices}c.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The profiles of a board, for one driver branch.  `number` is what the board's mig_table holds."""

    name: str
    number: int
    slices: int
    profiles: tuple[Profile, ...]

    def profile(self, name: str, source: str = "profile") -> Profile:
        """A profile by its name or id: "1g.5gb", "19".  Raises NvsimError that names the nearest one."""
        for profile in self.profiles:
            if name in (profile.name, f"MIG {profile.name}", str(profile.id)):
                return profile
        names = [p.name for p in self.profiles]
        like = [n for n in names if n.partition(".")[0] == name.partition(".")[0]]  # of as many slices
        near = difflib.get_close_matches(name, like or names, n=1, cutoff=0.3)
        raise NvsimError(f"{name[:60]!r} is no MIG profile of this GPU", source=source,
                         hint=(f"did you mean {near[0]!r}? " if near else "")
                         + f"known: {', '.join(p.name for p in self.profiles)}")

    def with_id(self, profile_id: int) -> Profile:
        """A profile by its id.  Raises StopIteration for one that the board does not have."""
        return next(p for p in self.profiles if p.id == profile_id)


@functools.cache
def _catalog() -> Any:
    return yaml.load(CATALOG.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@functools.cache
def table(name: str, branch: int) -> Table | None:
    """The table of a name (`mig:` of gpus.yaml) as a driver branch knows it; None if that branch has no MIG on the
    board, or nobody published the board's numbers."""
    found = _catalog()["tables"][name]
    rows = found["profiles"]
    if branch < found["since"] or any(row["id"] is None or row["sm"] is None for row in rows):
        return None
    known = _counted(_catalog()["indexes"], branch)
    return Table(name=name, number=list(_catalog()["tables"]).index(name) + 1, slices=found["compute_slices"],
                 profiles=tuple(_profile(row) for row in rows if row["index"] < known))


def table_of(gpu: Gpu, driver_version: str) -> Table:
    """The table of a GPU's record.  Raises NvsimError for a GPU without MIG."""
    names = list(_catalog()["tables"])
    found = table(names[gpu.mig_table - 1], int(driver_version[:3])) if 0 < gpu.mig_table <= len(names) else None
    if not found:
        raise NvsimError("this GPU has no MIG: Not Supported", source=gpu.name)
    return found


def _counted(counts: Mapping[int, int], branch: int) -> int:
    return next((counts[first] for first in sorted(counts, reverse=True) if first <= branch), min(counts.values()))


def _profile(row: Mapping[str, Any]) -> Profile:
    return Profile(name=row["name"], index=row["index"], id=row["id"], slices=row["slices"],
                   most=row["max_instances"], memory_mib=row["memory_mib"], sm=row["sm"],
                   engines=tuple(row[e] for e in ENGINES), size=row["placements"]["size"],
                   starts=tuple(row["placements"]["starts"]), gi_ids=tuple(row["gi_ids"]),
                   compute=tuple(ComputeProfile(slices=s, id=i, most=n) for s, i, n in row["ci"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeInstance:
    """A compute instance: one MIG device."""

    id: int
    profile_id: int
    start: int
    size: int
    uuid: str
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A GPU instance, with its compute instances by id."""

    id: int
    profile: Profile
    start: int
    slot: int
    compute: tuple[ComputeInstance, ...]

    @property
    def units(self) -> range:
        """The placement units that it takes."""
        return range(self.start, self.start + self.profile.size)


def instances(gpu: Gpu, board: Table) -> tuple[Instance, ...]:
    """The GPU instances of a record, by id."""
    found = [Instance(id=gpu.gi_id[slot], profile=board.with_id(gpu.gi_profile[slot]), start=gpu.gi_start[slot],
                      slot=slot, compute=_compute_instances(gpu, gpu.gi_id[slot]))
             for slot in range(MIG_SLOTS) if gpu.gi_size[slot]]
    return tuple(sorted(found, key=lambda instance: instance.id))


def _compute_instances(gpu: Gpu, instance_id: int) -> tuple[ComputeInstance, ...]:
    found = [ComputeInstance(id=gpu.ci_id[slot], profile_id=gpu.ci_profile[slot], start=gpu.ci_start[slot],
                             size=gpu.ci_size[slot], uuid=gpu.ci_uuid[slot], slot=slot)
             for slot in range(MIG_SLOTS) if gpu.ci_size[slot] and gpu.ci_gpu_instance[slot] == instance_id]
    return tuple(sorted(found, key=lambda instance: instance.id))


def capacity(board: Table, there: tuple[Instance, ...], profile: Profile) -> int:
    """How many more instances of a profile fit: legal places that are free, and media engines that nobody uses."""
    limit = profile.most
    for n in range(len(ENGINES)):
        if profile.engines[n]:
            all_of_them = max(p.engines[n] for p in board.profiles)
            used = sum(instance.profile.engines[n] for instance in there)
            limit = min(limit, (all_of_them - used) // profile.engines[n])
    return max(0, min(limit, len(_free_starts(there, profile))))


def _free_starts(there: tuple[Instance, ...], profile: Profile) -> list[int]:
    taken = {unit for instance in there for unit in instance.units}
    return [start for start in profile.starts if not taken & set(range(start, start + profile.size))]


def chosen_start(board: Table, there: tuple[Instance, ...], profile: Profile) -> int | None:
    """Where the driver puts the next instance: so that the largest others stay possible, and of equal places lowest.

    This reproduces the published sequences of A100 and RTX PRO 6000 boards."""
    if not capacity(board, there, profile):
        return None
    return max(_free_starts(there, profile), key=lambda start: (_room_left(board, there, profile, start), -start))


def _room_left(board: Table, there: tuple[Instance, ...], profile: Profile, start: int) -> int:
    """Free places of each size of instance, the largest counted most, if the profile took `start` as well."""
    after = (*there, Instance(id=-1, profile=profile, start=start, slot=-1, compute=()))
    return sum(len(_free_starts(after, other)) << 7 * other.slices for other in board.profiles)


def create(gpu: Gpu, driver_version: str, name: str, start: int | None = None) -> tuple[dict[str, Any], int]:
    """The fields after creating a GPU instance, and its id.

    Raises NvsimError in the driver's words: Not Supported, Invalid Argument, Insufficient Resources."""
    board = table_of(gpu, driver_version)
    if gpu.mig_mode != 1:
        raise NvsimError("MIG mode is off: Not Supported", source=gpu.uuid, hint="nvsim ctl mig enable GPU")
    profile, there = board.profile(name), instances(gpu, board)
    if start is not None and start not in profile.starts:
        raise NvsimError(f"{profile.name} cannot start at {start}: Invalid Argument", source=gpu.uuid,
                         hint=f"legal: {', '.join(map(str, profile.starts))}")
    place = chosen_start(board, there, profile) if start is None else start
    slot = next((n for n in range(MIG_SLOTS) if not gpu.gi_size[n]), None)
    room = capacity(board, there, profile) and slot is not None
    if place is None or slot is None or not room or place not in _free_starts(there, profile):
        raise NvsimError(f"no room for {profile.name}: Insufficient Resources", source=gpu.uuid)
    instance_id = profile.gi_ids[profile.starts.index(place)]
    return _with(gpu, slot, gi_id=instance_id, gi_profile=profile.id, gi_start=place, gi_size=profile.size,
                 gi_serial=gpu.gi_serial[slot] + 1, gi_memory_used=0), instance_id


def create_compute(gpu: Gpu, driver_version: str, instance_id: int, slices: int = 0,
                   start: int | None = None) -> tuple[dict[str, Any], int]:
    """The fields after creating a compute instance, by default one with all slices, and its id within its instance.

    Raises NvsimError in the driver's words."""
    board = table_of(gpu, driver_version)
    parent = _instance(gpu, board, instance_id)
    compute = next((c for c in parent.profile.compute if c.slices == (slices or parent.profile.slices)), None)
    if compute is None:
        raise NvsimError(f"no compute instance of {slices} slices in {parent.profile.name}: Invalid Argument",
                         source=gpu.uuid)
    legal = range(parent.profile.slices - compute.slices + 1)  # anywhere, in slices that follow each other
    if start is not None and start not in legal:
        raise NvsimError(f"it cannot start at {start}: Invalid Argument", source=gpu.uuid)
    taken = {n for other in parent.compute for n in range(other.start, other.start + other.size)}
    free = [s for s in legal if not taken & set(range(s, s + compute.slices))]
    slot = next((n for n in range(MIG_SLOTS) if not gpu.ci_size[n]), None)
    if slot is None or not free or (start is not None and start not in free):
        raise NvsimError(f"no room in GPU instance {instance_id}: Insufficient Resources", source=gpu.uuid)
    ids = {other.id for other in parent.compute}
    own = next(n for n in range(MIG_SLOTS + 1) if n not in ids)
    return _with(gpu, slot, ci_gpu_instance=instance_id, ci_id=own, ci_profile=compute.id,
                 ci_start=free[0] if start is None else start, ci_size=compute.slices,
                 ci_serial=gpu.ci_serial[slot] + 1,
                 ci_uuid=device_uuid(gpu.uuid, instance_id, own, parent.profile.id, compute.id, driver_version)), own


def destroy(gpu: Gpu, driver_version: str, instance_id: int) -> dict[str, Any]:
    """The fields without a GPU instance.  Raises NvsimError: Not Found, In use by another client."""
    found = _instance(gpu, table_of(gpu, driver_version), instance_id)
    if found.compute or _used(gpu, instance_id):
        raise NvsimError(f"GPU instance {instance_id}: In use by another client", source=gpu.uuid,
                         hint="destroy its compute instances first" if found.compute else "a process runs on it")
    return _with(gpu, found.slot, gi_size=0)


def destroy_compute(gpu: Gpu, driver_version: str, instance_id: int, compute_id: int) -> dict[str, Any]:
    """The fields without a compute instance.  Raises NvsimError: Not Found, In use by another client."""
    parent = _instance(gpu, table_of(gpu, driver_version), instance_id)
    found = next((c for c in parent.compute if c.id == compute_id), None)
    if found is None:
        raise NvsimError(f"no compute instance {compute_id} in GPU instance {instance_id}: Not Found", source=gpu.uuid)
    if _used(gpu, instance_id, compute_id):
        raise NvsimError(f"compute instance {instance_id}/{compute_id}: In use by another client", source=gpu.uuid,
                         hint="a process runs on it")
    return _with(gpu, found.slot, ci_size=0, ci_uuid="")


def _instance(gpu: Gpu, board: Table, instance_id: int) -> Instance:
    found = next((i for i in instances(gpu, board) if i.id == instance_id), None)
    if found is None:
        raise NvsimError(f"no GPU instance {instance_id}: Not Found", source=gpu.uuid)
    return found


def _used(gpu: Gpu, instance_id: int, compute_id: int | None = None) -> bool:
    return any(pid and gpu.process_gpu_instance[n] == instance_id
               and compute_id in (None, gpu.process_compute_instance[n]) for n, pid in enumerate(gpu.process_pid))


def switch(gpu: Gpu, mode: int) -> dict[str, Any]:
    """The fields after setting MIG mode, as nvmlDeviceSetMigMode does: until Hopper a GPU in use keeps it pending.

    Raises NvsimError for a GPU without MIG, one with instances, and a Hopper that is in use."""
    if gpu.mig_mode is None:
        raise NvsimError("this GPU has no MIG: Not Supported", source=gpu.name)
    busy = any(gpu.process_pid)
    if not mode and any(gpu.gi_size) or busy and mode != gpu.mig_mode and gpu.architecture >= HOPPER:
        raise NvsimError("In use by another client", source=gpu.uuid,
                         hint="end its processes" if busy else "destroy its instances first: nvsim ctl mig destroy GPU")
    return {"mig_pending": mode} | ({} if busy else {"mig_mode": mode})


def reset(gpu: Gpu) -> dict[str, Any]:
    """The fields after a reset: the pending mode is in force, and no instance survives."""
    if gpu.mig_mode is None:
        return {}
    return {"mig_mode": gpu.mig_pending, "gi_size": (), "ci_size": (), "ci_uuid": ()}


def reloaded(gpu: Gpu) -> dict[str, Any]:
    """The fields after the driver was loaded anew.  Until Hopper the board remembers its mode; later ones do not."""
    off = {"mig_mode": 0, "mig_pending": 0} if gpu.mig_mode is not None and gpu.architecture >= HOPPER else {}
    return reset(gpu) | off


def device_uuid(gpu_uuid: str, instance_id: int, compute_id: int, profile_id: int, compute_profile: int,
                driver_version: str) -> str:
    """The UUID of a MIG device: since 470 name-based in the name space of the GPU's, so the same for the same
    instances; before, the GPU's UUID and both ids."""
    if int(driver_version[:3]) < 470:
        return f"MIG-{gpu_uuid}/{instance_id}/{compute_id}"
    space = uuid.UUID(gpu_uuid.removeprefix("GPU-"))
    return f"MIG-{uuid.uuid5(space, f'{instance_id}/{compute_id}/{profile_id}/{compute_profile}')}"


def _with(gpu: Gpu, slot: int, **values: Any) -> dict[str, Any]:
    """Arrays of the record with new values in one slot."""
    return {name: tuple(value if n == slot else old for n, old in enumerate(getattr(gpu, name)))
            for name, value in values.items()}
