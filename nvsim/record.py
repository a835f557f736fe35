"""A running machine → the YAML of its profile, with what identifies it replaced (`nvsim record`).

Serial numbers and UUIDs are left out, so that the profile's own stand in; host names and addresses are others.  What
the profile would say anyway is left out too: a key stays if the profile means something else without it.
"""

import contextlib
import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

import yaml

from nvsim import (
    models,
    profile,
    profile_extras,
    record_facts,
    record_files,
    record_layout,
    record_leftover,
    record_mig,
    record_nvml,
    record_tegra,
    record_wsl,
)
from nvsim.errors import NvsimError
from nvsim.profile import VIRTUALIZATION, Cache, Profile
from nvsim.profile_fabric import NO_CLUSTER
from nvsim.record_facts import Facts, PciGpu
from nvsim.record_nvml import Said

# What a recording can say, in the order of the documentation; `profile` and `placeholders` show on no machine.
KEYS = ("about", "tegra", "layout", "arch", "driver", "kernel_driver", "kernel_module", "driver_root", "dev_root",
        "operator", "gpus", "compat32", "persistenced", "fabricmanager", "nvswitches", "nvlinks", "fabric",
        "virtualization", "wsl",
        "other_cards", "numa_nodes", "cpus", "threads", "dev_char_links", "ldcache", "vfio", "leftover",
        *profile_extras.KEYS, "absent", "files")
_STAY = ("about", "layout", "driver", "gpus")  # keys that stay whatever they say
_Keys = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is not replaced: serial numbers; UUIDs of GPUs and of the fabric's cluster."""

    serials: bool = False
    uuids: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A profile's text, and what could not be recorded, a line each."""

    text: str
    notes: tuple[str, ...] = ()


def record(*, name: str = "recorded", about: str = "", kept: Kept | None = None) -> Recording:
    """The profile of the machine that this runs on.

    `name` is what the profile will be called.  Raises NvsimError for GPUs and drivers that the catalogue does not know,
    and for errors of NVML and, on WSL 2, of libdxcore.so."""
    kept = kept or Kept()
    facts = record_facts.gather()
    wsl = os.path.exists("/dev/dxg")
    if os.path.exists(record_tegra.RELEASE):
        facts, keys, said, notes = _jetson(facts)
    else:
        facts, keys, said, notes = _windows(facts, name) if wsl else _linux(facts, kept)
    installed = keys.get("driver", facts.kernel_driver) != "none"
    version = keys.get("driver", facts.kernel_driver) if installed else facts.kernel_driver
    keys["gpus"] = [*keys.get("gpus", ()), *_groups(facts.gpus, said, version, kept)]
    if facts.vfio:
        keys["vfio"] = list(_groups(facts.vfio, said, version, kept))
    keys["about"] = about or _about(facts, version if installed else "", wsl=wsl)
    return Recording(text=_dump(_shortest(_with_files(keys, name, driver=installed), name)), notes=tuple(notes))


_Read = tuple[Facts, _Keys, dict[str, Said], list[str]]  # facts, keys, what NVML says by bus id, notes


def _linux(facts: Facts, kept: Kept) -> _Read:
    """What a machine with a driver for Linux shows, or one without any."""
    driver = record_layout.driver("", facts.arch)
    keys = _keys_of_all(facts, driver.version if driver else "")
    if not driver:
        return facts, keys | {"layout": record_layout.layout("", facts.arch)} | _dev_root(facts, "/"), {}, []
    said, why = record_nvml.ask(driver.library, [gpu.bus_id for gpu in facts.gpus])
    notes = [f"NVLinks, MIG instances and fabric are not recorded: {why}"] if why else []
    notes += [f"NVML does not know the GPU at {gpu.bus_id}" for gpu in facts.gpus if said and gpu.bus_id not in said]
    keys |= {"layout": driver.layout, "driver_root": driver.root, **_dev_root(facts, driver.root)}
    if other := record_leftover.leftover(keys, driver):
        keys["leftover"] = other
    return facts, keys | _said_of_all(facts, said, keep=kept.uuids), said, notes


def _dev_root(facts: Facts, driver_root: str) -> _Keys:
    """The key `dev_root`, of a machine that has the driver's nodes elsewhere than in / and the driver root."""
    usual = {"/", driver_root}
    there = set(facts.dev_roots)
    return {"dev_root": min(there)} if len(there) == 1 and there != usual else {}


def _jetson(facts: Facts) -> _Read:
    """What a Jetson shows: all else follows from board and release, but for GPUs on PCI Express."""
    board, release = record_tegra.gather()
    keys: _Keys = {"tegra": {"board": board.name, "l4t": release.l4t}, "persistenced": facts.persistenced,
                   "dev_char_links": facts.dev_char_links}
    if board.gpu not in map(_model, facts.gpus):  # Thor shows its own on the PCI bus, with others
        keys["gpus"] = [{"model": board.gpu}]
    if not record_facts.is_emulated():
        keys["cpus"] = facts.processors.cpus
    return replace(facts, kernel_driver=release.driver.version), keys, {}, []


def _windows(facts: Facts, name: str) -> _Read:
    """What a WSL 2 machine shows."""
    found = record_wsl.gather()
    gpus = found.gpus
    near = record_facts.near_gpus(gpus) if record_facts.is_emulated() and gpus else facts.processors
    facts = replace(facts, gpus=gpus, processors=near, kernel_driver=found.kernel_driver)
    keys = _keys_of_all(facts, found.driver) | {"layout": record_layout.layout("", facts.arch),
                                                "wsl": record_wsl.written(found, name)}
    keys = {key: value for key, value in keys.items() if key not in ("persistenced", "fabricmanager")}
    if found.why:  # Windows has loaded another driver than the libraries belong to; which one it does not say
        keys["kernel_driver"] = found.driver
    said = {bus_id: Said(serial=serial) for bus_id, serial in found.serials.items()}
    return facts, keys, said, [f"the GPUs and Windows' driver are not recorded: {found.why}"] if found.why else []


def _keys_of_all(facts: Facts, version: str) -> _Keys:
    """Keys of the whole machine.  Daemons of a driver that is not whole are as a profile has them."""
    near = facts.processors
    keys: _Keys = {
        "arch": facts.arch, "driver": version or "none", "kernel_driver": facts.kernel_driver or "none",
        "kernel_module": facts.kernel_module, "nvswitches": facts.nvswitches, "other_cards": facts.other_cards,
        "numa_nodes": near.nodes, "cpus": near.cpus, "threads": near.threads, "dev_char_links": facts.dev_char_links,
        "operator": facts.operator, **asdict(facts.extras)}
    if version and facts.kernel_driver:
        keys |= {"persistenced": facts.persistenced, "fabricmanager": facts.fabricmanager}
    return keys


def _groups(found: tuple[PciGpu, ...], said: dict[str, Said], version: str, kept: Kept) -> Iterator[_Keys]:
    """The keys `gpus` and `vfio`: neighbours of one model are one group."""
    known = [(_model(gpu), gpu) for gpu in found]
    for model, members in groupby(known, key=lambda pair: pair[0]):
        gpus = [gpu for _, gpu in members]
        group: _Keys = {"model": model, "count": len(gpus),
                        "bus_ids": [gpu.bus_id.removeprefix("0000:") for gpu in gpus],
                        "numa": [gpu.numa_node for gpu in gpus]}
        if all(gpu.minor >= 0 for gpu in gpus):
            group["minors"] = [gpu.minor for gpu in gpus]
        if kept.uuids and all(gpu.uuid for gpu in gpus):
            group["uuids"] = [gpu.uuid for gpu in gpus]
        if kept.serials and all(gpu.bus_id in said and said[gpu.bus_id].serial for gpu in gpus):
            group["serials"] = [said[gpu.bus_id].serial for gpu in gpus]
        instances = {n: said[gpu.bus_id].mig for n, gpu in enumerate(gpus) if gpu.bus_id in said}
        if any(found is not None for found in instances.values()):
            group["mig"] = {n: record_mig.written(model, found, version, f"GPU {gpus[n].bus_id}")
                            for n, found in instances.items() if found is not None}
        yield group


def _model(gpu: PciGpu) -> str:
    """The key of a GPU's model.  Raises NvsimError, with what an entry needs, for one that the catalogue lacks."""
    for key, model in models.models().items():
        if model["pci_device_id"] and int(model["pci_device_id"], 16) == gpu.device:
            return key
    raise NvsimError(f"the catalogue does not know this GPU: {gpu.name or 'no name'}, PCI device 0x{gpu.device:08X}",
                     source=f"GPU {gpu.bus_id}", hint="add an entry to nvsim/catalog/gpus.yaml with the keys "
                     + ", ".join(key for key in models.model("T4") if key not in ("sources", "idle")))


def _said_of_all(facts: Facts, said: dict[str, Said], *, keep: bool) -> _Keys:
    """Keys that follow from what NVML says: bridges by the other ends of links, the fabric, virtualization."""
    keys: _Keys = {}
    index = {gpu.bus_id: n for n, gpu in enumerate(facts.gpus)}
    ends = Counter((index[gpu], index[other]) for gpu, one in said.items() for other in one.links if other in index)
    if bridges := {f"{a}-{b}": links for (a, b), links in sorted(ends.items()) if a < b}:
        keys["nvlinks"] = bridges
    first = next(iter(said.values()), Said())
    fabric: _Keys = {} if first.cluster == NO_CLUSTER and not first.clique else {
        "cluster": first.cluster if keep else _other_uuid(first.cluster), "clique": first.clique}
    if fabric or facts.imex_channels:
        keys["fabric"] = fabric | {"imex_channels": facts.imex_channels}
    words = {number: word for word, number in VIRTUALIZATION.items()}
    if first.virtualization in words:
        keys["virtualization"] = words[first.virtualization]
    if facts.imex:
        keys["files"] = dict(facts.imex)
    return keys


def _other_uuid(uuid: str) -> str:
    """Another UUID in its place: the same one for the same, on every machine."""
    digits = hashlib.sha256(f"recorded {uuid}".encode()).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def _about(facts: Facts, version: str, *, wsl: bool) -> str:
    named = Counter(models.model(_model(gpu))["name"] for gpu in facts.gpus + facts.vfio)
    parts = [f"{count} {name}" for name, count in named.items()] or ["no GPU"]
    parts += ["WSL 2"] if wsl else []
    return ", ".join([*parts, record_layout.system("").get("PRETTY_NAME", "unknown system"),
                      f"driver {version}" if version else "no driver", "as recorded"])


def _with_files(keys: _Keys, name: str, *, driver: bool) -> _Keys:
    """The keys with those that come from comparing the machine's files with what the profile gives."""
    made = _profile(keys, name)
    if driver and not made.wsl and not made.tegra:
        keys = keys | {"compat32": record_files.compat32("", made)}
        made = _profile(keys, name)
    missing = record_files.absent("", made)
    state = record_files.cache("", replace(made, absent=missing)) if driver else Cache()
    cache: Any = {"state": state.state, "lacks": list(state.lacks)} if state.lacks else state.state
    return keys | {"ldcache": cache} | ({"absent": list(missing)} if missing else {})


def _profile(keys: _Keys, name: str) -> Profile:
    return profile.parse(_dump(keys), f"{name}.yaml")


def _dump(keys: _Keys) -> str:
    ordered = {key: keys[key] for key in KEYS if key in keys}
    return yaml.dump(ordered, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are, and mappings with such texts line by line."""


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _mapping(dumper: _Dumper, mapping: _Keys) -> yaml.Node:
    node = dumper.represent_mapping("tag:yaml.org,2002:map", mapping)
    if any(isinstance(value, str) and "\n" in value for value in mapping.values()):
        node.flow_style = False
    return node


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _mapping)


def _shortest(keys: _Keys, name: str) -> _Keys:
    """The keys without those that change nothing, in the machine and in each group of GPUs."""
    meaning = said_in_full(_profile(keys, name))
    for key in [key for key in keys if key not in _STAY]:
        fewer = _without(keys, key)
        keys = fewer if _means(fewer, name) == meaning else keys
    for place, n in [(list_, i) for list_ in ("gpus", "vfio") for i in range(len(keys.get(list_, ())))]:
        for key in [key for key in keys[place][n] if key != "model"]:
            groups = [_without(group, key) if i == n else group for i, group in enumerate(keys[place])]
            fewer = keys | {place: groups}
            keys = fewer if _means(fewer, name) == meaning else keys
    return keys


def _without(keys: _Keys, key: str) -> _Keys:
    return {name: value for name, value in keys.items() if name != key}


def _means(keys: _Keys, name: str) -> Profile | None:
    try:
        return said_in_full(_profile(keys, name))
    except NvsimError:  # a key that another one needs
        return None


def said_in_full(one: Profile) -> Profile:
    """The profile with every GPU's NUMA node said."""
    near = [profile.near(one, gpu, place) for place, gpu in enumerate(one.gpus + one.vfio)]
    said = tuple(replace(gpu, numa_node=node) for gpu, node in zip(one.gpus + one.vfio, near, strict=True))
    return replace(one, gpus=said[:len(one.gpus)], vfio=said[len(one.gpus):])


def write(text: str, path: str, *, force: bool = False) -> None:
    """Writes a file as a whole or not at all.  Raises NvsimError if it exists, unless forced."""
    try:
        fd, new = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path) or ".")
        try:
            with open(fd, "w", encoding="utf-8") as f:
                f.write(text)
                os.fchmod(fd, 0o644)
            if force:
                os.rename(new, path)
            else:
                os.link(new, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new)
    except FileExistsError as e:
        raise NvsimError("the file exists", source=path, hint="--force replaces it") from e
    except OSError as e:
        raise NvsimError(f"cannot write: {e.strerror}", source=path) from e
