"""update-application-profile: EGL in the container uses the GPUs that the container has.

Source: toolkit v1.20, cmd/nvidia-cdi-hook/update-application-profile (reference: 08-cdi-hook, §8).
"""

import errno
import os
import stat

from toolkit.apply.rootfs import Rootfs, RootfsError
from toolkit.cmd.cdi_hook.flags import Command, Values, container_spec
from toolkit.errors import ApplyError
from toolkit.gather.container import read_container_root
from toolkit.log import Log
from toolkit.plan.hook_work import PROFILE_FILE, PROFILE_FOLDER, is_gpu_node, profile_mask, profile_text


def run(values: Values, log: Log) -> int:
    root_path = read_container_root(values.text("container-spec"))
    try:
        root = Rootfs(root_path, strict=True)
    except RootfsError as e:
        raise ApplyError(f"failed to open root: open {e}", hint=e.hint) from None
    with root:
        mask, warnings = profile_mask(_minors(root))
        for warning in warnings:
            log.warning(warning)
        if mask:
            _write(root, profile_text(mask))
    return 0


def _minors(root: Rootfs) -> tuple[int, ...]:
    """The minor numbers of the GPU nodes in the container, whatever number their names bear."""
    try:
        names = root.listdir("dev") if root.exists("dev") else []
        nodes = [root.stat(f"dev/{name}", follow=False) for name in names if is_gpu_node(name)]
    except RootfsError as e:
        raise ApplyError(f"failed to enumerate device nodes in container: {e}", hint=e.hint) from None
    return tuple(os.minor(node.st_rdev) for node in nodes if stat.S_ISCHR(node.st_mode))


def _write(root: Rootfs, content: bytes) -> None:
    """The profile; new folders 0555, a new file 0444, and an existing file keeps its permissions."""
    folder, path = PROFILE_FOLDER.lstrip("/"), f"{PROFILE_FOLDER.lstrip('/')}/{PROFILE_FILE}"
    try:
        made = root.mkdirs(folder, 0o555)
    except RootfsError as e:
        raise ApplyError(f"failed to create application profiles directory: mkdirat {folder}: {e.message}",
                         hint=e.hint) from None
    try:
        mode = 0o444
        try:
            found = root.stat(path)
            mode = stat.S_IMODE(found.st_mode)
            if not stat.S_ISREG(found.st_mode):
                raise RootfsError("not a regular file", source=path, errno=errno.EINVAL)
        except RootfsError as e:
            if e.errno != errno.ENOENT:
                raise
        root.write_file(path, content, mode)
    except RootfsError as e:
        for directory in reversed(made):
            root.remove_created(directory)
        raise ApplyError(f"failed to write application profile: openat {path}: {e.message}", hint=e.hint) from None


COMMAND = Command(flags=(container_spec(hidden=True),), run=run)
