"""Carries out the operations of `configure` below a container's root; a failure takes back what was done before it.

Every path of the container is resolved at the moment of use, and used through the descriptor that this gave: nothing
is mounted or made by name.  What is in place already, from an earlier configure, is kept and not done again.
"""

import os
import stat

from toolkit.apply import linux
from toolkit.apply.linker_state import LinkerState
from toolkit.apply.rootfs import Rootfs, RootfsError
from toolkit.apply.rootview import RootView
from toolkit.errors import ApplyError, ToolkitError
from toolkit.model import ops
from toolkit.model.native import below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.apply.cgroup import Access

    Undo = Callable[[], None]
    Say = Callable[[str, str], None]

_FLAGS = linux.RDONLY | linux.NOSUID | linux.NODEV | linux.NOEXEC


def _mount_error(message: str, hint: str = "") -> ApplyError:
    return ApplyError(message, source="mount error", hint=hint)


class _Owner:
    """While entered, files are made as the container's owner: its root, in a user namespace."""

    def __init__(self, uid: int, gid: int) -> None:
        self._ids = (uid, gid)
        self._other = (uid, gid) != (os.geteuid(), os.getegid())

    def __enter__(self) -> None:
        if not self._other:
            return
        linux.setfsgid(self._ids[1])
        linux.setfsuid(self._ids[0])
        # The kernel takes this right away with the identity; images hold directories that their own root may not enter.
        effective, permitted, inheritable = linux.capget()
        override = 1 << linux.CAP_DAC_OVERRIDE
        if permitted & override:
            linux.capset(effective | override, permitted, inheritable)

    def __exit__(self, *_: object) -> None:
        if self._other:
            linux.setfsuid(os.geteuid())
            linux.setfsgid(os.getegid())


class Executor:
    """The place where operations are carried out, and what it takes to undo them.

    `driver` is the driver root and `rootfs` the container's, both as the container's mount namespace shows them.
    `uid` and `gid` own what is made.  `access` is the device cgroup, None to leave it alone.  `ldconfig` runs a
    RunLdconfig.  `say` takes the lines of the debug log.
    """

    def __init__(
        self, rootfs: Rootfs, driver: RootView, *, uid: int = 0, gid: int = 0, access: "Access | None" = None,
        ldconfig: "Callable[[ops.RunLdconfig], None]", say: "Say" = lambda level, message: None,
    ) -> None:
        self._rootfs, self._driver, self._access = rootfs, driver, access
        self._owner, self._ldconfig, self._say = _Owner(uid, gid), ldconfig, say
        self._undo: list[Undo] = []

    def run(self, plan: tuple[ops.Op, ...]) -> None:
        """All operations in order.  Raises ApplyError after undoing those that were done.

        Rights in the device cgroup are given together, after the last mount: one new program instead of many."""
        devices = tuple((op.major, op.minor) for op in plan if isinstance(op, ops.AllowDevice))
        try:
            for op in plan:
                if isinstance(op, ops.RunLdconfig):
                    self._allow(devices)
                    devices = ()
                self._say("I", op.describe(self._rootfs.path, self._driver.path))
                self._one(op)
            self._allow(devices)
        except BaseException:
            self.undo()
            raise

    def undo(self) -> None:
        """Takes back everything, newest first.  What cannot be taken back is logged, and the rest goes on."""
        while self._undo:
            try:
                self._undo.pop()()
            except (ToolkitError, OSError) as e:
                self._say("E", f"could not undo: {e}")

    def _allow(self, devices: tuple[tuple[int, int], ...]) -> None:
        if self._access and devices:
            self._undo.append(self._access.undo)
            self._access.allow(devices)

    def _one(self, op: ops.Op) -> None:
        match op:
            case ops.MountTmpfs():
                self._mount_tmpfs(op)
            case ops.Remount():
                self._remount(op)
            case ops.WriteFile():
                self._write(self._place(op.path), op.content, op.mode)
            case ops.MakeDir():
                self._make_dirs(self._place(op.path), op.mode)
            case ops.Bind():
                self._bind(op)
            case ops.Symlink():
                self._symlink(op)
            case ops.AddToProfile():
                self._add_to_profile(op)
            case ops.AllowDevice():
                pass  # see `run`
            case ops.RunLdconfig():
                self._run_ldconfig(op)

    def _run_ldconfig(self, op: ops.RunLdconfig) -> None:
        try:
            before = LinkerState(self._rootfs, op.dirs)
        except RootfsError as e:
            raise ApplyError(f"reading failed: {self._shown(e.source)}: {e.message}", source="ldcache error") from None
        self._undo.append(before.restore)
        self._ldconfig(op)

    def _place(self, path: str) -> str:
        """A path of the container without links.  An image whose links lead out of it is refused."""
        try:
            return self._rootfs.resolve(path)
        except RootfsError as e:
            raise _mount_error(e.message, hint="a symbolic link in the container's image is in the way") from None

    def _shown(self, path: str) -> str:
        return below(self._rootfs.path, path)

    def _creation_failed(self, path: str, error: RootfsError) -> ApplyError:
        return _mount_error(f"file creation failed: {self._shown(path)}: {error.message}", hint=error.hint)

    def _make_dirs(self, path: str, mode: int = 0o755) -> None:
        """A directory; ancestors that are missing are made as ordinary ones, whatever its own permissions."""
        for folder, rights in ((os.path.dirname(path), 0o755), (path, mode)):
            try:
                with self._owner:
                    made = self._rootfs.mkdirs(folder, rights)
            except RootfsError as e:
                raise self._creation_failed(path, e) from None
            if made:
                self._undo.append(lambda made=made: self._remove(made))  # type: ignore[misc]

    def _remove(self, made: tuple[str, ...]) -> None:
        for path in reversed(made):
            self._rootfs.remove_created(path)

    def _make_file(self, path: str, mode: int) -> None:
        """An empty file to mount on."""
        self._make_dirs(os.path.dirname(path))
        try:
            with self._owner:
                made = self._rootfs.touch(path, mode)
            if not made and stat.S_ISDIR(self._rootfs.stat(path).st_mode):
                raise RootfsError("is a directory")
        except RootfsError as e:
            raise self._creation_failed(path, e) from None
        if made:
            self._undo.append(lambda: self._rootfs.remove_created(path))
        else:
            self._say("W", f"The path {self._shown(path)} already exists; skipping create")

    def _mount_tmpfs(self, op: ops.MountTmpfs) -> None:
        path = self._place(op.path)
        if op.create:
            self._make_dirs(path, op.mode)
        if self._is_own_tmpfs(path, op.mode):
            self._say("W", f"{self._shown(path)} is mounted already")
            return
        try:
            self._rootfs.mount_tmpfs(path, data=f"mode={op.mode:04o}")
        except RootfsError as e:
            raise _mount_error(f"mount operation failed: {self._shown(path)}: {e.message}", hint=(
                "the kernel driver is not loaded, or the container has no /proc" if path.startswith("/proc/") else ""
            )) from None
        self._undo.append(lambda: self._rootfs.umount(path))

    def _is_own_tmpfs(self, path: str, mode: int) -> bool:
        """Whether an earlier configure mounted its tmpfs at a path: just there, with our options and restrictions."""
        try:
            fd = self._rootfs.open(path, os.O_PATH | os.O_DIRECTORY)
        except RootfsError:
            return False
        try:
            if not _restricted(fd, linux.NODEV | linux.NOSUID | linux.NOEXEC):
                return False
            line, here = _mountinfo(fd), os.readlink(linux.at(fd))
        finally:
            os.close(fd)
        # mountinfo: id, parent, major:minor, root, mount point, options, … - type, source, super options
        left, _, right = line.partition(" - ")
        fields = right.split(" ")
        top = left.split(" ")[3:5] == ["/", _escaped(here)]
        return top and fields[0] == "tmpfs" and f"mode={mode:03o}" in fields[-1].split(",")

    def _remount(self, op: ops.Remount) -> None:
        path = self._place(op.path)
        try:
            self._rootfs.remount(path, op.flags)
        except RootfsError as e:
            raise _mount_error(f"mount operation failed: {self._shown(path)}: {e.message}") from None

    def _write(self, path: str, content: bytes, mode: int) -> None:
        try:
            former = self._rootfs.read_file(path) if self._rootfs.exists(path, follow=False) else None
            if former == content:
                return
            with self._owner:
                self._rootfs.write_file(path, content, mode)
        except RootfsError as e:
            raise self._creation_failed(path, e) from None
        if former is None:
            self._undo.append(lambda: self._rootfs.unlink(path))
        else:
            self._undo.append(lambda: self._rootfs.write_file(path, former, mode))

    def _add_to_profile(self, op: ops.AddToProfile) -> None:
        path = self._place(op.path)
        mask = 1 << op.minor
        try:
            if self._rootfs.exists(path, follow=False):
                mask |= ops.profile_mask(self._rootfs.read_file(path))
        except RootfsError as e:
            raise self._creation_failed(path, e) from None
        except ToolkitError as e:
            raise _mount_error(f"{e.message}: {self._shown(path)}") from None
        self._write(path, ops.profile_text(mask), 0o555)

    def _symlink(self, op: ops.Symlink) -> None:
        # The link itself is what we make, so only its directory is followed.
        path = f"{self._place(os.path.dirname(op.path)).rstrip('/')}/{os.path.basename(op.path)}"
        self._make_dirs(os.path.dirname(path))
        try:
            with self._owner:
                made = self._rootfs.symlink(op.target, path)
        except RootfsError as e:
            raise self._creation_failed(path, e) from None
        if made:
            self._undo.append(lambda: self._rootfs.remove_created(path))

    def _bind(self, op: ops.Bind) -> None:
        view: RootView = self._rootfs if op.origin == "container" else self._driver
        shown = below(view.path, op.source)
        source = self._open_source(op, view, shown)
        try:
            path = self._place(op.path)
            found = os.fstat(source)
            if self._is_mounted(found, path, op.flags):
                self._say("W", f"{self._shown(path)} is mounted already")
                return
            if stat.S_ISDIR(found.st_mode):
                self._make_dirs(path, stat.S_IMODE(found.st_mode))
            else:
                self._make_file(path, stat.S_IMODE(found.st_mode) & 0o777)
            try:
                self._rootfs.bind(source, path, op.flags)
            except RootfsError as e:
                raise _mount_error(f"mount operation failed: {shown}: {e.message}") from None
            self._undo.append(lambda: self._rootfs.umount(path))
        finally:
            os.close(source)

    def _open_source(self, op: ops.Bind, view: RootView, shown: str) -> int:
        """The source, checked on the descriptor that will be mounted.  A library is never a link: CVE-2024-0132."""
        regular = op.kind == "regular"
        try:
            fd = view.open(op.source, os.O_PATH | (os.O_NOFOLLOW if regular else 0))
        except RootfsError as e:
            raise _mount_error(f"{'lstat' if regular else 'stat'} failed: {shown}: {e.message}", hint=e.hint) from None
        found = os.fstat(fd)
        error = None
        if regular and not stat.S_ISREG(found.st_mode):
            error = _mount_error(f"unexpected source file mode {found.st_mode:o} for {op.source}")
        elif op.kind == "device" and (
            not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(op.major, op.minor)
        ):
            error = _mount_error(f"invalid device node: {shown}", hint=f"it has to be c {op.major}:{op.minor}")
        if error:
            os.close(fd)
            raise error
        return fd

    def _is_mounted(self, source: os.stat_result, path: str, flags: int) -> bool:
        """Whether the very object is mounted at a path already, with the restrictions asked for."""
        try:
            fd = self._rootfs.open(path, os.O_PATH)
        except RootfsError:
            return False
        try:
            here = os.fstat(fd)
            same = (here.st_dev, here.st_ino, here.st_rdev) == (source.st_dev, source.st_ino, source.st_rdev)
            return same and _restricted(fd, flags) and self._is_mount_point(fd, path)
        finally:
            os.close(fd)

    def _is_mount_point(self, fd: int, path: str) -> bool:
        parent, _ = self._rootfs.parent(path)
        try:
            return _mount_id(fd) != _mount_id(parent)
        finally:
            os.close(parent)


def _restricted(fd: int, flags: int) -> bool:
    """Whether the mount of a descriptor has all of these restrictions.  ST_* and MS_* share their values here."""
    return os.fstatvfs(fd).f_flag & _FLAGS & flags == flags


def _mount_id(fd: int) -> str:
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as f:
        return next((line.split()[1] for line in f if line.startswith("mnt_id:")), "")


def _mountinfo(fd: int) -> str:
    """The line of /proc/self/mountinfo for the mount of a descriptor, "" if it is not among ours."""
    wanted = _mount_id(fd) + " "
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        return next((line.rstrip("\n") for line in f if line.startswith(wanted)), "")


def _escaped(path: str) -> str:
    """A path as mountinfo shows it."""
    return "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in path)
