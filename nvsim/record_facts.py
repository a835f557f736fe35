"""What the files of a machine tell of it, for `nvsim record`: /proc, /sys, /dev, /run and /etc, without NVML.

`root` is the folder that holds the machine's /: empty for the machine that this runs on."""

import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from nvsim.catalogue import ARCHITECTURES
from nvsim.plan_operator import VALIDATIONS
from nvsim.profile_extras import MOST_PORTS, Extras

NVIDIA = 0x10DE
_DISPLAY, _NVSWITCH = 0x03, 0x0680  # PCI base class of GPUs, class and subclass of NVSwitches
_VERSION = re.compile(r"NVRM version: NVIDIA UNIX (Open )?.*?\s(\d{3}\.\d[\d.]*\d)\s")
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
_IMEX = "/etc/nvidia-imex"
DRIVER_CONTAINER = "/run/nvidia/driver"  # the root of the GPU Operator's driver container
# Where the control daemon of MPS has its socket: its own default, and the folder of the device plugin.
_MPS = ("/tmp/nvidia-mps", "/run/nvidia/mps/nvidia.com/gpu/pipe")


@dataclass(frozen=True, slots=True, kw_only=True)
class PciGpu:
    """A GPU as the PCI bus shows it, with or without driver.  `device` is device << 16 | vendor, as in gpus.yaml.

    `cpus` are the CPUs near it as Linux lists them.  `minor`, `name` and `uuid` are what the kernel modules say of it:
    -1 and empty where none say anything.  `vfio`: it is bound to vfio-pci, for a virtual machine."""

    bus_id: str
    device: int
    numa_node: int
    cpus: str
    minor: int = -1
    name: str = ""
    uuid: str = ""
    vfio: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Processors:
    """NUMA nodes, CPUs (threads) of all of them, and threads of a core."""

    nodes: int = 1
    cpus: int = 64
    threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The machine.  `arch` is its architecture, `imex` are its files of IMEX, `vfio` the GPUs that the driver does not
    have; `dev_roots` the folders, of those that are asked for, whose dev/ has the driver's nodes."""

    arch: str
    kernel_driver: str
    kernel_module: Literal["open", "closed"]
    gpus: tuple[PciGpu, ...]
    vfio: tuple[PciGpu, ...]
    processors: Processors
    nvswitches: bool
    persistenced: bool
    fabricmanager: bool
    other_cards: int
    dev_char_links: bool
    imex_channels: int
    imex: Mapping[str, str]
    extras: Extras
    operator: bool
    dev_roots: tuple[str, ...]


def gather(root: str = "") -> Facts:
    """The facts of a machine.  What it does not show is as on one that has none of it."""
    said = _text(f"{root}/proc/driver/nvidia/version")
    version = _VERSION.search(said)
    gpus = tuple(_gpus(root))
    return Facts(
        arch=_arch(said), kernel_driver=version[2] if version else "",
        kernel_module="open" if version and version[1] else "closed",
        gpus=tuple(gpu for gpu in gpus if not gpu.vfio), vfio=tuple(gpu for gpu in gpus if gpu.vfio),
        processors=_processors(root, gpus),
        nvswitches=any(vendor == NVIDIA and kind >> 8 == _NVSWITCH for _, vendor, kind in _functions(root)),
        persistenced=os.path.exists(f"{root}/run/nvidia-persistenced/socket"),
        fabricmanager=bool(glob.glob(f"{glob.escape(root)}/run/nvidia-fabricmanager/*")),
        other_cards=_other_cards(root), dev_char_links=os.path.lexists(f"{root}/dev/char/195:255"),
        imex_channels=len(glob.glob(f"{glob.escape(root)}/dev/nvidia-caps-imex-channels/channel*")),
        imex=scrubbed({path.removeprefix(root): _text(path)
                       for path in sorted(glob.glob(f"{glob.escape(root)}{_IMEX}/*.cfg"))}),
        extras=_extras(root), operator=any(os.path.exists(f"{root}{VALIDATIONS}/{part}-ready")
                                           for part in ("driver", "toolkit")), dev_roots=_dev_roots(root))


def _extras(root: str) -> Extras:
    """Storage, copying, RDMA and MPS, by the lines of /proc/devices, nodes and control sockets."""
    lines = _text(f"{root}/proc/devices").splitlines()
    devices = {line.split()[1] for line in lines if len(line.split()) == 2}
    ports = glob.glob(f"{glob.escape(root)}/dev/infiniband/uverbs[0-9]*")
    return Extras(gds="nvidia-fs" in devices, gdrcopy="gdrdrv" in devices, mofed=min(len(ports), MOST_PORTS),
                  mps=any(os.path.exists(f"{root}{folder}/control") for folder in _MPS))


def _dev_roots(root: str) -> tuple[str, ...]:
    """Of /, the driver container's root and the dev root that the operator says, those with the driver's main node."""
    said = re.search(r"^NVIDIA_DEV_ROOT=(/\S*)$", _text(f"{root}{VALIDATIONS}/driver-ready"), re.MULTILINE)
    places = dict.fromkeys(("/", DRIVER_CONTAINER, *([said[1]] if said else ())))
    return tuple(place for place in places if os.path.lexists(f"{root}{place.rstrip('/')}/dev/nvidiactl"))


def _arch(module: str) -> str:
    """The architecture that the kernel module names; without one, that of this machine."""
    named = re.search(r"NVIDIA UNIX (?:Open Kernel Module for )?(\w+)", module)
    known = [arch for arch in (named[1] if named else "", os.uname().machine) if arch in ARCHITECTURES]
    return known[0] if known else ARCHITECTURES[0]


def scrubbed(files: Mapping[str, str]) -> dict[str, str]:
    """Texts of IMEX with other addresses: each address, and each host name in a list of nodes, is the next one of
    10.0.0.1, 10.0.0.2, … everywhere.  Comments are left out; addresses that name no machine stay."""
    known = {"0.0.0.0": "0.0.0.0", "127.0.0.1": "127.0.0.1"}

    def other(name: str) -> str:
        number = len(known) - 1
        return known.setdefault(name, f"10.0.{number >> 8}.{number & 255}")

    def line_of(path: str, line: str) -> str:
        if os.path.basename(path).startswith("nodes"):
            return other(line.strip())
        return _ADDRESS.sub(lambda found: other(found[0]), line)

    return {path: "".join(f"{line_of(path, line)}\n" for line in text.splitlines()
                          if line.strip() and not line.lstrip().startswith("#")) for path, text in files.items()}


def _text(path: str) -> str:
    """The file's text; empty if there is no such file, or the kernel has no answer."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def _functions(root: str) -> Iterator[tuple[str, int, int]]:
    """The PCI functions by address: folder, vendor, class."""
    for folder in sorted(glob.glob(f"{glob.escape(root)}/sys/bus/pci/devices/*")):
        yield folder, _number(f"{folder}/vendor"), _number(f"{folder}/class")


def _number(path: str, default: int = 0) -> int:
    """The number in a file of sysfs, 0x1af4 or 12."""
    try:
        return int(_text(path).strip(), 0)
    except ValueError:
        return default


def _gpus(root: str) -> Iterator[PciGpu]:
    """The GPUs by address, without the virtual functions that one gives to vGPU guests."""
    for folder, vendor, kind in _functions(root):
        if vendor == NVIDIA and kind >> 16 == _DISPLAY and not os.path.lexists(f"{folder}/physfn"):
            bus_id = os.path.basename(folder)
            said = dict(line.split(":", 1) for line in
                        _text(f"{root}/proc/driver/nvidia/gpus/{bus_id}/information").splitlines() if ":" in line)
            minor = said.get("Device Minor", "").strip()
            yield PciGpu(bus_id=bus_id, device=_number(f"{folder}/device") << 16 | vendor,
                         numa_node=max(0, _number(f"{folder}/numa_node", -1)),
                         cpus=_text(f"{folder}/local_cpulist").strip(), minor=int(minor) if minor.isdigit() else -1,
                         name=said.get("Model", "").strip(), uuid=said.get("GPU UUID", "").strip(),
                         vfio=os.path.basename(os.path.realpath(f"{folder}/driver")) == "vfio-pci")


def _processors(root: str, gpus: tuple[PciGpu, ...]) -> Processors:
    """The machine's processors.  An emulated host shows those of the machine that it runs on; its own are near its
    GPUs."""
    if is_emulated(root):
        return near_gpus(gpus)
    system = f"{glob.escape(root)}/sys/devices/system"
    nodes = [list(_ranges(_text(path))) for path in glob.glob(f"{system}/node/node[0-9]*/cpulist")]
    nodes = [node for node in nodes if node]  # memory of a GPU can be a node without CPUs
    cpus = sum(len(cpus) for node in nodes for cpus in node) or os.cpu_count() or 1
    siblings = _text(f"{root}/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    return Processors(nodes=max(1, len(nodes)), cpus=cpus,
                      threads=max(1, sum(len(cpus) for cpus in _ranges(siblings))))


def is_emulated(root: str = "") -> bool:
    """Whether nvsim made the machine: it then shows the processors and the name of the one that it runs on."""
    return os.path.exists(f"{root}/run/nvsim-host")


def near_gpus(gpus: tuple[PciGpu, ...]) -> Processors:
    """Processors by the CPUs near each GPU.  Linux numbers the first threads of all cores, then the second ones."""
    lists = [list(_ranges(gpu.cpus)) for gpu in gpus if gpu.cpus]
    if not lists or not lists[0]:
        return Processors()
    first = lists[0]
    threads, each = len(first), len(first[0])
    cores = first[1].start - first[0].start if threads > 1 else max(cpus.stop for near in lists for cpus in near)
    return Processors(nodes=max(cores // each, *(gpu.numa_node + 1 for gpu in gpus)), cpus=cores * threads,
                      threads=threads)


def _ranges(cpus: str) -> Iterator[range]:
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", cpus):
        yield range(int(first), int(last or first) + 1)


def _other_cards(root: str) -> int:
    """DRM cards of other makers' adapters."""
    names = [os.path.basename(path) for path in glob.glob(f"{glob.escape(root)}/dev/dri/card[0-9]*")]
    return sum(_number(f"{root}/sys/class/drm/{name}/device/vendor") != NVIDIA for name in names)
