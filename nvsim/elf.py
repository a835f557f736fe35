"""Writes the smallest valid shared object: a SONAME, the libraries it needs, functions that return a constant.

The result is indexed by ldconfig, loaded by the system's loader, and read by binutils and pyelftools.  Layout facts:
System V ABI, chapters 4 and 5; the psABI supplements for the machine numbers and page sizes.

A file is two loadable segments over one run of bytes: everything up to the code (read, execute), and the dynamic
section (read, write, because loaders relocate its addresses in place).
"""

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Arch = Literal["x86_64", "i386", "aarch64"]

_PT_LOAD, _PT_DYNAMIC, _PT_NOTE, _PT_GNU_STACK = 1, 2, 4, 0x6474E551
_DT_NEEDED, _DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SYMENT, _DT_SONAME = 1, 4, 5, 6, 10, 11, 14
_SHT_PROGBITS, _SHT_STRTAB, _SHT_HASH, _SHT_DYNAMIC, _SHT_NOTE, _SHT_DYNSYM = 1, 3, 5, 6, 7, 11
_ALLOC, _WRITE, _EXECUTE = 2, 1, 4  # section flags


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """What differs between architectures.  `page` is the largest page size that a kernel for it may use."""

    number: int
    wide: bool
    page: int


_MACHINES: dict[str, _Machine] = {
    "x86_64": _Machine(number=62, wide=True, page=0x1000),
    "i386": _Machine(number=3, wide=False, page=0x1000),
    "aarch64": _Machine(number=183, wide=True, page=0x10000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    name: str
    kind: int
    flags: int
    data: bytes
    align: int
    link: str = ""
    info: int = 0
    entry_size: int = 0


@lru_cache(maxsize=512)
def shared_object(*, arch: Arch = "x86_64", soname: str = "", needed: tuple[str, ...] = (),
                  exports: tuple[tuple[str, int], ...] = (), abi: tuple[int, int, int] | None = None) -> bytes:
    """The bytes of a shared object.  `exports` are functions and the 32-bit value that each returns.

    `abi` adds a `.note.ABI-tag` that asks for at least this Linux version; libnvidia-tls carries (2, 3, 99)."""
    machine = _MACHINES[arch]
    strings = _StringTable()
    for name in (soname, *needed, *(name for name, _ in exports)):
        strings.add(name)
    code, places = _code(arch, [value for _, value in exports])
    sections = [
        *([_Section(name=".note.ABI-tag", kind=_SHT_NOTE, flags=_ALLOC, data=_abi_note(abi), align=4)] if abi else []),
        _Section(name=".hash", kind=_SHT_HASH, flags=_ALLOC, data=_hash([name for name, _ in exports]), align=8,
                 link=".dynsym", entry_size=4),
        _Section(name=".dynsym", kind=_SHT_DYNSYM, flags=_ALLOC, data=bytes(_symbol_size(machine) * (1 + len(exports))),
                 align=8, link=".dynstr", info=1, entry_size=_symbol_size(machine)),
        _Section(name=".dynstr", kind=_SHT_STRTAB, flags=_ALLOC, data=strings.bytes(), align=1),
        _Section(name=".text", kind=_SHT_PROGBITS, flags=_ALLOC | _EXECUTE, data=code, align=16),
    ]
    offsets = _place(sections, start=_header_size(machine, segments=5 if abi else 4))
    text = [section.name for section in sections].index(".text")
    symbols = _symbols(machine, [(strings.add(name), offsets[".text"] + place, size, text + 1)
                                 for (name, _), (place, size) in zip(exports, places, strict=True)])
    sections = [_with(s, data=symbols) if s.name == ".dynsym" else s for s in sections]
    dynamic = _dynamic(machine, [(_DT_NEEDED, strings.add(name)) for name in needed]
                       + ([(_DT_SONAME, strings.add(soname))] if soname else [])
                       + [(_DT_HASH, offsets[".hash"]), (_DT_STRTAB, offsets[".dynstr"]),
                          (_DT_SYMTAB, offsets[".dynsym"]), (_DT_STRSZ, len(strings.bytes())),
                          (_DT_SYMENT, _symbol_size(machine))])
    sections.append(_Section(name=".dynamic", kind=_SHT_DYNAMIC, flags=_ALLOC | _WRITE, data=dynamic, align=8,
                             link=".dynstr", entry_size=16 if machine.wide else 8))
    return _file(machine, sections)


class _StringTable:
    """A string table: offset 0 is the empty string."""

    def __init__(self) -> None:
        self._data = b"\0"
        self._places = {"": 0}

    def add(self, text: str) -> int:
        """The offset of a string, which is added if it is not there yet."""
        if text not in self._places:
            self._places[text] = len(self._data)
            self._data += text.encode() + b"\0"
        return self._places[text]

    def bytes(self) -> bytes:
        return self._data


def _with(section: _Section, *, data: bytes) -> _Section:
    return _Section(name=section.name, kind=section.kind, flags=section.flags, data=data, align=section.align,
                    link=section.link, info=section.info, entry_size=section.entry_size)


def _abi_note(version: tuple[int, int, int]) -> bytes:
    """An ABI tag note: owner GNU, type 1; operating system 0 (Linux), then the oldest kernel version."""
    return struct.pack("<III4sIIII", 4, 16, 1, b"GNU\0", 0, *version)


def _hash(names: list[str]) -> bytes:
    """A System V symbol hash table with one bucket: the chain runs through every symbol."""
    chain = [index + 1 if index < len(names) else 0 for index in range(1, len(names) + 1)]
    return struct.pack(f"<{4 + len(chain)}I", 1, len(names) + 1, 1 if names else 0, 0, *chain)


def _code(arch: Arch, values: list[int]) -> tuple[bytes, list[tuple[int, int]]]:
    """Functions that return the values; with each function's offset and size."""
    functions = [_aarch64(value) if arch == "aarch64" else _x86(value) for value in values] or [b"\0"]
    code, places = b"", []
    for function in functions:
        code += bytes(-len(code) % 16)
        places.append((len(code), len(function)))
        code += function
    return code, places[: len(values)]


def _x86(value: int) -> bytes:
    """mov eax, value; ret: the same bytes in 32- and 64-bit mode."""
    return struct.pack("<BIB", 0xB8, value & 0xFFFFFFFF, 0xC3)


def _aarch64(value: int) -> bytes:
    """movz w0, low half; movk w0, high half, lsl 16; ret."""
    return struct.pack("<III", 0x52800000 | (value & 0xFFFF) << 5, 0x72A00000 | (value >> 16 & 0xFFFF) << 5, 0xD65F03C0)


def _symbol_size(machine: _Machine) -> int:
    return 24 if machine.wide else 16


def _symbols(machine: _Machine, symbols: list[tuple[int, int, int, int]]) -> bytes:
    """Global functions: offset of the name, address, size, index of their section; after the null symbol."""
    info = 1 << 4 | 2  # STB_GLOBAL, STT_FUNC
    data = bytes(_symbol_size(machine))
    for name, address, size, section in symbols:
        data += (struct.pack("<IBBHQQ", name, info, 0, section, address, size) if machine.wide
                 else struct.pack("<IIIBBH", name, address, size, info, 0, section))
    return data


def _dynamic(machine: _Machine, entries: list[tuple[int, int]]) -> bytes:
    return b"".join(struct.pack("<QQ" if machine.wide else "<II", *entry) for entry in [*entries, (0, 0)])


def _header_size(machine: _Machine, segments: int) -> int:
    return 64 + 56 * segments if machine.wide else 52 + 32 * segments


def _place(sections: list[_Section], start: int) -> dict[str, int]:
    """File offset of each section; for all but the last one the address is the same."""
    offsets = {}
    for section in sections:
        offsets[section.name] = start = start + -start % section.align
        start += len(section.data)
    return offsets


def _file(machine: _Machine, sections: list[_Section]) -> bytes:
    """Header, segments, sections, section names, section table.  The last section is the writable one."""
    dynamic = sections[-1]
    note = sections[0] if sections[0].kind == _SHT_NOTE else None
    offsets = _place(sections, start=_header_size(machine, segments=5 if note else 4))
    addresses = {**offsets, dynamic.name: offsets[dynamic.name] + machine.page}
    end = offsets[".text"] + len(sections[-2].data)
    size = len(dynamic.data)
    segments = [(_PT_LOAD, 5, 0, 0, end, machine.page),
                (_PT_LOAD, 6, offsets[dynamic.name], addresses[dynamic.name], size, machine.page),
                (_PT_DYNAMIC, 6, offsets[dynamic.name], addresses[dynamic.name], size, 8),
                *([(_PT_NOTE, 4, offsets[note.name], offsets[note.name], len(note.data), 4)] if note else []),
                (_PT_GNU_STACK, 6, 0, 0, 0, 16)]
    names = _StringTable()
    name_offsets = [names.add(section.name) for section in sections] + [names.add(".shstrtab")]
    body = b"".join(_segment(machine, *segment) for segment in segments)
    start = 64 if machine.wide else 52
    for section in sections:
        body += bytes(offsets[section.name] - start - len(body)) + section.data
    names_at = start + len(body)
    body += names.bytes()
    body += bytes(-(start + len(body)) % 8)
    table_at = start + len(body)
    index = {section.name: place for place, section in enumerate(sections, start=1)}
    table = [_section_header(machine, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)]
    for name, section in zip(name_offsets, sections, strict=False):
        table.append(_section_header(machine, name, section.kind, section.flags, addresses[section.name],
                                     offsets[section.name], len(section.data), index.get(section.link, 0),
                                     section.info, section.align, section.entry_size))
    table.append(_section_header(machine, name_offsets[-1], _SHT_STRTAB, 0, 0, names_at, len(names.bytes()),
                                 0, 0, 1, 0))
    return _elf_header(machine, table_at, len(segments), len(table)) + body + b"".join(table)


def _elf_header(machine: _Machine, table_at: int, segments: int, sections: int) -> bytes:
    identity = b"\x7fELF" + bytes([2 if machine.wide else 1, 1, 1]) + bytes(9)
    sizes = (64, 64, 56, segments, 64, sections) if machine.wide else (52, 52, 32, segments, 40, sections)
    form = "<HHIQQQIHHHHHH" if machine.wide else "<HHIIIIIHHHHHH"
    return identity + struct.pack(form, 3, machine.number, 1, 0, sizes[0], table_at, 0, *sizes[1:], sections - 1)


def _segment(machine: _Machine, kind: int, flags: int, offset: int, address: int, size: int, align: int) -> bytes:
    if machine.wide:
        return struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, size, align)
    return struct.pack("<IIIIIIII", kind, offset, address, address, size, size, flags, align)


def _section_header(machine: _Machine, *fields: int) -> bytes:
    """The fields in the ABI's order: name, type, flags, address, offset, size, link, info, alignment, entry size."""
    return struct.pack("<IIQQQQIIQQ" if machine.wide else "<IIIIIIIIII", *fields)
