"""MIG capabilities: what /proc/driver/nvidia/capabilities and /dev/nvidia-caps hold for the instances on a board.

Each GPU instance and each compute instance has an `access` file, which names the minor of a device node; who may open
that node may use the instance.  `follow_tree` keeps a built host in step with its board: process 1 of a machine calls
it when the driver library's file changes, and so does `nvsim ctl mig`.  What a profile takes away stays away, because
only differences are applied: `.nvsim/capabilities.json` holds what was shown last.

Kept free of heavy imports: process 1 of a machine imports it.  Minors are those of /proc/driver/nvidia-caps/mig-minors.
"""

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvsim.board_gpu import Gpu

TOP = "/proc/driver/nvidia/capabilities"
STATE = ".nvsim/capabilities.json"
CONFIG, MONITOR, FIRST = 1, 2, 3
GPUS, INSTANCES, COMPUTE = 32, 15, 8  # the driver has minors for so many GPUs, and instances of each
LAST = FIRST + GPUS * INSTANCES * (1 + COMPUTE) - 1


def minor_of(gpu_minor: int, instance: int, compute: int = -1) -> int:
    """The minor of an instance's capability; without `compute` that of the GPU instance."""
    return FIRST + (gpu_minor * INSTANCES + instance) * (1 + COMPUTE) + 1 + compute


def dev_of(root: str) -> str:
    """The dev folder of a driver root or dev root."""
    return "/dev" if root == "/" else f"{root}/dev"


def text(minor: int, mode: int) -> str:
    """A capability file: the minor of its device node, the node's mode in decimal, whether the driver may change it."""
    return f"DeviceFileMinor: {minor}\nDeviceFileMode: {mode}\nDeviceFileModify: 1\n"


def shown(gpus: "Iterable[Gpu]") -> dict[str, int]:
    """The access files of all instances, by path below TOP, with their minors.  A GPU beyond the 32nd has none."""
    found: dict[str, int] = {}
    for gpu in gpus:
        if gpu.minor >= GPUS:
            continue
        folder = f"gpu{gpu.minor}/mig"
        for slot, size in enumerate(gpu.gi_size):
            if size:
                found[f"{folder}/gi{gpu.gi_id[slot]}/access"] = minor_of(gpu.minor, gpu.gi_id[slot])
        for slot, size in enumerate(gpu.ci_size):
            if size:
                parent, own = gpu.ci_gpu_instance[slot], gpu.ci_id[slot]
                found[f"{folder}/gi{parent}/ci{own}/access"] = minor_of(gpu.minor, parent, own)
    return found


def state(root: str) -> dict[str, int]:
    """What the tree of a built host showed last; nothing for a host without MIG."""
    try:
        with open(f"{root}/{STATE}", encoding="utf-8") as f:
            return {str(path): int(minor) for path, minor in json.load(f).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def follow_tree(root: str, after: Mapping[str, int], *, major: int, devs: Iterable[str], placeholders: bool) -> None:
    """Makes a built host show the access files `after`, in its /proc and in the `devs` below its root.

    Several may call it at once.  Raises OSError."""
    with _locked(root):
        before = state(root)
        if before == after:
            return
        for dev in devs:
            follow_nodes(f"{root}{dev}", before, after, major=major, placeholders=placeholders)
        _follow_files(f"{root}{TOP}", before, after)
        with open(f"{root}/{STATE}.new", "w", encoding="utf-8") as f:
            json.dump(dict(after), f)
        os.rename(f"{root}/{STATE}.new", f"{root}/{STATE}")


def follow_nodes(dev: str, before: Mapping[str, int], after: Mapping[str, int], *, major: int,
                 placeholders: bool) -> None:
    """Adds and removes nodes of a dev folder; where the kernel refuses nodes, empty files stand for them if wanted."""
    folder = f"{dev}/nvidia-caps"
    if not os.path.isdir(folder):
        return
    for minor in set(before.values()) - set(after.values()):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{folder}/nvidia-cap{minor}")
    for minor in set(after.values()) - set(before.values()):
        with contextlib.suppress(FileExistsError):
            _make_node(f"{folder}/nvidia-cap{minor}", major, minor, placeholders=placeholders)


def _make_node(path: str, major: int, minor: int, *, placeholders: bool) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(major, minor))
    except PermissionError:
        if not placeholders:
            return
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC))
    os.chmod(path, 0o444)


def _follow_files(top: str, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    for path in sorted(set(before) - set(after), reverse=True):  # a compute instance before its GPU instance
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{top}/{path}")
            os.rmdir(os.path.dirname(f"{top}/{path}"))
    for path in sorted(set(after) - set(before), key=len):
        gpu = "/".join(path.split("/")[:2])
        if os.path.isdir(f"{top}/{gpu}"):  # else the profile took it away
            _show_file(f"{top}/{path}", after[path])


def _show_file(path: str, minor: int) -> None:
    """The file appears whole, by rename; its folder takes the mode of the one above, which the build chose."""
    folder = os.path.dirname(path)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)
        os.chmod(folder, stat.S_IMODE(os.stat(os.path.dirname(folder)).st_mode))
    with open(f"{folder}/.new", "w", encoding="ascii") as f:
        f.write(text(minor, 0o444))
        os.fchmod(f.fileno(), 0o444)
    os.rename(f"{folder}/.new", path)


@contextlib.contextmanager
def _locked(root: str) -> Iterator[None]:
    fd = os.open(f"{root}/.nvsim", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
