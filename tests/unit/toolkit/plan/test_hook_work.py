"""The small decisions of the CDI hooks, on plain values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import ConfigError
from toolkit.plan import hook_work


def test_links_are_split_at_two_colons_and_taken_once():
    given = ["libcuda.so.1::/usr/lib/libcuda.so", "/a:b::/c", "libcuda.so.1::/usr/lib/libcuda.so"]
    assert hook_work.links_of(given) == (("libcuda.so.1", "/usr/lib/libcuda.so"), ("/a:b", "/c"))


@pytest.mark.parametrize("wrong", ["", "target", "a::b::c", "a:b"])
def test_a_link_that_has_not_two_parts_is_named(wrong):
    with pytest.raises(ConfigError, match="invalid symlink specification"):
        hook_work.links_of(["x::y", wrong])


@pytest.mark.parametrize(("text", "mode"), [("755", 0o755), ("0755", 0o755), ("1755", 0o755), ("7", 7), ("0", 0)])
def test_only_the_lower_nine_bits_of_a_mode_count(text, mode):
    assert hook_work.mode_of(text) == mode


@pytest.mark.parametrize(("text", "message"), [
    ("", "a non-empty mode must be specified"),
    ("rwx", 'failed to parse mode as octal: strconv.ParseUint: parsing "rwx": invalid syntax'),
    ("888", 'failed to parse mode as octal: strconv.ParseUint: parsing "888": invalid syntax'),
    ("+7", 'failed to parse mode as octal: strconv.ParseUint: parsing "+7": invalid syntax'),
    ("-1", 'failed to parse mode as octal: strconv.ParseUint: parsing "-1": invalid syntax'),
    ("7" * 20, f'failed to parse mode as octal: strconv.ParseUint: parsing "{"7" * 20}": value out of range'),
])
def test_a_mode_that_is_not_octal_is_an_error(text, message):
    with pytest.raises(ConfigError) as caught:
        hook_work.mode_of(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(("before", "after"), [
    (b"", b""),
    (b"ModifyDeviceFiles: 1\n", b"ModifyDeviceFiles: 0\n"),
    (b"ModifyDeviceFiles: 1", b"ModifyDeviceFiles: 0"),
    (b"A: 1\nModifyDeviceFiles: 1\nB: 2\n", b"A: 1\nModifyDeviceFiles: 0\nB: 2\n"),
    (b"ModifyDeviceFiles: 0\n", b""),
    (b"ModifyDeviceFiles: 1\nModifyDeviceFiles: 0\n", b""),
    (b" ModifyDeviceFiles: 1\n", b""),
    (b"ModifyDeviceFiles:1\n", b""),
    (b"ModifyDeviceFiles: 2\n", b""),
])
def test_only_an_exact_line_of_the_parameters_is_changed(before, after):
    assert hook_work.without_node_modification(before) == after


@pytest.mark.parametrize(("name", "expected"), [
    ("nvidia0", True), ("nvidia255", True), ("nvidiactl", False), ("nvidia", False), ("nvidia-uvm", False),
    ("xnvidia0", False), ("nvidia٣", False), ("nvidia0x", False),
])
def test_a_gpu_s_node_is_told_by_its_name(name, expected):
    assert hook_work.is_gpu_node(name) is expected


def test_the_profile_has_a_bit_for_each_minor_up_to_63():
    assert hook_work.profile_mask((0, 2, 63)) == (1 | 4 | 1 << 63, ())
    assert hook_work.profile_mask((64, 1)) == (2, ("dropping invalid minor number 64: must be in range [0, 63]",))
    assert hook_work.profile_mask(()) == (0, ())


def test_the_profile_is_the_driver_s_relaxed_json():
    assert hook_work.profile_text(0x15) == (
        b'{"profiles":[{"name":"_container_","settings":["EGLVisibleDGPUDevices",0x15]}],'
        b'"rules":[{"pattern":[],"profile":"_container_"}]}')


@given(st.binary())
def test_any_parameters_keep_their_other_lines(params):
    changed = hook_work.without_node_modification(params)
    before, after = params.split(b"\n"), changed.split(b"\n")
    assert not changed or [line for line in before if line != b"ModifyDeviceFiles: 1"] == [
        line for line in after if line != b"ModifyDeviceFiles: 0"]
