"""YAML as people write it: text, lists and mappings, with file and line in every error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.document import DEPTH, LIMIT, Keys, read
from nvsim.errors import NvsimError


@pytest.mark.parametrize(("text", "value"), [
    ("a: 495.46", {"a": "495.46"}), ("a: 0x10", {"a": "0x10"}), ("a: yes", {"a": "yes"}), ("a: ~", {"a": ""}),
    ("a: '~'", {"a": "~"}), ("a:", {"a": ""}), ("[1, {b: [c]}]", ["1", {"b": ["c"]}]), ("", {}), ("# only", {}),
    ("a: |\n  x\n  y\n", {"a": "x\ny\n"}), ("just text", "just text"), ("---\na: b\n...\n", {"a": "b"})])
def test_scalars_stay_the_text_they_are_written_as(text: str, value: object) -> None:
    assert read(text, "f.yaml") == value


@pytest.mark.parametrize(("text", "message"), [
    ("a: 1\nb: &x c\n", "f.yaml:2: anchors"), ("a: 1\nb: *x\n", "f.yaml:2: anchors"),
    ("a: !!int 3", "f.yaml:1: the tag"),
    ("a: 1\nb: 2\na: 3\n", "f.yaml:3: the key a occurs twice"), ("{[a]: b}", "f.yaml:1: a key must be text"),
    ("a: b\n---\nc: d\n", "f.yaml: several documents"), ("a: [", "f.yaml:"), ("\ta: b", "f.yaml:1: "),
    ("[" * (DEPTH + 2), "f.yaml:1: more than 20"), ("a" * (LIMIT + 1), "f.yaml: larger than"),
    (b"\xff", "f.yaml: not UTF-8"), ("a: \x01", "f.yaml")])
def test_what_a_file_may_not_say_is_an_error_with_its_line(text: str | bytes, message: str) -> None:
    with pytest.raises(NvsimError) as caught:
        read(text, "f.yaml")
    assert str(caught.value).startswith(message)


@given(st.binary() | st.text(alphabet="[]{}:,-&*!|>'\"#%@? \n\tab0~"))
def test_any_bytes_are_a_value_or_an_error_that_names_the_file(data: bytes | str) -> None:
    try:
        assert isinstance(read(data, "f.yaml"), (str, list, dict))
    except NvsimError as e:
        assert e.source.startswith("f.yaml")


def test_keys_name_the_key_in_their_errors() -> None:
    keys = Keys({"flag": "maybe", "number": "3.5", "list": "x", "texts": ["a", {"b": "c"}]}, "f.yaml: host",
                ("flag", "number", "list", "texts"))
    for key, take in (("flag", lambda: keys.flag("flag", default=True)), ("list", lambda: keys.items("list")),
                      ("number", lambda: keys.integer("number", 0, 0, 9)), ("texts[1]", lambda: keys.texts("texts"))):
        with pytest.raises(NvsimError) as caught:
            take()
        assert caught.value.source == f"f.yaml: host: {key}"


def test_keys_take_values_that_another_reader_already_typed() -> None:
    keys = Keys({"flag": False, "number": 7, "text": 12}, "f", ("flag", "number", "text"))
    assert (keys.flag("flag", default=True), keys.integer("number", 0, 0, 9), keys.text("text")) == (False, 7, "12")
    with pytest.raises(NvsimError, match="expected a whole number"):
        Keys({"n": True}, "f", ("n",)).integer("n", 0, 0, 9)
