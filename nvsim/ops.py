"""What building a host does, as values: each op makes one entry of the tree.  `nvsim.build` carries them out.

Paths are those of the emulated host and begin with "/".  Modes are permission bits; sizes are bytes."""

from dataclasses import dataclass

from nvsim.board import Board


@dataclass(frozen=True, slots=True, kw_only=True)
class Dir:
    """A folder."""

    path: str
    mode: int = 0o755

    def describe(self) -> str:
        return f"folder   {self.path} ({self.mode:04o})"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A regular file.  With `size` it is that long, zeros after `data`, which take no space."""

    path: str
    data: bytes
    mode: int = 0o644
    size: int = 0

    def describe(self) -> str:
        return f"file     {self.path} ({max(len(self.data), self.size)} bytes, {self.mode:04o})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Symlink:
    """A symbolic link."""

    path: str
    target: str

    def describe(self) -> str:
        return f"link     {self.path} -> {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CharDev:
    """A character device node.  Where none can be made, an empty file stands for it if `placeholder`."""

    path: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0
    placeholder: bool = True

    def describe(self) -> str:
        return f"node     {self.path} c {self.major}:{self.minor} ({self.mode:04o}, {self.uid}:{self.gid})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """A unix socket that nobody listens on."""

    path: str
    mode: int = 0o777

    def describe(self) -> str:
        return f"socket   {self.path} ({self.mode:04o})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fifo:
    """A named pipe."""

    path: str
    mode: int = 0o666

    def describe(self) -> str:
        return f"pipe     {self.path} ({self.mode:04o})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A stub written by nvsim.elf: see `elf.shared_object` for the fields."""

    path: str
    arch: str
    soname: str = ""
    needed: tuple[str, ...] = ()
    exports: tuple[tuple[str, int], ...] = ()
    abi: tuple[int, int, int] | None = None
    mode: int = 0o644

    def describe(self) -> str:
        return f"library  {self.path} ({self.arch}, {self.soname or 'no SONAME'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A copy of a compiled part of nvsim: a program, or with a `soname` a library, which ldconfig indexes."""

    path: str
    artifact: str
    arch: str
    mode: int = 0o755
    soname: str = ""

    def describe(self) -> str:
        return f"artifact {self.path} ({self.artifact}, {self.arch})"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardLibrary:
    """A compiled driver library with the host's board written into it (DESIGN D3).

    `soname` is what the compiled library carries: ldconfig indexes it like a stub.  The board's `dev_root` is set by
    whoever builds."""

    path: str
    artifact: str
    arch: str
    soname: str
    board: Board
    mode: int = 0o644

    def describe(self) -> str:
        return f"board    {self.path} ({self.artifact}, {len(self.board.gpus)} GPUs)"


Op = Dir | File | Symlink | CharDev | Socket | Fifo | Library | Artifact | BoardLibrary
