"""Facts → the keys of a profile, and for each that had to be assumed the reason."""

import difflib
import functools
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from nvsim import catalogue, models, plan, profile, profile_wsl
from nvsim.errors import NvsimError
from nvsim.profile_gpus import MOST_GPUS
from scenarios.draft.facts import Facts, Gpu
from scenarios.draft.scrub import Scrub

Assumed = dict[tuple[str, ...], str]
DRIVER = "550.163.01"
MODEL = "T4"
_NODES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")


def profile_of(facts: Facts, cause: dict[str, object], why: str, scrub: Scrub) -> tuple[dict[str, object], Assumed]:
    """The profile's keys in the order of the documentation.  `cause` are keys that follow from the error text."""
    assumed: Assumed = {("host", key): why for key in cause}
    keys: dict[str, object] = {}
    keys["layout"] = _layout(facts, assumed)
    gpus = _gpus(facts, assumed)
    _drivers(facts, cause, gpus[0][0], keys, assumed)
    if facts.wsl:
        return _windows(facts, keys, gpus, cause, scrub, assumed), assumed
    if facts.driver_root not in ("", "/"):
        keys["driver_root"] = facts.driver_root
    if facts.operator:
        keys |= {"dev_root": facts.dev_root} if facts.dev_root and facts.dev_root == facts.driver_root else {}
        keys["operator"] = True
        assumed["host", "operator"] = "the report shows the GPU Operator's pods or files"
    keys["gpus"] = _groups(gpus, scrub, assumed)
    if facts.virtualization not in ("", "none"):
        keys["virtualization"] = facts.virtualization
    if 0 < facts.first_card <= 16:
        keys["other_cards"] = facts.first_card
        assumed["host", "other_cards"] = "the specification's first card has a number above 0"
    if facts.persistenced:
        keys["persistenced"] = False
    if facts.specs:
        keys["files"] = {f"/etc/cdi/nvidia{number or ''}.{'json' if spec.lstrip().startswith('{') else 'yaml'}":
                         scrub.clean(spec) for number, spec in enumerate(facts.specs)}
        assumed["host", "files"] = "the specification is where nvidia-ctk usually writes it"
    keys |= cause
    absent = sorted({*_absent(facts, [gpu for _, gpu in gpus]), *_texts(cause.get("absent"))})
    fitting = _fitting({key: keys[key] for key in profile.KEYS if key in keys and key != "absent"}, assumed)
    there = _paths(fitting)
    missing = [path for path in absent if path in there]
    if not missing:
        assumed.pop(("host", "absent"), None)
        return fitting, assumed
    return fitting | {"absent": missing}, assumed


def _windows(facts: Facts, keys: dict[str, object], gpus: list[tuple[str, Gpu]], cause: dict[str, object], scrub: Scrub,
             assumed: Assumed) -> dict[str, object]:
    """The keys of a WSL 2 machine: versions, stores and GPUs.  It has no nodes but /dev/dxg, no MIG, no cards."""
    keys |= {key: value for key, value in cause.items() if key in ("driver", "kernel_driver", "ldcache")}
    keys.pop("kernel_module", None)
    if "kernel_driver" not in keys:
        assumed["host", "kernel_driver"] = "the version of Windows' driver is not named"
    stores = [{"name": name} for name in facts.stores][:profile_wsl.MOST_STORES]
    keys["wsl"] = stores if any(name.startswith("nv") for name in facts.stores) else True
    if keys["wsl"] is True:
        assumed["host", "wsl"] = "one driver store, whose name the report does not show"
    keys["gpus"] = _groups([(model, replace(gpu, mig=None, minor=-1)) for model, gpu in gpus], scrub, assumed)
    if not keys.get("kernel_driver"):
        assumed.pop(("host", "kernel_driver"), None)
    return _fitting({key: keys[key] for key in profile.KEYS if key in keys}, assumed)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _paths(keys: dict[str, object]) -> frozenset[str]:
    """What would be on the machine; a profile may only say of such paths that they are absent."""
    return frozenset(op.path for op in plan.plan(profile.of(_plain(keys), "draft", name="draft")))


def _layout(facts: Facts, assumed: Assumed) -> str:
    for name in facts.systems:
        try:
            catalogue.layout(name)
        except NvsimError:
            continue
        if name != facts.systems[0]:
            assumed["host", "layout"] = f"the nearest that there is to {facts.system}"
        return name
    assumed["host", "layout"] = (f"nothing nearer to {facts.system} is emulated" if facts.system
                                 else "the report names no distribution")
    return profile.Profile(name="draft").layout


def _drivers(facts: Facts, cause: dict[str, object], model: str, keys: dict[str, object], assumed: Assumed) -> None:
    """Versions of the files and of the loaded module; what one of them says holds for both unless both are named."""
    if "driver" in cause:
        return
    named = facts.driver or facts.kernel_driver
    keys["driver"] = _version(named, model, assumed, "driver")
    if facts.kernel_driver and facts.driver and facts.kernel_driver != facts.driver:
        keys["kernel_driver"] = _version(facts.kernel_driver, model, assumed, "kernel_driver")
    if facts.kernel_module and "kernel_driver" not in cause:
        keys["kernel_module"] = facts.kernel_module


def _version(named: str, model: str, assumed: Assumed, key: str) -> str:
    if not named:
        assumed["host", key] = "the report names no driver version"
        return _usual_driver(model)
    try:
        return catalogue.release(named).version
    except NvsimError:
        assumed["host", key] = "the oldest driver that is emulated; that of the report is older"
        return "470.256.02"


@functools.cache
def _usual_driver(model: str) -> str:
    """The driver of a profile that comes along and has this GPU, or one that knows it."""
    for name in profile.names():
        found = profile.load(name)
        if found.driver and any(gpu.model == model for gpu in found.gpus):
            return found.driver
    first, last = models.model(model)["branches"]
    return DRIVER if first <= 550 <= (last or 550) else f"{first if first > 550 else last}.10.01"


def _gpus(facts: Facts, assumed: Assumed) -> list[tuple[str, Gpu]]:
    """The GPUs with their models, as far as profiles may have them."""
    gpus = facts.gpus[:MOST_GPUS]
    if not gpus:
        minors = [int(node[len("/dev/nvidia"):]) for node in facts.nodes if re.fullmatch(r"/dev/nvidia\d{1,2}", node)]
        gpus = tuple(Gpu(index=i, minor=minor) for i, minor in enumerate(sorted(set(minors))[:MOST_GPUS]))
        assumed["host", "gpus"] = ("the report shows device nodes and no model" if gpus
                                   else "the report names no GPU: one of a common model")
        if not gpus and facts.asked > 1:
            gpus = tuple(Gpu(index=i) for i in range(facts.asked))
            assumed["host", "gpus"] = "the report names no GPU: as many of a common model as a container asks for"
    found = []
    for gpu in gpus or (Gpu(index=0),):
        model, why = _model(gpu)
        if why and gpu.name:
            assumed["host", "gpus"] = why
        found.append((model, gpu))
    return sorted(found, key=lambda pair: pair[1].bus_id or f"~{pair[1].index:03}")


def _model(gpu: Gpu) -> tuple[str, str]:
    """A key of the catalogue, and why another model than the report's stands there."""
    if not gpu.name:
        return MODEL, "no model is named"
    plain = gpu.name.removesuffix("...").strip()
    if not gpu.name.endswith("..."):
        try:
            return str(models.model(plain)["key"]), ""
        except NvsimError:
            pass
    fitting = [m for m in models.models().values() if str(m["name"]).removeprefix("NVIDIA ").startswith(
        plain.removeprefix("NVIDIA ")) or str(m["key"]).startswith(plain)]
    if fitting and gpu.name.endswith("..."):
        near = min(fitting, key=lambda m: abs((m["memory_mib"] or 0) - gpu.memory_mib))
        return str(near["key"]), "" if gpu.memory_mib else "its name is cut short in the report"
    names = {str(m["name"]).lower(): str(m["key"]) for m in reversed(models.models().values())}
    close = difflib.get_close_matches(plain.lower(), names, n=1, cutoff=0.3)
    return names[close[0]] if close else MODEL, f"the nearest that is emulated to {plain[:40]}"


def _groups(gpus: list[tuple[str, Gpu]], scrub: Scrub, assumed: Assumed) -> list[dict[str, object]]:
    """Entries of `gpus`: neighbours of one model in one."""
    found = []
    for model, pairs in groupby(gpus, key=lambda pair: pair[0]):
        members = [gpu for _, gpu in pairs]
        entry: dict[str, object] = {"model": model, "count": len(members)}
        if all(gpu.minor >= 0 for gpu in members):
            entry["minors"] = [gpu.minor for gpu in members]
        if all(gpu.uuid for gpu in members):
            entry["uuids"] = [f"GPU-{scrub.uuid(gpu.uuid.removeprefix('GPU-'))}" for gpu in members]
        if all(gpu.bus_id for gpu in members):
            entry["bus_ids"] = [gpu.bus_id for gpu in members]
        mig = {number: sorted(gpu.mig, key=_size, reverse=True) for number, gpu in enumerate(members)
               if gpu.mig is not None}
        if mig:
            entry["mig"] = mig
            assumed["host", "gpus"] = "MIG instances lie where the driver would put them"
            if not any(mig.values()):
                assumed["host", "gpus"] = "MIG mode is on and the report names no instance"
        found.append(entry)
    return found


def _size(name: str) -> tuple[int, str]:
    """Slices of an instance: the driver finds room for all if the large ones come first."""
    found = re.search(r"(\d+)g\.", name)
    return (int(found[1]) if found else 0, name)


def _absent(facts: Facts, gpus: list[Gpu]) -> list[str]:
    """Nodes that a listing of /dev/nvidia* does not show, and those that somebody looked for in vain."""
    missing = [path for path in facts.missing if "*" not in path and not path.startswith("/dev/dri/by-path")]
    if any(path.startswith("/dev/nvidia") for path in facts.nodes):
        minors = [gpu.minor if gpu.minor >= 0 else gpu.index for gpu in gpus]
        expected = (*_NODES, *(f"/dev/nvidia{minor}" for minor in minors))
        missing += [path for path in expected if path not in facts.nodes]
    elif "/dev/nvidia*" in facts.missing:
        missing += [*_NODES, *(f"/dev/nvidia{gpu.index}" for gpu in gpus)]
    return missing


def _fitting(keys: dict[str, object], assumed: Assumed) -> dict[str, object]:
    """The keys without what no machine can have, such as MIG instances that do not fit on the model that stands in."""
    for attempt in _lighter(keys):
        try:
            plan.plan(profile.of(_plain(attempt), "draft", name="draft"))
        except NvsimError as e:
            assumed["host", "gpus"] = f"what the report says does not fit together: {e.message}"
            continue
        return attempt
    raise NvsimError("no machine fits what the report says", source="draft",
                     hint="leave out the outputs that contradict each other")


def _lighter(keys: dict[str, object]) -> Iterator[dict[str, object]]:
    """The keys, then without what is given for each GPU, one after the other."""
    yield keys
    groups = keys["gpus"]
    assert isinstance(groups, list)
    dropped: tuple[str, ...] = ()
    for key in ("mig", "minors", "bus_ids", "uuids"):
        dropped = (*dropped, key)
        yield keys | {"gpus": [{k: v for k, v in group.items() if k not in dropped} for group in groups]}
    yield {k: v for k, v in keys.items() if k in ("layout", "driver", "kernel_driver")} | {"gpus": [{"model": MODEL}]}


def _plain(value: object) -> object:
    """A value as `nvsim.document` reads it: scalars are text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
