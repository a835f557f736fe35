"""What is wrong with a host's driver: kernel modules, libraries, device nodes, GPUs.  Facts → Findings, pure.

The checks of configuration, engines and CDI files are in `doctor_setup`, the texts in `mistakes`.
"""

import re
from collections.abc import Callable, Iterator
from posixpath import basename, dirname

from toolkit.model.doctor import SEVERITIES, Facts, Finding
from toolkit.plan.mistakes import found

NO_FILE = "no such file"
_LIBRARY_VERSION = re.compile(r"\.so\.(\d+\.\d+(?:\.\d+)*)$")
Check = Callable[[Facts], Iterator[Finding]]


def findings(facts: Facts, checks: tuple[Check, ...]) -> tuple[Finding, ...]:
    """What all checks find, errors first."""
    every = [finding for check in checks for finding in check(facts)]
    return tuple(sorted(every, key=lambda finding: SEVERITIES.index(finding.severity)))


def root_of(facts: Facts) -> str:
    """The driver root that config.toml names."""
    return facts.config.nvidia_container_cli.root or "/"


def _gpus_elsewhere(facts: Facts) -> Iterator[Finding]:
    """No GPU, or a GPU that another kernel driver has."""
    if not (facts.functions or facts.kernel_gpus or facts.gpus or facts.wsl or facts.tegra):
        yield found("no-gpu", "/sys/bus/pci/devices: no display device of vendor 0x10de")
    held = [f"{function.address}: driver vfio-pci" for function in facts.functions if function.driver == "vfio-pci"]
    if held:
        name = "every-gpu-bound-to-vfio" if len(held) == len(facts.functions) else "gpu-bound-to-vfio"
        yield found(name, *held, held=len(held), count=len(facts.functions))
    nouveau = [f"{function.address}: driver nouveau" for function in facts.functions if function.driver == "nouveau"]
    if nouveau or "nouveau" in facts.modules:
        yield found("nouveau-loaded", *(nouveau or ["nouveau in /proc/modules"]))


def _driver_missing(facts: Facts) -> Iterator[Finding]:
    """No driver, half a driver, or a driver elsewhere."""
    if facts.wsl or facts.tegra:
        return
    libraries = bool(_nvml_files(facts) or facts.nvml_library)
    if not libraries and facts.unusual:
        yield found("libraries-in-unusual-folder", *facts.unusual, folder=dirname(facts.unusual[0]))
    elif not libraries and facts.other_roots:
        yield found("driver-elsewhere", *(f"{path}: holds libnvidia-ml" for path in facts.other_roots),
                    root=root_of(facts), other=facts.other_roots[0])
    elif not libraries and facts.kernel_version:
        yield found("libraries-missing", f"/proc/driver/nvidia/version: {facts.kernel_version}",
                    "libnvidia-ml.so.1: not found", version=facts.kernel_version,
                    branch=facts.kernel_version.partition(".")[0])
    elif not libraries:
        yield found("no-driver", "libnvidia-ml.so.1: not found", f"/proc/driver/nvidia/version: {NO_FILE}")
    elif not facts.kernel_version:
        yield found("kernel-module-not-loaded", f"NVML: {facts.nvml_error or 'not asked'}",
                    f"/proc/driver/nvidia/version: {NO_FILE}")


def _nvml_files(facts: Facts) -> tuple[str, ...]:
    """NVML on disk.  Where it alone is missing, no other library of the driver makes up for it."""
    return tuple(path for path in facts.library_files if "libnvidia-ml" in path)


def _versions(facts: Facts) -> Iterator[Finding]:
    """Libraries and kernel modules of different versions; libraries of several versions."""
    files = {path: match[1] for path in facts.library_files if (match := _LIBRARY_VERSION.search(path))}
    versions = sorted(set(files.values()))
    if facts.kernel_version and versions and facts.kernel_version not in versions:
        said = [f"NVML: {facts.nvml_error}"] if facts.nvml_error else []
        yield found("version-mismatch", f"kernel modules: {facts.kernel_version}", *files, *said)
    elif len(versions) > 1:
        yield found("versions-side-by-side", *files, count=len(versions),
                    version=facts.kernel_version or versions[-1])


def _loader_cache(facts: Facts) -> Iterator[Finding]:
    if facts.wsl or facts.tegra or facts.cached is None:
        return
    if facts.gone:
        yield found("ldcache-stale", *facts.gone)
    elif _nvml_files(facts) and not any("libnvidia-ml" in path for path in facts.cached):
        yield found("library-not-in-ldcache", *facts.library_files, folder=dirname(_nvml_files(facts)[0]))


def _gpu_errors(facts: Facts) -> Iterator[Finding]:
    lost = [f"GPU {gpu.index}: {gpu.error}" for gpu in facts.gpus if gpu.error]
    if lost:
        yield found("gpu-not-answering", *lost, lost=len(lost), count=len(facts.gpus))
    elif facts.nvml_code and facts.kernel_version and not any(True for _ in _versions(facts)):
        yield found("nvml-error", f"NVML: {facts.nvml_error}")


def _nodes(facts: Facts) -> Iterator[Finding]:
    """Nodes that are missing, or that not everybody may open.  Below a driver root they are its own affair."""
    if not facts.kernel_version or facts.wsl or facts.tegra:
        return
    nodes = {node.path: node for node in facts.nodes if dirname(node.path) == "/dev"}
    numbered = [path for path in nodes if basename(path).removeprefix("nvidia").isdigit()]
    if root_of(facts) == "/" and facts.kernel_gpus:
        if len(numbered) < len(facts.kernel_gpus) or "/dev/nvidiactl" not in nodes:
            buses = (f"/proc/driver/nvidia/gpus/{bus}" for bus in facts.kernel_gpus)
            yield found("device-node-missing", *buses, *nodes, count=len(facts.kernel_gpus), nodes=len(numbered))
        elif "/dev/nvidia-uvm" not in nodes:
            yield found("uvm-node-missing", f"/dev/nvidia-uvm: {NO_FILE}")
    closed = [f"{path}: mode {node.mode:04o}, owner {node.uid}:{node.gid}" for path, node in nodes.items()
              if node.mode & 0o006 != 0o006]
    if closed:
        yield found("device-node-permissions", *closed)


def _numbers(facts: Facts) -> Iterator[Finding]:
    """Nodes whose dynamic major is that of an earlier boot or driver."""
    major = dict(facts.majors).get("nvidia-uvm")
    wrong = [f"{node.path}: major {node.major}, /proc/devices says {major}" for node in facts.nodes
             if node.path.startswith("/dev/nvidia-uvm") and major is not None and node.major != major]
    if wrong:
        yield found("device-node-number", *wrong)


def _mig(facts: Facts) -> Iterator[Finding]:
    empty = [f"GPU {gpu.index} ({gpu.name}): MIG enabled, no instance" for gpu in facts.gpus
             if gpu.mig_enabled and not gpu.mig_devices]
    if empty:
        yield found("mig-without-instances", *empty)
    minors, nodes = dict(facts.mig_minors), {node.path for node in facts.nodes}
    missing = []
    for gpu in facts.gpus:
        for mig in gpu.mig_devices:
            instance = f"gpu{gpu.minor}/gi{mig.gpu_instance}"
            for name in (f"{instance}/access", f"{instance}/ci{mig.compute_instance}/access"):
                node = f"/dev/nvidia-caps/nvidia-cap{minors[name]}" if name in minors else ""
                if node not in nodes:
                    missing.append(f"{name}: {node}: {NO_FILE}" if node else f"{name}: not in mig-minors")
    if missing:
        yield found("mig-capability-missing", *missing)


def _fabric(facts: Facts) -> Iterator[Finding]:
    if facts.switches and facts.kernel_version and not any("fabricmanager" in path for path in facts.sockets):
        yield found("fabric-manager-not-running", f"{len(facts.switches)} NVSwitches on the PCI bus",
                    f"/run/nvidia-fabricmanager/socket: {NO_FILE}", version=facts.kernel_version)


def _imex(facts: Facts) -> Iterator[Finding]:
    """Only machines of a fabric need channels: their GPUs are coherent with the processor."""
    major = dict(facts.majors).get("nvidia-caps-imex-channels")
    fabric = any(gpu.coherent for gpu in facts.gpus)
    if fabric and major is not None and not any("imex-channels" in node.path for node in facts.nodes):
        yield found("imex-channels-missing", f"/proc/devices: {major} nvidia-caps-imex-channels")


DRIVER_CHECKS: tuple[Check, ...] = (
    _gpus_elsewhere, _driver_missing, _versions, _loader_cache, _gpu_errors, _nodes, _numbers, _mig, _fabric, _imex)
