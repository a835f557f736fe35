"""The compatibility note of an ELF file."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import HostError
from toolkit.gather.compat_note import OWNER, SECTION, read_compat_note


def note(description, owner=OWNER, order="<", step=4):
    name = owner + b"\0"
    padded = name + bytes(-len(name) % step)
    return struct.pack(order + "III", len(name), len(description), 1) + padded + description


def elf(content, *, order="<", bits=64, name=SECTION, kind=7, alignment=4):
    """The smallest ELF file with one named section."""
    names = b"\0" + name + b"\0.shstrtab\0"
    header = 64 if bits == 64 else 52
    fields = "IIQQQQIIQQ" if bits == 64 else "IIIIIIIIII"
    table = header + len(content) + len(names)

    def section(name_at, section_kind, offset, size, align):
        return struct.pack(order + fields, name_at, section_kind, 0, 0, offset, size, 0, 0, align, 0)

    sections = (section(0, 0, 0, 0, 0) + section(1, kind, header, len(content), alignment)
                + section(len(name) + 2, 3, header + len(content), len(names), 1))
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    rest = struct.pack(order + ("HHIQQQIHHHHHH" if bits == 64 else "HHIIIIIHHHHHH"), 3, 62, 1, 0, 0, table, 0, header,
                       0, 0, struct.calcsize(order + fields), 3, 2)
    return ident + rest + content + names + sections


def read(data):
    fd = os.memfd_create("elf")
    try:
        os.write(fd, data)
        return read_compat_note(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("step", [4, 8])
def test_the_description_is_found_in_every_class_and_byte_order(order, bits, step):
    assert read(elf(note(b"{}", order=order, step=step), order=order, bits=bits, alignment=step)) == b"{}"


def test_another_owner_section_or_type_is_no_note():
    assert read(elf(note(b"{}", owner=b"GNU"))) is None
    assert read(elf(note(b"{}"), name=b".note.other")) is None
    assert read(elf(note(b"{}"), kind=1)) is None


@pytest.mark.parametrize("wrong", [b"", b"text", b"\x7fELF", elf(note(b"{}"))[:40], elf(b""), elf(note(b"{}")[:-1])])
def test_a_broken_file_is_an_error(wrong):
    with pytest.raises(HostError):
        read(wrong)


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 255))
def test_any_bytes_are_a_note_none_or_an_error(garbage, position, value):
    good = bytearray(elf(note(b"{}")))
    good[position % len(good)] = value
    for data in (garbage, bytes(good), b"\x7fELF\x02\x01" + garbage):
        try:
            read(data)
        except HostError:
            pass
