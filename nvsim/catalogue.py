"""The catalogue: facts about drivers, kernel modules and distributions, from the YAML files in nvsim/catalog."""

import difflib
import fnmatch
import functools
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from nvsim import ldcache
from nvsim.errors import NvsimError

HERE = Path(__file__).resolve().parent / "catalog"
Arch = str  # x86_64, i386, aarch64
ARCHITECTURES = ("x86_64", "aarch64")  # of machines
_LOADER_LIBRARY = {"i386": "ld-linux.so.2", "aarch64": "ld-linux-aarch64.so.1"}
_X86_ONLY_MAJORS = (202,)  # cpu/msr


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A driver release.  `branch` is the newest known branch that is not above its major number.

    `built` and `open_built` are the dates that the closed and the open module show, `builder` that of the open one."""

    version: str
    branch: int
    cuda: str
    firmware: tuple[str, ...]
    vulkan: str
    built: str
    open_built: str
    builder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A library as a release installs it.  `links` lead one to the next, the first to the file.  `artifact` names the
    compiled part that it is on the host's own architecture; empty: a stub."""

    file: str
    soname: str = ""
    links: tuple[str, ...] = ()
    dir: str = "libdir"
    needed: tuple[str, ...] = ()
    exports: tuple[tuple[str, int], ...] = ()
    abi: tuple[int, int, int] | None = None
    artifact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A program.  `artifact` names the compiled part that it is; empty: a script that says it is emulated."""

    file: str
    artifact: str = ""
    mode: int = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A kernel module.  `flags` by kind of driver: closed, open."""

    name: str
    size: int
    users: tuple[str, ...]
    flags: Mapping[str, str]
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """Names in the folder `source` that are links in the folder `to` too, by way of `via` (empty: straight).

    `names` are patterns; `<name>` in `via` is the file's."""

    source: str
    to: str
    names: tuple[str, ...]
    via: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A distribution: see the head of layouts.yaml."""

    name: str
    about: str
    arch: Arch
    parts: tuple[str, ...]
    dirs: Mapping[str, str | None]
    placed: Mapping[str, str]
    exposed: tuple[Exposed, ...]
    dev_links: tuple[str, ...]
    plain: tuple[str, ...]
    egl_platforms: Mapping[str, str]
    links: Mapping[str, str]
    ld_cache: str
    ld_builtin: tuple[str, ...]
    ld_files: Mapping[str, str]
    ld_generator: str
    ld_osversion: bool
    ld_compat: bool
    groups: Mapping[str, int]
    kernel: str
    compiler: str
    modules: str
    character_majors: Mapping[int, tuple[str, ...]] = field(repr=False)
    block_majors: Mapping[int, str] = field(repr=False)

    def path(self, path: str, version: str = "") -> str:
        """A path of the catalogue with its role and <V> replaced: "<libdir>/gbm" → "/usr/lib/x86_64-linux-gnu/gbm".

        Empty if the distribution has nothing in that role."""
        while found := re.match(r"<(\w+)>", path):
            if found[1] not in self.dirs:
                break
            folder = self.dirs[found[1]]
            if folder is None:
                return ""
            path = folder + path[found.end():]
        return path.replace("<V>", version).replace("<arch>", self.arch)

    def folder(self, file: str, role: str, version: str) -> str:
        """The folder of a library or program: that of its role, unless `placed` says otherwise; empty for none."""
        place = next((place for pattern, place in self.placed.items() if fnmatch.fnmatchcase(file, pattern)), role)
        return self.path(f"<{place}>", version)

    def for_32_bit(self) -> "Layout":
        """The layout of the 32-bit libraries."""
        return replace(self, dirs={**self.dirs, **{role.removesuffix("32"): folder for role, folder in self.dirs.items()
                                                   if role.endswith("32")}})

    def ld_directories(self) -> tuple[str, ...]:
        """The folders in the order in which ldconfig reads them: those of ld.so.conf, then its own."""
        return (*self._ld_conf("/etc/ld.so.conf"), *self.ld_builtin)

    def loader_knows(self, folder: str) -> bool:
        """Whether the loader finds the libraries of a folder without being told where they are."""
        return self.ld_cache == "/etc/ld.so.cache" and self.caches(folder)

    def caches(self, folder: str) -> bool:
        """Whether the libraries of a folder are in the loader's cache, wherever that is."""
        known = {ldcache.resolve(of, self.links) for of in self.ld_directories()}
        exposed = {self.path(of.to) for of in self.exposed if self.path(of.source) == self.path(folder)}
        return not known.isdisjoint({self.path(folder)} | exposed)

    def _ld_conf(self, path: str) -> list[str]:
        found = list[str]()
        for line in self.ld_files.get(path, "").splitlines():
            line = line.partition("#")[0].strip()
            if line.startswith("include "):
                pattern = posixpath.join("/etc", line.split()[1])
                for file in sorted(fnmatch.filter(self.ld_files, pattern)):
                    found += self._ld_conf(file)
            elif line:
                found.append(line)
        return found


@functools.cache
def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((HERE / name).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found


def release(version: str, source: str = "driver") -> Release:
    """The facts of a driver version, such as 550.54.15; one that is not listed takes those of its branch.

    Raises NvsimError for a text that is no driver version, and for drivers older than the catalogue."""
    found = re.fullmatch(r"([0-9]{3})\.[0-9]{2,3}(\.[0-9]{2})?", version)
    if not found:
        raise NvsimError(f"{version[:60]!r} is not a driver version", source=source, hint="such as 550.54.15")
    branches = _read("drivers.yaml")["branches"]
    older = [b for b in branches if b <= int(found[1])]
    if not older:
        raise NvsimError(f"driver branch {found[1]} is older than the catalogue", source=source,
                         hint=f"known branches: {', '.join(map(str, branches))}")
    number = max(older)
    facts = branches[number] | _read("drivers.yaml")["releases"].get(version, {})
    return Release(version=version, branch=number, cuda=facts["cuda"], firmware=tuple(facts["firmware"]),
                   vulkan=_newest(branches, number, "vulkan"), built=facts["built"],
                   open_built=facts.get("open_built", facts["built"]),
                   builder=facts.get("builder", "dvs-builder@build"))


def _newest(branches: Mapping[int, Mapping[str, Any]], number: int, key: str) -> str:
    """The value of the newest branch up to this one that states it."""
    return str(next(branches[b][key] for b in sorted(branches, reverse=True) if b <= number and key in branches[b]))


def layout_names(arch: Arch = "x86_64") -> tuple[str, ...]:
    """The layouts of an architecture, in the catalogue's order."""
    return tuple(name for name, facts in _read("layouts.yaml").items()
                 if arch in facts.get("architectures", ARCHITECTURES))


def layout(name: str, source: str = "layout", *, arch: Arch = "x86_64") -> Layout:
    """A layout by name, as the distribution is on machines of an architecture.

    Raises NvsimError that names the nearest one, and for a distribution that is not made for the architecture."""
    layouts = _read("layouts.yaml")
    if name not in layouts:
        near = difflib.get_close_matches(name, layouts, n=1, cutoff=0.4)
        raise NvsimError(f"unknown layout {name[:60]!r}", source=source,
                         hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(layouts)}")
    facts = _merged(layouts, name)
    if arch not in facts.get("architectures", ARCHITECTURES):
        raise NvsimError(f"the layout {name} is not for {arch}", source=source,
                         hint=f"its machines are {', '.join(facts['architectures'])}")
    ld = facts["ldconfig"]
    found = Layout(name=name, about=facts["about"], arch=facts["arch"], parts=tuple(facts["parts"]), dirs=facts["dirs"],
                  placed={pattern: role for role, patterns in facts.get("placed", {}).items() for pattern in patterns},
                  exposed=tuple(Exposed(source=e["from"], to=e["to"], names=tuple(e["names"]), via=e.get("via", ""))
                                for e in facts.get("exposed", ())),
                  dev_links=tuple(facts.get("dev_links", ["*"])), plain=tuple(facts.get("plain", ())),
                  egl_platforms=facts["egl_platforms"], links=facts["links"], ld_cache=ld["cache"] or "",
                  ld_builtin=tuple(ld["builtin"]), ld_files=ld["files"], ld_generator=ld["generator"],
                  ld_osversion=ld["osversion"], ld_compat=ld["compat"],
                  groups=facts["groups"], kernel=facts["kernel"], compiler=facts["compiler"], modules=facts["modules"],
                  character_majors={m: tuple(names) for m, names in facts["character_majors"].items()},
                  block_majors=facts["block_majors"])
    return found if arch == found.arch else _on(found, arch)


def _on(layout: Layout, arch: Arch) -> Layout:
    """A layout, which is that of x86-64, on another architecture: folders and files that bear an architecture's name
    bear the other one's, and 32-bit libraries and what is for them are not there.

    Where libraries lie in a folder of the architecture's name (multiarch), there is no /lib64: the loader of aarch64 is
    /lib/ld-linux-aarch64.so.1, that of x86-64 is in /lib64 by its ABI."""
    def named(text: str) -> str:
        return text.replace("x86_64", arch).replace("amd64", "arm64").replace("x86-64", arch)

    multiarch = "-linux-gnu" in layout.path("<libdir>")
    gone = {"/lib32", "/libx32", "/run/opengl-driver-32"} | ({"/lib64"} if multiarch else set())
    return replace(
        layout, arch=arch, about=named(layout.about), kernel=named(layout.kernel),
        dirs={role: None if role.endswith("32") else folder and named(folder) for role, folder in layout.dirs.items()},
        exposed=tuple(replace(one, via=named(one.via)) for one in layout.exposed if "32>" not in one.source),
        links={named(path): target for path, target in layout.links.items() if path not in gone},
        ld_builtin=tuple(map(named, layout.ld_builtin)),
        ld_files={named(path): named(text) for path, text in layout.ld_files.items()
                  if "i386" not in path and "lib32" not in path},
        character_majors={n: names for n, names in layout.character_majors.items() if n not in _X86_ONLY_MAJORS})


def oldest_branch(arch: Arch) -> int:
    """The first driver branch whose libraries for an architecture the catalogue knows: that of libcuda.so."""
    facts = next(facts for facts in _read("drivers.yaml")["libraries"] if facts.get("soname") == "libcuda.so.1")
    return int(facts[arch][0])


def _merged(layouts: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The facts of a layout with those of the one that it is like; `dirs` and `ldconfig` key by key."""
    facts: dict[str, Any] = dict(layouts[name])
    if "like" not in facts:
        return facts
    base = _merged(layouts, facts.pop("like"))
    return {**base, **facts, **{key: {**base[key], **facts.get(key, {})} for key in ("dirs", "ldconfig")}}


@functools.cache
def libraries(version: str, arch: Arch, parts: frozenset[str], *, elf: Arch = "") -> tuple[Library, ...]:
    """The libraries that a release has for an architecture, on a host with these parts.

    `elf` is the architecture of the files, if it is another: they then need the loader of that one."""
    branch = release(version).branch
    return tuple(_library(facts, version, branch, elf or arch) for facts in _read("drivers.yaml")["libraries"]
                 if _has_library(facts, branch, arch) and facts.get("part", "") in parts | {""})


def _has_library(facts: Mapping[str, Any], branch: int, arch: Arch) -> bool:
    first, last = facts.get("x86_64" if arch == "i386" else arch, (1, 0))
    return first <= branch <= last and (arch != "i386" or facts.get("i386", False))


def _library(facts: Mapping[str, Any], version: str, branch: int, arch: Arch) -> Library:
    needed = facts["needed"]
    if "needed_in" in facts:
        first, last = facts["needed_in"]["branches"]
        needed = facts["needed_in"]["needed"] if first <= branch <= last else needed
    loader = _LOADER_LIBRARY.get(arch, "ld-linux-x86-64.so.2")
    names = [loader if name == "ld-linux-x86-64.so.2" else name.replace("<V>", version) for name in needed]
    return Library(file=facts["file"].replace("<V>", version), soname=facts.get("soname", "").replace("<V>", version),
                   links=tuple(facts.get("links", ())), dir=facts.get("dir", "libdir"), needed=tuple(names),
                   exports=tuple(facts.get("returns", {}).items()), abi=tuple(facts["abi"]) if "abi" in facts else None,
                   artifact=facts.get("artifact", ""))


def binaries(branch: int, parts: frozenset[str]) -> tuple[Binary, ...]:
    """The programs of a branch, on a host with these parts."""
    return tuple(Binary(file=facts["file"], artifact=facts.get("artifact", ""), mode=int(facts.get("mode", "755"), 8))
                 for facts in _chosen("binaries", branch, parts))


def files(branch: int, parts: frozenset[str], arch: Arch) -> tuple[tuple[str, str], ...]:
    """Other files of a branch: path, with roles and <V> in it, and text, with <vulkan_api> and roles in it."""
    contents = _read("drivers.yaml")["contents"]
    return tuple((facts["path"], contents[facts["content"]]) for facts in _chosen("files", branch, parts)
                 if facts.get("arch", arch) == arch)


def links(branch: int, parts: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Links of a branch that are no library names: path and target, with roles and <V> in them."""
    return tuple((facts["path"], facts["target"]) for facts in _chosen("links", branch, parts))


def egl_platforms(branch: int) -> tuple[tuple[str, str, str], ...]:
    """EGL platform libraries of a branch: name, file name of their configuration, its text."""
    text = _read("drivers.yaml")["contents"]["egl_platform"]
    return tuple((facts["name"], facts["config"], text.replace("<library>", f"{facts['name']}.so.1"))
                 for facts in _chosen("egl_platforms", branch, frozenset()))


def _chosen(section: str, branch: int, parts: frozenset[str]) -> list[Mapping[str, Any]]:
    return [facts for facts in _read("drivers.yaml")[section]
            if _in_branch(facts, branch) and facts.get("part", "") in parts | {""}]


def _in_branch(facts: Mapping[str, Any], branch: int) -> bool:
    return bool(facts.get("since", 0) <= branch <= facts.get("until", 10_000))


def parameters(branch: int) -> tuple[tuple[str, int | str], ...]:
    """The lines of /proc/driver/nvidia/params: name and default, a number or a text, in order."""
    kernel = _read("kernel.yaml")
    numbers = [(facts["name"], _value_in(facts["value"], branch)) for facts in kernel["parameters"]
               if _in_branch(facts, branch)]
    return (*numbers, *((facts["name"], "") for facts in kernel["texts"] if _in_branch(facts, branch)))


def _value_in(value: int | Mapping[int, int], branch: int) -> int:
    return value if isinstance(value, int) else value[max(first for first in value if first <= branch)]


def majors(branch: int) -> tuple[tuple[str, int], ...]:
    """The character majors that a branch registers: name and number."""
    return tuple((facts["name"], facts["major"]) for facts in _read("kernel.yaml")["majors"]
                 if _in_branch(facts, branch))


def modules() -> tuple[Module, ...]:
    """The kernel modules of a driver, in the order of /proc/modules: last loaded first."""
    return tuple(Module(name=facts["name"], size=facts["size"], users=tuple(facts["users"]), flags=facts["flags"],
                        parameters=facts["parameters"]) for facts in _read("kernel.yaml")["modules"])


def wsl() -> dict[str, Any]:
    """What a WSL 2 machine has from Windows: see the head of wsl.yaml."""
    return _read("wsl.yaml")


def tegra() -> dict[str, Any]:
    """Boards and releases of Jetson: see the head of tegra.yaml."""
    return _read("tegra.yaml")


def tegra_files() -> dict[str, Any]:
    """Container manifests of Jetson by family: see the head of tegra-files.yaml."""
    return _read("tegra-files.yaml")


def under_wsl(layout: Layout) -> Layout:
    """A distribution on WSL's kernel, which has no modules, and with the folder of Windows' libraries in ld.so.conf."""
    file = wsl()["ld_file"]
    return replace(layout, modules="", ld_files={**layout.ld_files, file["path"]: file["text"]})
