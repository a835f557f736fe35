"""Profile YAML → Profile: one emulated machine (DESIGN §8).  What a profile does not say comes from the catalogue."""

import difflib
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from typing import Any, Literal

from nvsim import (
    catalogue,
    document,
    models,
    profile_extras,
    profile_fabric,
    profile_leftover,
    profile_mig,
    profile_wsl,
)
from nvsim.document import Keys
from nvsim.errors import NvsimError
from nvsim.profile_extras import Extras
from nvsim.profile_fabric import Bridge, Fabric
from nvsim.profile_leftover import Leftover

FOLDER = Path(__file__).resolve().parent / "profiles"
MOST_GPUS = 64
_UUID = re.compile(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BUS_ID = re.compile(r"(?:([0-9a-f]{4}|[0-9a-f]{8}):)?([0-9a-f]{2}):([0-1][0-9a-f])\.0")
# Where the eight GPUs of a DGX A100 and a DGX H100 sit; further ones continue in the next PCI domain.
_BUSES = ((0x07, 0x0F, 0x47, 0x4E, 0x87, 0x90, 0xB7, 0xBD), (0x1B, 0x43, 0x52, 0x61, 0x9D, 0xC3, 0xD1, 0xDF))

Placeholders = Literal["files", "none"]
# What the machine is to its GPUs, as nvmlGpuVirtualizationMode_t.
VIRTUALIZATION = {"none": 0, "passthrough": 1, "vgpu-guest": 2, "vgpu-host": 3}
BOOT = ("complete", "no-modules", "no-driver")
CacheState = Literal["fresh", "stale", "absent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU.  `model` is a key of gpus.yaml; `index` is NVML's order, which is that of the bus ids.

    `numa_node` is -1 where it follows from the index: the GPUs are spread evenly over the nodes.  `mig` are the
    instances of a GPU in MIG mode, None of one that is not."""

    index: int
    minor: int
    model: str
    uuid: str
    bus_id: str
    serial: str
    numa_node: int = -1
    mig: tuple[profile_mig.Wanted, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """What is in /etc/ld.so.cache: `fresh` as ldconfig writes it, `stale` as before `absent` took effect, `absent`.

    `lacks` are patterns of library names that are not in it."""

    state: CacheState = "fresh"
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One machine.  `driver` is the version of the driver's files, `kernel_driver` that of the loaded kernel modules;
    either is empty where there is none.  `name` seeds UUIDs and serial numbers."""

    name: str
    about: str = ""
    layout: str = "ubuntu22.04"
    arch: str = "x86_64"  # one of catalogue.ARCHITECTURES
    boot: str = "complete"  # a word of BOOT: what is there of the driver when the machine comes up
    driver: str = ""
    kernel_driver: str = ""
    kernel_module: Literal["open", "closed"] = "closed"
    driver_root: str = "/"
    dev_root: str = ""  # the only folder whose dev/ has the driver's nodes; empty: / and the driver root
    operator: bool = False  # the GPU Operator runs here, and validated driver and toolkit
    gpus: tuple[Gpu, ...] = ()
    vfio: tuple[Gpu, ...] = ()  # GPUs that are bound to vfio-pci: the driver does not have them
    extras: Extras = Extras()
    compat32: bool = True  # 32-bit libraries are installed
    persistenced: bool = True  # nvidia-persistenced runs
    fabricmanager: bool = False  # nvidia-fabricmanager runs
    nvswitches: bool = False  # the NVSwitches of the GPUs' base board are there
    nvlinks: tuple[Bridge, ...] = ()  # GPUs that are linked to each other directly
    fabric: Fabric = Fabric()
    virtualization: str = "none"  # a word of VIRTUALIZATION
    leftover: Leftover = Leftover()  # libraries of a second driver version
    wsl: tuple[profile_wsl.Store, ...] = ()  # the driver stores of a WSL 2 machine; `kernel_driver` is Windows' driver
    other_cards: int = 0  # DRM cards of other adapters, such as a BMC, numbered before NVIDIA's
    numa_nodes: int = 1
    cpus: int = 64
    threads: int = 1  # of a core
    dev_char_links: bool = False  # /dev/char/MAJOR:MINOR for NVIDIA's nodes, which udev does not make
    ldcache: Cache = Cache()
    absent: tuple[str, ...] = ()  # patterns of paths that are not there; a folder goes with all that is in it
    files: tuple[tuple[str, str], ...] = ()  # files that are there in addition, or with another text
    placeholders: Placeholders = "files"  # what stands for a device node where none can be made


KEYS = ("profile", "about", "layout", "arch", "boot", "driver", "kernel_driver", "kernel_module", "driver_root",
        "dev_root", "operator", "gpus", "compat32", "persistenced", "fabricmanager", "nvswitches", "nvlinks", "fabric",
        "virtualization", "wsl", "other_cards", "numa_nodes", "cpus", "threads", "dev_char_links", "ldcache", "absent",
        "files", "placeholders", "vfio", "leftover", *profile_extras.KEYS)
GPU_KEYS = ("model", "count", "minors", "uuids", "bus_ids", "serials", "numa", "mig")


def names() -> list[str]:
    """The profiles that come with nvsim, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name_or_path: str) -> Profile:
    """A profile by name, or from a YAML file: a path has a slash or ends in .yaml.

    Raises NvsimError for one that does not exist or cannot be read."""
    if "/" not in name_or_path and not name_or_path.endswith((".yaml", ".yml")):
        if name_or_path not in names():
            raise NvsimError(f"unknown profile {name_or_path[:60]!r}", source="profile",
                             hint=_nearest(name_or_path) + "see: nvsim list profiles")
        name_or_path = str(FOLDER / f"{name_or_path}.yaml")
    try:
        text = Path(name_or_path).read_bytes()
    except (OSError, ValueError) as e:
        raise NvsimError(getattr(e, "strerror", None) or str(e), source=name_or_path) from e
    return parse(text, name_or_path)


def changed(wanted: str | Mapping[str, Any], changes: Mapping[str, Any]) -> Profile:
    """A profile, by name, from a file, or from keys and values, in which other keys and values replace its own.

    Raises NvsimError as `load` and `of` do."""
    if isinstance(wanted, Mapping):
        return of({**wanted, **changes}, "profile")
    found = load(wanted)
    if not changes:
        return found
    if wanted in names():
        return of({"profile": wanted, **changes}, f"profile {wanted}")
    keys = document.read(Path(wanted).read_bytes(), wanted)
    assert isinstance(keys, dict), "it was loaded before"
    return of({**keys, **changes}, wanted, name=found.name)


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, names(), n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}? " if near else ""


def parse(text: str | bytes, source: str) -> Profile:
    """A profile from YAML text.  `source` is the file's path, for errors; its stem is the profile's name.

    Raises NvsimError that names file and key."""
    return of(document.read(text, source), source, name=os.path.basename(source).rsplit(".", 1)[0])


def of(value: object, source: str, *, name: str = "") -> Profile:
    """A profile from a value that was read already: the name of a profile, or keys and values.

    With the key `profile`, the name of one that comes with nvsim, the other keys change that profile; the name stays,
    and so do the UUIDs.  Raises NvsimError that names the key."""
    if isinstance(value, str) and value:
        return load(value)
    keys = Keys(value, source, KEYS)
    base = Profile(name=name or "unnamed")
    if "profile" in keys:
        base_name = keys.text("profile")
        if base_name not in names() or base_name == name:
            raise NvsimError(f"unknown profile {base_name[:60]!r}", source=keys.where("profile"),
                             hint=_nearest(base_name) + "see: nvsim list profiles")
        base = load(base_name)
    return _checked(_changed(base, keys), keys)


def _changed(base: Profile, keys: Keys) -> Profile:
    """The base with the values of the keys that are given."""
    driver = _version(keys, "driver", base.driver)
    kernel = _version(keys, "kernel_driver", driver if "driver" in keys else base.kernel_driver)
    default_kind = base.kernel_module if "driver" not in keys else "open" if _branch(kernel) >= 560 else "closed"
    gpus = _gpus(keys, "gpus", base.name, 0) if "gpus" in keys else base.gpus
    vfio = _gpus(keys, "vfio", base.name, len(gpus)) if "vfio" in keys else base.vfio
    nvswitches = keys.flag("nvswitches", default=_has_switches(gpus) if "gpus" in keys else base.nvswitches)
    fabric = base.fabricmanager if nvswitches == base.nvswitches else nvswitches
    return Profile(
        name=base.name, about=keys.text("about", base.about), layout=keys.text("layout", base.layout),
        arch=keys.choice("arch", catalogue.ARCHITECTURES, base.arch), driver=driver,
        boot=keys.choice("boot", BOOT, base.boot),
        kernel_driver=kernel, driver_root=_root(keys, "driver_root", base.driver_root),
        dev_root=_root(keys, "dev_root", base.dev_root), operator=keys.flag("operator", default=base.operator),
        gpus=gpus, nvswitches=nvswitches, vfio=vfio,
        extras=profile_extras.extras(keys, base.extras),
        kernel_module=_kind(keys.choice("kernel_module", ("open", "closed"), default_kind)),
        compat32=keys.flag("compat32", default=base.compat32),
        persistenced=keys.flag("persistenced", default=base.persistenced),
        fabricmanager=keys.flag("fabricmanager", default=fabric),
        nvlinks=profile_fabric.bridges(keys, () if "gpus" in keys else base.nvlinks, len(gpus)),
        fabric=profile_fabric.fabric(keys, base.fabric),
        virtualization=keys.choice("virtualization", tuple(VIRTUALIZATION), base.virtualization),
        leftover=profile_leftover.leftover(keys, base.leftover),
        wsl=profile_wsl.stores(keys, base.wsl, base.name),
        other_cards=keys.integer("other_cards", base.other_cards, 0, 16),
        numa_nodes=keys.integer("numa_nodes", base.numa_nodes, 1, 64), cpus=keys.integer("cpus", base.cpus, 1, 1024),
        threads=keys.integer("threads", base.threads, 1, 8),
        dev_char_links=keys.flag("dev_char_links", default=base.dev_char_links), ldcache=_cache(keys, base.ldcache),
        absent=base.absent + tuple(_path(p, w) for w, p in keys.items("absent")),
        files=tuple(sorted((dict(base.files) | _files(keys)).items())),
        placeholders=_placeholders(keys.choice("placeholders", ("files", "none"), base.placeholders)))


def near(profile: Profile, gpu: Gpu, place: int) -> int:
    """The NUMA node that a GPU is near; `place` is its place among `gpus` and `vfio` together."""
    total = len(profile.gpus) + len(profile.vfio)
    return gpu.numa_node if gpu.numa_node >= 0 else place * profile.numa_nodes // total


def _kind(word: str) -> Literal["open", "closed"]:
    return "open" if word == "open" else "closed"


def _placeholders(word: str) -> Placeholders:
    return "none" if word == "none" else "files"


def _checked(profile: Profile, keys: Keys) -> Profile:
    """The profile, if its parts fit together."""
    catalogue.layout(profile.layout, keys.where("layout"), arch=profile.arch)
    oldest = catalogue.oldest_branch(profile.arch)
    if profile.driver and _branch(profile.driver) < oldest:
        raise NvsimError(f"the catalogue has no {profile.arch} libraries of driver {profile.driver}",
                         source=keys.where("driver"), hint=f"branch {oldest} or newer")
    profile_leftover.check(profile.leftover, driver=profile.driver, wsl=bool(profile.wsl),
                           source=keys.where("leftover"))
    if profile.boot != "complete" and (not profile.driver or profile.wsl):
        raise NvsimError("this machine has no driver that comes later", source=keys.where("boot"),
                         hint="WSL 2 has that of Windows" if profile.wsl else "driver: VERSION")
    if profile.wsl and profile.arch != "x86_64":
        raise NvsimError("WSL 2 machines with NVIDIA's driver are x86_64", source=keys.where("arch"))
    if profile.wsl:
        profile_wsl.check(profile.wsl, driver=profile.driver, driver_root=profile.driver_root, gpus=len(profile.gpus),
                          mig=any(gpu.mig is not None for gpu in profile.gpus), source=keys.where("wsl"))
    if profile.numa_nodes * profile.threads > profile.cpus:
        threads = f" of {profile.threads} threads" if profile.threads > 1 else ""
        raise NvsimError(f"{profile.numa_nodes} NUMA nodes{threads} for {profile.cpus} CPUs",
                         source=keys.where("numa_nodes"))
    if any(gpu.mig is not None for gpu in profile.vfio):
        raise NvsimError("the driver does not have these GPUs, so it makes no instances", source=keys.where("vfio"))
    for what in ("minor", "uuid", "bus_id"):
        values = [getattr(gpu, what) for gpu in profile.gpus + (profile.vfio if what != "minor" else ())]
        twice = sorted({str(value) for value in values if values.count(value) > 1})
        if twice:
            raise NvsimError(f"two GPUs with {what} {twice[0]}", source=keys.where("gpus"))
    version = profile.driver or profile.kernel_driver
    for gpu in profile.gpus if version else ():
        if gpu.mig is not None:
            profile_mig.check(gpu.model, gpu.mig, version, f"{keys.where('gpus')}: GPU {gpu.index}: mig")
    switches = models.model(profile.gpus[0].model).get("nvswitch_bus_ids", ()) if profile.gpus else ()
    if profile.nvswitches and not switches:
        raise NvsimError("the base board of these GPUs has no NVSwitches", source=keys.where("nvswitches"))
    taken = [gpu.bus_id for gpu in profile.gpus + profile.vfio if profile.nvswitches and gpu.bus_id in switches]
    if taken:
        raise NvsimError(f"an NVSwitch sits at {taken[0]}", source=keys.where("gpus"), hint="nvswitches: false")
    for gpu in profile.gpus:
        _check_gpu(gpu, profile, keys)
    return profile


def _check_gpu(gpu: Gpu, profile: Profile, keys: Keys) -> None:
    """Raises NvsimError for a NUMA node, an NVLink or a fabric that this GPU cannot have."""
    model = models.model(gpu.model)
    if gpu.numa_node >= profile.numa_nodes:
        raise NvsimError(f"GPU {gpu.index} is near NUMA node {gpu.numa_node} of {profile.numa_nodes}",
                         source=keys.where("gpus"), hint="the first node is 0")
    used = sum(bridge.links for bridge in profile.nvlinks if gpu.index in (bridge.first, bridge.second))
    if used > model["nvlink"]["links"]:
        raise NvsimError(f"GPU {gpu.index} has {model['nvlink']['links']} NVLinks, not {used}",
                         source=keys.where("nvlinks"))
    if used and profile.nvswitches:
        raise NvsimError("the NVLinks of these GPUs lead to NVSwitches", source=keys.where("nvlinks"),
                         hint="nvswitches: false")
    if profile.fabric != Fabric() and not model.get("fabric"):
        raise NvsimError(f"{model['key']} takes no part in an NVLink fabric", source=keys.where("fabric"))


def _version(keys: Keys, key: str, default: str) -> str:
    """A driver version; empty for the word `none`."""
    value = keys.text(key, default)
    if value in ("none", ""):
        return ""
    return catalogue.release(value, keys.where(key)).version


def _branch(version: str) -> int:
    return catalogue.release(version).branch if version else 0


def _root(keys: Keys, key: str, default: str) -> str:
    return _path(keys.text(key, default), keys.where(key)) if key in keys else default


def _path(value: object, source: str) -> str:
    """An absolute path or pattern, without "..", "//" and a slash at its end."""
    path = document.text(value, source)
    if not path.startswith("/") or ".." in path.split("/"):
        raise NvsimError(f"expected an absolute path, got {document.kind(path)}", source=source)
    return normpath("/" + path.lstrip("/"))


def _files(keys: Keys) -> dict[str, str]:
    value = keys.raw("files")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NvsimError(f"expected paths and texts, got {document.kind(value)}", source=keys.where("files"))
    files = {_path(path, keys.where("files")): document.text(text, f"{keys.where('files')}: {str(path)[:60]}")
             for path, text in value.items()}
    if any(path == "/" or path == "/.nvsim" or path.startswith("/.nvsim/") for path in files):
        raise NvsimError("a file cannot take that place", source=keys.where("files"))
    return files


def _cache(keys: Keys, base: Cache) -> Cache:
    value = keys.raw("ldcache")
    if value is None:
        return base
    source = keys.where("ldcache")
    inner = Keys(value if isinstance(value, dict) else {"state": value}, source, ("state", "lacks"))
    state = inner.choice("state", ("fresh", "stale", "absent"), "fresh")
    known: dict[str, CacheState] = {"fresh": "fresh", "stale": "stale", "absent": "absent"}
    return Cache(state=known[state], lacks=inner.texts("lacks"))


def _has_switches(gpus: tuple[Gpu, ...]) -> bool:
    """Several GPUs of a model whose base board has NVSwitches; a single one is a part of such a machine."""
    return len(gpus) > 1 and "nvswitch_bus_ids" in models.model(gpus[0].model)


def _gpus(keys: Keys, key: str, name: str, first: int) -> tuple[Gpu, ...]:
    """The GPUs of a list in the order of their bus ids, after `first` others.

    Minors follow that order, as the driver hands them out at probe."""
    found: list[tuple[str, dict[str, Any]]] = []
    for where, item in keys.items(key):
        found += _group(item, where, name, first + len(found))
        if len(found) > MOST_GPUS:
            raise NvsimError(f"more than {MOST_GPUS} GPUs", source=where)
    ordered = sorted(found, key=lambda pair: pair[0])
    return tuple(Gpu(index=index, minor=index if values["minor"] < 0 else values["minor"], bus_id=bus_id,
                     model=values["model"], uuid=values["uuid"], serial=values["serial"],
                     numa_node=values["numa_node"], mig=values["mig"])
                 for index, (bus_id, values) in enumerate(ordered))


def _group(item: object, where: str, name: str, first: int) -> list[tuple[str, dict[str, Any]]]:
    """The GPUs of one entry: bus id, and the values of a Gpu; minor -1 where it follows the order."""
    keys = Keys(item, where, GPU_KEYS)
    if "model" not in keys:
        raise NvsimError("the model is missing", source=where, hint="model: KEY; see: nvsim list gpus")
    try:
        model = models.model(keys.text("model"))["key"]
    except NvsimError as e:
        raise NvsimError(e.message, source=keys.where("model"), hint=e.hint) from None
    count = keys.integer("count", 1, 1, MOST_GPUS)
    minors = [document.integer(value, at, 0, 247) for at, value in _list(keys, "minors", count)]
    uuids = [_uuid(value, at) for at, value in _list(keys, "uuids", count)]
    bus_ids = [_bus_id(value, at) for at, value in _list(keys, "bus_ids", count)]
    serials = [_serial(value, at) for at, value in _list(keys, "serials", count)]
    nodes = [document.integer(value, at, 0, 63) for at, value in _list(keys, "numa", count)]
    instances = profile_mig.parse(keys.raw("mig"), keys.where("mig"), model, count) if "mig" in keys else {}
    return [(bus_ids[i] if bus_ids else _default_bus_id(first + i, model),
             {"model": model, "minor": minors[i] if minors else -1, "numa_node": nodes[i] if nodes else -1,
              "mig": instances.get(i),
              "uuid": uuids[i] if uuids else _default_uuid(name, first + i),
              "serial": serials[i] if serials else _default_serial(name, first + i)}) for i in range(count)]


def _list(keys: Keys, key: str, count: int) -> list[tuple[str, Any]]:
    found = keys.items(key)
    if key in keys and len(found) != count:
        raise NvsimError(f"{len(found)} values for {count} GPUs", source=keys.where(key))
    return found


def _uuid(value: object, source: str) -> str:
    text = document.text(value, source)
    if not _UUID.fullmatch(text):
        raise NvsimError(f"{text[:60]!r} is not a GPU UUID", source=source,
                         hint="GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx in lower-case hexadecimal: clients parse it")
    return text


def _bus_id(value: object, source: str) -> str:
    """A PCI address as Linux writes it; the domain may be left out or have eight digits."""
    text = document.text(value, source).lower()
    found = _BUS_ID.fullmatch(text)
    if not found or int(found[1] or "0", 16) > 0xFFFF:
        raise NvsimError(f"{text[:60]!r} is not a PCI address", source=source, hint="such as 0000:07:00.0")
    return f"{int(found[1] or '0', 16):04x}:{found[2]}:{found[3]}.0"


def _serial(value: object, source: str) -> str:
    text = document.text(value, source)
    if not re.fullmatch(r"[0-9A-Z]{0,30}", text):
        raise NvsimError(f"{text[:60]!r} is not a serial number", source=source, hint="13 digits")
    return text


def _default_bus_id(index: int, model: str) -> str:
    """Places of the first table, or of the second if the model's base board has NVSwitches in those of the first."""
    switches = models.model(model).get("nvswitch_bus_ids", ())
    buses = _BUSES[any(f"0000:{bus:02x}:00.0" in switches for bus in _BUSES[0])]
    return f"{index // len(buses):04x}:{buses[index % len(buses)]:02x}:00.0"


def _default_uuid(name: str, index: int) -> str:
    digits = hashlib.sha256(f"uuid of {name}/{index}".encode()).hexdigest()
    return "GPU-" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def _default_serial(name: str, index: int) -> str:
    number = int.from_bytes(hashlib.sha256(f"serial of {name}/{index}".encode()).digest()[:6])
    return f"132{number % 10**10:010d}"
