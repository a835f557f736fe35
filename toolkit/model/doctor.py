"""What `nvidia-ctk doctor` looks at, and what it finds: plain values."""

from typing import Literal, NamedTuple

from toolkit.model.cdi import Document
from toolkit.model.config import Config
from toolkit.model.host import CharDevice, Gpu

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


class Finding(NamedTuple):
    """One mistake.  `name` is stable, for programs; `report` is where it is known from, "" for none."""

    name: str
    severity: Severity
    what: str
    evidence: tuple[str, ...]
    remedy: str
    report: str = ""


class Function(NamedTuple):
    """A PCI function of NVIDIA's that is a GPU or an NVSwitch: its address and the kernel driver bound to it, "" for
    none."""

    address: str
    driver: str


class SpecFile(NamedTuple):
    """A CDI file, and the host paths that it names and that do not exist."""

    document: Document
    missing: tuple[str, ...] = ()


class Engine(NamedTuple):
    """A container engine that is installed: its version ("" if it does not say), its configuration file ("" if none
    exists), what is wrong with that, the programs of its runtimes by name, and whether it is told to use systemd for
    control groups."""

    name: str
    version: str = ""
    source: str = ""
    error: str = ""
    runtimes: tuple[tuple[str, str], ...] = ()
    default: str = ""
    systemd_cgroup: bool = False
    imports: tuple[str, ...] = ()
    drop_ins: tuple[str, ...] = ()
    cri_disabled: bool = False


class Facts(NamedTuple):
    """A host as it is, however broken.  Paths are the machine's.

    `library_files` are the driver libraries found in the usual folders, `cached` what the loader's cache lists of
    them, None without a cache; `gone` are paths of the cache that do not exist.  `nvml_error` is NVML's own text,
    with `nvml_code` its number, 0 where it answered.  `ldconfig` is (path, state): ok, missing, script or script-real.
    """

    config: Config = Config()
    config_path: str = ""
    config_error: str = ""
    config_notes: tuple[str, ...] = ()
    from_file: tuple[str, ...] = ()  # the keys of config.toml that the file sets
    euid: int = 0
    systemd: bool = False
    selinux_enforcing: bool = False
    functions: tuple[Function, ...] = ()
    switches: tuple[Function, ...] = ()
    modules: tuple[str, ...] = ()
    kernel_version: str = ""
    kernel_gpus: tuple[str, ...] = ()  # bus ids
    majors: tuple[tuple[str, int], ...] = ()  # of /proc/devices
    nodes: tuple[CharDevice, ...] = ()
    char_links: tuple[str, ...] = ()  # links in /dev/char to nodes of NVIDIA's
    library_files: tuple[str, ...] = ()
    cached: tuple[str, ...] | None = None
    gone: tuple[str, ...] = ()
    nvml_library: str = ""
    nvml_error: str = ""
    nvml_code: int = 0
    driver_version: str = ""
    gpus: tuple[Gpu, ...] = ()
    mig_minors: tuple[tuple[str, int], ...] = ()
    sockets: tuple[str, ...] = ()
    other_roots: tuple[str, ...] = ()  # folders besides the driver root that hold a driver
    unusual: tuple[str, ...] = ()  # NVML in folders that neither loader nor toolkit looks into
    programs: tuple[tuple[str, str], ...] = ()  # name → path, "" if it is not found
    ldconfig: tuple[str, str] = ("", "ok")
    specs: tuple[SpecFile, ...] = ()
    engines: tuple[Engine, ...] = ()
    kubelet: bool = False
    wsl: bool = False
    dxg: bool = False
    dxcore: str = ""
    dxcore_loads: bool = True  # by its name, as the toolkit loads it
    dxcore_error: str = ""
    tegra: bool = False
    csv_files: tuple[str, ...] = ()
    csv_missing: tuple[str, ...] = ()
