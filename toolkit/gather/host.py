"""The machine as a Host: calls the readers that the generator modes need, and no others."""

import os
from typing import NamedTuple

from toolkit.errors import HostError
from toolkit.gather import devices, nvml
from toolkit.gather.driver import read_driver
from toolkit.gather.locate import Locator
from toolkit.gather.tree import Tree
from toolkit.model.host import INTEGRATED, File, Gpu, Host, Listed

NVML = "libnvidia-ml.so.1"
DXCORE = "libdxcore.so"
SANDBOXUTILS = "libnvidia-sandboxutils.so.1"
NO_SANDBOXUTILS = ("disable-nvsandboxutils", "disable-nvsandbox-utils")
"""Feature flags by which a specification does without it."""
PLATFORM_FOLDERS = (
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
)


class CsvSources(NamedTuple):
    """Where csv mode reads what to mount, and patterns of "sym" entries to leave out.

    Without `files` those of the `folder` count, with `base_only` only such as every container needs; without those,
    too, the three usual ones.
    """

    files: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    folder: str = ""
    base_only: bool = True


USUAL_CSV = CsvSources()


def read_host(
    *,
    driver_root: str = "/",
    dev_root: str = "",
    root: str = "/",
    want: tuple[str, ...] = ("nvml",),
    library_search_paths: tuple[str, ...] = (),
    config_search_paths: tuple[str, ...] = (),
    csv: CsvSources = USUAL_CSV,
    sandboxutils: bool = True,
) -> Host:
    """What the generator modes in `want` ("nvml", "management", "gds", "imex", …) need to know.

    `driver_root` and `dev_root` ("": the driver root) are paths of the machine; `root` is where this machine's file
    system is mounted: "/" for the machine that we run on, a built tree at level `spec`.  No path in the result
    contains `root`.  Absolute symbolic links are followed from `root`, not from the driver root, as upstream does.
    The two search paths replace the built-in folders and are paths of the machine, not of the driver root.
    "auto" stands for the mode that fits the platform.  However many modes are wanted, NVML is asked once; with
    `sandboxutils` the driver's own list of a GPU's files counts more, where the driver has one.

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
    session = _Nvml(locator, sandboxutils=sandboxutils)
    host = Host(platform="nvml")
    if "auto" in want:
        platform = _platform(session, session.names)
        host = Host(platform=platform, notes=_doubts(platform))
        want = (*(mode for mode in want if mode != "auto"), {"wsl": "wsl", "tegra": "csv"}.get(platform, "nvml"))
    if "nvml" in want or "management" in want:
        host = _with_driver(host, session, dev_root, nvml_mode="nvml" in want)
    if "csv" in want:
        host = _with_tegra(host, session, dev_root, csv)
    if "wsl" in want:
        from toolkit.gather.wsl import read_wsl

        host = host._replace(wsl=read_wsl(locator))
    modes = (*want, "nvml") if "csv" in want else want  # a discrete GPU beside the board's own
    patterns = (pattern for mode in modes for pattern in devices.PATTERNS.get(mode, ()))
    nodes = (*devices.read_devices(locator.tree, dev_root, dict.fromkeys(patterns)), *host.devices)
    return host._replace(
        driver=host.driver._replace(root=locator.root, dev_root=dev_root),
        devices=tuple(dict.fromkeys(nodes)),
        files=_storage_files(locator) if "gds" in want else (),
        notes=(*host.notes, *locator.notes),
    )


def read_platform(*, driver_root: str = "/", root: str = "/") -> str:
    """One of "wsl", "tegra", "nvml" or "unknown": which kind of machine this is, from the libraries that can be loaded.

    Source: go-nvlib, pkg/nvlib/info, as toolkit v1.20 asks it.  Below a driver root the libraries are taken from
    there; upstream's runtime always asks with "/", its CDI generator with the driver root.
    """
    session = _Nvml(Locator(Tree(root), driver_root))
    return _platform(session, lambda: nvml.read_names(_nvml_path(session.locator)))


class _Nvml:
    """NVML below one locator, asked at most once for everything; a session costs milliseconds, and upstream has six."""

    def __init__(self, locator: Locator, *, sandboxutils: bool = False) -> None:
        self.locator, self.sandboxutils = locator, sandboxutils
        self.below_root = locator.tree.real("/") != "/"
        self._reading: nvml.Reading | None = None
        self._error = ""

    def read(self) -> tuple[nvml.Reading, str]:
        """What NVML says, and why it says nothing."""
        if self._reading is None:
            try:
                self._reading = nvml.read(_nvml_path(self.locator))
            except HostError as e:
                self._error = e.message
                self._reading = nvml.Reading("", e.message, "", ())
        return self._reading, self._error

    def names(self) -> tuple[str, ...]:
        """The names of all GPUs.  Raises HostError if one does not answer."""
        reading, error = self.read()
        if error or any(gpu.error for gpu in reading.gpus):
            raise HostError(error or "a GPU does not answer")
        return tuple(gpu.name for gpu in reading.gpus)

    def loads(self) -> bool:
        """Whether its library can be loaded."""
        return _loads(self.locator, NVML, self.below_root)


def _platform(session: _Nvml, names: "Callable[[], tuple[str, ...]]") -> str:
    if _loads(session.locator, DXCORE, session.below_root):
        return "wsl"
    has_nvml = session.loads()
    if _has_tegra_files(session.locator) and not has_nvml:
        return "tegra"
    if not has_nvml:
        return "unknown"
    # Any GPU is part of a Tegra system, by its name; none is if one does not answer.
    try:
        integrated = any(word in name for name in names() for word in INTEGRATED)
    except HostError:
        integrated = False
    return "tegra" if integrated else "nvml"


def _doubts(platform: str) -> tuple[str, ...]:
    return (f"Unsupported platform detected: {platform}; assuming nvml",) if platform == "unknown" else ()


def _with_driver(host: Host, session: _Nvml, dev_root: str, *, nvml_mode: bool) -> Host:
    """The driver's files, and in nvml mode the GPUs."""
    locator = session.locator
    reading, error = session.read()
    if reading.version_error:
        locator.notes.append(f"Could not determine driver version: {reading.version_error}")
    driver = read_driver(locator, version=reading.driver_version, dev_root=dev_root, graphics=nvml_mode)
    host = host._replace(driver=driver._replace(cuda_version=reading.cuda_version), nvml_error=error)
    return _with_gpus(host, reading.gpus, session, dev_root) if nvml_mode else host


def _with_tegra(host: Host, session: _Nvml, dev_root: str, csv: CsvSources) -> Host:
    """What the csv files list, and what NVML says, if the machine has it."""
    from toolkit.gather.tegra import list_csv_files, read_tegra

    files = csv.files
    if csv.folder and not files:
        files = list_csv_files(session.locator.tree, csv.folder, base_only=csv.base_only)
    tegra, nodes = read_tegra(session.locator, files=files, ignore=csv.ignore, dev_root=dev_root)
    host = host._replace(tegra=tegra, devices=nodes, has_nvml=session.loads())
    if not host.has_nvml:
        return host
    reading, error = session.read()
    host = host._replace(driver=host.driver._replace(cuda_version=reading.cuda_version), nvml_error=error)
    return _with_gpus(host, reading.gpus, session, dev_root)


def _with_gpus(host: Host, gpus: tuple[Gpu, ...], session: _Nvml, dev_root: str) -> Host:
    tree = session.locator.tree
    if session.sandboxutils:
        gpus = _listed(gpus, session.locator, dev_root)
    minors = dict(devices.read_mig_minors(tree)) if any(gpu.mig_devices for gpu in gpus) else {}
    gpus = tuple(_placed(gpu, tree, minors) for gpu in gpus)
    links = (link for gpu in gpus for link in devices.read_by_path_links(tree, dev_root, gpu.pci_bus_id))
    return host._replace(gpus=gpus, links=tuple(links), mig_capabilities=tuple(minors.items()))


def _listed(gpus: tuple[Gpu, ...], locator: Locator, dev_root: str) -> tuple[Gpu, ...]:
    """The GPUs with the files that the driver lists for them, if its library for that is there."""
    found = locator.libraries(SANDBOXUTILS)
    if not found:
        return gpus
    from toolkit.gather.sandboxutils import read_listed

    uuids = (uuid for gpu in gpus for uuid in (gpu.uuid, *(mig.uuid for mig in gpu.mig_devices)) if uuid)
    answers = read_listed(locator.tree.real(found[0]), locator.tree.real(locator.root), tuple(uuids))

    def listed(uuid: str) -> Listed:
        if uuid not in answers:
            return Listed()
        answer = answers[uuid]
        return Listed(
            known=True,
            nodes=devices.read_listed_devices(locator.tree, dev_root, answer.nodes),
            graphics=devices.read_listed_devices(locator.tree, dev_root, answer.graphics),
            links=answer.links,
        )

    return tuple(
        gpu._replace(
            listed=listed(gpu.uuid), mig_devices=tuple(mig._replace(listed=listed(mig.uuid)) for mig in gpu.mig_devices)
        )
        for gpu in gpus
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


def _storage_files(locator: Locator) -> tuple[File, ...]:
    """What GPUDirect Storage reads in a container: udev's database and its own configuration."""
    paths = [locator.below("/run/udev")] if locator.tree.is_directory(locator.below("/run/udev")) else []
    if locator.tree.is_file(locator.below("/etc/cufile.json")):
        paths.append(locator.below("/etc/cufile.json"))
    return tuple(File(host_path=path, path=locator.inside(path)) for path in paths)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
