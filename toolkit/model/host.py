"""A GPU host as `gather` found it: plain values, no methods that touch the machine."""

from typing import NamedTuple

INTEGRATED = ("(nvgpu)", "NVIDIA Thor")
"""Words in the name of a GPU that is part of a Tegra system."""


class CharDevice(NamedTuple):
    """A character device node.  `path` is its path as the container shall see it, `host_path` where it was found."""

    path: str
    host_path: str
    major: int
    minor: int
    mode: int  # permission bits
    uid: int = 0
    gid: int = 0


class Listed(NamedTuple):
    """The nodes of a device as the driver lists them; of one that is not on the machine `major` and `mode` are 0.

    Links are (text, path).  `known` is False where the driver does not say: then NVML and /dev tell.
    """

    known: bool = False
    nodes: tuple[CharDevice, ...] = ()
    graphics: tuple[CharDevice, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


class MigDevice(NamedTuple):
    """A MIG device: one compute instance of one GPU instance.

    `index` counts from 0 within its GPU.  The capability minors are those of /proc/driver/nvidia-caps/mig-minors.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index
    uuid: str
    gpu_instance: int
    compute_instance: int
    name: str = ""  # e.g. "NVIDIA A100-SXM4-40GB MIG 1g.5gb"
    gi_access_minor: int = -1
    ci_access_minor: int = -1
    gfx: bool = False  # the GPU instance's profile has the attribute "gfx": it may use the DRM nodes of its GPU
    profile_error: str = ""  # NVML's text where the profile cannot be determined
    listed: Listed = Listed()


class Gpu(NamedTuple):
    """One GPU as NVML reports it.

    `index` is NVML's enumeration order, `minor` the N of /dev/nvidiaN; they need not be equal.  `pci_bus_id` is in
    the form of sysfs, e.g. "0000:07:00.0".  `compute_capability` is "8.0"-like.  Memory is in MiB.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index
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
    mig_capable: bool = False
    error: str = ""  # NVML's text if the GPU does not answer; then uuid is "" and minor -1
    minor_error: str = ""  # NVML's text if only the minor is unknown: WSL, integrated GPUs; then minor is -1
    bus_id_error: str = ""  # NVML's text if it knows no PCI address; then pci_bus_id is ""
    max_mig_devices: int = 0
    listed: Listed = Listed()
    drm: tuple[str, ...] = ()  # entries of its drm folder in sysfs, e.g. ("card1", "renderD128")


class Library(NamedTuple):
    """A driver library.

    `path` is its place below the driver root, links resolved: what a container sees.  `links` are the symbolic links
    of its folder that bear its SONAME, or its SONAME up to ".so".  `host_path` is set only for a file that lies
    outside the driver root: an explicit search path, an absolute link.
    """

    name: str  # e.g. "libcuda.so.550.54.15"
    path: str
    soname: str = ""
    links: tuple[str, ...] = ()
    bits: int = 64
    host_path: str = ""


class File(NamedTuple):
    """A file of the driver whose place in the container is not simply its place below the driver root."""

    host_path: str
    path: str


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
    version_error: str = ""  # why `version` is empty
    explicit_libraries: tuple[Library, ...] = ()  # libEGL.so and the like: only with their feature flag
    graphics_libraries: tuple[Library, ...] = ()  # EGL platforms, allocator, Vulkan producer
    graphics_files: tuple[File, ...] = ()  # X.Org modules, then EGL, X11, OpenCL and Vulkan files


class Tegra(NamedTuple):
    """What the csv files of a Tegra system list, as far as the machine has it.  Paths are the machine's own.

    `devices` are the "dev" entries as written, each with the nodes (paths of a container) that it matches.  `links`
    are the symbolic links that "sym" entries lead over: text and path.
    """

    devices: tuple[tuple[str, tuple[str, ...]], ...] = ()
    directories: tuple[File, ...] = ()
    libraries: tuple[Library, ...] = ()  # of "lib" entries, links resolved
    targets: tuple[File, ...] = ()  # of "sym" entries, links resolved
    links: tuple[tuple[str, str], ...] = ()
    release_file: str = ""  # /etc/nv_tegra_release, if there is one
    is_empty: bool = True  # no file lists anything but devices


class Wsl(NamedTuple):
    """The driver of a WSL 2 machine.  A container sees files of the driver store where they lie on the machine."""

    dxcore: tuple[File, ...] = ()
    store: tuple[File, ...] = ()  # what every container needs of the driver store
    more: tuple[File, ...] = ()  # whatever else of libraries and data is there
    error: str = ""  # why there is no driver store


class Host(NamedTuple):
    """Everything that a plan may ask about a machine.  Only the parts that a mode needs are filled in."""

    platform: str = "unknown"  # nvml, wsl, tegra, unknown
    driver: Driver = Driver()
    gpus: tuple[Gpu, ...] = ()
    devices: tuple[CharDevice, ...] = ()
    links: tuple[tuple[str, str], ...] = ()  # /dev/dri/by-path: path on the machine (dev root included), its text
    mig_capabilities: tuple[tuple[str, int], ...] = ()  # mig-minors: ("gpu0/gi1/access", 12)
    nvml_error: str = ""  # why NVML could not be asked: then `gpus` says nothing
    has_nvml: bool = False  # its library can be loaded, whether or not it can be asked; of csv mode alone
    tegra: Tegra = Tegra()
    wsl: Wsl = Wsl()
    files: tuple[File, ...] = ()  # mounts of gds: /run/udev, /etc/cufile.json
    notes: tuple[str, ...] = ()  # what gather skipped, and why; printed as warnings
