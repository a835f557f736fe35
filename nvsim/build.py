"""Runs ops in a folder, which then is the root of an emulated host, and takes it down again.

DIR/.nvsim is made first, and marks the tree as ours; DIR/.nvsim/machine.json appears last and by rename, so a tree
has it or is not a host.  A build that fails removes what it made; the remains of one that was killed are removed by
the next build, or by `remove`.  Whoever builds or removes holds a lock on DIR, which the kernel drops when it dies.
"""

import contextlib
import fcntl
import json
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from nvsim import board, capabilities, catalogue, kernel, ops, phase, plan_leftover, plan_parts, plan_wsl
from nvsim.elf import Arch, shared_object
from nvsim.errors import NvsimError
from nvsim.native.compile import MACHINE, artifact
from nvsim.plan import plan, twins
from nvsim.profile import Cache, Profile

FORMAT = 1
META = ".nvsim"
TWINS = f"/{kernel.TWINS}"
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU of a built host.  `model` is a key of gpus.yaml, `board_index` its place on the board."""

    index: int
    minor: int
    uuid: str
    bus_id: str
    name: str
    model: str
    board_index: int
    mig: bool  # whether driver and board can do MIG


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device node that the host has; `mode` are permission bits."""

    path: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What machine.json says.  Paths are those of the emulated host.

    `links` are those below /dev, with their targets; `boards` the libraries that carry the board, NVML's first;
    `ld_directories` the folders that the host's ldconfig reads; `placeholders` the nodes for which an empty file
    stands, because none could be made; `modules` the driver's kernel modules; `elf` is the architecture of the tree's
    ELF files, `twins` that of the ones in TWINS, which a machine that is entered shows in their place (empty: none);
    `cache` is "kept" where the loader's cache is not as ldconfig would write it for these files, else "fresh"."""

    format: int
    profile: str
    about: str
    layout: str
    driver: str
    kernel_driver: str
    cuda: str
    driver_root: str
    dev_root: str  # the only folder whose dev/ has NVIDIA's nodes; empty: / and the driver root
    gpus: tuple[Gpu, ...]
    devices: tuple[Device, ...]
    links: tuple[tuple[str, str], ...]
    boards: tuple[str, ...]
    ld_directories: tuple[str, ...]
    placeholders: tuple[str, ...]
    modules: tuple[str, ...]
    elf: str = MACHINE
    twins: str = ""
    cache: str = "fresh"


def build(profile: Profile, root: str, *, nodes: bool | None = None, dev_root: str = "/", elf: str = "") -> Machine:
    """Builds the host in `root`, a folder that is empty or does not exist yet.

    `nodes`: True makes device nodes or fails, False makes placeholders, None makes nodes where the kernel allows it.
    `dev_root` is where the driver library will look for `dev/`: "/" on a machine that is entered, else `root` itself.
    `elf` is the architecture of the libraries and programs: this machine's, so that they run here, if it is empty; the
    profile's own for a tree that others look at.  A host of another architecture that may be entered gets both.
    Raises NvsimError; then `root` is as it was."""
    elf = elf or MACHINE
    full = plan_parts.whole(profile)
    planned = plan(full, elf=elf)  # and with it every reason to fail that lies in the profile
    parts = plan_parts.parts(full, planned)
    beside = twins(full, planned, MACHINE, TWINS) if elf != MACHINE and dev_root == "/" else ()
    for part in {(op.artifact, op.arch) for op in planned if isinstance(op, (ops.Artifact, ops.BoardLibrary))}:
        artifact(*part)  # compiled, if need be, before anything is written
    with _Site(root, nodes, dev_root) as site:
        for folder, group in _by_folder((*planned, *beside)):
            site.enter(folder)
            for op in group:
                site.run(op)
        machine = replace(_machine(profile, planned, tuple(site.placeholders)), elf=elf,
                          twins=MACHINE if beside else "")
        site.settle()
        shown = capabilities.shown(next((op.board.gpus for op in planned if isinstance(op, ops.BoardLibrary)), ()))
        site.note({**({posixpath.basename(capabilities.STATE): json.dumps(shown)} if shown else {}),
                   **({posixpath.basename(phase.FACTS): phase.written(parts)} if parts else {})})
        for away in plan_parts.later(profile):
            site.take(away, [op.path for op in (*planned, *beside) if isinstance(op, ops.BoardLibrary)])
        site.note({"machine.json": json.dumps(asdict(machine), indent=1) + "\n"})
    return _now(machine, root)


def describe(root: str) -> Machine:
    """What was built in `root`.  Raises NvsimError if it is no built host."""
    path = f"{root}/{META}/machine.json"
    try:
        with open(path, encoding="utf-8") as f:
            found = json.load(f)
        if found["format"] != FORMAT:
            raise NvsimError(f"format {found['format']!r}, not {FORMAT}", source=path, hint="build the host again")
        known = Machine(**{**found, "gpus": tuple(Gpu(**gpu) for gpu in found["gpus"]),
                          "devices": tuple(Device(**device) for device in found["devices"]),
                          "links": tuple((link, target) for link, target in found["links"]),
                          **{key: tuple(found[key])
                             for key in ("boards", "ld_directories", "placeholders", "modules")}})
        return _now(known, root)
    except OSError as e:
        raise NvsimError(f"this is not a built host: {e.strerror}", source=path,
                         hint="build one: nvsim build PROFILE DIR") from e
    except (ValueError, KeyError, TypeError) as e:
        raise NvsimError("this is not what nvsim wrote", source=path, hint="build the host again") from e


def _now(machine: Machine, root: str) -> Machine:
    """A built host without what is out of the way (nvsim.phase)."""
    if not any(phase.is_away(root, part) for part in phase.PARTS):
        return machine
    return replace(machine, modules=() if phase.is_away(root, "modules") else machine.modules,
                   boards=tuple(path for path in machine.boards if not phase.hidden(root, path)),
                   devices=tuple(device for device in machine.devices if not phase.hidden(root, device.path)),
                   links=tuple(link for link in machine.links if not phase.hidden(root, link[0])))


def remove(root: str) -> None:
    """Removes a built host, or what is left of one, with its folder; nothing happens if there is none.

    Raises NvsimError for a folder that nvsim did not make, and for one in which something is mounted."""
    if not os.path.lexists(root):
        return
    if not os.path.isdir(f"{root}/{META}"):
        raise NvsimError("nvsim did not build this, so it does not remove it", source=root)
    top = _locked(root)
    try:
        _clear(top, root)
    finally:
        os.close(top)
    with contextlib.suppress(OSError):  # a mount point, or a folder in one that we may not write
        os.rmdir(root)


def _machine(profile: Profile, planned: tuple[ops.Op, ...], placeholders: tuple[str, ...]) -> Machine:
    linked = profile.leftover.driver if profile.leftover.links else profile.driver
    libraries = sorted((op for op in planned if isinstance(op, ops.BoardLibrary)),
                       key=lambda op: (op.soname != "libnvidia-ml.so.1", op.path.startswith(f"{plan_wsl.STORES}/"),
                                       op.board.driver_version != linked))
    records = {gpu.bus_id: gpu for library in libraries for gpu in library.board.gpus}
    return Machine(
        format=FORMAT, profile=profile.name, about=profile.about, layout=profile.layout, driver=profile.driver,
        kernel_driver=profile.kernel_driver,
        cuda=libraries[0].board.cuda_version if profile.driver and libraries else "",
        driver_root=profile.driver_root, dev_root=profile.dev_root,
        boards=tuple(library.path for library in libraries),
        ld_directories=catalogue.layout(profile.layout, arch=profile.arch).ld_directories(),
        gpus=tuple(Gpu(index=gpu.index, minor=gpu.minor, uuid=gpu.uuid, bus_id=gpu.bus_id, model=gpu.model,
                       name=records[gpu.bus_id].name if gpu.bus_id in records else "", board_index=gpu.index,
                       mig=gpu.bus_id in records and records[gpu.bus_id].mig_mode is not None)
                   for gpu in profile.gpus),
        devices=tuple(Device(path=op.path, major=op.major, minor=op.minor, mode=op.mode, uid=op.uid, gid=op.gid)
                      for op in planned if isinstance(op, ops.CharDev)),
        links=tuple((op.path, op.target) for op in planned if isinstance(op, ops.Symlink) and "/dev/" in op.path),
        placeholders=placeholders, modules=_modules(planned),
        cache="kept" if profile.ldcache != Cache() or plan_leftover.alone(profile) else "fresh")


def _modules(planned: tuple[ops.Op, ...]) -> tuple[str, ...]:
    text = next((op.data.decode() for op in planned if op.path == "/proc/modules" and isinstance(op, ops.File)), "")
    return tuple(line.split()[0] for line in text.splitlines() if line.startswith("nvidia"))


def _by_folder(planned: Iterable[ops.Op]) -> Iterator[tuple[str, list[ops.Op]]]:
    """The ops of each folder; `plan` keeps them together."""
    folder, group = "", list[ops.Op]()
    for op in planned:
        parent = op.path.rpartition("/")[0]
        if parent != folder:
            yield folder, group
            folder, group = parent, []
        group.append(op)
    yield folder, group


class _Site:
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

    def __enter__(self) -> "_Site":
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._root)
                self._made_root = True
            self._top = _locked(self._root)
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
                _clear(self._top, self._root)
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


def _locked(root: str) -> int:
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
        _clear(top, root)
    elif found:
        raise NvsimError("the folder is not empty", source=root,
                         hint="choose another one" + (", or remove the host in it first" if META in found else ""))


def _clear(top: int, root: str) -> None:
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
