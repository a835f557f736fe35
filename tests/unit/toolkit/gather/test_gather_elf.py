"""ELF files → SONAME, needed libraries, architecture.  Checked against pyelftools and with any bytes."""

import struct
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import HostError
from toolkit.gather.elf import Elf, parse, read_elf

LIBRARIES = sorted({path.resolve() for path in Path("/lib").glob("*-linux-gnu/lib[a-m]*.so.*")})[:40]


def elf64(*entries: tuple[int, int], strings: bytes = b"\0libx.so.1\0liby.so.2\0") -> bytes:
    """A minimal 64-bit library: a header, one loaded and one dynamic segment, a dynamic section, strings."""
    dynamic, text = 64 + 2 * 56, b""
    entries = (*entries, (5, dynamic + 16 * (len(entries) + 2)), (0, 0))
    for tag, value in entries:
        text += struct.pack("<qQ", tag, value)
    text += strings
    size = dynamic + len(text)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    return header + load + struct.pack("<IIQQQQQQ", 2, 6, dynamic, dynamic, 0, 16 * len(entries), 0, 8) + text


def test_soname_and_needed_libraries_are_read() -> None:
    assert parse(elf64((14, 1), (1, 11))) == Elf(64, "x86_64", ("libx.so.1",), ("liby.so.2",))


def test_a_library_without_soname_has_none() -> None:
    assert parse(elf64()).sonames == ()


@pytest.mark.parametrize("path", LIBRARIES, ids=lambda path: path.name)
def test_real_libraries_read_as_pyelftools_reads_them(path: Path) -> None:
    with path.open("rb") as f:
        elf = ELFFile(f)
        dynamic = next(s for s in elf.iter_sections() if isinstance(s, DynamicSection))
        sonames = tuple(tag.soname for tag in dynamic.iter_tags("DT_SONAME"))
        needed = tuple(tag.needed for tag in dynamic.iter_tags("DT_NEEDED"))
        expected = (elf.elfclass, sonames, needed)
    read = read_elf(str(path))
    assert (read.bits, read.sonames, read.needed) == expected


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01" + bytes(58)])
def test_what_is_no_elf_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.so"
    path.write_bytes(content)
    if content.endswith(bytes(58)):
        assert read_elf(str(path)).sonames == ()
        return
    with pytest.raises(HostError) as caught:
        read_elf(str(path))
    assert caught.value.source == str(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError):
        read_elf(str(tmp_path / "missing"))


def test_tables_outside_the_file_are_errors() -> None:
    good = elf64((14, 1))
    for offset in (32, 56, 64 + 56 + 8, 64 + 56 + 32):  # phoff, phnum, offset and size of the dynamic segment
        bad = bytearray(good)
        bad[offset : offset + 2] = b"\xff\xff"
        bad[offset + 2 : offset + 6] = b"\xff" * 4 if offset != 56 else bad[offset + 2 : offset + 6]
        with pytest.raises(HostError):
            parse(bytes(bad))


@given(st.binary(max_size=300), st.integers(0, 250), st.binary(max_size=12))
def test_any_bytes_give_an_elf_or_an_error(junk: bytes, at: int, patch: bytes) -> None:
    good = bytearray(elf64((14, 1), (1, 11)))
    good[at : at + len(patch)] = patch
    for data in (junk, b"\x7fELF\x02\x01" + junk, b"\x7fELF\x01\x02" + junk, bytes(good), bytes(good[:at])):
        try:
            assert isinstance(parse(data), Elf)
        except HostError as e:
            assert e.message.startswith("invalid ELF file")
