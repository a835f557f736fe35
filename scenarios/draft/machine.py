"""What a report shows of the machine itself: distribution, packages, kernel module, device nodes."""

import re
from dataclasses import replace

from scenarios.draft.facts import Facts, merged

# Marks of a distribution → layouts that would fit, the best first.  Images carry names such as ubuntu22.04 too, so a
# mark has the form that os-release, uname and package versions have.
SYSTEMS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (r"microsoft-standard-WSL2|/usr/lib/wsl/|/dev/dxg\b", "WSL2", ("wsl2", "wsl")),
    (r"-tegra\b|\bJetPack\b|nv_tegra_release", "Jetson", ("jetson-orin", "jetson", "orin")),
    (r"Container-Optimized OS", "Container-Optimized OS", ("cos",)),
    (r"\bTalos\b", "Talos", ("talos",)),
    (r"\bBottlerocket\b", "Bottlerocket", ("bottlerocket",)),
    (r"\bNixOS\b|/nix/store/", "NixOS", ("nixos",)),
    (r"Amazon Linux 2023|\.amzn2023\b", "Amazon Linux 2023", ("amazonlinux2023", "rhel9")),
    (r"\bUbuntu 20\.04|ubuntu0\.20\.04|\bfocal\b", "Ubuntu 20.04", ("ubuntu20.04", "ubuntu22.04")),
    (r"\bUbuntu 22\.04|ubuntu0\.22\.04|\bjammy\b", "Ubuntu 22.04", ("ubuntu22.04",)),
    (r"\bUbuntu 24\.04|ubuntu0\.24\.04|\bnoble\b", "Ubuntu 24.04", ("ubuntu24.04", "ubuntu22.04")),
    (r"Debian GNU/Linux 11|\+deb11u", "Debian 11", ("debian11", "debian12", "debian")),
    (r"Debian GNU/Linux 12|\+deb12u", "Debian 12", ("debian12", "debian")),
    (r"Debian GNU/Linux 13|\+deb13u", "Debian 13", ("debian13", "debian12", "debian")),
    (r"(?:Red Hat Enterprise|Rocky|Alma|Oracle|CentOS)[\w ]*Linux\D{0,20} 8\b|\.el8\b", "RHEL 8", ("rhel8", "rhel9")),
    (r"(?:Red Hat Enterprise|Rocky|Alma|Oracle|CentOS)[\w ]*Linux\D{0,20} 9\b|\.el9\b", "RHEL 9", ("rhel9", "rhel8")),
    (r"\bFedora\b|\.fc\d\d\b", "Fedora", ("fedora41", "fedora", "rhel9")),
    (r"openSUSE|SUSE Linux Enterprise|\bSLES\b", "SUSE", ("sles15",)),
    (r"\bArch Linux\b|-arch\d", "Arch Linux", ("arch",)),
)
_VERSION = r"(\d{3}\.\d{2,3}(?:\.\d{2})?)"
_MODULE = re.compile(rf"NVIDIA UNIX (?:\S+ Kernel Module|(Open) Kernel Module for \S+)\s+{_VERSION}")
_CLIENT = re.compile(rf"API mismatch: the client has(?: the)? version {_VERSION}")
_KERNEL = re.compile(rf"this kernel module has(?: the)? version {_VERSION}")
_NVML_LIBRARY = re.compile(rf"NVML library version: {_VERSION}")
_NODE = re.compile(r"c[rwx-]{9}\S?\s.*\s(?:/dev/)?(nvidia[\w-]*(?:/nvidia-cap\d+)?|dri/\w+|dxg)$")
_NO_FILE = re.compile(r"(?:ls|stat): cannot (?:access|stat) '?([^':]+)'?: No such file")
_DPKG = re.compile(r"(?:ii|hi|rc)?\s*(nvidia-(?:driver|utils|kernel-common|compute-utils)|libnvidia-(?:compute|ml1))"
                   rf"[\w-]*(?::\w+)?\s+(?:\d:)?{_VERSION}[-+]")
_RPM = re.compile(rf"(?:kmod-)?(?:nvidia-(?:driver|open|kmod)|xorg-x11-drv-nvidia)[a-z0-9-]*-(?:\d:)?{_VERSION}-\d")
_TOOLKIT = re.compile(r"(?:nvidia-container-toolkit(?:-base)?|libnvidia-container1?)(?::\w+)?[\s-]+"
                      r"(\d+\.\d+\.\d+)[-~\s]")


# What a node of the GPU Operator shows: its flags, and the names of its pods.
_OPERATOR = re.compile(r"/run/nvidia/validations|\bnvidia-operator-validator\b|\bnvidia-container-toolkit-daemonset\b|"
                       r"\bnvidia-driver-daemonset\b|\bIS_HOST_DRIVER=")
_DRIVER_POD = re.compile(r"\bnvidia-driver-daemonset-\S+\s+\d/\d\s+Running|NVIDIA_DRIVER_ROOT=/run/nvidia/driver\b|"
                         r"\bIS_HOST_DRIVER=false\b")
_DEV_ROOT = re.compile(r"\bNVIDIA_DEV_ROOT=(/run/nvidia/driver)\b")
_STORE = re.compile(r"/usr/lib/wsl/drivers/([a-z0-9_]+\.inf_amd64_[0-9a-f]{16})(?![\w])")
_DOCKER = {"default_runtime": re.compile(r"^ *Default Runtime: (nvidia)\b", re.MULTILINE),
           "cgroup": re.compile(r"^ *Cgroup Version: ([12])\b", re.MULTILINE)}


def read(text: str) -> Facts:
    """The distribution, the driver's versions, the device nodes and the packages that a text shows."""
    facts = merged((_system(text), _special(text), _docker(text)))
    for line in text.splitlines():
        facts = _packaged(_versioned(facts, line), line)
        node, nothing = _NODE.match(line.strip()), _NO_FILE.search(line)
        if node:
            facts = replace(facts, nodes=(*facts.nodes, f"/dev/{node[1]}"), found=("device nodes", *facts.found))
        if nothing and nothing[1].startswith("/dev/"):
            facts = replace(facts, missing=(*facts.missing, nothing[1]), found=("device nodes", *facts.found))
    return replace(facts, found=tuple(dict.fromkeys(facts.found)))


def _system(text: str) -> Facts:
    """The distribution; on WSL 2 that in which one works, if it is named."""
    found = [(name, layouts) for mark, name, layouts in SYSTEMS if re.search(mark, text)]
    if not found:
        return Facts()
    wsl = found[0][0] == "WSL2"
    name, layouts = found[1] if wsl and len(found) > 1 else found[0]
    return Facts(system=name, systems=layouts, wsl=wsl, found=("the distribution",))


def _special(text: str) -> Facts:
    """Driver stores of Windows; the GPU Operator, and whether its driver runs in a container."""
    stores, dev_root = tuple(dict.fromkeys(_STORE.findall(text))), _DEV_ROOT.search(text)
    facts = Facts(stores=stores, wsl=bool(stores), found=("driver stores",) if stores else ())
    if not _OPERATOR.search(text):
        return facts
    return replace(facts, operator=True, dev_root=dev_root[1] if dev_root else "",
                   driver_root="/run/nvidia/driver" if _DRIVER_POD.search(text) else "",
                   found=(*facts.found, "the GPU Operator"))


def _docker(text: str) -> Facts:
    """What `docker info` says of runtimes and control groups."""
    runtime, cgroup = (pattern.search(text) for pattern in _DOCKER.values())
    return Facts(default_runtime=runtime[1] if runtime else "", cgroup=f"v{cgroup[1]}" if cgroup else "",
                 found=("docker info",) if runtime or cgroup else ())


def _versioned(facts: Facts, line: str) -> Facts:
    module, client, kernel, library = (p.search(line) for p in (_MODULE, _CLIENT, _KERNEL, _NVML_LIBRARY))
    if module:
        return replace(facts, kernel_driver=module[2], kernel_module="open" if module[1] else "closed",
                       found=(*facts.found, "/proc/driver/nvidia/version"))
    if client or kernel:
        return replace(facts, driver=client[1] if client else facts.driver,
                       kernel_driver=kernel[1] if kernel else facts.kernel_driver,
                       found=(*facts.found, "the kernel's log"))
    if library and not facts.driver:  # without the patch number: packages may know more
        return replace(facts, driver=library[1], found=(*facts.found, "nvidia-smi"))
    return facts


def _packaged(facts: Facts, line: str) -> Facts:
    driver, toolkit = _DPKG.match(line.strip()) or _RPM.match(line.strip()), _TOOLKIT.search(line)
    version = driver[driver.lastindex or 0] if driver else ""
    if version and version.startswith(facts.driver):
        facts = replace(facts, driver=version, found=(*facts.found, "packages"))
    if toolkit and not facts.toolkit:
        facts = replace(facts, toolkit=toolkit[1], found=(*facts.found, "packages"))
    return facts
