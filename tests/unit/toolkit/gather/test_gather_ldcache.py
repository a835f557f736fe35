"""ld.so.cache → entries: what real ldconfig writes, both formats, any bytes."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import HostError
from toolkit.gather.ldcache import Entry, parse

CORPUS = Path(__file__).parents[3] / "corpus" / "ldcache"


def cache(*entries: tuple[int, str, str], old: int = -1) -> bytes:
    """A cache in the new format; behind an old one with `old` entries if that is not negative."""
    strings, table = b"", b""
    first = 48 + 24 * len(entries)
    for flags, name, path in entries:
        key = first + len(strings)
        strings += name.encode() + b"\0"
        value = first + len(strings)
        strings += path.encode() + b"\0"
        table += struct.pack("=iIIIQ", flags, key, value, 0, 0)
    new = b"glibc-ld.so.cache1.1" + struct.pack("=7I", len(entries), len(strings), 0, 0, 0, 0, 0) + table + strings
    if old < 0:
        return new
    front = b"ld.so-1.7.0\0" + struct.pack("=I", old) + bytes(12 * old)
    return front + bytes(-len(front) % 8) + new


CUDA = (0x0303, "libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1")


@pytest.mark.parametrize("old", [-1, 0, 1, 2, 7])
def test_the_new_format_is_read_with_and_without_the_old_one_before_it(old: int) -> None:
    assert parse(cache(CUDA, old=old)) == (Entry(*CUDA),)


@pytest.mark.parametrize(
    ("flags", "bits"),
    [(0x0303, 64), (0x0A03, 64), (0x0503, 64), (0x0803, 32), (0x0903, 32), (0x0003, 32), (0x0703, 0), (0x0300, 0)],
)
def test_the_flags_tell_the_architecture(flags: int, bits: int) -> None:
    assert parse(cache((flags, "a", "/a")))[0].bits == bits


def test_an_empty_cache_has_no_entries() -> None:
    assert parse(cache()) == ()


def test_what_real_ldconfig_writes_is_read(tmp_path: Path) -> None:
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin") or pytest.skip("needs ldconfig")
    libc = next(Path("/lib").glob("*-linux-gnu/libz.so.1"), None) or pytest.skip("needs a library to index")
    (tmp_path / "libs").mkdir()
    shutil.copy(libc, tmp_path / "libs" / "libz.so.1")
    out = tmp_path / "cache"
    subprocess.run([ldconfig, "-C", out, "-f", "/dev/null", "-n", "-N", "-X", tmp_path / "libs"], check=True)
    (tmp_path / "conf").write_text(f"{tmp_path}/libs\n")
    subprocess.run([ldconfig, "-C", out, "-f", tmp_path / "conf", "-X"], check=True)
    entries = {entry.path: entry for entry in parse(out.read_bytes())}
    assert entries[f"{tmp_path}/libs/libz.so.1"].name == "libz.so.1"
    assert entries[f"{tmp_path}/libs/libz.so.1"].bits == 64


@pytest.mark.parametrize("path", sorted((CORPUS / "bad").iterdir()), ids=lambda path: path.name)
def test_bad_files_are_refused_with_upstreams_words(path: Path) -> None:
    with pytest.raises(HostError) as caught:
        parse(path.read_bytes(), str(path))
    assert caught.value.message.startswith("invalid ld.so.cache file")
    assert caught.value.source == str(path)


@given(st.binary(), st.integers(0, 200), st.binary(max_size=8))
def test_any_bytes_give_entries_or_an_error(junk: bytes, at: int, patch: bytes) -> None:
    good = bytearray(cache(CUDA, (0x0303, "b", "/b"), old=3))
    good[at : at + len(patch)] = patch
    for data in (junk, bytes(good), bytes(good[:at])):
        try:
            assert all(isinstance(entry, Entry) for entry in parse(data))
        except HostError as e:
            assert e.hint
