"""A GPU host as `gather` found it: plain values, no methods that touch the machine."""

from typing import NamedTuple


class CharDevice(NamedTuple):
    """A character device node.  `path` is its path as the container shall see it, `host_path` where it was found."""

    path: str
    host_path: str
    major: int
    minor: int
    mode: int  # permission bits
    uid: int = 0
    gid: int = 0


class MigDevice(NamedTuple):
    """A MIG device: one compute instance of one GPU instance.

    `index` counts from 0 within its GPU.  The capability minors are those of /proc/driver/nvidia-caps/mig-minors.
    """

    index: int
    uuid: str
    gpu_instance: int
    compute_instance: int
    name: str = ""  # e.g. "NVIDIA A100-SXM4-40GB MIG 1g.5gb"
    gi_access_minor: int = -1
    ci_access_minor: int = -1


class Gpu(NamedTuple):
    """One GPU as NVML reports it.

    `index` is NVML's enumeration order, `minor` the N of /dev/nvidiaN; they need not be equal.  `pci_bus_id` is in
    the form of sysfs, e.g. "0000:07:00.0".  `compute_capability` is "8.0"-like.  Memory is in MiB.
    """

    index: int
    uuid: str
    minor: int
    pci_bus_id: str
    name: str = ""
    brand: str = ""
    architecture: str = ""
    compute_capability: str = ""
    memory_mib: int = 0
    mig_enabled: bool = False
    mig_devices: tuple[MigDevice, ...] = ()
    coherent: bool = False  # NVML addressing mode ATS


class Library(NamedTuple):
    """A driver library.  `path` is below the driver root, links resolved; `links` are those that lead to it."""

    name: str  # e.g. "libcuda.so.550.54.15"
    path: str
    soname: str = ""
    links: tuple[str, ...] = ()
    bits: int = 64


class Driver(NamedTuple):
    """The files of one driver below its root.  All paths are relative to the driver root and start with "/"."""

    root: str = "/"
    dev_root: str = "/"
    version: str = ""  # e.g. "550.54.15"
    cuda_version: str = ""  # e.g. "12.4"
    libraries: tuple[Library, ...] = ()
    library_dirs: tuple[str, ...] = ()
    binaries: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    configuration: tuple[str, ...] = ()  # JSON, icd and X11 files


class Host(NamedTuple):
    """Everything that a plan may ask about a machine.  Only the parts that a mode needs are filled in."""

    platform: str = "unknown"  # nvml, wsl, tegra, unknown
    driver: Driver = Driver()
    gpus: tuple[Gpu, ...] = ()
    devices: tuple[CharDevice, ...] = ()
    notes: tuple[str, ...] = ()  # what gather skipped, and why; printed as warnings
