"""The board: the machine that a driver library carries (DESIGN D3).

libnvidia-ml.so and libcuda.so each have a read-only section that holds a header and up to 64 GPU records.  `write`
fills it in a copy of the library; `update` changes a record while programs have the file mapped, and they see it at
once, because a page that nobody wrote to is the file's page.  Each record lies there twice.  A writer holds a lock on
the file, fills the copy that does not count, and then raises the generation number, which makes it the one that
counts; a reader starts again if the number changed meanwhile.  So nobody waits for a writer, not even for one that was
killed.  Write to the file itself: through an overlay mount the kernel would make a copy, and the programs would go on
reading the original.
"""

import contextlib
import fcntl
import os
import re
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from nvsim.board_events import Event, raised
from nvsim.board_gpu import COPIES, RECORD, SLOT_SIZE, Gpu
from nvsim.board_layout import Layout, array, layout_of, text, texts, u32
from nvsim.board_processes import consequences
from nvsim.errors import NvsimError

__all__ = ["ADAPTERS", "CAPACITY", "FORMAT", "HEADER", "MAGIC", "RECORD", "SECTION", "SETTABLE", "Adapter", "Board",
           "Gpu", "Header", "Layout", "edit", "push_event", "read", "update", "update_header", "write"]

MAGIC = b"NVSIMBRD"
FORMAT = 1
SECTION = ".nvsim.board"
CAPACITY = 64
ADAPTERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first bytes of the section: what it is, and the facts of the host that belong to no GPU."""

    magic: str = text(16, "NVSIMBRD", default=MAGIC.decode())
    format: int = u32("version of this layout", default=FORMAT)
    header_size: int = u32("bytes of this struct")
    gpu_size: int = u32("bytes of a GPU record")
    gpu_capacity: int = u32("records in the section", default=CAPACITY)
    gpu_count: int = u32("records in use")
    driver_loaded: int = u32("1 if the kernel modules are loaded", live=True)
    cuda_version: int = u32("1000 * major + 10 * minor")
    driver_version: str = text(32, "version of the user-space driver, e.g. 550.54.15")
    kernel_version: str = text(32, "version of the kernel modules; a difference is a mismatch", live=True)
    nvml_version: str = text(32, "CUDA major and driver version, e.g. 12.550.54.15")
    dev_root: str = text(1024, "folder that holds dev/; on a machine / or /:FOLDER, tried in that order")
    driver_branch: int = u32("first number of the driver's version, e.g. 550")
    driver_release: int = u32("second number of the driver's version, e.g. 54")
    windows_version: str = text(32, "WSL 2: version of the Windows driver that this library came with; else empty")
    adapter_count: int = u32("WSL 2: adapters that libdxcore.so lists")
    adapter_wddm: tuple[int, ...] = array("u32", ADAPTERS, "WDDM version of each, 2700 is 2.7")
    adapter_luid: tuple[int, ...] = array("u64", ADAPTERS, "locally unique id of each")
    adapter_store: tuple[str, ...] = texts(ADAPTERS, 192, "path of the driver store of each")


HEADER = layout_of(Header)
SETTABLE = {slot.name: slot.about for slot in RECORD.slots if slot.live}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A display adapter of Windows, as a WSL 2 machine sees it.  `wddm` is 2700 for WDDM 2.7; `store` a path."""

    luid: int
    wddm: int
    store: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A host as the driver library sees it.  `cuda_version` is text, "12.4"; `dev_root` is where its dev/ lies;
    "/:FOLDER" looks into /dev first.

    `windows_version` is set on a WSL 2 machine: /dev/dxg decides there what a process sees, and `kernel_version` is the
    driver that Windows has loaded."""

    driver_version: str
    cuda_version: str
    gpus: tuple[Gpu, ...]
    kernel_version: str = ""
    nvml_version: str = ""
    dev_root: str = "/"
    driver_loaded: bool = True
    windows_version: str = ""
    adapters: tuple[Adapter, ...] = ()

    def header(self) -> Header:
        """The header of this host.  An empty kernel or NVML version follows from the driver's.

        Raises NvsimError for a CUDA version that is not MAJOR.MINOR."""
        branch, release = (*map(int, re.findall(r"\d+", self.driver_version)[:2]), 0, 0)[:2]
        found = re.fullmatch(r"(\d{1,3})\.(\d)", self.cuda_version)
        if not found:
            raise NvsimError(f"expected a CUDA version such as 12.4, got {self.cuda_version!r}", source="cuda_version")
        return Header(header_size=HEADER.size, gpu_size=RECORD.size, gpu_count=len(self.gpus),
                      driver_loaded=int(self.driver_loaded), driver_version=self.driver_version,
                      driver_branch=branch, driver_release=release,
                      cuda_version=int(found[1]) * 1000 + int(found[2]) * 10, dev_root=self.dev_root,
                      kernel_version=self.kernel_version or self.windows_version or self.driver_version,
                      windows_version=self.windows_version, adapter_count=len(self.adapters),
                      adapter_wddm=tuple(adapter.wddm for adapter in self.adapters),
                      adapter_luid=tuple(adapter.luid for adapter in self.adapters),
                      adapter_store=tuple(adapter.store for adapter in self.adapters),
                      nvml_version=self.nvml_version or f"{found[1]}.{self.driver_version}")


def write(path: str, board: Board) -> None:
    """Fills the board of a driver library, as part of building a host; programs that map it see all of it change.

    Raises NvsimError for a file without a board, too many GPUs, or a value that does not fit."""
    if len(board.gpus) > CAPACITY:
        raise NvsimError(f"{len(board.gpus)} GPUs; a host has at most {CAPACITY}", source=path)
    records = [_pack(RECORD, gpu) for gpu in board.gpus]
    data = _pack(HEADER, board.header()) + b"".join(bytes(COPIES) + record * 2 for record in records)
    with _opened(path) as (fd, start):
        _pwrite(fd, data, start)


def read(path: str) -> Board:
    """The host that a driver library carries.  Raises NvsimError for a file without a board of this format."""
    with _opened(path, write=False) as (fd, start):
        header = Header(**HEADER.unpack(os.pread(fd, HEADER.size, start)))
        slots = [start + HEADER.size + i * SLOT_SIZE for i in range(min(header.gpu_count, CAPACITY))]
        gpus = [_record(fd, slot)[1] for slot in slots]
    return Board(driver_version=header.driver_version, kernel_version=header.kernel_version, dev_root=header.dev_root,
                 nvml_version=header.nvml_version, driver_loaded=bool(header.driver_loaded),
                 cuda_version=f"{header.cuda_version // 1000}.{header.cuda_version % 1000 // 10}",
                 windows_version=header.windows_version, adapters=_adapters(header),
                 gpus=tuple(Gpu(**gpu) for gpu in gpus))


def _adapters(header: Header) -> tuple[Adapter, ...]:
    each = zip(header.adapter_luid, header.adapter_wddm, header.adapter_store, strict=True)
    return tuple(Adapter(luid=luid, wddm=wddm, store=store) for luid, wddm, store in each)[:header.adapter_count]


def update(path: str, gpu_index: int, **changes: Any) -> None:
    """Changes live values of a GPU, by its place on the board: all at once for every reader.

    Raises NvsimError for an unknown name, a value that does not fit, or a GPU that the host does not have."""
    unknown = [name for name in changes if name not in SETTABLE]
    if unknown:
        raise NvsimError(f"{unknown[0]!r} cannot be changed", source=path, hint=f"known: {', '.join(SETTABLE)}")
    with _opened(path) as (fd, start):
        _change(fd, _slot(fd, start, gpu_index, path), changes)


def edit(path: str, gpu_index: int, change: Callable[[Gpu], Mapping[str, Any]]) -> None:
    """Changes a GPU by what it is now: `change` gets the record and gives the new values of some of its fields.

    No other writer comes between.  Any field may change, also one that is not live.  Raises NvsimError as `update`."""
    with _opened(path) as (fd, start):
        slot = _slot(fd, start, gpu_index, path)
        _change(fd, slot, dict(change(Gpu(**_record(fd, slot)[1]))))


def update_header(path: str, **changes: Any) -> None:
    """Changes driver_loaded or kernel_version: a driver that is unloaded, or replaced under running programs.

    Programs look at them when they initialise NVML."""
    unknown = [name for name in changes if name not in {slot.name for slot in HEADER.slots if slot.live}]
    if unknown:
        raise NvsimError(f"{unknown[0]!r} cannot be changed", source=path)
    with _opened(path) as (fd, start):
        for name, value in changes.items():
            _pwrite(fd, HEADER.slot(name).pack(value), start + HEADER.slot(name).offset)


def follow(path: str, source: str, *, dev_root: str) -> None:
    """Gives a driver library the board of another one, for use in another place: its `dev/` lies in `dev_root`.

    Programs that map it see each GPU change all at once.  Raises NvsimError for a file without a board."""
    with _opened(source, write=False) as (old, old_start), _opened(path) as (new, new_start):
        header = HEADER.unpack(os.pread(old, HEADER.size, old_start)) | {"dev_root": dev_root}
        _pwrite(new, HEADER.pack(header), new_start)
        for index in range(min(header["gpu_count"], CAPACITY)):
            offset = HEADER.size + index * SLOT_SIZE
            values = _record(old, old_start + offset)[1]
            if values != _record(new, new_start + offset)[1]:
                _change(new, new_start + offset, values)


def push_event(path: str, gpu_index: int, event_type: int, event_data: int = 0) -> None:
    """Makes an event happen on a GPU: processes that wait in nvmlEventSetWait for its type get it.

    `event_type` is one nvmlEventType* bit, `event_data` the Xid number for type 8."""
    edit(path, gpu_index, lambda gpu: raised(gpu, Event(type=event_type, data=event_data)))


def _pack(layout: Layout, value: Any) -> bytes:
    return layout.pack({f.name: getattr(value, f.name) for f in fields(value)})


def _record(fd: int, slot: int) -> tuple[int, dict[str, Any]]:
    """Generation and values of a GPU."""
    generation, = struct.unpack("<I", os.pread(fd, 4, slot))
    return generation, RECORD.unpack(os.pread(fd, RECORD.size, slot + COPIES + (generation & 1) * RECORD.size))


def _change(fd: int, slot: int, changes: dict[str, Any]) -> None:
    """Fills the copy of the next generation, and makes it count."""
    generation, values = _record(fd, slot)
    changes = consequences(values, changes, time.time_ns() // 1000) | changes
    following = (generation + 1) & 0xFFFFFFFF
    _pwrite(fd, RECORD.pack(values | changes), slot + COPIES + (following & 1) * RECORD.size)
    _pwrite(fd, struct.pack("<I", following), slot)


def _slot(fd: int, start: int, index: int, path: str) -> int:
    count = int(HEADER.slot("gpu_count").unpack(os.pread(fd, HEADER.size, start)) or 0)
    if not 0 <= index < count:
        raise NvsimError(f"no GPU {index}: the host has {count}", source=path)
    return start + HEADER.size + index * SLOT_SIZE


@contextlib.contextmanager
def _opened(path: str, *, write: bool = True) -> Iterator[tuple[int, int]]:
    """The open file, locked against other writers, and where its board starts."""
    try:
        fd = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC)
    except OSError as e:
        raise NvsimError(f"cannot open the driver library: {e.strerror}", source=path) from e
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if write else fcntl.LOCK_SH)
        yield fd, _section(fd, path)
    finally:
        os.close(fd)


def _section(fd: int, path: str) -> int:
    """File offset of the board, by the ELF section table.  Raises NvsimError if there is none of this format."""
    try:
        offset, size = _find_section(fd)
    except (struct.error, ValueError, OverflowError, OSError) as e:
        raise NvsimError("not a library with a board", source=path, hint="build one: nvsim build") from e
    head = os.pread(fd, 24, offset)
    if size < HEADER.size + CAPACITY * SLOT_SIZE or head[:9] != MAGIC + b"\0":
        raise NvsimError("the board is damaged", source=path)
    if struct.unpack_from("<I", head, HEADER.slot("format").offset)[0] != FORMAT:
        raise NvsimError("the board has another format", source=path, hint="compile the library again")
    return offset


def _find_section(fd: int) -> tuple[int, int]:
    """Offset and size of SECTION in a 64-bit little-endian ELF file (System V gABI, "Sections").  Raises ValueError."""
    head = os.pread(fd, 64, 0)
    if head[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit ELF file")
    table, = struct.unpack_from("<Q", head, 0x28)
    entry_size, count, names_index = struct.unpack_from("<3H", head, 0x3A)
    data = os.pread(fd, entry_size * count, table)
    entries = [struct.unpack_from("<IIQQQQ", data, i * entry_size) for i in range(count)]
    _, _, _, _, names_offset, names_size = entries[names_index] if names_index < count else (0, 0, 0, 0, 0, 0)
    names = os.pread(fd, names_size, names_offset)
    for name, _, _, _, offset, size in entries:
        if names[name:names.find(b"\0", name)] == SECTION.encode():
            return offset, size
    raise ValueError(f"no section {SECTION}")


def _pwrite(fd: int, data: bytes, offset: int) -> None:
    while data:
        done = os.pwrite(fd, data, offset)
        data, offset = data[done:], offset + done
