"""An ELF file → what a driver library says about itself: architecture, SONAME, needed libraries.

Source: the ELF specification (gABI), "Dynamic Section".  Total: any bytes give an Elf or a HostError; each offset and
size is checked against the size of the data, and no table longer than LIMIT is walked.
"""

import mmap
import struct
from typing import NamedTuple

from toolkit.errors import HostError

LIMIT = 4096  # program headers, dynamic entries: driver libraries have about ten and about forty
PT_LOAD, PT_DYNAMIC, PT_NOTE = 1, 2, 4
DT_NULL, DT_NEEDED, DT_STRTAB, DT_SONAME = 0, 1, 5, 14

MACHINES = {3: "i386", 21: "ppc64le", 40: "arm", 62: "x86_64", 183: "aarch64"}


class Elf(NamedTuple):
    """`sonames` has one item in any sane library; `machine` is e.g. "x86_64", or "" for one that we do not know."""

    bits: int
    machine: str
    sonames: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    abi_tag: tuple[int, int, int, int] | None = None  # the GNU note: OS (0 Linux) and oldest kernel


class _Layout(NamedTuple):
    """Where the fields lie in one ELF class."""

    header: str  # phoff, at offset 32 (28) of the header; phentsize, phnum
    phoff: int
    phentsize: int
    segment: struct.Struct
    order: tuple[int, int, int, int]  # of type, offset, vaddr, filesz in `segment`
    dynamic: struct.Struct


_LAYOUTS = {
    1: ("I", 28, 42, "IIIIIIII", (0, 1, 2, 4), "iI"),
    2: ("Q", 32, 54, "IIQQQQQQ", (0, 2, 3, 5), "qQ"),
}


def read_elf(path: str) -> Elf:
    """The ELF file at `path`.  Raises HostError if it cannot be read or is no ELF file."""
    try:
        with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return parse(data, path)
    except (OSError, ValueError) as e:  # ValueError: an empty file cannot be mapped
        raise HostError(f"cannot read it as an ELF file: {e}", source=path) from None


def parse(data: "bytes | mmap.mmap", source: str = "library") -> Elf:
    """The ELF file in `data`.  Raises HostError for anything else, or if a table points outside of it."""
    try:
        return _parse(data, source)
    except struct.error:
        raise _invalid(source, "it ends within its headers") from None


def _parse(data: "bytes | mmap.mmap", source: str) -> Elf:
    if data[:4] != b"\x7fELF" or len(data) < 20 or data[4] not in _LAYOUTS or data[5] not in (1, 2):
        raise _invalid(source, "not an ELF file")
    layout = _layout(data[4], "<" if data[5] == 1 else ">")
    bits = 32 * data[4]
    machine = MACHINES.get(struct.unpack_from(layout.header[0] + "H", data, 18)[0], "")
    segments = _segments(data, layout, source)
    sonames, needed = _names(data, layout, segments, source)
    return Elf(bits=bits, machine=machine, sonames=sonames, needed=needed, abi_tag=_abi_tag(data, layout, segments))


def _layout(elf_class: int, order: str) -> _Layout:
    phoff_format, phoff, phentsize, segment, fields, dynamic = _LAYOUTS[elf_class]
    return _Layout(
        header=order + phoff_format,
        phoff=phoff,
        phentsize=phentsize,
        segment=struct.Struct(order + segment),
        order=fields,
        dynamic=struct.Struct(order + dynamic),
    )


def _segments(data: "bytes | mmap.mmap", layout: _Layout, source: str) -> tuple[tuple[int, int, int, int], ...]:
    """(type, offset, address, size in the file) of each program header."""
    (table,) = struct.unpack_from(layout.header, data, layout.phoff)
    size, count = struct.unpack_from(layout.header[0] + "HH", data, layout.phentsize)
    if count > LIMIT or (count and size < layout.segment.size) or table + count * size > len(data):
        raise _invalid(source, "its program headers lie outside the file")
    rows = []
    for i in range(count):
        row = layout.segment.unpack_from(data, table + i * size)
        kind, offset, address, length = (row[field] for field in layout.order)
        rows.append((kind, offset, address, length))
    return tuple(rows)


def _names(
    data: "bytes | mmap.mmap", layout: _Layout, segments: tuple[tuple[int, int, int, int], ...], source: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The SONAMEs and the NEEDED names of the dynamic section; none without such a section."""
    dynamic = next((s for s in segments if s[0] == PT_DYNAMIC), None)
    if dynamic is None:
        return (), ()
    _, offset, _, length = dynamic
    if offset + length > len(data):
        raise _invalid(source, "its dynamic section lies outside the file")
    strings, wanted = -1, []
    for i in range(min(length // layout.dynamic.size, LIMIT)):
        tag, value = layout.dynamic.unpack_from(data, offset + i * layout.dynamic.size)
        if tag == DT_NULL:
            break
        if tag == DT_STRTAB:
            strings = _file_offset(segments, value, source)
        elif tag in (DT_SONAME, DT_NEEDED):
            wanted.append((tag, value))
    if wanted and strings < 0:
        raise _invalid(source, "its dynamic section has no string table")
    named = [(tag, _string(data, strings + value, source)) for tag, value in wanted]
    return tuple(n for t, n in named if t == DT_SONAME), tuple(n for t, n in named if t == DT_NEEDED)


def _file_offset(segments: tuple[tuple[int, int, int, int], ...], address: int, source: str) -> int:
    """Where an address of the loaded image lies in the file."""
    for kind, offset, start, length in segments:
        if kind == PT_LOAD and start <= address < start + length:
            return address - start + offset
    raise _invalid(source, f"address {address:#x} is in no loaded segment")


def _string(data: "bytes | mmap.mmap", offset: int, source: str) -> str:
    end = data.find(b"\0", offset, offset + LIMIT) if offset < len(data) else -1
    if end < 0:
        raise _invalid(source, f"a string at offset {offset} lies outside the file")
    return data[offset:end].decode(errors="surrogateescape")


def _abi_tag(
    data: "bytes | mmap.mmap", layout: _Layout, segments: tuple[tuple[int, int, int, int], ...]
) -> tuple[int, int, int, int] | None:
    """The content of the GNU note of type 1: OS and the oldest kernel that the library accepts."""
    order, left = layout.header[0], LIMIT
    for kind, offset, _address, length in segments:
        end = min(offset + length, len(data))
        while kind == PT_NOTE and offset + 12 <= end and (left := left - 1):
            name_size, size, note = struct.unpack_from(order + "III", data, offset)
            content = offset + 12 + ((name_size + 3) & ~3)
            if note == 1 and data[offset + 12 : offset + 16] == b"GNU\0" and size >= 16 and content + 16 <= end:
                words = struct.unpack_from(order + "IIII", data, content)
                return words[0], words[1], words[2], words[3]
            offset = content + ((size + 3) & ~3)
    return None


def _invalid(source: str, why: str) -> HostError:
    return HostError(f"invalid ELF file: {why}", source=source)
