"""create-symlinks: links inside the container, such as libcuda.so → libcuda.so.1.

Source: toolkit v1.20, cmd/nvidia-cdi-hook/create-symlinks (reference: 08-cdi-hook, §3).
"""

import errno
import os
import stat

from toolkit.apply.rootfs import Rootfs, RootfsError, take_back
from toolkit.cmd.cdi_hook.flags import Command, Flag, Values, container_spec
from toolkit.errors import ApplyError
from toolkit.gather.container import read_container_root
from toolkit.log import Log
from toolkit.plan.hook_work import links_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def run(values: Values, log: Log) -> int:
    root_path = read_container_root(values.text("container-spec"))
    links = links_of(values.items("link"))
    if not links:
        return 0
    try:
        root = Rootfs(root_path)
    except RootfsError as e:
        failed = f"failed to create link [{links[0][0]} {links[0][1]}]: "
        raise ApplyError(f"{failed}failed to open container root: open {e}", hint=e.hint) from None
    undo: list[Callable[[], object]] = []
    with root:
        try:
            for target, link in links:
                _create(root, target, link, log, undo)
        except ApplyError:
            take_back(undo)
            raise
    return 0


def _create(root: Rootfs, target: str, link: str, log: Log, undo: "list[Callable[[], object]]") -> None:
    """One link, replacing whatever file or link is there; notes in `undo` how to take it back.

    (A plain file that was replaced does not come back: the container that failed here never starts.)"""
    failed = f"failed to create link [{target} {link}]: "
    before = _existing(root, link, failed)
    if before == target:
        log.debug(f"Link {link} already exists")
        return
    folder, _, base = link.rstrip("/").rpartition("/")
    if base in ("", ".", ".."):
        raise ApplyError(failed + "failed to check if link exists: the path names no file", source=link)
    try:
        made = root.mkdirs(folder)
    except RootfsError as e:
        what = "create" if e.errno in (errno.ENOENT, errno.ENOTDIR, errno.EROFS) else "open"
        raise ApplyError(f"{failed}failed to {what} parent dir of link in root: openat2 {root.path}{e.source}: "
                         f"{e.message}", hint=e.hint) from None
    undo += [lambda path=path: root.remove_created(path) for path in made]  # type: ignore[misc]
    resolved = _name(root, folder)
    log.info(f"Symlinking {root.path.rstrip('/')}{resolved.rstrip('/')}/{base} to {target}")
    try:
        root.symlink(target, link, replace=True)
    except RootfsError as e:
        step = "failed to create symlink" if e.errno == errno.EISDIR else "failed to create temporary symlink"
        raise ApplyError(f"{failed}{step}: {e.message}", hint=e.hint) from None
    if before is None:
        undo.append(lambda: root.unlink(link))
    elif before:
        undo.append(lambda: root.symlink(before, link, replace=True))


def _existing(root: Rootfs, link: str, failed: str) -> str | None:
    """The text of the link that is there; "" for something that is no link, None for nothing."""
    try:
        found = root.stat(link, follow=False)
        return root.readlink(link) if stat.S_ISLNK(found.st_mode) else ""
    except RootfsError as e:
        if e.errno == errno.ENOENT or _through_dangling_link(root, link):
            return None
        path = root.path + link
        raise ApplyError(f"{failed}failed to check if link exists: failed to resolve existing symlink {path}: "
                         f"failed to get file info: lstat {path}: {e.message}", hint=e.hint) from None


def _through_dangling_link(root: Rootfs, link: str) -> bool:
    """Whether the parent folder is merely not there, so that making it says what is wrong."""
    return not root.exists(link.rpartition("/")[0] or "/")


def _name(root: Rootfs, folder: str) -> str:
    fd = root.open(folder, os.O_PATH)
    try:
        return root.name_of(fd)
    finally:
        os.close(fd)


COMMAND = Command(
    flags=(
        Flag("link", kind=list, about="TARGET::LINK; a link that is there already is replaced; may be repeated"),
        container_spec(hidden=True),
    ),
    run=run,
)
