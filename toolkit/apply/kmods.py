"""--load-kmods: the driver's kernel modules and device nodes, as nvidia-modprobe loads and makes them.

Every failure is only logged, as upstream has it: a machine whose modules are loaded already needs none of this, and
one where they cannot be loaded fails later, at NVML, with a better message.  Source: libnvidia-container 1.20.
"""

import os
import stat
from functools import partial

from toolkit.apply import linux
from toolkit.apply.driver_nodes import (
    PARAMETERS,
    Parameters,
    major_of,
    make_capability,
    make_channel,
    make_node,
    mig_files,
    read_parameters,
)
from toolkit.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[[str, str], None]

_MODPROBE = "/sbin/modprobe"
_PCI = "/sys/bus/pci/devices"
_FRONTEND, _CONTROL, _MODESET = 195, 255, 254  # the major of most nodes, and the minors that are no GPU's
_WHOLE_RANGE = ["0", "0", "4294967295"]


def in_user_namespace(proc: str = "/proc/self") -> bool:
    """Whether this process's ids are mapped, or its groups fixed: modules cannot be loaded from there.

    Raises HostError for a map that is none."""
    for name in ("uid_map", "gid_map"):
        try:
            with open(f"{proc}/{name}", encoding="ascii", errors="replace") as f:
                words = f.readline().split()
        except FileNotFoundError:
            continue
        if words and (len(words) != 3 or not all(word.isdecimal() for word in words)):
            raise HostError(f"invalid map file: {proc}/{name}", source="initialization error")
        if words != _WHOLE_RANGE:
            return True
    try:
        with open(f"{proc}/setgroups", encoding="ascii") as f:
            return f.read().startswith("deny")
    except FileNotFoundError:
        return False


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def count_gpus(pci: str = _PCI) -> int:
    """NVIDIA display controllers on the PCI bus: vendor 0x10de, any class 0x03xx of the configuration space."""
    count = 0
    for name in _listed(pci):
        try:
            with open(f"{pci}/{name}/config", "rb") as f:
                header = f.read(48)
        except OSError:
            continue
        count += header[:2] == b"\xde\x10" and header[11:12] == b"\x03"
    return count


def is_loaded(module: str, sys: str = "/sys/module", proc: str = "/proc/modules") -> bool:
    """Whether the kernel has a module, whatever dashes its name is written with.

    One that is built in has no line in /proc/modules, and a folder below /sys."""
    module = module.replace("-", "_")
    if os.path.isdir(f"{sys}/{module}"):
        return True
    try:
        with open(proc, encoding="ascii", errors="replace") as f:
            return any(line.partition(" ")[0].replace("-", "_") == module for line in f)
    except OSError:
        return False


def load(root: str, *, imex_channels: tuple[int, ...], say: "Say") -> None:
    """Loads nvidia, nvidia-uvm and nvidia-modeset and makes their nodes, below the driver root.

    Needs the rights of the step "init_kmods"; a child does it, so this process keeps its root.  Raises HostError."""
    if in_user_namespace():
        say("W", "skipping kernel modules load due to user namespace")
        return
    gpus = count_gpus()
    if not gpus:
        say("W", "failed to detect NVIDIA devices")
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        if root != "/":
            os.chroot(root)
            os.chdir("/")
        effective, permitted, _ = linux.capget()
        linux.capset(effective, permitted, 1 << linux.CAP_SYS_MODULE)  # what modprobe inherits
        _load(gpus, imex_channels, say)
    except OSError as e:
        say("W", f"skipping kernel modules load due to failure: {(e.strerror or '').lower()}")
    finally:  # nothing that happens here may return into the parent's code
        os._exit(0)


def _load(gpus: int, imex_channels: tuple[int, ...], say: "Say") -> None:
    say("I", "loading kernel module nvidia")
    if modprobe("nvidia", gpus):
        parameters = read_parameters(PARAMETERS)
        _made("/dev/nvidiactl", _FRONTEND, _CONTROL, parameters, say)
        for minor in range(gpus):
            _made(f"/dev/nvidia{minor}", _FRONTEND, minor, parameters, say)
        _make_capabilities(gpus, say)
        for channel in imex_channels:
            say("I", f"running mknod for /dev/nvidia-caps-imex-channels/channel{channel}")
            _tried(partial(make_channel, channel), f"could not mknod for IMEX channel {channel}", say)
    else:
        say("E", "could not load kernel module nvidia")
    say("I", "loading kernel module nvidia_uvm")
    if modprobe("nvidia-uvm", gpus):
        major = major_of("nvidia-uvm")
        _made("/dev/nvidia-uvm", major, 0, Parameters(), say)
        _made("/dev/nvidia-uvm-tools", major, 1, Parameters(), say)
    else:
        say("E", "could not load kernel module nvidia_uvm")
    say("I", "loading kernel module nvidia_modeset")
    if modprobe("nvidia-modeset", gpus):
        _made("/dev/nvidia-modeset", _FRONTEND, _MODESET, read_parameters(PARAMETERS), say)
    else:
        say("E", "could not load kernel module nvidia_modeset")


def _make_capabilities(gpus: int, say: "Say") -> None:
    say("I", "running mknod for all nvcaps in /dev/nvidia-caps")
    try:
        for file in mig_files(gpus):
            if path := make_capability(file):
                say("I", f"running mknod for {path} from {file}")
    except (OSError, ValueError) as e:
        say("E", f"could not create kernel module device nodes: {e}")


def _made(path: str, major: int, minor: int, parameters: Parameters, say: "Say") -> None:
    say("I", f"running mknod for {path}")
    if major < 0:
        say("E", f"could not create kernel module device node: no major for {path} in /proc/devices")
        return
    _tried(partial(make_node, path, major, minor, parameters), "could not create kernel module device node", say)


def _tried(action: "Callable[[], None]", complaint: str, say: "Say") -> None:
    try:
        action()
    except OSError as e:
        say("E", f"{complaint}: {(e.strerror or '').lower()}")


def modprobe(module: str, gpus: int) -> bool:
    """Whether a module is loaded, which this tries to bring about with the kernel's own loader.

    Without a GPU nothing is loaded, except modeset on Tegra, whose display is no PCI device."""
    if is_loaded(module):
        return True
    if not gpus and not (module == "nvidia-modeset" and _is_tegra()):
        return False
    program = _loader()
    try:
        found = os.stat(program)
    except OSError:
        return False
    if os.geteuid() or not stat.S_ISREG(found.st_mode) or not found.st_mode & stat.S_IXUSR:
        return False
    child = os.fork()
    if not child:
        try:
            silence = os.open("/dev/null", os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(silence, fd)
            os.execve(program, [program, module], {"PATH": "/sbin"})
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    return is_loaded(module)


def _loader() -> str:
    try:
        with open("/proc/sys/kernel/modprobe", encoding="utf-8", errors="surrogateescape") as f:
            return f.readline().rstrip("\n") or _MODPROBE
    except OSError:
        return _MODPROBE


def _is_tegra() -> bool:
    try:
        with open("/sys/devices/soc0/family", encoding="ascii", errors="replace") as f:
            return f.readline().rstrip("\n") == "Tegra"
    except OSError:
        return False
