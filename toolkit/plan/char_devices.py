"""Which device nodes the driver may have, and their links in /dev/char.

runc looks devices up in /dev/char when systemd manages the cgroup: NVIDIA/nvidia-container-toolkit#48.
Source: toolkit v1.20, pkg/system/nvdevices, cmd/nvidia-ctk/system/create-dev-char-symlinks.
"""

from collections.abc import Mapping
from posixpath import basename
from typing import NamedTuple

from toolkit.errors import HostError
from toolkit.model.host import CharDevice

MODULES = ("nvidia", "nvidia-uvm", "nvidia-modeset")
CONTROL = (("nvidiactl", "nvidia", 255), ("nvidia-modeset", "nvidia", 254), ("nvidia-uvm", "nvidia-uvm", 0),
           ("nvidia-uvm-tools", "nvidia-uvm", 1))
IN_DEV = ("/dev/nvidia*", "/dev/nvidia-caps/nvidia-*")
NOT_LINKED = ("nvidia-fs", "nvidia-nvswitch", "nvidia-nvlink")
NONE = "no NVIDIA devices found"


class Node(NamedTuple):
    """A character device as the driver numbers it; `path` begins with /dev."""

    path: str
    major: int
    minor: int


def control_nodes(majors: Mapping[str, int]) -> tuple[Node, ...]:
    """The nodes that belong to no single GPU.  Raises HostError where the kernel does not know one of them."""
    nodes = []
    for name, major, minor in CONTROL:
        if major not in majors:
            raise HostError(f"failed to create device node {name}: failed to determine major: invalid device node",
                            source="/proc/devices", hint=f"load the kernel module {major}")
        nodes.append(Node(f"/dev/{name}", majors[major], minor))
    return tuple(nodes)


def existing_nodes(devices: tuple[CharDevice, ...]) -> tuple[Node, ...]:
    """The nodes there are, but for those of NVSwitch, NVLink and GPUDirect Storage."""
    return tuple(Node(d.path, d.major, d.minor) for d in devices if not basename(d.path).startswith(NOT_LINKED))


def possible_nodes(majors: Mapping[str, int], gpus: int, caps: tuple[tuple[str, int], ...]) -> tuple[Node, ...]:
    """The nodes that the driver would make for these GPUs.  `caps` is what the driver's mig-minors lists.

    Raises HostError for a major that the kernel does not know.
    """
    for name in ("nvidia", "nvidia-uvm", *(("nvidia-caps",) if caps else ())):
        if name not in majors:
            raise HostError(f"missing required device major {name}", source="/proc/devices",
                            hint=f"load the kernel module that has {name}, or use --load-kernel-modules")
    if not gpus:
        return ()
    minors = dict(caps)
    names = ["config", "monitor"]
    places = (("nvidia-modeset", "nvidia", 254), ("nvidiactl", "nvidia", 255), *CONTROL[2:])
    nodes = [Node(f"/dev/{name}", majors[major], minor) for name, major, minor in places]
    nodes += _cap_nodes(names, minors, majors)
    for gpu in range(gpus):
        nodes.append(Node(f"/dev/nvidia{gpu}", majors["nvidia"], gpu))
        nodes += _cap_nodes(_instances(gpu, minors), minors, majors)
    return tuple(nodes)


def _instances(gpu: int, minors: Mapping[str, int]) -> list[str]:
    """The GPU instances of a GPU, each with its compute instances, as far as they are numbered without a gap."""
    names = []
    gi = 0
    while (instance := f"gpu{gpu}/gi{gi}") + "/access" in minors:
        names.append(instance + "/access")
        ci = 0
        while f"{instance}/ci{ci}/access" in minors:
            names.append(f"{instance}/ci{ci}/access")
            ci += 1
        gi += 1
    return names


def _cap_nodes(names: list[str], minors: Mapping[str, int], majors: Mapping[str, int]) -> list[Node]:
    return [Node(f"/dev/nvidia-caps/nvidia-cap{minors[name]}", majors["nvidia-caps"], minors[name])
            for name in names if name in minors]
