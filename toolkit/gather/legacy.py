"""The driver and its devices as libnvidia-container discovers them: below the driver root, by its own rules.

The order of the questions is upstream's, since the first failure ends the command: libraries, binaries, firmware,
devices, sockets.  Source: libnvidia-container 1.20.
"""

import posixpath
import re
import stat
from os import major, minor

from toolkit.errors import HostError
from toolkit.gather.legacy_libraries import Say, read_libraries
from toolkit.gather.legacy_nvml import Nvml
from toolkit.gather.legacy_root import Root
from toolkit.gather.legacy_wsl import Store
from toolkit.model.driver_names import ALL_BINARIES, FABRICMANAGER, PERSISTENCED
from toolkit.model.native import CAPABILITIES_DIR, Driver, Gpu, Host, Node, ProcFile

PROC = "/proc/driver/nvidia"
_CAPS, _IMEX = "/dev/nvidia-caps", "/dev/nvidia-caps-imex-channels"
_UVM = ("/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")
_DXG = "/dev/dxg"
_FRONTEND = 195
_MAX_MINOR = (1 << 20) - 1  # of the kernel's device numbers


def read_driver(
    root: Root, nvml: Nvml, *, ldcache: str, path: str | None, mps: str | None = None, persistenced: bool = True,
    fabricmanager: bool = True, gsp_firmware: bool = True, stores: tuple[Store, ...] = (), machine: str = "/", say: Say,
) -> Driver:
    """What belongs to the driver below its root.

    `path` and `mps` are the variables PATH and CUDA_MPS_PIPE_DIRECTORY of the caller, None if unset; /proc/devices and
    /dev/dxg lie below `machine`.  `stores` are the driver stores of WSL 2, none elsewhere.  Raises HostError with
    source "detection error".
    """
    try:
        libraries, libraries32 = read_libraries(root, ldcache, nvml.version, say, wsl=bool(stores))
        binaries = _binaries(root, path, stores, say)
        if stores:
            say("I", "skipping path lookup for dxcore")  # of the firmware
        return Driver(
            root=root.name, version=nvml.version, cuda_version=nvml.cuda_version,
            libraries=libraries, libraries32=libraries32,
            binaries=binaries,
            firmware=_firmware(root, nvml.version, say) if gsp_firmware and not stores else (),
            devices=_dxg(machine, say) if stores else _devices(root, machine, say),
            ipcs=_ipcs(root, mps, persistenced, fabricmanager, say),
            store=stores[0].path if stores else "", store_files=stores[0].files if stores else (),
        )
    except HostError as e:
        raise e.within("detection error") from None


def _binaries(root: Root, path: str | None, stores: tuple[Store, ...], say: Say) -> tuple[str, ...]:
    """The programs on PATH, each element counted from the root.  What a link leads to is what is listed.

    Under WSL 2 the driver stores come first, the last of them that has a program wins."""
    if path is None:
        raise HostError("environment variable PATH not found")
    found: dict[str, str] = {}
    for name in ALL_BINARIES:
        for store in stores:
            if resolved := _program(root, store.path, name):
                say("I", f"selecting {resolved}")
                found[name] = resolved
    for folder in path.split(":") if path else ():
        for name in ALL_BINARIES:
            if name not in found and (resolved := _program(root, folder, name)):
                say("I", f"selecting {resolved}")
                found[name] = resolved
    for name in ALL_BINARIES:
        if name not in found:
            say("W", f"missing binary {name}")
    return tuple(found[name] for name in ALL_BINARIES if name in found)


def _program(root: Root, folder: str, name: str) -> str:
    """The file that a name in a folder leads to, "" if that is not there or not inside the root."""
    try:
        resolved = root.resolve(posixpath.join("/", folder, name))
    except HostError:
        return ""
    return resolved if root.lstat(resolved) else ""


def _firmware(root: Root, version: str, say: Say) -> tuple[str, ...]:
    folder = f"/lib/firmware/nvidia/{version}"
    files = tuple(f"{folder}/{name}" for name in root.listing(folder) if re.fullmatch(r"gsp.*\.bin", name, re.DOTALL))
    for file in files:
        say("I", f"listing firmware path {file}")
    if not files:
        say("W", f"missing firmware path {folder}/gsp*.bin")
    return files


def read_node(root: Root, path: str) -> Node | None:
    """The device node that a path leads to; None if there is nothing."""
    try:
        found = root.lstat(root.resolve(path))
    except HostError:
        return None
    if not found:
        return None
    if not stat.S_ISCHR(found.st_mode):
        return Node(path=path, major=0, minor=0, character=False)
    return Node(path=path, major=major(found.st_rdev), minor=minor(found.st_rdev))


def char_major(text: str, name: str) -> int:
    """The major of a character device in /proc/devices, -1 if it is not there.  A name is matched at its end."""
    section = text.partition("Character devices:\n")[2].partition("\n\n")[0]
    match = re.search(rf"^ *([0-9]{{1,4}}) [^\n]*{re.escape(name)}$", section, re.MULTILINE)
    return int(match[1]) if match else -1


def _text(root: Root, path: str) -> str:
    return (root.read(path) or b"").decode(errors="replace")


def _devices(root: Root, machine: str, say: Say) -> tuple[Node, ...]:
    """The devices of the driver as a whole.  nvidiactl and modeset have fixed numbers and are listed unseen.

    Something at nvidia-uvm's place that is no device is listed with the number that the kernel gave out."""
    nodes = [Node(path="/dev/nvidiactl", major=_FRONTEND, minor=255)]
    for path in _UVM:
        node = read_node(root, path)
        if not node:
            say("W", f"missing device {path}")
            continue
        if not node.character:
            with Root(machine) as kernel:
                given = char_major(_text(kernel, "/proc/devices"), "nvidia-uvm")
            node = node._replace(major=given, minor=_UVM.index(path))
        nodes.append(node)
    nodes.append(Node(path="/dev/nvidia-modeset", major=_FRONTEND, minor=254))
    for node in nodes:
        say("I", f"listing device {node.path}")
    return tuple(nodes)


def _dxg(machine: str, say: Say) -> tuple[Node, ...]:
    """The one device of WSL 2.  It is the machine's own, wherever the driver root is."""
    with Root(machine) as kernel:
        node = read_node(kernel, _DXG)
    if not node:
        raise HostError(f"stat failed: {_DXG}: no such file or directory",
                        hint="GPU support of WSL is off: see `wsl --update` and gpuSupport in .wslconfig")
    say("I", f"listing device {_DXG}")
    return (node,)


def _ipcs(root: Root, mps: str | None, persistenced: bool, fabricmanager: bool, say: Say) -> tuple[str, ...]:
    """The daemons' sockets and the pipe directory of MPS, resolved.  One that we may not look up is not there."""
    wanted = [PERSISTENCED] * persistenced + [FABRICMANAGER] * fabricmanager
    mps = "/tmp/nvidia-mps" if mps is None else mps
    found = []
    for path in [*wanted, mps]:
        try:
            resolved = root.resolve(path)
        except HostError as e:
            if not e.message.endswith("permission denied"):
                raise
            resolved = ""
        if resolved in ("", "/"):
            continue
        if root.lstat(resolved):
            say("I", f"listing ipc path {resolved}")
            found.append(resolved)
        else:
            say("W", f"missing ipc path {path}")
    return tuple(found)


def read_host(
    root: Root, driver: Driver, gpus: tuple[Gpu, ...], *, imex_channels: tuple[int, ...] = (),
    all_caps: bool = True, machine: str = "/",
) -> Host:
    """Everything about the devices that `list` and `configure` may need.

    /proc/devices and the mig-minors file lie below `machine`, not below the driver root.
    `all_caps` False: nobody may configure or monitor MIG, so the long mig-minors file is not read.
    """
    with Root(machine) as kernel:
        devices = _text(kernel, "/proc/devices")
        minors = _text(kernel, "/proc/driver/nvidia-caps/mig-minors") if all_caps else ""
    caps_major = char_major(devices, "nvidia-caps")
    gpu_nodes = [] if driver.store else [gpu.node for gpu in gpus]
    cap_minors = _cap_minors(root, gpus)
    gpu_caps = _gpu_caps(minors)
    paths = [node.path for node in driver.devices] + gpu_nodes
    paths += [f"{_CAPS}/nvidia-cap{m}" for _, m in cap_minors if m >= 0]
    paths += [f"{_IMEX}/channel{channel}" for channel in imex_channels]
    nodes = (read_node(root, path) for path in dict.fromkeys(paths))
    return Host(
        driver=driver, gpus=gpus, proc_files=_proc_files(root), proc_gpus=tuple(root.listing(f"{PROC}/gpus")),
        nodes=tuple(node for node in nodes if node), caps_major=caps_major, cap_minors=cap_minors, gpu_caps=gpu_caps,
    )


def _proc_files(root: Root) -> tuple[ProcFile, ...]:
    files = []
    for name in ("params", "version", "registry"):
        path = f"{PROC}/{name}"
        content = root.read(path)
        found = root.lstat(root.resolve(path))
        if content is not None and found:
            files.append(ProcFile(path=path, mode=stat.S_IMODE(found.st_mode), content=content))
    return tuple(files)


def _cap_minors(root: Root, gpus: tuple[Gpu, ...]) -> tuple[tuple[str, int], ...]:
    """The DeviceFileMinor of each capability file that exists, -1 without one that can be a minor."""
    paths = [f"{CAPABILITIES_DIR}/mig/config", f"{CAPABILITIES_DIR}/mig/monitor"]
    paths += [path for gpu in gpus for mig in gpu.migs for path in mig.access_files]
    found = []
    for path in dict.fromkeys(paths):
        content = root.read(path)
        if content is None:
            continue
        match = re.search(rb"^DeviceFileMinor: ([0-9]{1,7})$", content, re.MULTILINE)
        value = int(match[1]) if match else -1
        found.append((path, value if value <= _MAX_MINOR else -1))
    return tuple(found)


def _gpu_caps(text: str) -> tuple[tuple[int, int], ...]:
    """(GPU minor, capability minor) of the lines of mig-minors that belong to a GPU; any other line is ignored."""
    lines = re.finditer(r"^gpu([0-9]{1,7})[^0-9\s]\S*[ \t]+([0-9]{1,7})$", text, re.MULTILINE | re.ASCII)
    return tuple((int(m[1]), int(m[2])) for m in lines if int(m[2]) <= _MAX_MINOR)
