"""update-ldcache: the container's loader finds the driver's libraries.

Configuration files go in through the container's root descriptor; then the host's ldconfig runs in the root, in
namespaces of its own (`apply/ldconfig.py`).  When anything fails, ldconfig included, the files are as they were.
Source: toolkit v1.20, cmd/nvidia-cdi-hook/update-ldcache, internal/ldconfig (reference: 08-cdi-hook, §5).
"""

import errno
import os
import sys
import time

from toolkit.apply import ldconfig, linux
from toolkit.apply.rootfs import Rootfs, RootfsError, take_back
from toolkit.cmd.cdi_hook.flags import Command, Flag, Values, container_spec
from toolkit.cmd.cdi_hook.ldconf_files import listed_folders
from toolkit.errors import ApplyError, ConfigError, ToolkitError
from toolkit.gather.container import read_container_root
from toolkit.log import Log
from toolkit.plan import ldconf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Undo = list[Callable[[], object]]


def run(values: Values, log: Log) -> int:
    program = host_program(values.text("ldconfig-path"))
    try:
        root_path = read_container_root(values.text("container-spec"))
    except ToolkitError as e:
        text = e.message
        if not text.startswith("failed to determined container root"):
            text = f"failed to determined container root: {text}"
        raise ConfigError(text, hint=e.hint) from None
    if root_path in ("", "/") or os.path.realpath(root_path) == "/":
        raise ConfigError("failed to determined container root: <nil>", hint="the root is the system's own")
    try:
        status = _update(root_path, program, tuple(values.items("folder")), log)
    except ApplyError as e:
        status = 1
        sys.stderr.write(f"{time.strftime('%Y/%m/%d %H:%M:%S')} Error updating ldcache: {e}\n")
        if e.hint:
            sys.stderr.write(f"hint: {e.hint}\n")
    if status:
        sys.stderr.write(f"exit status {status}\n")
    return status


def _update(root_path: str, program: str, folders: tuple[str, ...], log: Log) -> int:
    """ldconfig's exit status.  Unless that is 0, the configuration files are as they were."""
    undo: Undo = []
    status = 1
    with Rootfs(root_path) as root:
        try:
            _write_conf(root, folders, undo)
            status = ldconfig.run_in_root(root_path, program, ldconfig.arguments(), pivot=not _on_initial_root(),
                                          warn=log.warning)
        finally:
            if status:
                take_back(undo)
    return status


def host_program(path: str) -> str:
    """The host's ldconfig: `PATH.real`, where distributions keep the program behind a wrapper, if that is there."""
    if not path:
        raise ConfigError("ldconfig-path must be specified", hint="for example --ldconfig-path /sbin/ldconfig")
    path = path.removeprefix("@").removesuffix(".real")
    return f"{path}.real" if os.path.exists(f"{path}.real") else path


def _on_initial_root() -> bool:
    """Whether the root is the initial RAM file system, which cannot be pivoted away.  Unknown counts as no."""
    try:
        with open("/proc/self/mountstats", encoding="utf-8", errors="replace") as f:
            mounts = [line.split() for line in f]
    except OSError:
        return False
    # "device rootfs mounted on / with fstype rootfs"
    return any(fields[2:5] == ["mounted", "on", "/"] and fields[7:8] == ["rootfs"] for fields in mounts)


def _write_conf(root: Rootfs, folders: tuple[str, ...], undo: "Undo") -> None:
    """The files that make ldconfig, and musl's loader, look into the folders; how to take them back goes to `undo`."""
    machine = linux.machine()
    system = ldconf.system_folders(machine, debian_like=root.is_file("/etc/debian_version"))
    try:
        if not root.exists(ldconf.TOP):
            root.write_file(ldconf.TOP, ldconf.TOP_CONTENT, exclusive=True)
            undo.append(lambda: root.unlink(ldconf.TOP))
    except RootfsError as e:
        raise ApplyError("failed to ensure ld.so.conf file: failed to create top-level ld.so.conf file: "
                         f"open {ldconf.TOP}: {e.message}", hint=e.hint) from None
    new = ldconf.new_folders(folders, listed_folders(root, ldconf.TOP), system)
    try:
        undo += [lambda path=path: root.remove_created(path)  # type: ignore[misc]
                 for path in root.mkdirs(ldconf.DROP_INS)]
        for path, content in ldconf.drop_ins(new, system):
            _put(root, path, content, undo)
        if root.is_file("/etc/alpine-release"):
            path = ldconf.musl_path_file(machine)
            before = root.read_file(path) if root.exists(path) else b""
            _put(root, path, ldconf.musl_path(before, (*new, *system)), undo)
    except RootfsError as e:
        raise ApplyError(f"failed to update ld.so.conf.d: {e}", hint=e.hint) from None


def _put(root: Rootfs, path: str, content: bytes, undo: "Undo") -> None:
    """A file of that content, unless it is there already."""
    try:
        before: bytes | None = root.read_file(path)
    except RootfsError as e:
        if e.errno not in (errno.ENOENT, errno.EINVAL):
            raise
        before = None
    if before == content:
        return
    root.write_file(path, content)
    undo.append((lambda: root.unlink(path)) if before is None else (lambda: root.write_file(path, before)))


COMMAND = Command(
    flags=(
        Flag("folder", kind=list, about="a folder of the container that the loader shall know; may be repeated"),
        Flag("ldconfig-path", kind=str, default="/sbin/ldconfig",
             about="the host's ldconfig"),
        container_spec(hidden=False),
    ),
    run=run,
)
