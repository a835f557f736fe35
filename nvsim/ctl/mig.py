"""`nvsim ctl mig`: MIG mode and instances, by the rules and with the errors of the driver."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nvsim import board, kernel, mig
from nvsim.board_events import Event, raised
from nvsim.board_gpu import Gpu
from nvsim.ctl.targets import Target, targets
from nvsim.ctl.words import Words, chosen
from nvsim.errors import NvsimError

Fields = dict[str, Any]
ACTIONS = ("enable", "disable", "create", "destroy", "list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Turns MIG mode on or off."""

    gpu: str
    mode: int

    def apply(self, root: str) -> list[str]:
        """What happened, a line per GPU.  Raises NvsimError for a GPU without MIG, or in use; then none has changed."""
        found = targets(root, self.gpu)
        for one in found:
            mig.switch(one.gpu, self.mode)
        return [self._switch(one) for one in found]

    def _switch(self, one: Target) -> str:
        def change(gpu: Gpu) -> Fields:
            fields = mig.switch(gpu, self.mode)
            done = fields.get("mig_mode", gpu.mig_mode) != gpu.mig_mode
            return fields | (raised(gpu, Event(type=mig.CONFIG_CHANGE)) if done else {})

        one.edit(change)
        word = ("off", "on")[self.mode]
        pending = one.now().mig_mode != self.mode
        return f"{one.name}: MIG {word}" + (" after the next reset: In use by another client" if pending else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Creates instances on each GPU, all or none.  `compute`: each GPU instance gets one with all of its slices."""

    gpu: str
    wanted: tuple[str, ...]
    compute: bool

    def apply(self, root: str) -> list[str]:
        """What was created, a line each.  Raises NvsimError in the driver's words."""
        return _carried_out(root, self.gpu, self._planned)

    def _planned(self, gpu: Gpu, version: str) -> tuple[list[str], Fields]:
        lines, fields = list[str](), Fields()
        for word in self.wanted:
            line, made = _created(dataclasses.replace(gpu, **fields), version, word, compute=self.compute)
            lines.append(line)
            fields |= made
        return lines, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroy:
    """Destroys an instance, "2" or "2/0", or with an empty one all of a GPU, compute instances first."""

    gpu: str
    instance: str

    def apply(self, root: str) -> list[str]:
        """What was destroyed, a line each.  Raises NvsimError: Not Found, In use by another client."""
        return _carried_out(root, self.gpu, self._planned)

    def _planned(self, gpu: Gpu, version: str) -> tuple[list[str], Fields]:
        lines, fields = list[str](), Fields()
        for instance, compute in self._meant(gpu, version):
            now = dataclasses.replace(gpu, **fields)
            if compute is None:
                fields |= mig.destroy(now, version, instance)
                lines.append(f"destroyed GPU instance {instance}")
            else:
                fields |= mig.destroy_compute(now, version, instance, compute)
                lines.append(f"destroyed compute instance {instance}/{compute}")
        return lines, fields

    def _meant(self, gpu: Gpu, version: str) -> list[tuple[int, int | None]]:
        if self.instance:
            instance, slash, compute = self.instance.partition("/")
            return [(int(instance), int(compute) if slash else None)]
        there = mig.instances(gpu, mig.table_of(gpu, version))
        if not there:
            raise NvsimError("no GPU instances: Not Found", source=gpu.uuid)
        return [pair for one in there for pair in (*((one.id, c.id) for c in one.compute), (one.id, None))]


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """Says which instances there are."""

    gpu: str

    def apply(self, root: str) -> list[str]:
        """A line per GPU that can do MIG, GPU instance and compute instance."""
        found = [one for one in targets(root, self.gpu) if one.gpu.mig_mode is not None]
        if not found:
            raise NvsimError("no GPU of this host can do MIG: Not Supported", source=root)
        return [line for one in found for line in _described(one)]


def parse(words: Words) -> Switch | Create | Destroy | List:
    """`enable 0`, `create 0 3g.20gb:4 -C`, `destroy 0 2/0`, `list`.

    Raises NvsimError for anything else."""
    action = chosen(words.bare[0] if words.bare else "", ACTIONS, "ctl mig")
    flags = [word for word in words.bare if word.startswith("-")]
    rest = [word for word in words.bare[1:] if word not in flags]
    gpu = words.named.get("gpu") or (rest.pop(0) if rest else "")
    if flags and (action != "create" or set(flags) != {"-C"}):
        raise NvsimError(f"{flags[0][:60]!r} is not known here", source=f"ctl mig {action}")
    if action == "list" and not rest:
        return List(gpu=gpu or "all")
    if not gpu or (rest and action in ("enable", "disable", "list")) or (action == "create") > bool(rest):
        raise NvsimError("expected a GPU" + (" and profiles" if action == "create" else ""),
                         source=f"ctl mig {action}", hint="nvsim ctl mig --help shows examples")
    if action == "create":
        return Create(gpu=gpu, wanted=tuple(rest), compute="-C" in flags)
    if action == "destroy":
        return Destroy(gpu=gpu, instance=_instance(rest))
    return Switch(gpu=gpu, mode=int(action == "enable"))


def _instance(rest: list[str]) -> str:
    """`2` or `2/0`; empty for all instances of the GPU."""
    parts = rest[0].split("/") if rest else []
    if len(rest) > 1 or len(parts) > 2 or not all(p.isascii() and p.isdecimal() and len(p) < 4 for p in parts):
        raise NvsimError(f"expected GI or GI/CI, got {' '.join(rest)[:60]!r}", source="ctl mig destroy",
                         hint="such as 2, or 2/0")
    return rest[0] if rest else ""


def _created(gpu: Gpu, version: str, word: str, *, compute: bool) -> tuple[str, Fields]:
    """One instance: PROFILE[:START], or GI/PROFILE[:START] for a compute instance in a GPU instance."""
    parent, slash, rest = word.rpartition("/")
    name, colon, text = rest.partition(":")
    if (colon and not text.isdecimal()) or (slash and not parent.isdecimal()):
        raise NvsimError(f"{word[:60]!r} is no instance", source="ctl mig create",
                         hint="PROFILE, PROFILE:START, or GI/PROFILE for a compute instance")
    start = int(text) if colon else None
    if slash:
        slices = _slices(gpu, version, int(parent), name)
        fields, own = mig.create_compute(gpu, version, int(parent), slices, start)
        return f"created compute instance {parent}/{own}, {name}", fields
    fields, instance = mig.create(gpu, version, name, start)
    line = f"created GPU instance {instance}, {mig.table_of(gpu, version).profile(name).name}"
    if compute:
        fields |= mig.create_compute(dataclasses.replace(gpu, **fields), version, instance)[0]
        line += f", with compute instance {instance}/0"
    return line, fields


def _slices(gpu: Gpu, version: str, instance_id: int, name: str) -> int:
    there = {one.id: one for one in mig.instances(gpu, mig.table_of(gpu, version))}
    if instance_id not in there:
        raise NvsimError(f"no GPU instance {instance_id}: Not Found", source=gpu.uuid)
    profile = there[instance_id].profile
    names = {profile.compute_name(c.slices): c.slices for c in profile.compute}
    return names[chosen(name, tuple(names), "ctl mig create")]


def _carried_out(root: str, wanted: str, plan: Callable[[Gpu, str], tuple[list[str], Fields]]) -> list[str]:
    """Changes each GPU by a plan made of what it is then; what was planned, in lines.

    Raises NvsimError of the first GPU for which the plan fails; then none has changed."""
    found = targets(root, wanted)
    versions = [board.read(one.places[0][0]).driver_version for one in found]
    for one, version in zip(found, versions, strict=True):
        plan(one.gpu, version)
    said: list[str] = []
    for one, version in zip(found, versions, strict=True):
        said += [f"{one.name}: {line}" for line in _changed(one, version, plan)]
    kernel.follow(root)
    return said


def _changed(one: Target, version: str, plan: Callable[[Gpu, str], tuple[list[str], Fields]]) -> list[str]:
    lines: list[str] = []

    def change(gpu: Gpu) -> Fields:
        planned, fields = plan(gpu, version)
        lines[:] = planned  # the libraries of a host carry the same record
        return fields | raised(gpu, Event(type=mig.CONFIG_CHANGE))

    one.edit(change)
    return lines


def _described(one: Target) -> list[str]:
    gpu = one.gpu
    table = mig.table_of(gpu, board.read(one.places[0][0]).driver_version)
    pending = "" if gpu.mig_pending == gpu.mig_mode else f", {('off', 'on')[gpu.mig_pending or 0]} after the next reset"
    lines = [f"{one.name}: MIG {('off', 'on')[gpu.mig_mode or 0]}{pending}"]
    for instance in mig.instances(gpu, table):
        profile = instance.profile
        lines.append(f"  GPU instance {instance.id}: {profile.name} at {instance.start}:{profile.size}")
        lines += [f"    compute instance {instance.id}/{c.id}: {profile.compute_name(c.size)} at {c.start}:{c.size}, "
                  f"{c.uuid}" for c in instance.compute]
    return lines
