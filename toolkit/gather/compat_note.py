"""The note by which a CUDA compatibility library says which drivers it works with.

Source: the ELF specification (gABI), "Sections", "Note Section"; toolkit v1.20 (reference: 08-cdi-hook, §6).
"""

import os
import struct

from toolkit.errors import HostError

SECTION, OWNER = b".note.cuda.fwd_compatibility", b"NVIDIA Corporation"
_SHT_NOTE = 7
_MOST_SECTIONS, _MOST_BYTES = 4096, 1 << 20

# Of each class: shoff's offset and format in the file header, offset of shentsize (then shnum, shstrndx), and the
# section header's fields name, type, flags, address, offset, size, link, info, alignment.
_CLASSES = {1: (32, "I", 46, "IIIIIIIII"), 2: (40, "Q", 58, "IIQQQQIIQ")}


def read_compat_note(fd: int) -> bytes | None:
    """The description in an ELF file's section of that name; None without such a section or with another owner's note.

    Reads the section table and that section only.  Raises HostError for what is no ELF file."""
    try:
        order, sections = _sections(fd)
        for name, kind, offset, size, alignment in sections:
            if name == SECTION and kind == _SHT_NOTE:
                return _description(_bytes(fd, offset, size), order, alignment)
    except struct.error:
        raise HostError("the file ends within its headers") from None
    except OSError as e:
        raise HostError(f"cannot read it: {e.strerror}") from None
    return None


def _bytes(fd: int, offset: int, size: int) -> bytes:
    if size > _MOST_BYTES or offset > 1 << 62:
        raise HostError(f"a section of {size} bytes at {offset} is not credible")
    return os.pread(fd, size, offset)


def _sections(fd: int) -> tuple[str, list[tuple[bytes, int, int, int, int]]]:
    """Byte order, and of each section its name, type, offset, size and alignment."""
    head = _bytes(fd, 0, 64)
    if head[:4] != b"\x7fELF" or len(head) < 20 or head[4] not in _CLASSES or head[5] not in (1, 2):
        raise HostError("bad magic number, not an ELF file")
    order = "<" if head[5] == 1 else ">"
    shoff_at, shoff_format, shentsize_at, fields = _CLASSES[head[4]]
    (table,) = struct.unpack_from(order + shoff_format, head, shoff_at)
    entry_size, count, names_index = struct.unpack_from(order + "HHH", head, shentsize_at)
    if not table or not count:
        return order, []
    layout = struct.Struct(order + fields)
    if entry_size < layout.size or count > _MOST_SECTIONS or names_index >= count:
        raise HostError("its section table is broken")
    raw = _bytes(fd, table, entry_size * count)
    entries = [layout.unpack_from(raw, index * entry_size) for index in range(count)]
    names = _bytes(fd, entries[names_index][4], entries[names_index][5])
    return order, [(names[e[0]:].partition(b"\0")[0], e[1], e[4], e[5], e[8]) for e in entries]


def _description(note: bytes, order: str, alignment: int) -> bytes | None:
    name_size, size, _ = struct.unpack_from(order + "III", note)
    step = max(alignment, 1)
    start = 12 + -(-name_size // step) * step
    if note[12 : 12 + name_size].rstrip(b"\0") != OWNER:
        return None
    if start + size > len(note):
        raise HostError("its compatibility note is cut short")
    return note[start : start + size]
