"""--load-kmods: the driver's kernel modules and device nodes, through the driver's own nvidia-modprobe.

Every failure is only logged, as upstream has it: a machine whose modules are loaded already needs none of this, and
one where they cannot be loaded fails later, at NVML, with a better message.  Source: libnvidia-container 1.20.
"""

import os
import re
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[[str, str], None]

_MODPROBE = "/usr/bin/nvidia-modprobe"
_PCI = "/sys/bus/pci/devices"
_IMEX = "/dev/nvidia-caps-imex-channels"
_WHOLE_RANGE = ["0", "0", "4294967295"]


def in_user_namespace(proc: str = "/proc/self") -> bool:
    """Whether this process's ids are mapped, or its groups fixed: modules cannot be loaded from there."""
    for name in ("uid_map", "gid_map"):
        try:
            with open(f"{proc}/{name}", encoding="ascii") as f:
                if f.readline().split() != _WHOLE_RANGE:
                    return True
        except FileNotFoundError:
            pass
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
    """Whether the kernel has a module, by its name with "_"; one built in has no line in /proc/modules."""
    if os.path.isdir(f"{sys}/{module}"):
        return True
    try:
        with open(proc, encoding="ascii", errors="replace") as f:
            return any(line.partition(" ")[0].replace("-", "_") == module for line in f)
    except OSError:
        return False


def load(root: str, *, imex_channels: tuple[int, ...], say: "Say") -> None:
    """Loads nvidia, nvidia-uvm and nvidia-modeset and makes their nodes, below the driver root."""
    if in_user_namespace():
        say("W", "skipping kernel modules load due to user namespace")
        return
    gpus = len(_listed("/proc/driver/nvidia/gpus")) if is_loaded("nvidia") else count_gpus()
    if not gpus:
        say("W", "failed to detect NVIDIA devices")
    minors = [word for minor in range(gpus) for word in ("-c", str(minor))]
    nodes = ["nvidiactl", *(f"nvidia{minor}" for minor in range(gpus))]
    for module, arguments, made in (("nvidia", minors, nodes),
                                    ("nvidia_uvm", ["-u", "-c", "0"], ["nvidia-uvm", "nvidia-uvm-tools"]),
                                    ("nvidia_modeset", ["-m"], ["nvidia-modeset"])):
        say("I", f"loading kernel module {module}")
        if is_loaded(module) and all(os.path.exists(f"{root}/dev/{name}") for name in made):
            continue
        say("I", f"running {_MODPROBE} {' '.join(arguments)}".rstrip())
        status = _in_root(root, lambda arguments=arguments: os.execve(  # type: ignore[misc]
            _MODPROBE, ["nvidia-modprobe", *arguments], {"PATH": "/sbin:/usr/sbin:/bin:/usr/bin"}))
        if status:
            say("E", f"could not load kernel module {module}")
    major = _imex_major() if imex_channels else ""
    for channel in imex_channels:
        if not major or _in_root(root, lambda channel=channel: _make_imex(int(major), channel)):  # type: ignore[misc]
            say("E", f"could not create kernel module device node {_IMEX}/channel{channel}")


def _in_root(root: str, action: "Callable[[], None]") -> int:
    """Runs an action in a child whose root is the driver's, its output dropped; its wait status."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    try:
        silence = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(silence, fd)
        if root != "/":
            os.chroot(root)
        os.chdir("/")
        action()
        os._exit(0)
    except OSError as e:
        os._exit(min(e.errno or 1, 125))
    finally:  # nothing that happens here may return into the parent's code
        os._exit(1)


def _imex_major() -> str:
    try:
        with open("/proc/devices", encoding="ascii", errors="replace") as f:
            match = re.search(r"^ *([0-9]+) nvidia-caps-imex-channels$", f.read(), re.MULTILINE)
    except OSError:
        return ""
    return match[1] if match else ""


def _make_imex(major: int, channel: int) -> None:
    """The node of one IMEX channel, unless it is there with the right number.  OSError."""
    device, path = os.makedev(major, channel), f"{_IMEX}/channel{channel}"
    os.makedirs(_IMEX, 0o755, exist_ok=True)
    try:
        found = os.lstat(path)
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == device:
            return
        os.unlink(path)
    except FileNotFoundError:
        pass
    os.mknod(path, 0o666 | stat.S_IFCHR, device)
    os.chmod(path, 0o666)
