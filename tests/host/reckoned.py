"""What each tool must find on the machine of a profile: reckoned from the profile's values and the catalogue's YAML,
without the code by which nvsim plans a machine."""

import fnmatch
import functools
from pathlib import Path
from typing import Any, Literal

import yaml

import nvsim
from nvsim import catalogue, models
from nvsim.profile import Gpu, Profile

_CATALOGUE = Path(nvsim.__file__).parent / "catalog"
WSL_LIB = "/usr/lib/wsl/lib"
ELF_MACHINE = {"x86_64": "Advanced Micro Devices X86-64", "aarch64": "AArch64", "i386": "Intel 80386"}
SMI_CODE = {"": 0, "LibraryNotFound": 127, "DriverNotLoaded": 9, "LibRmVersionMismatch": 18}
Nvml = Literal["", "LibraryNotFound", "DriverNotLoaded", "LibRmVersionMismatch"]


@functools.cache
def _drivers() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((_CATALOGUE / "drivers.yaml").read_text(), yaml.CSafeLoader)
    return found


def has_files(said: Profile) -> bool:
    """Whether the driver's files are there when the machine comes up."""
    if said.wsl:
        return any(store.vendor_nvidia for store in said.wsl)
    return bool(said.driver) and getattr(said, "boot", "complete") != "no-driver"


def jetson(said: Profile) -> dict[str, Any]:
    """What the tools find on a Jetson, tool by tool; releases of L4T before 36 have no NVML.  Where its own GPU is the
    only one, no CDI device bears its UUID."""
    assert said.tegra
    new = int(said.tegra.l4t.partition(".")[0]) >= 36
    folder = f"/usr/lib/aarch64-linux-gnu/{'nvidia' if new else 'tegra'}"
    listed = {f"GPU {gpu.index}: {models.model(gpu.model)['name']} (UUID: {gpu.uuid})": [] for gpu in said.gpus}
    return {"ldconfig -p": {f"{folder}/libcuda.so.1.1"} | ({f"{folder}/libnvidia-ml.so.1"} if new else set()),
            "nvidia-smi": {"code": 0, "gpus": listed} if new else {"code": 127, "gpus": {}},
            "pynvml": [gpu.uuid for gpu in said.gpus] if new else "LibraryNotFound",
            "nvidia-ctk cdi generate": sorted(["all", *(str(gpu.index) for gpu in said.gpus),
                                               *(gpu.uuid for gpu in said.gpus if len(said.gpus) > 1)]),
            "nvsim record": []}


def has_modules(said: Profile) -> bool:
    """Whether the driver's kernel modules are loaded when the machine comes up."""
    return bool(said.kernel_driver) and getattr(said, "boot", "complete") == "complete"


def nvml(said: Profile) -> Nvml:
    """How nvmlInit fails; empty where it works."""
    if not has_files(said):
        return "LibraryNotFound"
    if not has_modules(said):
        return "DriverNotLoaded"
    return "" if said.wsl or said.driver == said.kernel_driver else "LibRmVersionMismatch"


def gpus(said: Profile) -> list[Gpu]:
    """The GPUs that the driver shows: it opens their nodes."""
    if nvml(said):
        return []
    return [gpu for gpu in said.gpus if said.wsl or not _absent(said, f"/dev/nvidia{gpu.minor}")]


def _absent(said: Profile, path: str) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) or path.startswith(f"{pattern}/") for pattern in said.absent)


def mig_devices(gpu: Gpu) -> list[str]:
    """The names of a GPU's MIG devices: 3g.20gb for a whole GPU instance, 1c.3g.20gb for a part of one."""
    return [wanted.profile if slices == int(wanted.profile[0]) else f"{slices}c.{wanted.profile}"
            for wanted in gpu.mig or () for slices in wanted.compute]


def pynvml(said: Profile) -> dict[str, Any]:
    """What NVML_CLIENT prints."""
    if nvml(said):
        return {"error": nvml(said)}
    return {"driver": said.kernel_driver, "gpus": [_nvml_gpu(said, gpu, models.model(gpu.model)) for gpu in gpus(said)]}


def _nvml_gpu(said: Profile, gpu: Gpu, fact: Any) -> dict[str, Any]:
    if said.nvswitches or fact.get("fabric"):
        links = int(fact["nvlink"]["links"])
    else:
        links = sum(bridge.links for bridge in said.nvlinks if gpu.index in (bridge.first, bridge.second))
    return {"uuid": gpu.uuid, "name": fact["name"], "minor": None if said.wsl else gpu.minor, "bus_id": gpu.bus_id,
            "serial": gpu.serial if fact["serial"] else None, "memory": fact["memory_mib"] * 2**20,
            "power": fact["power_w"][1] * 1000, "links": links,
            "compute": [int(number) for number in fact["compute_capability"].split(".")]}


def lacks_root(said: Profile) -> bool:
    """Whether the root of the driver's container is not there either."""
    return said.driver_root != "/" and not has_files(said)


def smi(said: Profile) -> dict[str, Any]:
    """The exit code of `nvidia-smi -L`, or of chroot, and the GPUs with their MIG devices in order of name."""
    listed = {f"GPU {index}: {models.model(gpu.model)['name']} (UUID: {gpu.uuid})": sorted(mig_devices(gpu))
              for index, gpu in enumerate(gpus(said))}
    return {"code": 125 if lacks_root(said) else SMI_CODE[nvml(said)], "gpus": listed}


def container_cli(said: Profile) -> dict[str, Any]:
    """What `nvidia-container-cli info` says, and the nodes of `list`; the stem of the error where it must fail."""
    if lacks_root(said):
        return {"error": "change root failed: no such file or directory"}
    if said.wsl and not has_files(said):  # adapters without a file of NVIDIA's in their store do not count
        return {"error": "WSL environment detected but no adapters were found"}
    if error := nvml(said):
        stems = {"LibraryNotFound": "load library failed: libnvidia-ml.so.1",
                 "DriverNotLoaded": "nvml error: driver not loaded",
                 "LibRmVersionMismatch": "nvml error: driver/library version mismatch"}
        return {"error": stems[error]}
    nodes = ["/dev/dxg"] if said.wsl else sorted(
        {f"/dev/nvidia{gpu.minor}" for gpu in gpus(said)} | {"/dev/nvidiactl", "/dev/nvidia-uvm"})
    return {"uuids": [gpu.uuid for gpu in gpus(said)], "nvrm": said.kernel_driver, "nodes": nodes}


def cdi(said: Profile) -> dict[str, list[str]] | None:
    """Device name → kinds of nodes of `nvidia-ctk cdi generate`, without those of DRM, and the folder of libcuda among
    its mounts; None where it must fail."""
    if said.wsl:
        store = next((store.name for store in said.wsl if store.vendor_nvidia), "")
        return {"all": ["/dev/dxg"], "libcuda": [f"/usr/lib/wsl/drivers/{store}"]} if has_files(said) else None
    if nvml(said):
        return None
    found: dict[str, list[str]] = {"all": sorted({f"/dev/nvidia{gpu.minor}" for gpu in gpus(said)
                                                  if gpu.mig is None or mig_devices(gpu)}),
                                   "libcuda": [folders(said)[said.arch]]}
    for index, gpu in enumerate(gpus(said)):
        node = f"/dev/nvidia{gpu.minor}"
        if gpu.mig is None:
            found |= {str(index): [node], gpu.uuid: [node]}
        found |= {f"{index}:{n}": [node, "cap", "cap"] for n in range(len(mig_devices(gpu)))}
    return found


def folders(said: Profile) -> dict[str, str]:
    """The folder of libcuda by architecture, below the driver root; none without the driver's files."""
    if not has_files(said):
        return {}
    if said.wsl:
        return {said.arch: WSL_LIB}
    layout = catalogue.layout(said.layout, arch=said.arch)
    found = {said.arch: layout.path("<libdir>", said.driver)}
    if said.compat32 and layout.dirs["libdir32"]:
        found["i386"] = layout.path("<libdir32>", said.driver)
    return found


def libraries(said: Profile) -> dict[str, tuple[str, str]]:
    """Path → architecture and SONAME, as readelf says them, of the libraries that every installation of the branch has
    in the folder of libcuda."""
    if said.wsl or said.tegra or not has_files(said):
        return {}
    layout = catalogue.layout(said.layout, arch=said.arch)
    branch = max(number for number in _drivers()["branches"] if number <= int(said.driver[:3]))
    place = {said.arch: layout.path("<libdir>", said.driver)}
    if said.compat32 and layout.dirs["libdir32"]:
        place["i386"] = layout.path("<libdir32>", said.driver)
    found = {}
    for entry in _drivers()["libraries"]:
        name = entry["file"].replace("<V>", said.driver)
        first, last = entry.get(said.arch, (1, 0))
        usual = "part" not in entry and "dir" not in entry and not _elsewhere(layout, entry["file"])
        for arch in place if usual and first <= branch <= last else ():
            path = f"{said.driver_root.rstrip('/')}{place[arch]}/{name}"
            if (arch == said.arch or entry.get("i386") is True) and not _absent(said, path):
                found[path] = (ELF_MACHINE[arch], entry.get("soname", "").replace("<V>", said.driver))
    return found


def _elsewhere(layout: catalogue.Layout, file: str) -> bool:
    """Whether a distribution has a library in another folder than libcuda, or under another name."""
    return any(fnmatch.fnmatchcase(file, pattern) for pattern in (*layout.placed, *layout.plain)) or any(
        file.startswith(name.removesuffix(".so")) for name in (*layout.plain, *layout.egl_platforms))


def cached(said: Profile, root: str) -> set[str]:
    """The files of libcuda and NVML that the loader's cache below `root` leads to."""
    layout = catalogue.layout(said.layout, arch=said.arch)
    known = said.wsl or layout.loader_knows("<libdir>")
    if said.driver_root != root or not known or said.ldcache.state == "absent":
        return set()
    ends = "1" if said.wsl else said.driver
    return {f"{folder}/{name}.so.{ends}" for folder in folders(said).values() for name in ("libcuda", "libnvidia-ml")}
