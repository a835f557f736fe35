"""The driver's device nodes, made by the rules that all of its tools share, whichever of them comes first.

Source: nvidia-modprobe 550 (reference: 02-init, §4).  Paths are those of this process's root.  Calls raise OSError.
"""

import os
import re
import stat
from typing import NamedTuple

PARAMETERS = "/proc/driver/nvidia/params"
CAPS, IMEX = "/dev/nvidia-caps", "/dev/nvidia-caps-imex-channels"
_CAPABILITIES = "/proc/driver/nvidia/capabilities"
_MIG_MINORS = "/proc/driver/nvidia-caps/mig-minors"
_DEFAULT_MODE = 0o666


class Parameters(NamedTuple):
    """Whom nodes belong to; `modify` False: the administrator makes them, and nobody else may."""

    uid: int = 0
    gid: int = 0
    mode: int = _DEFAULT_MODE
    modify: bool = True


def read_parameters(path: str) -> Parameters:
    """What a file with `Name: number` lines says about nodes; the defaults for what it does not say."""
    try:
        with open(path, encoding="ascii", errors="replace") as f:
            found = dict(re.findall(r"^(\w+): ([0-9]{1,10})$", f.read(1 << 16), re.MULTILINE | re.ASCII))
    except OSError:
        return Parameters()
    modify = found.get("ModifyDeviceFiles", found.get("DeviceFileModify", "1"))
    return Parameters(uid=int(found.get("DeviceFileUID", 0)), gid=int(found.get("DeviceFileGID", 0)),
                      mode=int(found.get("DeviceFileMode", _DEFAULT_MODE)) & 0o7777, modify=modify == "1")


def major_of(name: str) -> int:
    """The major of a character device in /proc/devices, -1 if it has none.  A name is matched at its end."""
    try:
        with open("/proc/devices", encoding="ascii", errors="replace") as f:
            section = f.read(1 << 20).partition("Character devices:\n")[2].partition("\n\n")[0]
    except OSError:
        return -1
    match = re.search(rf"^ *([0-9]{{1,4}}) [^\n]*{re.escape(name)}$", section, re.MULTILINE)
    return int(match[1]) if match else -1


def make_node(path: str, major: int, minor: int, parameters: Parameters) -> None:
    """A character device below /dev with number, rights and owner; one that is right already is left alone.

    /dev/char gets its link: low-level runtimes look devices up there."""
    if parameters.modify and not _is_right(path, os.makedev(major, minor), parameters):
        _replace(path, os.makedev(major, minor), parameters)
    link, target = f"/dev/char/{major}:{minor}", "../" + path.removeprefix("/dev/")
    if not (os.path.islink(link) and os.readlink(link) == target):
        os.makedirs("/dev/char", 0o755, exist_ok=True)
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(target, link)


def _is_right(path: str, device: int, parameters: Parameters) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return (found.st_mode, found.st_rdev, found.st_uid, found.st_gid) == (
        stat.S_IFCHR | parameters.mode, device, parameters.uid, parameters.gid)


def _replace(path: str, device: int, parameters: Parameters) -> None:
    try:
        found = os.lstat(path)
        if not stat.S_ISCHR(found.st_mode) or found.st_rdev != device:
            os.unlink(path)
            raise FileNotFoundError
        made = False
    except FileNotFoundError:
        os.mknod(path, stat.S_IFCHR | parameters.mode, device)
        made = True
    try:
        os.chmod(path, parameters.mode)  # mknod heeds the umask
        os.chown(path, parameters.uid, parameters.gid)
    except OSError:
        if made:
            os.unlink(path)
        else:
            os.chmod(path, stat.S_IMODE(found.st_mode))
        raise


def _make_folder(path: str) -> None:
    """A folder of nodes, readable for all and root's."""
    os.makedirs(path, 0o755, exist_ok=True)
    os.chmod(path, 0o755)
    os.chown(path, 0, 0)


def mig_files(gpus: int) -> tuple[str, ...]:
    """The capability files that mig-minors names for GPUs with minors below `gpus`, and the two of all GPUs.

    None without that file.  ValueError for a line that is no capability."""
    try:
        with open(_MIG_MINORS, encoding="ascii", errors="replace") as f:
            lines = f.read(1 << 22).splitlines()
    except OSError:
        return ()
    found = []
    for line in lines:
        match = re.fullmatch(r"(config|monitor|gpu([0-9]{1,7})/gi([0-9]{1,7})(/ci[0-9]{1,7})?/access) [0-9]{1,7}", line,
                             re.ASCII)
        if not match:
            raise ValueError(f"unexpected line in mig-monitors file: {line}")
        if match[2] is None:
            found.append(f"{_CAPABILITIES}/mig/{match[1]}")
        elif int(match[2]) < gpus:
            found.append(f"{_CAPABILITIES}/gpu{match[2]}/mig/gi{match[3]}{match[4] or ''}/access")
    return tuple(found)


def make_capability(file: str) -> str:
    """The node of a capability whose file exists; its path, "" where there is no such file or it names no minor."""
    try:
        with open(file, encoding="ascii", errors="replace") as f:
            match = re.search(r"^DeviceFileMinor: ([0-9]{1,7})$", f.read(1 << 12), re.MULTILINE | re.ASCII)
    except OSError:
        return ""
    major = major_of("nvidia-caps")
    if not match or major < 0:
        return ""
    _make_folder(CAPS)
    path = f"{CAPS}/nvidia-cap{match[1]}"
    make_node(path, major, int(match[1]), read_parameters(file))
    return path


def make_channel(number: int) -> None:
    """The node of an IMEX channel."""
    major = major_of("nvidia-caps-imex-channels")
    if major < 0:
        raise FileNotFoundError(2, "no such driver in /proc/devices", "nvidia-caps-imex-channels")
    _make_folder(IMEX)
    make_node(f"{IMEX}/channel{number}", major, number, Parameters())
