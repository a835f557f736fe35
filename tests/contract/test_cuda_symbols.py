"""What libcuda.so.1 looks like to a loader and to cuGetProcAddress, and that its table of functions is true."""

import ctypes
import re
from pathlib import Path

import pytest
from cuda_client import Host
from elftools.elf.elffile import ELFFile

from nvsim import board
from nvsim.native import branches
from nvsim.native import generate_cuda as generate
from nvsim.native.compile import artifact, compile_all

DOCS = Path(__file__).parents[2] / "docs" / "cuda.md"
NEWEST = 13050
NOT_INITIALIZED = 3


@pytest.fixture(scope="module")
def elf():
    with open(compile_all("libcuda.so")[0], "rb") as f:
        yield ELFFile(f)


@pytest.fixture
def cuda(tmp_path):
    return Host(tmp_path, "A100-SXM4-40GB", cuda_version="13.5").cuda()


def dynamic(elf, tag):
    return [getattr(t, tag[3:].lower()) for t in elf.get_section_by_name(".dynamic").iter_tags(tag)]


def test_the_soname_and_needed_libraries_are_those_of_the_real_one(elf):
    assert dynamic(elf, "DT_SONAME") == ["libcuda.so.1"]
    assert set(dynamic(elf, "DT_NEEDED")) == {"libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6", "librt.so.1"}


def exported(elf):
    return {s.name for s in elf.get_section_by_name(".dynsym").iter_symbols()
            if s["st_shndx"] != "SHN_UNDEF" and s["st_info"]["bind"] == "STB_GLOBAL"}


def test_the_newest_library_exports_the_functions_of_the_newest_header(elf):
    assert len(exported(elf)) == len(generate.exports()) == 753


@pytest.mark.parametrize("variant", branches.CUDA_VARIANTS)
def test_a_library_exports_exactly_the_functions_of_its_branch(variant):
    compile_all("libcuda.so")
    with open(artifact(branches.cuda_library(variant)), "rb") as f:
        assert exported(ELFFile(f)) == set(generate.exports(int(variant)))


@pytest.mark.parametrize(("version", "variant"), [
    ("470.256.02", "470"), ("495.46", "495"), ("520.56.06", "515"), ("550.54.15", "550"), ("565.77", "560"),
    ("999.10", "615"), ("418.40", "470")])
def test_a_driver_version_has_the_library_of_its_branch(version, variant):
    assert branches.cuda_variant_of(version) == variant


def test_nothing_newer_than_glibc_2_17_is_needed(elf):
    needed = [aux.name for _, auxes in elf.get_section_by_name(".gnu.version_r").iter_versions() for aux in auxes]
    assert needed
    for name in needed:
        assert tuple(map(int, name.removeprefix("GLIBC_").split("."))) <= (2, 17, 99), name


def test_the_board_is_read_only_page_aligned_and_free_of_relocations(elf):
    section = elf.get_section_by_name(board.SECTION)
    start, end = section["sh_addr"], section["sh_addr"] + section["sh_size"]
    assert (section["sh_flags"], section["sh_offset"] % 4096, start % 4096) == (2, 0, 0)
    segment = next(s for s in elf.iter_segments("PT_LOAD")
                   if s["p_vaddr"] <= start and end <= s["p_vaddr"] + s["p_filesz"])
    assert segment["p_flags"] == 4, "a page that the loader writes to is no longer the file's"
    relocations = elf.get_section_by_name(".rela.dyn").iter_relocations()
    assert not [r for r in relocations if start <= r["r_offset"] < end]


@pytest.mark.parametrize(("branch", "count"), [(470, 550), (525, 603), (535, 620), (550, 656), (555, 663)])
def test_a_driver_branch_exports_as_many_functions_as_were_counted_in_it(branch, count):
    assert len(generate.exports(branch)) == count


@pytest.mark.parametrize("name", generate.GENERATED)
def test_a_generated_file_is_what_its_generator_writes(name):
    written = (generate.HERE / name).read_text()
    assert written == generate.GENERATED[name](), "run: python3 -m nvsim.native.generate_cuda"


# The documented table

def documented():
    """By function: 0 for "works", else the code."""
    rows = re.findall(r"^\| (cu\w+)(?: \(`_pt\w+`\))? \| [\d.]* \| (works|\d+) ", DOCS.read_text(), re.M)
    return {name: 0 if answer == "works" else int(answer) for name, answer in rows}


def test_the_documented_table_is_what_its_generator_writes():
    assert DOCS.read_text().endswith(generate.MARK + "\n" + generate.table())
    assert set(documented()) == {f.name for f in generate.functions() if not f.is_data}


def test_what_the_table_says_to_fail_fails_with_that_code_and_says_so_once(tmp_path):
    refused = {name: code for name, code in documented().items() if code}
    stdout, stderr = Host(tmp_path, "A100-SXM4-40GB").run(
        f"for name in {sorted(refused)!r}: print(name, getattr(cuda.lib, name)(*[None] * 8))")
    assert {name: int(code) for name, code in map(str.split, stdout.splitlines())} == refused
    assert len(stderr.splitlines()) == 1
    assert "emulated GPU" in stderr and "cuArray3DCreate fails with CUDA_ERROR_NOT_SUPPORTED" in stderr


def test_what_the_table_says_to_work_does_not_say_that_it_is_emulated(tmp_path):
    works = sorted(name for name, code in documented().items() if not code and name != "cuGetExportTable")
    _, stderr = Host(tmp_path, "A100-SXM4-40GB").run(f"for name in {works!r}: getattr(cuda.lib, name)(*[None] * 8)")
    assert stderr == ""


# Some judge a NULL handle first, as libcuda 535 does.
NULL_FIRST = {"cuStreamDestroy": 400, "cuStreamDestroy_v2": 400, "cuEventDestroy": 400, "cuEventDestroy_v2": 400,
              "cuCtxDestroy": 1, "cuCtxDestroy_v2": 1}
WITHOUT_INIT = {"cuInit", "cuDriverGetVersion", "cuGetErrorName", "cuGetErrorString", "cuGetProcAddress",
                "cuGetProcAddress_v2", "cuGetExportTable"}


def test_before_init_every_function_says_so_even_with_null_pointers(cuda):
    names = [name for name in generate.exports() if not name.startswith("cudbg")]
    answers = {name: cuda.code(name, *[None] * 10) for name in names if name not in WITHOUT_INIT}
    assert {name: code for name, code in answers.items() if code != NOT_INITIALIZED} == NULL_FIRST


# Errors

def test_each_code_has_its_name_and_a_text(cuda):
    errors = generate._load("cuda-types.yaml")["errors"]
    for name, error in errors.items():
        assert cuda("cuGetErrorName", error["code"], ctypes.c_char_p) == name.encode()
        assert cuda("cuGetErrorString", error["code"], ctypes.c_char_p) == error["text"].encode()


@pytest.mark.parametrize(("cuda_version", "code"), [("12.2", 1), ("12.4", 0)])
def test_a_driver_does_not_know_the_codes_of_a_newer_one(tmp_path, cuda_version, code):
    cuda = Host(tmp_path, "A100-SXM4-40GB", cuda_version=cuda_version).cuda()
    assert cuda.code("cuGetErrorString", 916, ctypes.c_char_p) == code


@pytest.mark.parametrize("function", ["cuGetErrorName", "cuGetErrorString"])
def test_an_unknown_code_has_no_text(cuda, function):
    text = ctypes.c_char_p(b"untouched?")
    assert (cuda.code(function, 12345, ctypes.byref(text)), text.value) == (1, None)


# Entry points

def address(cuda, name):
    return ctypes.cast(getattr(cuda.lib, name), ctypes.c_void_p).value


def look_up(cuda, name, version, flags=0):
    """Code, address and status of a look-up."""
    found, status = ctypes.c_void_p(1), ctypes.c_int(-1)
    code = cuda.code("cuGetProcAddress_v2", name.encode(), ctypes.byref(found), version, ctypes.c_uint64(flags),
                     ctypes.byref(status))
    return code, found.value, status.value


@pytest.mark.parametrize(("name", "version", "flags", "symbol"), [
    ("cuMemAlloc", 3020, 0, "cuMemAlloc_v2"), ("cuMemAlloc", NEWEST, 0, "cuMemAlloc_v2"),
    ("cuMemAlloc", 2000, 0, "cuMemAlloc"), ("cuDeviceGetUuid", 9020, 0, "cuDeviceGetUuid"),
    ("cuDeviceGetUuid", 11040, 0, "cuDeviceGetUuid_v2"), ("cuGetProcAddress", 11030, 0, "cuGetProcAddress"),
    ("cuGetProcAddress", 12000, 0, "cuGetProcAddress_v2"), ("cuCtxCreate", 11040, 0, "cuCtxCreate_v3"),
    ("cuMemcpyHtoD", 11000, 1, "cuMemcpyHtoD_v2"), ("cuMemcpyHtoD", 11000, 2, "cuMemcpyHtoD_v2_ptds"),
    ("cuStreamSynchronize", 11000, 2, "cuStreamSynchronize_ptsz"), ("cuMemAlloc", 3020, 2, "cuMemAlloc_v2"),
    ("cuLaunchKernel", 12000, 2, "cuLaunchKernel_ptsz"), ("cuMemcpyHtoD", 11000, 3, "cuMemcpyHtoD_v2_ptds"),
])
def test_a_function_is_found_by_name_version_and_kind_of_stream(cuda, name, version, flags, symbol):
    assert look_up(cuda, name, version, flags) == (0, address(cuda, symbol), 0)


@pytest.mark.parametrize(("name", "version", "status"), [
    ("cuNothing", NEWEST, 1), ("", NEWEST, 1), ("cuMemAlloc_v2", NEWEST, 1), ("cuMemAllocAsync", 11010, 2),
    ("cuInit", 0, 2), ("cuEGLApiInit", NEWEST, 1)])
def test_a_look_up_says_why_it_failed(cuda, name, version, status):
    assert look_up(cuda, name, version) == (0, None, status)


def test_a_driver_does_not_find_what_came_after_it(tmp_path):
    cuda = Host(tmp_path, "A100-SXM4-40GB", cuda_version="11.4").cuda()
    assert look_up(cuda, "cuGraphAddNode", NEWEST) == (0, None, 1)
    assert look_up(cuda, "cuGetProcAddress", NEWEST) == (0, address(cuda, "cuGetProcAddress"), 0)


def test_the_older_look_up_has_a_code_in_place_of_the_status(cuda):
    found = ctypes.c_void_p(1)
    assert cuda.code("cuGetProcAddress", b"cuNothing", ctypes.byref(found), 11030, ctypes.c_uint64(0)) == 500
    assert cuda.code("cuGetProcAddress", b"cuInit", ctypes.byref(found), 11030, ctypes.c_uint64(4)) == 1
    assert found.value == 1, "not written to"
    assert cuda.code("cuGetProcAddress", b"cuInit", ctypes.byref(found), 11030, ctypes.c_uint64(0)) == 0
    assert found.value == address(cuda, "cuInit")


def test_the_runtimes_private_tables_are_refused_and_said_to_be(tmp_path):
    stdout, stderr = Host(tmp_path, "A100-SXM4-40GB").run(
        "print(cuda.code('cuGetExportTable', ctypes.c_void_p, bytes(16)))")
    assert stdout == "1\n"
    assert "cuGetExportTable fails with CUDA_ERROR_INVALID_VALUE" in stderr
