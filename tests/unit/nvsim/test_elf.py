"""Shared objects: what we write, read back by other programs."""

import ctypes
import io
import platform
import struct
import subprocess
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.hash import ELFHashSection
from elftools.elf.sections import NoteSection, SymbolTableSection
from hypothesis import given
from hypothesis import strategies as st

from nvsim.elf import Arch, shared_object

ARCHITECTURES: tuple[Arch, ...] = ("x86_64", "i386", "aarch64")
NAMES = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
EXPORTS = (("cuInit", 100), ("cuDeviceGetCount", -5), ("cuDriverGetVersion", 0))


def read(data: bytes) -> ELFFile:
    return ELFFile(io.BytesIO(data))


def tags(elf: ELFFile) -> list[tuple[str, object]]:
    dynamic = elf.get_section_by_name(".dynamic")
    assert isinstance(dynamic, DynamicSection)
    named = {"DT_NEEDED": "needed", "DT_SONAME": "soname"}
    return [(tag.entry.d_tag, getattr(tag, named[tag.entry.d_tag]) if tag.entry.d_tag in named else tag.entry.d_val)
            for tag in dynamic.iter_tags()]


@pytest.mark.parametrize(("arch", "machine", "bits"), [("x86_64", "x64", 64), ("i386", "x86", 32),
                                                       ("aarch64", "AArch64", 64)])
def test_an_architecture_has_its_machine_class_and_order(arch: Arch, machine: str, bits: int) -> None:
    elf = read(shared_object(arch=arch, soname="libx.so.1"))
    assert (elf.get_machine_arch(), elf.elfclass, elf.little_endian, elf["e_type"]) == (machine, bits, True, "ET_DYN")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_soname_needed_and_exports_are_read_back(arch: Arch) -> None:
    elf = read(shared_object(arch=arch, soname="libcuda.so.1", needed=("libm.so.6", "libc.so.6"), exports=EXPORTS))
    found = tags(elf)
    assert [value for tag, value in found if tag == "DT_NEEDED"] == ["libm.so.6", "libc.so.6"]
    assert ("DT_SONAME", "libcuda.so.1") in found
    table = elf.get_section_by_name(".dynsym")
    assert isinstance(table, SymbolTableSection)
    text = elf.get_section_index(".text")
    assert [(s.name, s["st_shndx"], s["st_info"]["type"]) for s in table.iter_symbols()][1:] == [
        (name, text, "STT_FUNC") for name, _ in EXPORTS]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_export_is_found_through_the_hash_table(arch: Arch) -> None:
    elf = read(shared_object(arch=arch, exports=EXPORTS))
    table = elf.get_section_by_name(".hash")
    assert isinstance(table, ELFHashSection)
    assert [table.get_symbol(name).name for name, _ in EXPORTS] == [name for name, _ in EXPORTS]
    assert table.get_symbol("cuNothing") is None


def test_a_library_without_a_soname_has_no_soname_tag() -> None:
    assert "DT_SONAME" not in dict(tags(read(shared_object(needed=("libc.so.6",)))))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_abi_note_is_found_as_section_and_as_segment(arch: Arch) -> None:
    elf = read(shared_object(arch=arch, soname="libnvidia-tls.so.550.54.15", abi=(2, 3, 99)))
    section = elf.get_section_by_name(".note.ABI-tag")
    assert isinstance(section, NoteSection)
    note = next(section.iter_notes())
    assert (note["n_name"], note["n_type"]) == ("GNU", "NT_GNU_ABI_TAG")
    assert [note["n_desc"][key] for key in ("abi_os", "abi_major", "abi_minor", "abi_tiny")] == [
        "ELF_NOTE_OS_LINUX", 2, 3, 99]
    assert "PT_NOTE" in [segment["p_type"] for segment in elf.iter_segments()]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_segments_can_be_mapped_on_the_largest_pages_and_the_stack_is_not_executable(arch: Arch) -> None:
    elf = read(shared_object(arch=arch, soname="libx.so.1", exports=EXPORTS))
    for segment in elf.iter_segments("PT_LOAD"):
        assert (segment["p_vaddr"] - segment["p_offset"]) % segment["p_align"] == 0
        assert segment["p_flags"] in (5, 6)  # never writable and executable
    assert [segment["p_flags"] for segment in elf.iter_segments("PT_GNU_STACK")] == [6]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_binutils_has_nothing_to_complain_about(arch: Arch, tmp_path: Path, requires) -> None:  # type: ignore[no-untyped-def]
    requires("readelf")
    path = tmp_path / "libx.so.1"
    path.write_bytes(shared_object(arch=arch, soname="libx.so.1", needed=("libc.so.6",), exports=EXPORTS,
                                   abi=(2, 3, 99)))
    done = subprocess.run(["readelf", "--lint", "--all", "--wide", path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "Library soname: [libx.so.1]" in done.stdout


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no writer for this machine")
def test_the_real_loader_loads_it_and_the_functions_return_their_values(tmp_path: Path) -> None:
    arch: Arch = "aarch64" if platform.machine() == "aarch64" else "x86_64"
    path = tmp_path / "libx.so.1"
    many = tuple((f"function_{i}", i * 7919 - 100_000) for i in range(300))
    path.write_bytes(shared_object(arch=arch, soname="libx.so.1", needed=("libc.so.6",), exports=many, abi=(2, 3, 99)))
    library = ctypes.CDLL(str(path))
    assert [library[name]() for name, _ in many] == [value for _, value in many]
    with pytest.raises(AttributeError):
        library.function_300  # noqa: B018  # the look-up is the test


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no writer for this machine")
def test_the_real_loader_misses_what_is_needed_and_not_there(tmp_path: Path) -> None:
    arch: Arch = "aarch64" if platform.machine() == "aarch64" else "x86_64"
    path = tmp_path / "libx.so.1"
    path.write_bytes(shared_object(arch=arch, soname="libx.so.1", needed=("libnvidia-nowhere.so.1",)))
    with pytest.raises(OSError, match=r"libnvidia-nowhere.so.1: cannot open shared object file"):
        ctypes.CDLL(str(path))


@given(arch=st.sampled_from(ARCHITECTURES), soname=NAMES | st.just(""), needed=st.lists(NAMES, max_size=4),
       exports=st.lists(st.tuples(NAMES, st.integers(-2**31, 2**31 - 1)), max_size=6), tagged=st.booleans())
def test_any_names_are_read_back(arch: Arch, soname: str, needed: list[str], exports: list[tuple[str, int]],
                                 tagged: bool) -> None:
    elf = read(shared_object(arch=arch, soname=soname, needed=tuple(needed), exports=tuple(exports),
                             abi=(2, 3, 99) if tagged else None))
    found = tags(elf)
    assert [value for tag, value in found if tag == "DT_NEEDED"] == needed
    assert [value for tag, value in found if tag == "DT_SONAME"] == ([soname] if soname else [])
    table = elf.get_section_by_name(".dynsym")
    assert isinstance(table, SymbolTableSection)
    assert [symbol.name for symbol in table.iter_symbols()][1:] == [name for name, _ in exports]


def test_our_own_reader_agrees() -> None:
    from toolkit.gather import elf as reader

    found = reader.parse(shared_object(soname="libnvidia-tls.so.550.54.15", needed=("libc.so.6",), abi=(2, 3, 99)))
    assert (found.sonames, found.needed, found.abi_tag) == (
        ("libnvidia-tls.so.550.54.15",), ("libc.so.6",), (0, 2, 3, 99))


def test_x86_code_is_two_instructions() -> None:
    elf = read(shared_object(exports=(("f", -1001),)))
    assert elf.get_section_by_name(".text").data() == b"\xb8" + struct.pack("<i", -1001) + b"\xc3"
