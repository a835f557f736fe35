"""enable-cuda-compat: a newer libcuda that the image brings goes in front of the host's, where the driver allows it.

It writes one ld.so.conf.d file; the update-ldcache hook that follows runs ldconfig.
Source: toolkit v1.20, cmd/nvidia-cdi-hook/cudacompat (reference: 08-cdi-hook, §6).
"""

import errno
import os
import stat

from toolkit.apply.rootfs import Rootfs, RootfsError
from toolkit.cmd.cdi_hook.flags import Command, Flag, Values, container_spec
from toolkit.errors import ApplyError, ToolkitError
from toolkit.gather.compat_note import read_compat_note
from toolkit.gather.container import read_container_root
from toolkit.log import Log
from toolkit.plan.cuda_compat import Note, drop_in, is_compat_library, parse_note, wants_compat
from toolkit.plan.ldconf import DROP_INS


def run(values: Values, log: Log) -> int:
    driver, cuda = values.text("host-driver-version"), values.text("host-cuda-version")
    if not driver and not cuda:
        return 0
    root_path = read_container_root(values.text("container-spec"))
    try:
        root = Rootfs(root_path)
    except RootfsError as e:
        raise ApplyError(f"failed to open container root: open {e}", hint=e.hint) from None
    with root:
        folder, library = _compat_library(root, values.text("cuda-compat-container-root"), log)
        if not library:
            return 0
        note, unreadable = _note(root, f"{folder}/{library}")
        wanted, warnings = wants_compat(library, note, driver, cuda)
        for warning in (*warnings, *unreadable):
            log.warning(warning)
        if wanted:
            _write(root, folder)
    return 0


def _compat_library(root: Rootfs, path: str, log: Log) -> tuple[str, str]:
    """The folder, with links resolved inside the root, and the name of its one compat library; "" without one."""
    try:
        fd = root.open(path, os.O_PATH | os.O_DIRECTORY)
    except RootfsError as e:
        if e.errno in (errno.ENOENT, errno.ENOTDIR):
            return "", ""
        raise _failed(path, e) from None
    try:
        folder = root.name_of(fd)
    finally:
        os.close(fd)
    try:
        names = [name for name in root.listdir(folder) if is_compat_library(name)
                 and stat.S_ISREG(root.stat(f"{folder}/{name}", follow=False).st_mode)]
    except RootfsError as e:
        raise _failed(folder, e) from None
    if len(names) > 1:
        shown = " ".join(f"{folder}/{name}" for name in names)
        log.warning(f"Unexpected number of CUDA compat libraries in container: [{shown}]")
    return folder, names[0] if len(names) == 1 else ""


def _failed(path: str, cause: RootfsError) -> ApplyError:
    return ApplyError(f'failed to get container forward compat directory: failed to open CUDA compat library "{path}": '
                      f"{cause.message}", hint=cause.hint)


def _note(root: Rootfs, library: str) -> tuple[Note | None, tuple[str, ...]]:
    """What the library says of the drivers it works with, if it does, and a warning if that cannot be read."""
    try:
        fd = root.open_file(library, follow=False)
    except RootfsError as e:
        raise _failed(library, e) from None
    try:
        description = read_compat_note(fd)
        return (None if description is None else parse_note(description)), ()
    except ToolkitError as e:
        return None, (f"failed to get ELF header from CUDA compat library: {e}",)
    finally:
        os.close(fd)


def _write(root: Rootfs, folder: str) -> None:
    try:
        made = root.mkdirs(DROP_INS)
    except RootfsError as e:
        raise ApplyError(f"failed to create ld.so.conf.d: openat2 {root.path}{e.source}: {e.message}",
                         hint=e.hint) from None
    name, content = drop_in(folder)
    try:
        root.write_file(f"{DROP_INS}/{name}", content)
    except RootfsError as e:
        for directory in reversed(made):
            root.remove_created(directory)
        raise ApplyError(f"failed to create config file: {e}", hint=e.hint) from None


COMMAND = Command(
    flags=(
        Flag("host-driver-version", kind=str, about="version of the host's driver: only CUDA libraries of a higher "
                                                    "major version are preferred"),
        Flag("host-cuda-version", kind=str, about="CUDA version of the host's driver"),
        Flag("cuda-compat-container-root", kind=str, default="/usr/local/cuda/compat",
             about="folder of the image that holds such libraries"),
        container_spec(hidden=True),
    ),
    run=run,
)
