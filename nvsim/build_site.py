"""The folder in which a host is built: ops carried out below it, by descriptors, and everything removed again.

Whoever builds or removes holds a lock on the folder, which the kernel drops when it dies.
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import replace

from nvsim import board, ops, phase
from nvsim.elf import Arch, shared_object
from nvsim.errors import NvsimError
from nvsim.native.compile import artifact

META = ".nvsim"
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Site:
    """A root that is being built: the context that either completes it or leaves nothing."""

    def __init__(self, root: str, nodes: bool | None, dev_root: str) -> None:
        self._root = os.path.realpath(root)
        self._nodes, self._dev_root = nodes, dev_root
        self._made_root = False
        self._top = self._folder = -1
        self._path = ""
        self._late: list[tuple[str, int]] = []  # folders that get their mode at the end: they may be read-only
        self._umask = _umask()
        self.placeholders: list[str] = []

    def __enter__(self) -> "Site":
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._root)
                self._made_root = True
            self._top = locked(self._root)
            _empty(self._top, self._root)
            os.mkdir(META, dir_fd=self._top)
        except BaseException as e:
            self._close()
            if isinstance(e, OSError):
                raise NvsimError(f"cannot build here: {e.strerror}", source=self._root) from e
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is not None:
            with contextlib.suppress(NvsimError, OSError):
                clear(self._top, self._root)
                if self._made_root:
                    os.rmdir(self._root)
        self._close()
        if isinstance(error, OSError):
            raise NvsimError(f"cannot build the host: {error.strerror}", source=f"{self._root}{self._path}") from error

    def _close(self) -> None:
        for fd in (self._top, self._folder):
            if fd >= 0:
                os.close(fd)
        self._top = self._folder = -1

    def enter(self, path: str) -> None:
        """Makes the folder of the next ops the current one."""
        if self._folder >= 0:
            os.close(self._folder)
        self._folder = -1
        self._path = path
        self._folder = os.open(path.lstrip("/") or ".", _FOLDER, dir_fd=self._top)

    def run(self, op: ops.Op) -> None:
        """Makes one entry of the current folder."""
        self._path = op.path
        name = op.path.rpartition("/")[2]
        match op:
            case ops.Symlink():
                os.symlink(op.target, name, dir_fd=self._folder)
            case ops.Dir():
                os.mkdir(name, 0o755, dir_fd=self._folder)
                mode = op.mode | (stat.S_IWUSR if os.geteuid() else 0)  # an ordinary user must be able to rm -r it
                if mode != 0o755 or 0o755 & self._umask:
                    self._late.append((op.path, mode))
            case ops.File():
                self._write(name, op.data, op.mode, op.size)
            case ops.Library():
                self._write(name, shared_object(arch=_arch(op.arch), soname=op.soname, needed=op.needed,
                                                exports=op.exports, abi=op.abi), op.mode)
            case ops.Artifact():
                self._write(name, _compiled(op.artifact, op.arch), op.mode)
            case ops.BoardLibrary():
                self._write(name, _compiled(op.artifact, op.arch), op.mode)
                board.write(f"{self._root}{op.path}", replace(op.board, dev_root=_dev_root(op.board, self._dev_root)))
            case ops.Socket() | ops.Fifo():
                kind = stat.S_IFSOCK if isinstance(op, ops.Socket) else stat.S_IFIFO
                os.mknod(name, kind | op.mode, dir_fd=self._folder)
                self._chmod(name, op.mode)
            case ops.CharDev():
                self._node(name, op)

    def _write(self, name: str, data: bytes, mode: int, size: int = 0) -> None:
        fd = os.open(name, _CREATE, mode & 0o777, dir_fd=self._folder)
        try:
            while data:
                data = data[os.write(fd, data):]
            if size:
                os.ftruncate(fd, size)
            if mode & (self._umask | 0o7000):
                os.fchmod(fd, mode)
        finally:
            os.close(fd)

    def _chmod(self, name: str, mode: int) -> None:
        if mode & self._umask:
            os.chmod(name, mode, dir_fd=self._folder)

    def _node(self, name: str, op: ops.CharDev) -> None:
        """The node; where the kernel refuses it, a placeholder here and for all that follow."""
        if self._nodes is not False:
            try:
                os.mknod(name, stat.S_IFCHR | op.mode, os.makedev(op.major, op.minor), dir_fd=self._folder)
                self._chmod(name, op.mode)
                if op.uid or op.gid:
                    os.chown(name, op.uid, op.gid, dir_fd=self._folder)
                return
            except PermissionError as e:
                if self._nodes:
                    raise NvsimError("device nodes cannot be made here", source=f"{self._root}{op.path}",
                                     hint="be root, or build with placeholders (nodes=False)") from e
                self._nodes = False
        if op.placeholder:
            self._write(name, b"", op.mode)
            self.placeholders.append(op.path)

    def settle(self) -> None:
        """Gives folders their modes, and the emulated kernel a file for what it says of its GPUs."""
        for path, mode in reversed(self._late):
            os.chmod(path.lstrip("/"), mode, dir_fd=self._top)
        self.enter(f"/{META}")
        self._write("kernel.log", b"", 0o644)

    def take(self, part: str, boards: Iterable[str]) -> None:
        """Takes a part of the driver out of the way; its libraries then find no kernel modules."""
        for path in boards if part == "modules" else ():
            board.update_header(f"{self._root}{path}", driver_loaded=0)
        phase.take(self._root, part)

    def note(self, files: Mapping[str, str]) -> None:
        """Writes what belongs below .nvsim; with machine.json the root is a host."""
        for name, text in files.items():
            self._write(f"{name}.new", text.encode(), 0o644)
            os.rename(f"{name}.new", name, src_dir_fd=self._folder, dst_dir_fd=self._folder)


def _dev_root(made: board.Board, built_for: str) -> str:
    """Where a driver library looks for dev/: with a dev root of the host's own, first in /dev, as in containers."""
    own = made.dev_root.rstrip("/")
    return f"/:{own}" if own and built_for == "/" else built_for.rstrip("/") + own or "/"


def _arch(name: str) -> Arch:
    known: dict[str, Arch] = {"x86_64": "x86_64", "i386": "i386", "aarch64": "aarch64"}
    return known[name]


_COMPILED: dict[str, tuple[float, bytes]] = {}


def _compiled(name: str, arch: str) -> bytes:
    """A compiled part, read again when it was compiled again.  Raises NvsimError if it was not compiled at all."""
    path = artifact(name, arch)
    changed = os.stat(path).st_mtime
    if _COMPILED.get(path, (0.0, b""))[0] != changed:
        with open(path, "rb") as f:
            _COMPILED[path] = (changed, f.read())
    return _COMPILED[path][1]


def _umask() -> int:
    """The permission bits that this process takes from new files.  Asking the kernel by umask(2) would race threads."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as f:
            return int(next(line.split()[1] for line in f if line.startswith("Umask:")), 8)
    except (OSError, StopIteration, ValueError):
        return 0o777  # unknown: set every mode


def locked(root: str) -> int:
    """The root folder, open and locked.  Raises NvsimError if another process builds or removes it."""
    try:
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as e:
        raise NvsimError(f"cannot open the folder: {e.strerror}", source=root) from e
    try:
        fcntl.flock(top, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        os.close(top)
        raise NvsimError("another process is building or removing this host", source=root) from e
    return top


def _empty(top: int, root: str) -> None:
    """Takes away the remains of a killed build.  Raises NvsimError if there is anything else in the folder."""
    found = os.listdir(top)
    if META in found and not os.path.exists(f"{root}/{META}/machine.json"):
        clear(top, root)
    elif found:
        raise NvsimError("the folder is not empty", source=root,
                         hint="choose another one" + (", or remove the host in it first" if META in found else ""))


def clear(top: int, root: str) -> None:
    """Removes everything in a folder, never through a link, and `.nvsim` last: it is how remains are recognised.

    Raises NvsimError if something is mounted below it."""
    device = os.fstat(top).st_dev
    try:
        for name in sorted(os.listdir(top), key=lambda name: name == META):
            _remove_entry(top, name, device, f"{root}/{name}")
    except OSError as e:
        raise NvsimError(f"cannot remove {e.filename or 'it'}: {e.strerror}", source=root) from e


def _remove_entry(parent: int, name: str, device: int, path: str) -> None:
    try:
        os.unlink(name, dir_fd=parent)
        return
    except IsADirectoryError:
        pass
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if os.fstat(folder).st_dev != device:
            raise NvsimError("something is mounted here", source=path, hint="leave the machine, or unmount it")
        if os.geteuid():
            os.fchmod(folder, 0o700)  # a read-only folder keeps its entries from an ordinary user
        for inner in os.listdir(folder):
            _remove_entry(folder, inner, device, f"{path}/{inner}")
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=parent)
