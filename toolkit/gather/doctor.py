"""A host as it is, however broken → Facts, for `nvidia-ctk doctor`.

Nothing here fails: what cannot be read is absent, and what a part of the host answers wrongly is kept as its text.
"""

import os
import re
import stat
from posixpath import basename, join

from toolkit.errors import HostError, ToolkitError
from toolkit.gather import dxcore, ldcache, nvml
from toolkit.gather.config import normalised_ldconfig, read_unvalidated
from toolkit.gather.devices import read_devices, read_mig_minors
from toolkit.gather.doctor_engines import read_engines, read_specs
from toolkit.gather.locate import LIBRARY_FOLDERS, Locator
from toolkit.gather.tegra import FOLDER, RELEASE, list_csv_files
from toolkit.gather.tree import Tree
from toolkit.model.config import Config
from toolkit.model.doctor import Facts, Function
from toolkit.model.host import Gpu

NVML = "libnvidia-ml.so.1"
LIBRARIES = ("libnvidia-ml.so", "libcuda.so")
NODES = ("/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/nvidia-caps-imex-channels/*")
MODULES = ("nvidia", "nvidia_uvm", "nvidia_modeset", "nvidia_drm", "nouveau", "vfio_pci")
SOCKETS = ("/run/nvidia-persistenced/socket", "/var/run/nvidia-persistenced/socket",
           "/run/nvidia-fabricmanager/socket", "/var/run/nvidia-fabricmanager/socket")
ROOTS = ("/", "/run/nvidia/driver", "/host", "/home/kubernetes/bin/nvidia", "/usr/local/glibc", "/opt/nvidia/driver")
UNUSUAL = ("/run/opengl-driver/lib", "/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/nvidia*",
           "/usr/lib64/nvidia*", "/opt/nvidia/lib64")
KUBELETS = ("/usr/bin/kubelet", "/usr/local/bin/kubelet", "/usr/local/bin/k3s", "/usr/local/bin/rke2",
            "/var/lib/kubelet/config.yaml")
PROGRAMS = ("nvidia-container-runtime", "nvidia-container-runtime-hook", "nvidia-container-cli", "nvidia-ctk",
            "nvidia-cdi-hook", "runc", "crun")
DXCORE_FOLDERS = ("/usr/lib/wsl/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/lib")
_VERSION = re.compile(r"Module(?: for \S+)?\s+(?:for \S+\s+)?([0-9]+(?:\.[0-9]+)+)")
_DISPLAY, _BRIDGE, _NVIDIA = "0x03", "0x0680", "0x10de"


def read_facts(config_file: str, environment: dict[str, str], *, root: str = "/") -> Facts:
    """The machine whose file system is at `root`.  `config_file` "" means: the usual place."""
    tree = Tree(root)
    facts = _with_config(Facts(euid=os.geteuid()), config_file, environment, root)
    driver_root = facts.config.nvidia_container_cli.root or "/"
    locator = Locator(tree, driver_root, environment=(("PATH", environment.get("PATH", "")),))
    facts = _with_kernel(facts, tree)
    facts = _with_driver(facts, locator)
    facts = facts._replace(
        systemd=tree.is_directory("/run/systemd/system"),
        selinux_enforcing=(tree.read("/sys/fs/selinux/enforce") or b"").strip() == b"1",
        sockets=tuple(path for path in SOCKETS if tree.is_file(path)),
        other_roots=tuple(path for path in ROOTS if path != driver_root and _holds_driver(tree, path)),
        programs=tuple((name, Locator(tree, environment=(("PATH", environment.get("PATH", "")),)).executable(name))
                       for name in PROGRAMS),
        unusual=tuple(path for folder in UNUSUAL for path in tree.glob(f"{folder}/libnvidia-ml.so.1")),
        kubelet=any(map(tree.is_file, KUBELETS)),
        ldconfig=_ldconfig(facts.config, tree, root))
    facts = _with_platform(facts, locator)
    folders = facts.config.nvidia_container_runtime.modes.cdi.spec_dirs
    return facts._replace(specs=read_specs(folders, tree, root), engines=read_engines(tree, environment, root))


def _with_config(facts: Facts, path: str, environment: dict[str, str], root: str) -> Facts:
    try:
        read = read_unvalidated(path, environment=environment, root=root)
    except ToolkitError as e:
        return facts._replace(config=Config(), config_path=path or "config.toml", config_error=str(e))
    return facts._replace(config=read.config, config_path=read.path, config_notes=read.notes,
                          from_file=tuple(read.origins))


def _with_kernel(facts: Facts, tree: Tree) -> Facts:
    """What the kernel says: PCI functions, modules, the driver's /proc, device numbers, nodes."""
    functions, switches = _functions(tree)
    text = (tree.read("/proc/driver/nvidia/version") or b"").decode(errors="replace")
    version = _VERSION.search(text)
    loaded = (tree.read("/proc/modules") or b"").decode(errors="replace")
    modules = {line.split()[0] for line in loaded.splitlines() if line.split()}
    nodes = read_devices(tree, "/", NODES)
    links = tuple(path for node in nodes if tree.is_link(path := f"/dev/char/{node.major}:{node.minor}"))
    return facts._replace(
        functions=functions, switches=switches, kernel_version=version[1] if version else "",
        modules=tuple(name for name in MODULES if name in modules or tree.is_directory(f"/sys/module/{name}")),
        kernel_gpus=tuple(map(basename, tree.glob("/proc/driver/nvidia/gpus/*"))),
        majors=_majors(tree), nodes=nodes, char_links=links, mig_minors=read_mig_minors(tree))


def _functions(tree: Tree) -> tuple[tuple[Function, ...], tuple[Function, ...]]:
    """NVIDIA's GPUs and NVSwitches on the PCI bus.  Source: Linux, sysfs-bus-pci; PCI class codes."""
    gpus, switches = [], []
    for path in tree.glob("/sys/bus/pci/devices/*"):
        if (tree.read(f"{path}/vendor") or b"").strip() != _NVIDIA.encode():
            continue
        kind = (tree.read(f"{path}/class") or b"").decode(errors="replace").strip()
        function = Function(basename(path), basename(tree.readlink(f"{path}/driver")))
        if kind.startswith(_DISPLAY):
            gpus.append(function)
        elif kind.startswith(_BRIDGE):
            switches.append(function)
    return tuple(gpus), tuple(switches)


def _majors(tree: Tree) -> tuple[tuple[str, int], ...]:
    """The character devices of /proc/devices."""
    text = (tree.read("/proc/devices") or b"").decode(errors="replace")
    rows = (line.split() for line in text.partition("Block devices")[0].splitlines())
    return tuple((row[1], int(row[0])) for row in rows if len(row) == 2 and row[0].isdigit())


def _with_driver(facts: Facts, locator: Locator) -> Facts:
    """The driver's libraries, on disk and in the loader's cache, and what NVML answers."""
    tree = locator.tree
    folders = (*map(locator.below, LIBRARY_FOLDERS), locator.below("/usr/lib"))
    files = dict.fromkeys(path for stem in LIBRARIES for path in locator.resolved(f"{stem}*", folders))
    cached, gone = _cache(locator)
    known = locator.libraries(NVML)
    facts = facts._replace(library_files=tuple(filter(None, files)), cached=cached, gone=gone,
                           nvml_library=known[0] if known else "")
    if not known:
        return facts._replace(nvml_error=f"{NVML}: not found")
    try:
        with nvml.Session(tree.real(known[0])) as session:
            reading = nvml.reading_of(session)
    except nvml.NvmlError as e:
        return facts._replace(nvml_error=e.message, nvml_code=e.code)
    except HostError as e:
        return facts._replace(nvml_error=f"{e.message} {e.hint}".strip())
    return facts._replace(driver_version=reading.driver_version, gpus=_ordered(reading.gpus))


def _ordered(gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    return tuple(sorted(gpus, key=lambda gpu: gpu.index))


def _cache(locator: Locator) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """The driver's libraries in the loader's cache, and those of them that do not exist."""
    path = locator.below("/etc/ld.so.cache")
    data = locator.tree.read(path, limit=1 << 26)
    try:
        entries = ldcache.parse(data, path) if data is not None else None
    except HostError:
        entries = None
    if entries is None:
        return None, ()
    paths = dict.fromkeys(entry.path for entry in entries if entry.bits == 64 and entry.name.startswith(LIBRARIES))
    return tuple(paths), tuple(path for path in paths if not locator.tree.is_file(locator.below(path)))


def _holds_driver(tree: Tree, root: str) -> bool:
    """Whether a folder looks like the root of a driver: NVML lies where libraries lie."""
    folders = (*LIBRARY_FOLDERS, "/lib64", "/usr/lib")
    return any(tree.glob(join(root, folder.lstrip("/"), "libnvidia-ml.so.*")) for folder in folders)


def _ldconfig(config: Config, tree: Tree, root: str) -> tuple[str, str]:
    """The configured ldconfig of the host and whether it can be run in another root."""
    value = normalised_ldconfig(config.nvidia_container_cli.ldconfig, root)
    if not value.startswith("@"):
        return value, "ok"
    path = value[1:]
    if not tree.is_file(path):
        return path, "missing"
    if (tree.read(path, limit=2) or b"") != b"#!":
        return path, "ok"
    return path, "script-real" if tree.is_file(path + ".real") else "script"


def _with_platform(facts: Facts, locator: Locator) -> Facts:
    """WSL 2 and Tegra."""
    tree = locator.tree
    status = tree.status("/dev/dxg")
    dxg = status is not None and stat.S_ISCHR(status.st_mode)
    libraries = locator.resolved("libdxcore.so", tuple(map(locator.below, DXCORE_FOLDERS)))
    facts = facts._replace(wsl=dxg or bool(libraries) or tree.is_directory("/usr/lib/wsl"), dxg=dxg,
                           dxcore=libraries[0] if libraries else "")
    if libraries:
        if locator.root == "/":  # asked first: a library that was loaded by its path is known by its name, too
            facts = facts._replace(dxcore_loads=_loads(dxcore.LIBRARY))
        try:
            found = dxcore.read_adapters(tree.real(libraries[0]))
            ours = any(basename(adapter.store).startswith("nv") for adapter in found)
            facts = facts._replace(dxcore_error="" if ours else "it lists no adapter of NVIDIA's")
        except ToolkitError as e:
            facts = facts._replace(dxcore_error=e.message)
    tegra = tree.is_file(locator.below(RELEASE)) or (
        tree.read("/sys/devices/soc0/family") or b"").lower().startswith(b"tegra")
    files = list_csv_files(tree, FOLDER, base_only=False)
    return facts._replace(tegra=tegra, csv_files=files, csv_missing=_csv_missing(tree, files) if tegra else ())


def _loads(name: str) -> bool:
    try:
        nvml.closed(nvml.loaded(name))
    except HostError:
        return False
    return True


def _csv_missing(tree: Tree, files: tuple[str, ...]) -> tuple[str, ...]:
    """What mount lists name and the machine does not have."""
    missing = []
    for file in files:
        for line in (tree.read(file) or b"").decode(errors="replace").splitlines():
            kind, _, path = line.partition(",")
            path = path.strip()
            if kind.strip() in ("lib", "dir", "dev") and path.startswith("/") and not tree.glob(path):
                missing.append(path)
    return tuple(missing)
