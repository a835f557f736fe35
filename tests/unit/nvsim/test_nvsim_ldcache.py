"""ld.so.cache: what ldconfig would index, and the file that it would write.  The host tests ask the real ldconfig."""

import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.ldcache import FLAGS, Entry, Object, cache, index, read, resolve
from toolkit.gather import ldcache as reader

LIB = "/usr/lib/x86_64-linux-gnu"
NAMES = st.text(alphabet="abcilmnostu-_.+0123456789", min_size=1, max_size=12).map(lambda name: f"lib{name}")
ENTRIES = st.lists(st.builds(lambda key, folder, flags: Entry(key=key, path=f"{folder}/{key}", flags=flags), NAMES,
                             st.sampled_from(["/lib", LIB, "/usr/local/lib"]), st.sampled_from([*FLAGS.values()])))


def entries(objects: dict[str, str], links: dict[str, str] | None = None,
            directories: tuple[str, ...] = (LIB,)) -> list[tuple[str, str]]:
    found = index(directories, {path: Object(soname=soname) for path, soname in objects.items()}, links or {})
    return [(entry.key, entry.path) for entry in found]


def test_a_library_is_found_under_its_soname() -> None:
    assert entries({f"{LIB}/libcuda.so.550.54.15": "libcuda.so.1"},
                   {f"{LIB}/libcuda.so.1": "libcuda.so.550.54.15"}) == [("libcuda.so.1", f"{LIB}/libcuda.so.1")]


def test_the_link_for_the_compile_time_linker_is_an_entry_of_its_own() -> None:
    links = {f"{LIB}/libcuda.so.1": "libcuda.so.550.54.15", f"{LIB}/libcuda.so": "libcuda.so.1"}
    assert sorted(entries({f"{LIB}/libcuda.so.550.54.15": "libcuda.so.1"}, links)) == [
        ("libcuda.so", f"{LIB}/libcuda.so"), ("libcuda.so.1", f"{LIB}/libcuda.so.1")]


def test_a_library_without_a_soname_is_found_under_its_file_name() -> None:
    assert entries({f"{LIB}/libx.so.5": ""}) == [("libx.so.5", f"{LIB}/libx.so.5")]


def test_other_links_files_of_other_names_and_dangling_links_are_no_entries() -> None:
    objects = {f"{LIB}/libx.so.9": "libx.so.1", f"{LIB}/nvidia_drv.so": "", f"{LIB}/libx.a": ""}
    links = {f"{LIB}/libx.so.2": "libx.so.9", f"{LIB}/liby.so.1": "nowhere", f"{LIB}/libz.so.1": "libz.so.1"}
    assert entries(objects, links) == [("libx.so.1", f"{LIB}/libx.so.1")]


def test_folders_below_are_not_searched() -> None:
    assert entries({f"{LIB}/vdpau/libvdpau_nvidia.so.550": "libvdpau_nvidia.so.1"}) == []


def test_a_folder_under_two_names_counts_once_by_its_first_name() -> None:
    found = entries({f"{LIB}/libx.so.1": "libx.so.1"}, {"/lib": "usr/lib"},
                    ("/lib/x86_64-linux-gnu", LIB, "/missing"))
    assert found == [("libx.so.1", "/lib/x86_64-linux-gnu/libx.so.1")]


def test_the_same_name_in_two_folders_is_two_entries_in_their_order() -> None:
    found = index((LIB, "/usr/local/lib"), {f"{LIB}/libx.so.1": Object(soname="libx.so.1"),
                                            "/usr/local/lib/libx.so.1": Object(soname="libx.so.1")}, {})
    read = reader.parse(cache(found))
    assert [entry.path for entry in read] == [f"{LIB}/libx.so.1", "/usr/local/lib/libx.so.1"]


def test_links_are_followed_and_loops_lead_nowhere() -> None:
    links = {"/lib": "usr/lib", "/var/run": "/run", "/a": "b", "/b": "a"}
    assert resolve("/lib/x/y", links) == "/usr/lib/x/y"
    assert resolve("/var/run/socket", links) == "/run/socket"
    assert resolve("/a/x", links) == ""


def test_entries_go_down_by_name_with_numbers_by_value_and_64_bit_first() -> None:
    made = [Entry(key=key, path=f"/lib/{key}", flags=FLAGS[arch]) for key, arch in (
        ("libx.so.9", "x86_64"), ("libx.so.10", "x86_64"), ("libx.so.1", "i386"), ("libx.so.1", "x86_64"),
        ("libx-y.so", "x86_64"), ("libx2.so", "x86_64"))]
    read = reader.parse(cache(made))
    assert [(entry.name, entry.flags) for entry in read] == [
        ("libx2.so", 0x303), ("libx.so.10", 0x303), ("libx.so.9", 0x303), ("libx.so.1", 0x303), ("libx.so.1", 3),
        ("libx-y.so", 0x303)]


def test_a_string_that_ends_another_one_is_stored_once() -> None:
    data = cache([Entry(key="libcuda.so.1", path="/lib/libcuda.so.1")])
    assert data.count(b"libcuda.so.1") == 1
    assert struct.unpack_from("<II", data, 20) == (1, len("/lib/libcuda.so.1\0"))


def test_the_generator_is_named_in_an_aligned_extension() -> None:
    data = cache([Entry(key="liba.so", path="/lib/liba.so")], generator="ldconfig (GNU libc) 2.35")
    at, = struct.unpack_from("<I", data, 32)
    assert at % 4 == 0
    assert struct.unpack_from("<IIIIII", data, at) == (0xEAA42174, 1, 0, 0, at + 24, 24)
    assert data[at + 24:] == b"ldconfig (GNU libc) 2.35"


def test_an_empty_cache_is_a_header() -> None:
    assert cache([]) == b"glibc-ld.so.cache1.1" + bytes(8) + b"\2" + bytes(19)


def test_the_kernel_version_of_an_abi_note_is_recorded() -> None:
    found = index((LIB,), {f"{LIB}/libx.so.1": Object(soname="libx.so.1", osversion=0x020363)}, {})
    assert struct.unpack_from("<iIIIQ", cache(found), 48)[3] == 0x020363


@given(ENTRIES, st.text(max_size=20))
def test_any_entries_are_read_back_by_the_other_side(made: list[Entry], generator: str) -> None:
    read = reader.parse(cache(made, generator=generator))
    assert sorted((entry.name, entry.path, entry.flags) for entry in read) == sorted(
        (entry.key, entry.path, entry.flags) for entry in made)


def test_the_old_format_comes_first_and_has_an_even_number_of_entries() -> None:
    entries = [Entry(key=f"lib{n}.so", path=f"/lib/lib{n}.so") for n in "abc"]
    data = cache(entries, compat=True)
    assert data[:16] == b"ld.so-1.7.0\0" + struct.pack("<I", 4)
    assert data[16 + 4 * 12:] == cache(entries)
    flags, key, path = struct.unpack_from("<iII", data, 16)
    names = data[16 + 4 * 12:]
    assert (flags, names[key:key + 8], names[path:path + 13]) == (0x0303, b"libc.so\0", b"/lib/libc.so\0")


@given(ENTRIES, st.booleans())
def test_what_is_written_is_read_again(wanted: list[Entry], compat: bool) -> None:
    def plain(found: Iterable[Entry]) -> list[tuple[str, str, int]]:
        return sorted({(entry.key, entry.path, entry.flags) for entry in found})

    assert plain(read(cache(wanted, generator="ldconfig (GNU libc)", compat=compat))) == plain(wanted)


def test_other_bytes_are_no_cache() -> None:
    with pytest.raises(ValueError):
        read(b"x" * 100)
