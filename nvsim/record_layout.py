"""Which driver a machine has, and which layout of the catalogue it follows."""

import glob
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from nvsim import catalogue, plan_driver, plan_host
from nvsim.profile import Profile
from nvsim.record_facts import DRIVER_CONTAINER, is_emulated

ROOTS = ("/", DRIVER_CONTAINER)  # where a driver is looked for
_VERSION = re.compile(r"\.so\.(\d{3}\.\d{2,3}(?:\.\d{2})?)$")
_OTHER_NAMES = {"amzn": "amazonlinux", "suse": "sles"}  # what os-release calls it → what layouts.yaml does


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """The driver's files on a machine.  `library` is the path of its libnvidia-ml.so.1 or, without, of the file."""

    root: str
    layout: str
    version: str
    library: str


def driver(root: str, arch: str = "x86_64") -> Driver | None:
    """The driver that is installed on a machine of an architecture; None without.

    Of several layouts and places it is that of the system's own name, else the one whose files are there best."""
    found = [one for place in ROOTS for name in catalogue.layout_names(arch)
             for one in _drivers(root, place, name, arch)]
    return max(found, key=lambda one: (_named(root + one.root.rstrip("/"), one.layout, root), _fit(root, one, arch),
                                       _compiled(root, one.layout)), default=None)


def layout(root: str, arch: str = "x86_64") -> str:
    """The layout of a machine of an architecture without driver: by its system's name, else by its kernel modules and
    other files."""
    return max(catalogue.layout_names(arch), key=lambda name: (
        _named(root, name, root), _compiled(root, name),
        sum(_text(root + path) == text for path, text in catalogue.layout(name, arch=arch).ld_files.items())))


def system(root: str) -> Mapping[str, str]:
    """The values of /etc/os-release by name."""
    lines = (line.partition("=") for line in _text(f"{root}/etc/os-release").splitlines())
    return {name.strip(): value.strip().strip("\"'") for name, _, value in lines}


def _named(place: str, name: str, root: str) -> int:
    """How well a layout's name fits the system's, or that of one that it is like.  An emulated host shows the name of
    the machine that it runs on: there none fits."""
    if is_emulated(root):
        return 0
    found = system(place)
    version = found.get("VERSION_ID", "")
    ids = [_OTHER_NAMES.get(word, word) for word in (found.get("ID", ""), *found.get("ID_LIKE", "").split())]
    names = [spelled for word in ids for spelled in (word + version, word + version.partition(".")[0], word)]
    return len(names) - names.index(name) if name in names else 0


def _compiled(root: str, name: str) -> bool:
    """Whether the kernel modules were compiled on a system of this layout."""
    return catalogue.layout(name).compiler in _text(f"{root}/proc/driver/nvidia/version")


def _drivers(root: str, place: str, name: str, arch: str) -> list[Driver]:
    """The driver of each version whose libraries are there, first the one that libnvidia-ml.so.1 leads to."""
    folder = glob.escape(root + place.rstrip("/")) + catalogue.layout(name, arch=arch).path("<libdir>", "*")
    link = next(iter(glob.glob(f"{folder}/libnvidia-ml.so.1")), "")
    files = [*([os.path.realpath(link)] if link else []), *sorted(glob.glob(f"{folder}/libnvidia-ml.so.*.*")),
             *sorted(glob.glob(f"{folder}/libcuda.so.*.*"))]
    versions = {found[1]: link or file for file in reversed(files) if (found := _VERSION.search(file))}
    return [Driver(root=place, layout=name, version=version, library=library)
            for version, library in reversed(versions.items())]


def _fit(root: str, one: Driver, arch: str) -> int:
    """How many of the driver's files are where the layout has them, less those that are not."""
    made = plan_host.host(Profile(name="", layout=one.layout, arch=arch, driver=one.version))
    place = root + one.root.rstrip("/")
    return sum(1 if os.path.lexists(place + op.path) else -1 for op in plan_driver.files(made))


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""
