"""ld.so.cache → entries.

Source: glibc's cache format 1.1, as toolkit v1.20 and libnvidia-container 1.20 read it.  Total: any bytes give entries
or a HostError; every count and offset is checked against the size of the data before it is used.
"""

import struct
from typing import NamedTuple

from toolkit.errors import HostError

OLD_MAGIC = b"ld.so-1.7.0"
NEW_MAGIC = b"glibc-ld.so.cache1.1"
OLD_HEADER, OLD_ENTRY, NEW_HEADER = 16, 12, 48
ENTRY = struct.Struct("=iIIIQ")  # flags, key, value, osversion, hwcap

ELF_TYPE, ELF = 0x00FF, 0x0001
ARCHITECTURE = 0xFF00
BITS = {0x0300: 64, 0x0A00: 64, 0x0500: 64, 0x0800: 32, 0x0900: 32, 0x0000: 32}
"""x86-64, aarch64, ppc64le; x32, ARM hard float, i386.  Entries of other architectures are not ours to read."""


class Entry(NamedTuple):
    """A library that the loader knows: `name` is what programs ask for, `path` where ldconfig found it."""

    flags: int
    name: str
    path: str

    @property
    def architecture(self) -> int:
        """The architecture bits of the flags, e.g. 0x0300 for x86-64."""
        return self.flags & ARCHITECTURE

    @property
    def bits(self) -> int:
        """64 or 32; 0 for an entry that is no ELF library, or of an architecture that we do not know."""
        return BITS.get(self.architecture, 0) if self.flags & ELF_TYPE & ELF else 0


def parse(data: bytes, source: str = "ld.so.cache") -> tuple[Entry, ...]:
    """The entries in the order of the file.  Raises HostError ("invalid ld.so.cache file") for any other bytes."""
    start = _new_header(data)
    if start < 0 or len(data) < start + NEW_HEADER:
        raise _invalid(source, "its header is neither ld.so-1.7.0 nor glibc-ld.so.cache1.1")
    (count,) = struct.unpack_from("=I", data, start + len(NEW_MAGIC))
    first = start + NEW_HEADER
    if count * ENTRY.size > len(data) - first:
        raise _invalid(source, f"it announces {count} entries and ends before them")
    entries = []
    for flags, key, value, _osversion, _hwcap in ENTRY.iter_unpack(data[first : first + count * ENTRY.size]):
        entries.append(Entry(flags, _string(data, start + key, source), _string(data, start + value, source)))
    return tuple(entries)


def _new_header(data: bytes) -> int:
    """Where the new format starts: at once, or behind the old one on a multiple of 8; −1 if nowhere."""
    if data.startswith(NEW_MAGIC):
        return 0
    if not data.startswith(OLD_MAGIC) or len(data) < OLD_HEADER:
        return -1
    (count,) = struct.unpack_from("=I", data, OLD_HEADER - 4)
    start = (OLD_HEADER + count * OLD_ENTRY + 7) & ~7
    return int(start) if data.startswith(NEW_MAGIC, start) else -1


def _string(data: bytes, offset: int, source: str) -> str:
    """The NUL-terminated string at an offset."""
    end = data.find(b"\0", offset) if offset < len(data) else -1
    if end < 0:
        raise _invalid(source, f"a string at offset {offset} lies outside the file")
    return data[offset:end].decode(errors="surrogateescape")


def _invalid(source: str, why: str) -> HostError:
    return HostError(f"invalid ld.so.cache file: {why}", source=source, hint="run ldconfig to write it anew")
