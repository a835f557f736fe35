"""When a container's own libcuda goes in front of the host's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import SpecError
from toolkit.plan.cuda_compat import Note, drop_in, is_compat_library, parse_note, parse_version, wants_compat

NOTE = Note(cuda_version="12.8", driver_majors=(535, 550, 570))
NO_CUDA = 'failed to parse host CUDA version "": invalid semantic version'
NO_DRIVER = 'failed to parse host driver version "": invalid semantic version'


@pytest.mark.parametrize(("library", "note", "driver", "cuda", "expected"), [
    ("libcuda.so.570.86.15", NOTE, "550.54.15", "", True),  # listed and newer
    ("libcuda.so.570.86.15", NOTE, "570.86.15", "", False),  # the same
    ("libcuda.so.570.86.15", NOTE, "570.86.10", "", True),  # the same major, newer
    ("libcuda.so.570.86.15", NOTE, "560.28.03", "", False),  # not listed
    ("libcuda.so.570.86.15", NOTE, "550.54.15", "12.9", True),  # driver versions win over CUDA's
    ("libcuda.so.570.86.15", NOTE, "", "12.4", True),  # by CUDA version
    ("libcuda.so.570.86.15", NOTE, "", "12.8", False),
    ("libcuda.so.x.y", NOTE, "550.54.15", "12.4", True),  # unreadable counts as unknown
    ("libcuda.so.x.y", NOTE, "550.54.15", "", False),
    ("libcuda.so.570.86.15", Note(cuda_version="bad"), "", "12.4", False),
    ("libcuda.so.570.86.15", None, "550.54.15", "", True),  # no note: by major
    ("libcuda.so.570.86.15", None, "570.10", "", False),
    ("libcuda.so.570.86.15", None, "580.10", "", False),
    ("libcuda.so.570.86.15", None, "550.54.15", "12.4", False),  # no note, CUDA given
    ("libcuda.so.x.y", None, "550.54.15", "", False),
    ("libcuda.so.1000.1", None, "999", "", True),  # numbers, not text
])
def test_the_decision_follows_upstream_s_table(library, note, driver, cuda, expected):
    assert wants_compat(library, note, driver, cuda)[0] is expected


def test_a_version_that_was_not_given_is_warned_about_as_upstream_does():
    assert wants_compat("libcuda.so.570.86", None, "550", "")[1] == (NO_CUDA,)
    assert wants_compat("libcuda.so.570.86", None, "", "12.4")[1] == (NO_DRIVER,)
    assert wants_compat("libcuda.so.a.b", None, "550", "12.4")[1] == (
        'failed to parse compat driver version "a.b": invalid semantic version',)


@pytest.mark.parametrize(("low", "high"), [
    ("535", "535.0.1"), ("9.1", "10.0"), ("550.54.14", "550.54.15"), ("570.1-beta", "570.1"), ("v12.4", "12.8")])
def test_versions_compare_by_number(low, high):
    assert parse_version(low) < parse_version(high)


@pytest.mark.parametrize("text", ["", "x", "1.2.3.4", "1..2", "-1", "1.", " 1", "1\n", "9" * 30])
def test_what_is_no_version_is_none(text):
    assert parse_version(text) is None


@pytest.mark.parametrize(("name", "expected"), [
    ("libcuda.so.550.54.15", True), ("libcuda.so.1", False), ("libcuda.so", False), ("libcudart.so.12.1", False),
    ("libcuda.so.1.1", True)])
def test_the_compat_library_is_the_one_with_a_full_version(name, expected):
    assert is_compat_library(name) is expected


def test_the_drop_in_comes_before_the_driver_s_and_depends_on_the_folder_alone():
    name, content = drop_in("/usr/local/cuda-12.8/compat")
    assert name.startswith("00-compat-")
    assert name < "00-nvcr-"
    assert content == b"/usr/local/cuda-12.8/compat\n"
    assert drop_in("/usr/local/cuda-12.8/compat")[0] == name


def test_a_note_is_read():
    description = b'{"Format":1,"CUDA Version":"12.8","Driver":[535,550,570],"Device":[1,2]}\0\0'
    assert parse_note(description) == NOTE


@pytest.mark.parametrize("wrong", [b"", b"{", b"[]", b'{"Driver":"535"}', b'{"Driver":[true]}', b'{"CUDA Version":1}'])
def test_a_note_of_another_form_is_an_error(wrong):
    with pytest.raises(SpecError, match="failed to unmarshal the note"):
        parse_note(wrong)


@given(st.binary())
def test_any_bytes_are_a_note_or_an_error(description):
    try:
        parse_note(description)
    except SpecError:
        pass


@given(st.text())
def test_any_text_is_a_version_or_none(text):
    version = parse_version(text)
    assert version is None or version >= parse_version("0.0.0-0")
