"""Runs ops in a folder, which then is the root of an emulated host, and takes it down again.

DIR/.nvsim is made first, and marks the tree as ours; DIR/.nvsim/machine.json appears last and by rename, so a tree
has it or is not a host.  A build that fails removes what it made; the remains of one that was killed are removed by
the next build, or by `remove`.
"""

import contextlib
import json
import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace

from nvsim import capabilities, catalogue, kernel, ops, phase, plan_leftover, plan_parts, plan_wsl
from nvsim.build_site import META, Site, clear, locked
from nvsim.errors import NvsimError
from nvsim.native.compile import MACHINE, artifact
from nvsim.plan import plan, twins
from nvsim.profile import Cache, Profile

FORMAT = 1
TWINS = f"/{kernel.TWINS}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU of a built host.  `model` is a key of gpus.yaml, `board_index` its place on the board."""

    index: int
    minor: int
    uuid: str
    bus_id: str
    name: str
    model: str
    board_index: int
    mig: bool  # whether driver and board can do MIG


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device node that the host has; `mode` are permission bits."""

    path: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What machine.json says.  Paths are those of the emulated host.

    `links` are those below /dev, with their targets; `boards` the libraries that carry the board, NVML's first;
    `ld_directories` the folders that the host's ldconfig reads; `placeholders` the nodes for which an empty file
    stands, because none could be made; `modules` the driver's kernel modules; `elf` is the architecture of the tree's
    ELF files, `twins` that of the ones in TWINS, which a machine that is entered shows in their place (empty: none);
    `cache` is "kept" where the loader's cache is not as ldconfig would write it for these files, else "fresh"."""

    format: int
    profile: str
    about: str
    layout: str
    driver: str
    kernel_driver: str
    cuda: str
    driver_root: str
    dev_root: str  # the only folder whose dev/ has NVIDIA's nodes; empty: / and the driver root
    gpus: tuple[Gpu, ...]
    devices: tuple[Device, ...]
    links: tuple[tuple[str, str], ...]
    boards: tuple[str, ...]
    ld_directories: tuple[str, ...]
    placeholders: tuple[str, ...]
    modules: tuple[str, ...]
    elf: str = MACHINE
    twins: str = ""
    cache: str = "fresh"


def build(profile: Profile, root: str, *, nodes: bool | None = None, dev_root: str = "/", elf: str = "") -> Machine:
    """Builds the host in `root`, a folder that is empty or does not exist yet.

    `nodes`: True makes device nodes or fails, False makes placeholders, None makes nodes where the kernel allows it.
    `dev_root` is where the driver library will look for `dev/`: "/" on a machine that is entered, else `root` itself.
    `elf` is the architecture of the libraries and programs: this machine's, so that they run here, if it is empty; the
    profile's own for a tree that others look at.  A host of another architecture that may be entered gets both.
    Raises NvsimError; then `root` is as it was."""
    elf = elf or MACHINE
    full = plan_parts.whole(profile)
    planned = plan(full, elf=elf)  # and with it every reason to fail that lies in the profile
    parts = plan_parts.parts(full, planned)
    beside = twins(full, planned, MACHINE, TWINS) if elf != MACHINE and dev_root == "/" else ()
    for part in {(op.artifact, op.arch) for op in planned if isinstance(op, (ops.Artifact, ops.BoardLibrary))}:
        artifact(*part)  # compiled, if need be, before anything is written
    with Site(root, nodes, dev_root) as site:
        for folder, group in _by_folder((*planned, *beside)):
            site.enter(folder)
            for op in group:
                site.run(op)
        machine = replace(_machine(profile, planned, tuple(site.placeholders)), elf=elf,
                          twins=MACHINE if beside else "")
        site.settle()
        shown = capabilities.shown(next((op.board.gpus for op in planned if isinstance(op, ops.BoardLibrary)), ()))
        site.note({**({posixpath.basename(capabilities.STATE): json.dumps(shown)} if shown else {}),
                   **({posixpath.basename(phase.FACTS): phase.written(parts)} if parts else {})})
        for away in plan_parts.later(profile):
            site.take(away, [op.path for op in (*planned, *beside) if isinstance(op, ops.BoardLibrary)])
        site.note({"machine.json": json.dumps(asdict(machine), indent=1) + "\n"})
    return _now(machine, root)


def describe(root: str) -> Machine:
    """What was built in `root`.  Raises NvsimError if it is no built host."""
    path = f"{root}/{META}/machine.json"
    try:
        with open(path, encoding="utf-8") as f:
            found = json.load(f)
        if found["format"] != FORMAT:
            raise NvsimError(f"format {found['format']!r}, not {FORMAT}", source=path, hint="build the host again")
        known = Machine(**{**found, "gpus": tuple(Gpu(**gpu) for gpu in found["gpus"]),
                          "devices": tuple(Device(**device) for device in found["devices"]),
                          "links": tuple((link, target) for link, target in found["links"]),
                          **{key: tuple(found[key])
                             for key in ("boards", "ld_directories", "placeholders", "modules")}})
        return _now(known, root)
    except OSError as e:
        raise NvsimError(f"this is not a built host: {e.strerror}", source=path,
                         hint="build one: nvsim build PROFILE DIR") from e
    except (ValueError, KeyError, TypeError) as e:
        raise NvsimError("this is not what nvsim wrote", source=path, hint="build the host again") from e


def _now(machine: Machine, root: str) -> Machine:
    """A built host without what is out of the way (nvsim.phase)."""
    if not any(phase.is_away(root, part) for part in phase.PARTS):
        return machine
    return replace(machine, modules=() if phase.is_away(root, "modules") else machine.modules,
                   boards=tuple(path for path in machine.boards if not phase.hidden(root, path)),
                   devices=tuple(device for device in machine.devices if not phase.hidden(root, device.path)),
                   links=tuple(link for link in machine.links if not phase.hidden(root, link[0])))


def remove(root: str) -> None:
    """Removes a built host, or what is left of one, with its folder; nothing happens if there is none.

    Raises NvsimError for a folder that nvsim did not make, and for one in which something is mounted."""
    if not os.path.lexists(root):
        return
    if not os.path.isdir(f"{root}/{META}"):
        raise NvsimError("nvsim did not build this, so it does not remove it", source=root)
    top = locked(root)
    try:
        clear(top, root)
    finally:
        os.close(top)
    with contextlib.suppress(OSError):  # a mount point, or a folder in one that we may not write
        os.rmdir(root)


def _machine(profile: Profile, planned: tuple[ops.Op, ...], placeholders: tuple[str, ...]) -> Machine:
    linked = profile.leftover.driver if profile.leftover.links else profile.driver
    libraries = sorted((op for op in planned if isinstance(op, ops.BoardLibrary)),
                       key=lambda op: (op.soname != "libnvidia-ml.so.1", op.path.startswith(f"{plan_wsl.STORES}/"),
                                       op.board.driver_version != linked))
    records = {gpu.bus_id: gpu for library in libraries for gpu in library.board.gpus}
    return Machine(
        format=FORMAT, profile=profile.name, about=profile.about, layout=profile.layout, driver=profile.driver,
        kernel_driver=profile.kernel_driver,
        cuda=libraries[0].board.cuda_version if profile.driver and libraries else "",
        driver_root=profile.driver_root, dev_root=profile.dev_root,
        boards=tuple(library.path for library in libraries),
        ld_directories=catalogue.layout(profile.layout, arch=profile.arch).ld_directories(),
        gpus=tuple(Gpu(index=gpu.index, minor=gpu.minor, uuid=gpu.uuid, bus_id=gpu.bus_id, model=gpu.model,
                       name=records[gpu.bus_id].name if gpu.bus_id in records else "", board_index=gpu.index,
                       mig=gpu.bus_id in records and records[gpu.bus_id].mig_mode is not None)
                   for gpu in profile.gpus),
        devices=tuple(Device(path=op.path, major=op.major, minor=op.minor, mode=op.mode, uid=op.uid, gid=op.gid)
                      for op in planned if isinstance(op, ops.CharDev)),
        links=tuple((op.path, op.target) for op in planned if isinstance(op, ops.Symlink) and "/dev/" in op.path),
        placeholders=placeholders, modules=_modules(planned),
        cache="kept" if profile.ldcache != Cache() or plan_leftover.alone(profile) else "fresh")


def _modules(planned: tuple[ops.Op, ...]) -> tuple[str, ...]:
    text = next((op.data.decode() for op in planned if op.path == "/proc/modules" and isinstance(op, ops.File)), "")
    return tuple(line.split()[0] for line in text.splitlines() if line.startswith("nvidia"))


def _by_folder(planned: Iterable[ops.Op]) -> Iterator[tuple[str, list[ops.Op]]]:
    """The ops of each folder; `plan` keeps them together."""
    folder, group = "", list[ops.Op]()
    for op in planned:
        parent = op.path.rpartition("/")[0]
        if parent != folder:
            yield folder, group
            folder, group = parent, []
        group.append(op)
    yield folder, group
