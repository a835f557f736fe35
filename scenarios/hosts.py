"""The machine of a case: its profile built into a folder, its config.toml, the toolkit under test on its PATH."""

import os
from dataclasses import dataclass
from pathlib import Path

from nvsim import board, build, capabilities
from scenarios import real, toml
from scenarios.model import Case

CONFIG = "/etc/nvidia-container-runtime/config.toml"
TOOLS = ("nvidia-container-runtime", "nvidia-container-runtime.cdi", "nvidia-container-runtime.legacy",
         "nvidia-container-runtime-hook", "nvidia-container-toolkit", "nvidia-container-cli", "nvidia-ctk",
         "nvidia-cdi-hook")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mig:
    """A MIG device of a host.  `name` is GPU:NUMBER; `parent` the GPU's UUID; `nodes` what opens its two instances."""

    name: str
    uuid: str
    parent: str
    nodes: tuple[str, str]


Table = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A built host.  `gpus` are UUIDs by index, `minors` UUIDs by device minor.  `placeholders`: device nodes could not
    be made."""

    root: str
    gpus: tuple[str, ...]
    minors: dict[int, str]
    placeholders: bool = False
    nodes: tuple[build.Device, ...] = ()


def prepare(case: Case, root: str, *, runtimes: tuple[str, ...], toolkit: str = "", in_place: bool = False,
            here: real.Real | None = None, config: Table | None = None) -> Host:
    """Builds the machine of a case in the folder `root`, which must not exist.

    `toolkit` is the folder whose programs the machine gets in /usr/bin; `in_place` is for a reader that uses the tree
    where it lies; `here` is this machine, if the case runs on its GPUs; `config`: what an engine needs in config.toml.
    """
    if here:
        real.lay(root)
        _configure(case, root, config_of(case, runtimes, config), toolkit)
        return Host(root=root, gpus=tuple(gpu.uuid for gpu in here.gpus),
                    minors={gpu.minor: gpu.uuid for gpu in here.gpus})
    machine = build.build(case.host, root, dev_root=root if in_place else "/")
    _configure(case, root, config_of(case, runtimes, config), toolkit)
    return Host(root=root, gpus=tuple(gpu.uuid for gpu in machine.gpus),
                minors={gpu.minor: gpu.uuid for gpu in machine.gpus}, placeholders=bool(machine.placeholders),
                nodes=machine.devices)


def _configure(case: Case, root: str, config: Table, toolkit: str) -> None:
    path = Path(root + CONFIG)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(toml.dumps(config, f"{case.path}: config"), encoding="utf-8")
    if toolkit:
        _install(toolkit, root)


def migs(root: str) -> tuple[Mig, ...]:
    """The MIG devices that a built host has now, by GPU and number: NVML counts them by their instances' ids."""
    library = next((path for path in build.describe(root).boards if "/libnvidia-ml.so" in path), "")
    gpus = board.read(root + library).gpus if library else ()
    found: list[Mig] = []
    for index, gpu in enumerate(sorted(gpus, key=lambda gpu: (gpu.pci_domain, gpu.pci_bus, gpu.pci_device))):
        there = sorted((gpu.ci_gpu_instance[slot], gpu.ci_id[slot], gpu.ci_uuid[slot])
                       for slot, size in enumerate(gpu.ci_size) if size)
        found += [Mig(name=f"{index}:{number}", uuid=uuid, parent=gpu.uuid,
                      nodes=(_node(gpu.minor, instance), _node(gpu.minor, instance, compute)))
                  for number, (instance, compute, uuid) in enumerate(there)]
    return tuple(found)


def _node(gpu_minor: int, instance: int, compute: int = -1) -> str:
    return f"/dev/nvidia-caps/nvidia-cap{capabilities.minor_of(gpu_minor, instance, compute)}"


def config_of(case: Case, runtimes: tuple[str, ...], config: Table | None = None) -> Table:
    """What config.toml says: the engine's low-level runtime and what else it needs, the case's mode, then the case's
    own words, which win."""
    runtime: Table = {"runtimes": list(runtimes)} | ({"mode": case.mode} if case.mode else {})
    return toml.merged({"nvidia-container-runtime": runtime} | (config or {}), case.config)


def _install(toolkit: str, root: str) -> None:
    """Links to the programs under test where a package would put them."""
    os.makedirs(f"{root}/usr/bin", exist_ok=True)
    for name in TOOLS:
        if os.access(f"{toolkit}/{name}", os.X_OK):
            place = f"{root}/usr/bin/{name}"
            if os.path.lexists(place):
                os.unlink(place)
            os.symlink(f"{toolkit}/{name}", place)
