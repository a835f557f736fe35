"""Jetson boards and releases of Jetson Linux (L4T): facts of nvsim/catalog/tegra.yaml and tegra-files.yaml."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from nvsim import catalogue
from nvsim.errors import NvsimError

MANIFESTS = "/etc/nvidia-container-runtime/host-files-for-container.d"
LIB = "/usr/lib/aarch64-linux-gnu"
EGL = f"{LIB}/tegra-egl"
EGL_CONF = "/etc/ld.so.conf.d/aarch64-linux-gnu_EGL.conf"
Kind = Literal["dev", "dir", "lib", "sym"]
Drives = Literal["none", "display", "all"]  # what of the processor the module nvidia drives


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release of L4T.  `files` is its family, such as r36; `release` the line in /etc/nv_tegra_release; `exports` the
    driver branch whose libcuda it exports."""

    l4t: str
    files: str
    driver: catalogue.Release
    exports: int
    layout: str
    kernel: str
    release: str

    @property
    def folder(self) -> str:
        """The folder of the driver's libraries."""
        return LIB + "/" + str(_facts()["folders"][self.files])


@dataclass(frozen=True, slots=True, kw_only=True)
class Drm:
    """A DRM device of the processor: its platform device, and whether it has a render node."""

    device: str
    render: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board.  `differs` are fields of a GPU's record that are not those of the model `gpu`; `lacks` patterns of nodes
    of the manifests that neither the processor nor the module has."""

    name: str
    model: str
    compatible: tuple[str, ...]
    soc: str
    soc_id: int
    gpu: str
    differs: Mapping[str, Any]
    drives: Drives
    lacks: tuple[str, ...]
    drm: Mapping[str, tuple[Drm, ...]]
    releases: tuple[str, ...]
    cpus: int


def _facts() -> dict[str, Any]:
    return catalogue.tegra()


def boards() -> tuple[str, ...]:
    """The names of the boards."""
    return tuple(_facts()["boards"])


def board(name: str, source: str) -> Board:
    """A board by name.  Raises NvsimError that names the nearest one."""
    if name not in boards():
        near = difflib.get_close_matches(name, boards(), n=1, cutoff=0.4)
        raise NvsimError(f"unknown Jetson board {name[:60]!r}", source=source,
                         hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(boards())}")
    facts = _facts()["boards"][name]
    soc = _facts()["socs"][facts["soc"]]
    return Board(name=name, model=facts["model"], compatible=tuple(facts["compatible"]), soc=facts["soc"],
                 soc_id=soc["soc_id"], gpu=facts["gpu"], differs=facts.get("differs", {}), drives=soc["rm"],
                 lacks=(*soc["lacks"], *facts.get("lacks", ())), releases=tuple(facts["releases"]), cpus=facts["cpus"],
                 drm={family: tuple(Drm(device=one["device"], render=one["render"]) for one in devices)
                      for family, devices in soc["drm"].items()})


def newest(found: Board) -> str:
    """The newest release of L4T for a board."""
    return next(str(l4t) for l4t, facts in reversed(_facts()["releases"].items())
                if facts["files"] in found.releases)


def release(l4t: str, source: str) -> Release:
    """A release of L4T, such as 36.4.3; one that is not listed is like the newest listed one before it.

    Raises NvsimError for a text that is no such version, and for one that none is like."""
    listed: dict[str, dict[str, Any]] = _facts()["releases"]
    if not re.fullmatch(r"\d{2}\.\d{1,2}(\.\d{1,2})?", l4t):
        raise NvsimError(f"{l4t[:60]!r} is not a release of L4T", source=source, hint="such as 36.4.3")
    number = _number(l4t)
    before = [one for one in listed if _number(one)[0] == number[0] and _number(one) <= number]
    if not before:
        raise NvsimError(f"no release of L4T is known that {l4t} is like", source=source,
                         hint=f"known: {', '.join(listed)}")
    facts = listed[before[-1]]
    like = catalogue.release(f"{facts['like']}.00")
    builder, date = facts["built"]
    major, _, rest = l4t.partition(".")
    return Release(
        l4t=l4t, files=facts["files"], exports=facts["exports"], layout=facts["layout"], kernel=facts["kernel"],
        release=f"# R{major} (release), REVISION: {rest}, {facts['release']}",
        driver=replace(like, version=facts["driver"].replace("<L4T>", l4t), cuda=facts["cuda"], firmware=(),
                       built=date, open_built=date, builder=builder))


def _number(l4t: str) -> tuple[int, ...]:
    return tuple(map(int, l4t.split(".")))


def manifests(found: Release) -> dict[str, tuple[tuple[Kind, str], ...]]:
    """The container manifests: file name → lines, each a kind and a path as it stands there."""
    lines: dict[str, tuple[tuple[Kind, str], ...]] = {}
    for name, kinds in catalogue.tegra_files()[found.files].items():
        lines[name] = tuple((kind, _path(f"{folder}/{file}", found)) for kind, folders in kinds.items()
                            for folder, files in folders.items() for file in files)
    return lines


def _path(path: str, found: Release) -> str:
    return path.replace("<lib>", LIB).replace("<V>", found.driver.version)


def targets(found: Release) -> dict[str, str]:
    """Where links of the manifests lead that do not follow the rule of plan_tegra: path → target."""
    driver = found.folder.rpartition("/")[2]

    def named(text: str) -> str:
        return _path(text.replace("<driver>", driver).replace("<libdir>", LIB), found)
    return {named(path if path.startswith(("<lib>", "/")) else f"<lib>/{path}"): named(target)
            for path, target in _facts()["targets"].items()}


def beside(found: Release) -> dict[str, str]:
    """Links that the manifests do not name: path → target."""
    return {_path(path, found): target for path, target in _facts()["beside"].get(found.files, {}).items()}


def sonames() -> dict[str, str]:
    """SONAMEs by file name, where plan_tegra's rule gives another one."""
    return dict(_facts()["sonames"])


def abi_note(file: str) -> tuple[int, int, int] | None:
    """The kernel version in the ABI note of a library of this name, None for one without a note."""
    note = _facts()["abi_notes"].get(file.partition(".so")[0])
    return (note[0], note[1], note[2]) if note else None


def missing(found: Release) -> tuple[str, ...]:
    """Paths that the manifests name and no board has."""
    return tuple(_facts()["missing"].get(found.files, ()))


def artifact(file: str) -> tuple[str, str] | None:
    """The compiled part that a library of this name is, and its SONAME."""
    found = _facts()["artifacts"].get(file)
    return (found[0], found[1]) if found else None


def nodes() -> dict[str, Any]:
    """Majors, minors and names of nodes: see tegra.yaml."""
    found: dict[str, Any] = _facts()["nodes"]
    return found


def under_l4t(layout: catalogue.Layout, found: Release, *, nvgpu: bool) -> catalogue.Layout:
    """Ubuntu with L4T's kernel and its modules, and with the driver's folders in ld.so.conf."""
    ours = [("nvgpu", 2793472, ""), ("nvmap", 262144, "nvgpu,"), ("host1x", 180224, "nvgpu,nvmap,"),
            ("drm_kms_helper", 311296, "nvidia_drm,"), ("drm", 622592, "nvidia_drm,drm_kms_helper,")]
    if not nvgpu:
        ours = [(name, size, users.replace("nvgpu,", "")) for name, size, users in ours[1:]]
    modules = "".join(f"{name} {size} {users.count(',')} {users or '-'} Live 0x0000000000000000\n"
                      for name, size, users in ours)
    files = {"/etc/ld.so.conf.d/nvidia-tegra.conf": f"{found.folder}\n", EGL_CONF: f"{EGL}\n"}
    return replace(layout, kernel=found.kernel, modules=modules, ld_files={**layout.ld_files, **files})
