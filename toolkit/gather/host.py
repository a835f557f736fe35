"""The machine as a Host: calls the readers that the generator modes need, and no others."""

import os

from toolkit.errors import HostError
from toolkit.gather import devices, nvml
from toolkit.gather.driver import read_driver
from toolkit.gather.locate import Locator
from toolkit.gather.tree import Tree
from toolkit.model.host import File, Gpu, Host

NVML = "libnvidia-ml.so.1"
DXCORE = "libdxcore.so"
PLATFORM_FOLDERS = (
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
)
INTEGRATED = ("(nvgpu)", "NVIDIA Thor")  # in the name of a GPU that is part of a Tegra system


def read_host(
    *,
    driver_root: str = "/",
    dev_root: str = "",
    root: str = "/",
    want: tuple[str, ...] = ("nvml",),
    library_search_paths: tuple[str, ...] = (),
    config_search_paths: tuple[str, ...] = (),
) -> Host:
    """What the generator modes in `want` ("nvml", "management", "gds", "imex", …) need to know.

    `driver_root` and `dev_root` ("": the driver root) are paths of the machine; `root` is where this machine's file
    system is mounted: "/" for the machine that we run on, a built tree at level `spec`.  No path in the result
    contains `root`.  Absolute symbolic links are followed from `root`, not from the driver root, as upstream does.
    The two search paths replace the built-in folders and are paths of the machine, not of the driver root.
    "auto" stands for the mode that fits the platform.

    Raises nothing for what is missing: NVML's failure is in `nvml_error`, the rest is left out with a note.  Whether
    that matters depends on what is asked of the host, and a plan decides it.
    """
    dev_root = dev_root or driver_root or "/"
    locator = Locator(
        Tree(root),
        driver_root,
        library_folders=library_search_paths,
        config_folders=config_search_paths,
        environment=tuple((key, os.environ.get(key, "")) for key in ("PATH", "XDG_DATA_DIRS")),
    )
    host = Host(platform="nvml")
    if "auto" in want:
        platform = read_platform(driver_root=driver_root, root=root)
        host = Host(platform=platform, notes=_doubts(platform))
        want = (*(mode for mode in want if mode != "auto"), {"wsl": "wsl", "tegra": "csv"}.get(platform, "nvml"))
    if "nvml" in want or "management" in want:
        host = _with_driver(host, locator, dev_root, nvml_mode="nvml" in want)
    patterns = (pattern for mode in want for pattern in devices.PATTERNS.get(mode, ()))
    return host._replace(
        driver=host.driver._replace(root=locator.root, dev_root=dev_root),
        devices=devices.read_devices(locator.tree, dev_root, dict.fromkeys(patterns)),
        files=_storage_files(locator) if "gds" in want else (),
        notes=(*host.notes, *locator.notes),
    )


def read_platform(*, driver_root: str = "/", root: str = "/") -> str:
    """One of "wsl", "tegra", "nvml" or "unknown": which kind of machine this is, from the libraries that can be loaded.

    Source: go-nvlib, pkg/nvlib/info, as toolkit v1.20 asks it.  Below a driver root the libraries are taken from
    there; upstream's runtime always asks with "/", its CDI generator with the driver root.
    """
    locator = Locator(Tree(root), driver_root)
    below_root = root not in ("", "/")
    if _loads(locator, DXCORE, below_root):
        return "wsl"
    has_nvml = _loads(locator, NVML, below_root)
    if (_has_tegra_files(locator) and not has_nvml) or (has_nvml and _is_integrated(locator, below_root)):
        return "tegra"
    return "nvml" if has_nvml else "unknown"


def _doubts(platform: str) -> tuple[str, ...]:
    return (f"Unsupported platform detected: {platform}; assuming nvml",) if platform == "unknown" else ()


def _with_driver(host: Host, locator: Locator, dev_root: str, *, nvml_mode: bool) -> Host:
    """The driver's files, and in nvml mode the GPUs."""
    error = ""
    try:
        reading = nvml.read(_nvml_path(locator))
    except HostError as e:
        error = e.message
        reading = nvml.Reading("", error, "", ())
    if reading.version_error:
        locator.notes.append(f"Could not determine driver version: {reading.version_error}")
    driver = read_driver(locator, version=reading.driver_version, dev_root=dev_root, graphics=nvml_mode)
    minors = dict(devices.read_mig_minors(locator.tree)) if any(gpu.mig_devices for gpu in reading.gpus) else {}
    gpus = tuple(_placed(gpu, locator.tree, minors) for gpu in reading.gpus)
    links = (link for gpu in gpus for link in devices.read_by_path_links(locator.tree, dev_root, gpu.pci_bus_id))
    return host._replace(
        driver=driver._replace(cuda_version=reading.cuda_version),
        gpus=gpus,
        links=tuple(links),
        mig_capabilities=tuple(minors.items()),
        nvml_error=error,
    )


def _placed(gpu: Gpu, tree: Tree, minors: dict[str, int]) -> Gpu:
    """A GPU with what the kernel knows about it: DRM entries, minors of the MIG capabilities."""
    migs = []
    for mig in gpu.mig_devices:
        instance = f"gpu{gpu.minor}/gi{mig.gpu_instance}"
        gi_minor = minors.get(f"{instance}/access", -1)
        ci_minor = minors.get(f"{instance}/ci{mig.compute_instance}/access", -1)
        migs.append(mig._replace(gi_access_minor=gi_minor, ci_access_minor=ci_minor))
    return gpu._replace(drm=devices.read_drm(tree, gpu.pci_bus_id), mig_devices=tuple(migs))


def _nvml_path(locator: Locator) -> str:
    """The file to load NVML from; its plain name if only the loader of this machine can find it."""
    found = locator.libraries(NVML)
    if found:
        return locator.tree.real(found[0])
    if locator.tree.real("/") != "/":
        raise HostError("failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND")
    return NVML


def _loads(locator: Locator, name: str, below_root: bool) -> bool:
    """Whether a library can be loaded: by its name, or from the driver root or the mounted machine."""
    path = name
    if locator.root != "/" or below_root:
        found = locator.resolved(name, tuple(map(locator.below, PLATFORM_FOLDERS)))
        if below_root and not found:
            found = locator.libraries(name)
        if not found and below_root:
            return False
        path = locator.tree.real(found[0]) if found else name
    try:
        nvml.closed(nvml.loaded(path))
    except HostError:
        return False
    return True


def _has_tegra_files(locator: Locator) -> bool:
    """/etc/nv_tegra_release exists, or the kernel calls its family of chips "tegra…"."""
    if locator.tree.is_file(locator.below("/etc/nv_tegra_release")):
        return True
    family = locator.tree.read(locator.below("/sys/devices/soc0/family")) or b""
    return family.lower().startswith(b"tegra")


def _is_integrated(locator: Locator, below_root: bool) -> bool:
    """Any GPU is part of a Tegra system, by its name; False if NVML does not answer."""
    try:
        names = nvml.read_names(_nvml_path(locator) if below_root or locator.root != "/" else NVML)
    except HostError:
        return False
    return any(word in name for name in names for word in INTEGRATED)


def _storage_files(locator: Locator) -> tuple[File, ...]:
    """What GPUDirect Storage reads in a container: udev's database and its own configuration."""
    paths = [locator.below("/run/udev")] if locator.tree.is_directory(locator.below("/run/udev")) else []
    if locator.tree.is_file(locator.below("/etc/cufile.json")):
        paths.append(locator.below("/etc/cufile.json"))
    return tuple(File(host_path=path, path=locator.inside(path)) for path in paths)
