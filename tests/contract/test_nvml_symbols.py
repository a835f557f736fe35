"""What libnvidia-ml.so.1 looks like to a loader: an independent reader (pyelftools) looks at it."""

import pytest
from elftools.elf.elffile import ELFFile

from nvsim import board
from nvsim.native import generate
from nvsim.native.compile import compile_all

OLDEST_GLIBC = (2, 17)


@pytest.fixture(scope="module")
def elf():
    with open(compile_all("libnvidia-ml.so")[0], "rb") as f:
        yield ELFFile(f)


def dynamic(elf, tag):
    return [getattr(t, tag[3:].lower()) for t in elf.get_section_by_name(".dynamic").iter_tags(tag)]


def test_the_soname_and_needed_libraries_are_those_of_the_real_one(elf):
    assert dynamic(elf, "DT_SONAME") == ["libnvidia-ml.so.1"]
    assert set(dynamic(elf, "DT_NEEDED")) <= {"libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6"}


def test_exactly_the_functions_of_the_newest_header_are_exported(elf):
    exported = {s.name for s in elf.get_section_by_name(".dynsym").iter_symbols()
                if s["st_shndx"] != "SHN_UNDEF" and s["st_info"]["bind"] == "STB_GLOBAL"}
    assert exported == set(generate.exports())
    assert len(exported) == 439


def test_exported_functions_carry_no_version_tag(elf):
    versions = elf.get_section_by_name(".gnu.version")
    symbols = enumerate(elf.get_section_by_name(".dynsym").iter_symbols())
    tags = {s.name: versions.get_symbol(i)["ndx"] for i, s in symbols if s.name.startswith("nvml")}
    assert set(tags.values()) == {"VER_NDX_GLOBAL"}
    assert elf.get_section_by_name(".gnu.version_d") is None


def test_nothing_newer_than_glibc_2_17_is_needed(elf):
    needed = [aux.name for _, auxes in elf.get_section_by_name(".gnu.version_r").iter_versions() for aux in auxes]
    assert needed
    for name in needed:
        assert tuple(map(int, name.removeprefix("GLIBC_").split("."))) <= (*OLDEST_GLIBC, 99), name


def test_the_board_is_read_only_page_aligned_and_free_of_relocations(elf):
    section = elf.get_section_by_name(board.SECTION)
    start, end = section["sh_addr"], section["sh_addr"] + section["sh_size"]
    assert (section["sh_flags"], section["sh_offset"] % 4096, start % 4096) == (2, 0, 0)
    segment = next(s for s in elf.iter_segments("PT_LOAD")
                   if s["p_vaddr"] <= start and end <= s["p_vaddr"] + s["p_filesz"])
    assert segment["p_flags"] == 4, "a page that the loader writes to is no longer the file's"
    relocations = elf.get_section_by_name(".rela.dyn").iter_relocations()
    assert not [r for r in relocations if start <= r["r_offset"] < end]


@pytest.mark.parametrize(("branch", "count"), [(470, 255), (525, 312), (535, 332), (550, 350), (555, 354)])
def test_a_driver_branch_exports_as_many_functions_as_were_counted_in_it(branch, count):
    assert len(generate.exports(branch)) == count
    assert generate.exports_map(branch).count(";\n") == count + 2


def test_functions_that_left_the_header_are_not_in_the_newest_branch():
    gone = {f.name for f in generate.functions()} - set(generate.exports())
    assert gone == {"nvmlDeviceCcuGetStreamState", "nvmlDeviceCcuSetStreamState", "nvmlDeviceGetPowerMode",
                    "nvmlDeviceGetSupportedPowerModes", "nvmlDeviceSetPowerMode", "nvmlRetry_NvRmControl"}
