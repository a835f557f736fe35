"""config.json and state: bytes → JSON, with the texts of Go's decoder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import SpecError, ToolkitError
from toolkit.gather.bundle import config_path, parse_json, read_file


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b' \n{"a": [1, 2.5, "x", null, true]} trailing {', {"a": [1, 2.5, "x", None, True]}),
        (b'"\xff"', "\ufffd"),
        (b"{}\n", {}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_the_first_value_counts(data, value):
    assert parse_json(data) == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "EOF"),
        (b" \n", "EOF"),
        (b'{"a": ', "unexpected EOF"),
        (b'{"a', "unexpected EOF"),
        (b"[1,", "unexpected EOF"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b"{x", "invalid character 'x' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a": 1 "b"}', "invalid character '\"' after object key:value pair or array element"),
        (b'{"a": NaN}', "invalid character 'N' looking for beginning of value"),
        (b'"\n"', "invalid character '\\n' in string literal"),
        (b"[" * 100_000, "exceeded max depth"),
        (b"\xef\xbb\xbf{}", "invalid character '\ufeff' looking for beginning of value"),
    ],
)
def test_mistakes_have_gos_text(data, message):
    with pytest.raises(SpecError) as e:
        parse_json(data)
    assert e.value.message == message


@given(st.binary() | st.text(alphabet='{}[]":,\\u0123eE+-.truefalsnN \n').map(str.encode))
def test_any_bytes_give_a_value_or_a_toolkit_error(data):
    try:
        parse_json(data)
    except ToolkitError as e:
        assert e.message


def test_a_file_that_cannot_be_read_is_an_error_with_gos_text(tmp_path):
    path = config_path(str(tmp_path / "none"))
    with pytest.raises(SpecError) as e:
        read_file(path)
    assert e.value.message == f"open {path}: no such file or directory"
    with pytest.raises(SpecError, match="is a directory"):
        read_file(str(tmp_path))


def test_without_a_bundle_the_current_folder_counts():
    assert config_path("") == "config.json"
    assert config_path("/b") == "/b/config.json"
