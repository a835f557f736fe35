"""chmod: permissions of folders in the container.  Deprecated: no specification asks for it unless told to.

Source: toolkit v1.20, cmd/nvidia-cdi-hook/chmod (reference: 08-cdi-hook, §4).  Upstream follows links out of the
container; we resolve inside its root.
"""

import errno
import os
import stat

from toolkit.apply import linux
from toolkit.apply.rootfs import Rootfs, RootfsError
from toolkit.cmd.cdi_hook.flags import Command, Flag, Values, container_spec
from toolkit.errors import ApplyError, ConfigError
from toolkit.gather.container import read_container_root
from toolkit.log import Log
from toolkit.plan.hook_work import mode_of


def run(values: Values, log: Log) -> int:
    mode = mode_of(values.text("mode"))
    paths = values.items("path")
    if not all(path.strip() for path in paths):
        raise ConfigError("paths must not be empty", hint="write --path FOLDER")
    root_path = read_container_root(values.text("container-spec"))
    if not root_path:
        raise ApplyError("empty container root detected", hint="config.json has neither a bundle nor root.path")
    failures = []
    try:
        opened = Rootfs(root_path)
    except RootfsError as e:
        if e.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        log.debug(f"Skipping all paths: {e}")  # none of them is there
        return 0
    with opened as root:
        for path in paths:
            try:
                _chmod(root, path, mode, log)
            except RootfsError as e:
                failures.append(e)
    if failures:
        raise ApplyError(f"chmod {root_path}/{failures[-1].source.lstrip('/')}: {failures[-1].message}",
                         hint=failures[-1].hint)
    return 0


def _chmod(root: Rootfs, path: str, mode: int, log: Log) -> None:
    """Missing paths and equal permissions are left alone, and so is what we may not change."""
    try:
        fd = root.open(path, os.O_PATH)
    except RootfsError as e:
        if e.errno in (errno.ENOENT, errno.ENOTDIR):
            log.debug(f"Skipping path {path}: {e.message}")
            return
        raise
    try:
        if stat.S_IMODE(os.fstat(fd).st_mode) == mode:
            return
        os.chmod(linux.at(fd), mode)
    except PermissionError as e:
        log.debug(f"Ignoring permission error with chmod: {e.strerror}")
    except OSError as e:
        raise RootfsError(os.strerror(e.errno or 0).lower(), source=path, errno=e.errno or 0) from None
    finally:
        os.close(fd)


COMMAND = Command(
    flags=(
        Flag("path", kind=list, about="a path below the container's root; may be repeated"),
        Flag("mode", kind=str, about="the permissions, in octal"),
        container_spec(hidden=False),
    ),
    run=run,
)
