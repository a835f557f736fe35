"""What the installer installs from: a folder with the files of unpacked packages.  Source: toolkit v1.20,
cmd/nvidia-ctk-installer/toolkit/installer, pkg/lookup.
"""

import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from toolkit.errors import HostError, ToolkitError
from toolkit.model.install import LIBRARIES, PROGRAMS, Library, Program

LIBRARY_FOLDERS = ("/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
OUR_MODULES = "usr/lib/nvidia-container-toolkit"  # of our own packages
PACKAGE_TYPES = {"deb": "/usr/bin/dpkg", "rpm": "/usr/bin/rpm"}
FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class Artifacts(NamedTuple):
    """What there is.  `missing` are the failures, the first of which counts unless errors are ignored."""

    libraries: tuple[Library, ...]
    programs: tuple[Program, ...]
    missing: tuple[ToolkitError, ...]


def source_root(kind: str) -> str:
    """The folder in the installer's image for a kind of package: "deb", "rpm"; "auto" or "" look at this machine.

    Raises HostError for another kind."""
    if kind in ("", "auto"):
        kind = "rpm" if _is_program(PACKAGE_TYPES["rpm"]) else "deb"
    if kind not in PACKAGE_TYPES:
        raise HostError(f"invalid package type: {kind}", source="--toolkit-package-type",
                        hint=f"one of {', '.join(PACKAGE_TYPES)}, auto")
    return f"/artifacts/{kind}"


def modules_of(root: str) -> str:
    """The folder of the Python modules, if the files below `root` are those of our packages; else ""."""
    folder = os.path.join(root, OUR_MODULES)
    return folder if os.path.isfile(os.path.join(folder, "toolkit", "launchers.py")) else ""


def packages_in(folder: str) -> tuple[str, ...]:
    """The Python packages in a folder of modules."""
    names = sorted(os.listdir(folder))
    return tuple(path for path in (os.path.join(folder, name) for name in names)
                 if os.path.isfile(os.path.join(path, "__init__.py")))


def read_artifacts(root: str, environment: Mapping[str, str]) -> Artifacts:
    """The libraries and programs of NVIDIA's packages below `root`."""
    libraries, programs, missing = [], [], []
    for name in LIBRARIES:
        places = [os.path.join(root, folder.lstrip("/"), name) for folder in LIBRARY_FOLDERS]
        if path := next(filter(os.path.isfile, places), ""):
            path = os.path.realpath(path)
            libraries.append(Library(name, path, stat.S_IMODE(os.stat(path).st_mode)))
        else:
            missing.append(_missing("libraries", "library", name, root))
    folders = [folder for folder in environment.get("PATH", "").split(":") if folder] or FOLDERS
    for name in PROGRAMS:
        places = [os.path.join(root, folder.lstrip("/"), name) for folder in folders]
        if path := next(filter(_is_program, places), ""):
            path = os.path.realpath(path)
            programs.append(Program(name, path, stat.S_IMODE(os.stat(path).st_mode)))
        else:
            missing.append(_missing("executables", "executable", name, root))
    return Artifacts(tuple(libraries), tuple(programs), tuple(missing))


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and bool(os.stat(path).st_mode & 0o111)


def _missing(kinds: str, kind: str, name: str, root: str) -> HostError:
    return HostError(f"failed to collect {kinds}: error locating {kind}: {name}: not found", source=root,
                     hint="name the folder of the unpacked packages by --toolkit-source-root")
