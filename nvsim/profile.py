"""Profile YAML → Profile: one emulated machine (DESIGN §8).  What a profile does not say comes from the catalogue."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from posixpath import normpath
from typing import Any, Literal

from nvsim import (
    catalogue,
    document,
    models,
    profile_extras,
    profile_fabric,
    profile_gpus,
    profile_leftover,
    profile_mig,
    profile_tegra,
    profile_wsl,
)
from nvsim.document import Keys
from nvsim.errors import NvsimError
from nvsim.profile_extras import Extras
from nvsim.profile_fabric import Bridge, Fabric
from nvsim.profile_gpus import Gpu
from nvsim.profile_leftover import Leftover

FOLDER = Path(__file__).resolve().parent / "profiles"

Placeholders = Literal["files", "none"]
# What the machine is to its GPUs, as nvmlGpuVirtualizationMode_t.
VIRTUALIZATION = {"none": 0, "passthrough": 1, "vgpu-guest": 2, "vgpu-host": 3}
BOOT = ("complete", "no-modules", "no-driver")
CacheState = Literal["fresh", "stale", "absent"]


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
    tegra: profile_tegra.Tegra | None = None  # the machine is a Jetson; its driver is that of its release
    other_cards: int = 0  # DRM cards of other adapters, such as a BMC, numbered before NVIDIA's
    numa_nodes: int = 1
    cpus: int = 64
    threads: int = 1  # of a core
    dev_char_links: bool = False  # /dev/char/MAJOR:MINOR for NVIDIA's nodes, which udev does not make
    ldcache: Cache = Cache()
    absent: tuple[str, ...] = ()  # patterns of paths that are not there; a folder goes with all that is in it
    files: tuple[tuple[str, str], ...] = ()  # files that are there in addition, or with another text
    links: tuple[tuple[str, str], ...] = ()  # symbolic links that are there in addition, or lead elsewhere: to a target
    placeholders: Placeholders = "files"  # what stands for a device node where none can be made


KEYS = ("profile", "about", "layout", "arch", "boot", "driver", "kernel_driver", "kernel_module", "driver_root",
        "dev_root", "operator", "gpus", "compat32", "persistenced", "fabricmanager", "nvswitches", "nvlinks", "fabric",
        "virtualization", "wsl", "tegra", "other_cards", "numa_nodes", "cpus", "threads", "dev_char_links", "ldcache",
        "absent", "files", "links", "placeholders", "vfio", "leftover", *profile_extras.KEYS)


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
    tegra = profile_tegra.jetson(keys, base.tegra)
    if tegra or base.tegra:
        base = _as_jetson(base, tegra, keys)
    driver = base.driver if tegra else _version(keys, "driver", base.driver)
    kernel = base.kernel_driver if tegra else _version(keys, "kernel_driver", driver if "driver" in keys
                                                       else base.kernel_driver)
    newer = "driver" in keys and not tegra
    default_kind = ("open" if _branch(kernel) >= 560 else "closed") if newer else base.kernel_module
    gpus = profile_gpus.gpus(keys, "gpus", base.name, 0) if "gpus" in keys else base.gpus
    vfio = profile_gpus.gpus(keys, "vfio", base.name, len(gpus)) if "vfio" in keys else base.vfio
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
        wsl=profile_wsl.stores(keys, base.wsl, base.name), tegra=tegra,
        other_cards=keys.integer("other_cards", base.other_cards, 0, 16),
        numa_nodes=keys.integer("numa_nodes", base.numa_nodes, 1, 64), cpus=keys.integer("cpus", base.cpus, 1, 1024),
        threads=keys.integer("threads", base.threads, 1, 8),
        dev_char_links=keys.flag("dev_char_links", default=base.dev_char_links), ldcache=_cache(keys, base.ldcache),
        absent=base.absent + tuple(_path(p, w) for w, p in keys.items("absent")),
        files=tuple(sorted((dict(base.files) | _texts(keys, "files")).items())),
        links=tuple(sorted((dict(base.links) | _texts(keys, "links")).items())),
        placeholders=_placeholders(keys.choice("placeholders", ("files", "none"), base.placeholders)))


def _as_jetson(base: Profile, tegra: profile_tegra.Tegra | None, keys: Keys) -> Profile:
    """The base with what follows from the board and its release; without them it is no Jetson any more.

    Raises NvsimError if the keys name another driver."""
    if tegra is None:
        return replace(base, driver="", kernel_driver="", gpus=(), arch="x86_64", layout="ubuntu22.04", tegra=None)
    board, release = tegra.facts()
    version, kernel = release.driver.version, base.kernel_driver
    for key in ("driver", "kernel_driver"):
        if keys.text(key, version) not in (version, *(("none",) if key == "kernel_driver" else ())):
            raise NvsimError(f"the driver of L4T {tegra.l4t} is {version}", source=keys.where(key),
                             hint=f"no {key}; another driver comes with another l4t")
    if "kernel_driver" in keys or kernel or not base.tegra:
        kernel = "" if keys.text("kernel_driver") == "none" else version
    same = base.tegra is not None and base.tegra.board == tegra.board
    own = Keys({"gpus": [{"model": board.gpu}]}, "tegra", ("gpus",))
    return replace(
        base, tegra=tegra, driver=version, kernel_driver=kernel, kernel_module="open", layout=release.layout,
        arch=profile_tegra.ARCH, persistenced=False, compat32=False, cpus=base.cpus if same else board.cpus,
        gpus=base.gpus if same else profile_gpus.gpus(own, "gpus", base.name, 0))


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
    profile_tegra.check(profile.tegra, arch=profile.arch, driver_root=profile.driver_root, dev_root=profile.dev_root,
                        wsl=bool(profile.wsl), gpus=tuple(gpu.model for gpu in profile.gpus),
                        source=keys.where("tegra" if profile.tegra else "gpus"))
    oldest = catalogue.oldest_branch(profile.arch)
    if profile.driver and not profile.tegra and _branch(profile.driver) < oldest:
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


def _texts(keys: Keys, key: str) -> dict[str, str]:
    """Paths of files or links, each with its text or target."""
    value, source = keys.raw(key), keys.where(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NvsimError(f"expected paths and texts, got {document.kind(value)}", source=source)
    found = {_path(path, source): document.text(text, f"{source}: {str(path)[:60]}") for path, text in value.items()}
    if any(path == "/" or path == "/.nvsim" or path.startswith("/.nvsim/") for path in found):
        raise NvsimError("a file cannot take that place", source=source)
    if key == "links" and not all(found.values()):
        raise NvsimError("a link needs a target", source=source)
    return found


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
