"""TOML as upstream's commands lay it out, with the comments that the text had."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.plan.toml_text import Commented, Remarks, to_toml


@pytest.mark.parametrize(("value", "text"), [
    (True, "true"), (7, "7"), (-1, "-1"), (1.5, "1.5"), (2.0, "2.0"), (1e22, "10000000000000000000000.0"),
    (0.1, "0.1"), (1e-7, "0.0000001"), (float("inf"), "+inf"), (float("-inf"), "-inf"), (float("nan"), "nan"),
    ("a", '"a"'), ('tab\t"q" \\ \n\x01', '"tab\\t\\"q\\" \\\\ \\n\\u0001"'), ("é😀", '"é😀"'),
    ([], "[]"), (["a", "b"], '["a", "b"]'), ([1, ["x"]], '[1, ["x"]]'),
])
def test_a_value_is_written_as_go_toml_writes_it(value, text):
    assert to_toml({"k": value}) == f"k = {text}\n"


def test_dates_keep_their_zone():
    document = tomllib.loads("a = 2020-01-02T03:04:05Z\nb = 2020-01-02\nc = 2020-01-02T03:04:05+02:00\n")
    assert to_toml(document) == "a = 2020-01-02T03:04:05Z\nb = 2020-01-02\nc = 2020-01-02T03:04:05+02:00\n"


def test_plain_values_come_by_name_then_tables_by_name_each_after_an_empty_line():
    document = {"z": {"b": 1, "a": {}}, "y": [{"n": 1, "sub": {"k": 1}}, {}], "b": 2, "a b": 1, "c.d": {"e": 1}}
    assert to_toml(document) == (
        '"a b" = 1\nb = 2\n\n["c.d"]\ne = 1\n\n[[y]]\nn = 1\n\n[y.sub]\nk = 1\n\n[[y]]\n\n[z]\nb = 1\n\n[z.a]\n'
    )


def test_a_document_without_plain_values_begins_with_an_empty_line_and_levels_may_be_indented():
    assert to_toml({"crio": {"runtime": {"a": 1}}}, indent="  ") == "\n[crio]\n\n  [crio.runtime]\n    a = 1\n"


def test_a_commented_value_stands_in_its_place_behind_a_hash():
    assert to_toml({"a": 1, "b": Commented("x"), "c": 3}) == 'a = 1\n#b = "x"\nc = 3\n'


def test_comments_stand_where_they_stood():
    remarks = Remarks(first=("# head",), before={("t",): ("# of t",), ("t", "b"): ("# of b",)},
                      beside={("t", "b"): "# beside b", ("t",): "# beside t"}, last=("# end",))
    assert to_toml({"a": 0, "t": {"b": 1}}, indent="  ", remarks=remarks) == (
        "# head\n\na = 0\n\n# of t\n[t] # beside t\n  # of b\n  b = 1 # beside b\n# end\n"
    )


names = st.text(st.characters(codec="utf-8"), max_size=5)
values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8,
)


@given(st.dictionaries(names, values, max_size=4))
def test_what_is_written_reads_back_as_it_was(document):
    assert tomllib.loads(to_toml(document, indent="  ")) == document
