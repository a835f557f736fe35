"""A host and a container as `nvidia-container-cli` sees them.  Source: libnvidia-container 1.20.

Its rules differ from the CDI generator's, so the values differ from those of `toolkit.model.host`: files are those
that the loader's cache names, paths are resolved below the driver root, bus ids have eight digits of domain.
"""

from typing import NamedTuple

CAPABILITIES_DIR = "/proc/driver/nvidia/capabilities"


def below(root: str, path: str) -> str:
    """A path below a root, as messages and logs show it: nothing in front for the root "/"."""
    return path if root == "/" else f"{root.rstrip('/')}/{path.lstrip('/')}"


class Node(NamedTuple):
    """A device node below the driver root.  `character` False: something else lies at that place."""

    path: str
    major: int
    minor: int
    character: bool = True


class MigDevice(NamedTuple):
    """One compute instance of one GPU instance; `index` is its position in NVML's enumeration on its GPU."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    uuid: str
    gpu_index: int
    gpu_minor: int
    gpu_instance: int
    compute_instance: int

    @property
    def access_files(self) -> tuple[str, str]:
        """The capability files of the GPU instance and of the compute instance.  `gpuN` counts by minor."""
        gi = f"{CAPABILITIES_DIR}/gpu{self.gpu_minor}/mig/gi{self.gpu_instance}"
        return f"{gi}/access", f"{gi}/ci{self.compute_instance}/access"


class Gpu(NamedTuple):
    """One GPU.  `bus_id` is "00000000:07:00.0"-like, `architecture` the CUDA compute capability, e.g. "8.0"."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    minor: int
    uuid: str
    bus_id: str
    name: str = ""
    brand: str = "Unknown"
    architecture: str = ""
    mig_capable: bool = False
    migs: tuple[MigDevice, ...] = ()

    @property
    def node(self) -> str:
        return f"/dev/nvidia{self.minor}"


class Driver(NamedTuple):
    """The files of one driver.  Paths are below `root`, links resolved; firmware is named as the kernel asks for it.

    Under WSL 2 `store` is the driver store of the first adapter, "" elsewhere, and `store_files` what a container needs
    of it; `devices` is then /dev/dxg alone, and GPUs have no nodes of their own.
    """

    root: str = "/"
    version: str = ""
    cuda_version: str = ""
    libraries: tuple[str, ...] = ()
    libraries32: tuple[str, ...] = ()
    binaries: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    ipcs: tuple[str, ...] = ()
    devices: tuple[Node, ...] = ()  # nvidiactl, uvm, uvm-tools, modeset, in this order
    store: str = ""
    store_files: tuple[str, ...] = ()


class ProcFile(NamedTuple):
    """One of the files of /proc/driver/nvidia that a container gets a copy of."""

    path: str
    mode: int
    content: bytes


class Host(NamedTuple):
    """What `list` and `configure` ask about a machine.

    `caps_major` is the character major of nvidia-caps, -1 where capabilities are files only.  `cap_minors` maps a
    capability file to its device minor; `gpu_caps` lists (GPU minor, capability minor) of the mig-minors file.
    `proc_gpus` are the names below /proc/driver/nvidia/gpus.  `nodes` are all device nodes that were found.
    `modes` gives the st_mode of each file that may be mounted.
    """

    driver: Driver = Driver()
    gpus: tuple[Gpu, ...] = ()
    proc_files: tuple[ProcFile, ...] = ()
    proc_gpus: tuple[str, ...] = ()
    nodes: tuple[Node, ...] = ()
    caps_major: int = -1
    cap_minors: tuple[tuple[str, int], ...] = ()
    gpu_caps: tuple[tuple[int, int], ...] = ()

    def node(self, path: str) -> Node | None:
        """The device node at a path, None where there is nothing."""
        return next((node for node in self.nodes if node.path == path), None)

    def cap_minor(self, path: str) -> int:
        """The device minor of a capability file, -1 where the file or its DeviceFileMinor line is missing."""
        return dict(self.cap_minors).get(path, -1)


class Container(NamedTuple):
    """A container's root as found before anything is placed in it.  Paths are below that root.

    `compat` are the CUDA compatibility libraries of the image, links resolved.  `uid` and `gid` own what is created.
    """

    rootfs: str
    bins_dir: str = "/usr/bin"
    libs_dir: str = "/usr/lib64"
    libs32_dir: str = "/usr/lib"
    ldconfig: str = "/sbin/ldconfig"
    compat: tuple[str, ...] = ()
    uid: int = 0
    gid: int = 0


class Request(NamedTuple):
    """What one `configure` was asked for.

    `devices`, `mig_config` and `mig_monitor` are the option's values joined with ","; `capabilities` are of compute,
    utility, video, graphics, display and ngx.  `ldconfig` "" means the image's own, "@" in front means the host's.
    """

    devices: str = ""
    mig_config: str = ""
    mig_monitor: str = ""
    imex_channels: tuple[int, ...] = ()
    capabilities: tuple[str, ...] = ()
    compat32: bool = False
    requirements: tuple[str, ...] = ()
    ldconfig: str = ""
    cuda_compat_mode: str = "mount"
    no_cgroups: bool = False
    no_devbind: bool = False
