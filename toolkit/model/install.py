"""What the installer installs and where: names, and the parts of its folder.

Source: toolkit v1.20, cmd/nvidia-ctk-installer/toolkit.
"""

from typing import Any, NamedTuple

LIBRARIES = ("libnvidia-container.so.1", "libnvidia-container-go.so.1")
RUNTIMES = ("nvidia-container-runtime", "nvidia-container-runtime.cdi", "nvidia-container-runtime.legacy")
HOOK = "nvidia-container-runtime-hook"
CLI = "nvidia-container-cli"
CDI_HOOK = "nvidia-cdi-hook"
# In the order in which they are looked up, and so the first that is missing is named.
PROGRAMS = ("nvidia-ctk", CDI_HOOK, *RUNTIMES, CLI, HOOK)
LINKS = {HOOK: "nvidia-container-toolkit"}
CONFIG = ".config/nvidia-container-runtime/config.toml"
MODULES = "python"


class Copy(NamedTuple):
    """A file with the content of another one."""

    name: str
    source: str
    mode: int


class Text(NamedTuple):
    """A file with this content."""

    name: str
    text: str
    mode: int


class Link(NamedTuple):
    """A symbolic link."""

    name: str
    target: str


class Package(NamedTuple):
    """The folder of a Python package; what is compiled for one machine or one interpreter stays out."""

    name: str
    source: str


Part = Copy | Text | Link | Package


class Library(NamedTuple):
    """A library by its soname, and the file that the name leads to."""

    soname: str
    path: str
    mode: int


class Program(NamedTuple):
    """A program: a file to copy or, if `text` is not empty, its content."""

    name: str
    path: str
    mode: int
    text: str = ""


class Settings(NamedTuple):
    """What config.toml says other than its defaults.  `chosen` are the optional keys, dotted."""

    driver_root: str
    ldconfig: str
    runtimes: tuple[str, ...]
    skip_mode_detection: bool = True
    envvar_when_unprivileged: bool = True
    as_volume_mounts: bool = False
    features: tuple[str, ...] = ()
    chosen: tuple[tuple[str, Any], ...] = ()
