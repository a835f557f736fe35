"""config.json as Go's decoder reads it and its encoder writes it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import SpecError, ToolkitError
from toolkit.plan.oci_codec import checked, ordered, rendered
from toolkit.plan.oci_fields import SCALARS, STRUCTURES, fields

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
NAMES = sorted({name for structure in STRUCTURES for name in fields(structure)})
SHAPED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
)


def read(text, **options):
    return checked(json.loads(text), **options)


@pytest.mark.parametrize("structure", sorted(STRUCTURES))
def test_every_type_in_the_tables_exists(structure):
    for type_ in fields(structure).values():
        bare = type_.rstrip("!").removeprefix("*").removeprefix("[]").removeprefix("{}")
        assert bare in SCALARS or bare in STRUCTURES


def test_fields_are_written_in_the_structures_order_and_maps_sorted():
    spec = read(
        '{"annotations": {"b": "2", "a": "1"}, "linux": {}, "root": {"readonly": true, "path": "r"}, '
        '"mounts": [{"source": "s", "destination": "/d"}], "ociVersion": "1.0.2"}'
    )
    assert rendered(spec) == (
        b'{"ociVersion":"1.0.2","root":{"path":"r","readonly":true},"mounts":[{"destination":"/d","source":"s"}],'
        b'"annotations":{"a":"1","b":"2"},"linux":{}}\n'
    )


def test_empty_optional_values_vanish_and_required_ones_appear():
    spec = read(
        '{"hostname": "", "process": {"env": [], "terminal": false, "oomScoreAdj": 0}, "mounts": [{}], '
        '"hooks": {"prestart": [{"timeout": 0}]}, "linux": {"devices": [{}], "resources": {"devices": [{}], '
        '"memory": {"limit": 0}}, "seccomp": {"syscalls": [{}]}}}'
    )
    assert json.loads(rendered(spec)) == {
        "ociVersion": "",
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "", "oomScoreAdj": 0},
        "mounts": [{"destination": ""}],
        "hooks": {"prestart": [{"path": "", "timeout": 0}]},
        "linux": {
            "resources": {"devices": [{"allow": False}], "memory": {"limit": 0}},
            "devices": [{"path": "", "type": "", "major": 0, "minor": 0}],
            "seccomp": {"defaultAction": "", "syscalls": [{"names": None, "action": ""}]},
        },
    }


def test_html_is_escaped_and_other_text_is_not():
    spec = read('{"ociVersion": "1", "hostname": "<a>&\\u2028é\\n\\u0001"}')
    assert rendered(spec) == '{"ociVersion":"1","hostname":"\\u003ca\\u003e\\u0026\\u2028é\\n\\u0001"}\n'.encode()


def test_half_a_surrogate_pair_becomes_the_replacement_character():
    assert "\ufffd" in rendered(read('{"hostname": "\\ud800"}')).decode()


def test_names_match_in_any_case_and_null_is_absence():
    assert read('{"PROCESS": {"Args": ["a"], "env": null}, "Root": null}') == {"process": {"args": ["a"]}}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"bogus": 1}', "bogus"),
        ('{"process": {"user": {"shell": "x"}}}', "shell"),
        ('{"mounts": [{"destination": "/", "Extra": 1}]}', "Extra"),
        ('{"linux": {"netDevices": {"e": {"mtu": 1}}}}', "mtu"),
    ],
)
def test_an_unknown_field_anywhere_is_an_error_that_names_it(text, field):
    with pytest.raises(SpecError) as e:
        read(text)
    assert e.value.message == f'json: unknown field "{field}"'
    assert "allow-unknown-oci-spec-fields" in e.value.hint


def test_unknown_fields_are_kept_where_they_are_allowed():
    text = '{"ociVersion":"1","process":{"user":{"uid":0,"gid":0},"cwd":"/","newField":{"z":1,"a":[]}},"future":[null]}'
    assert rendered(read(text, allow_unknown=True)).decode() == text + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"process": {"args": 5}}',
            "json: cannot unmarshal number into Go struct field Spec.process.args of type []string",
        ),
        ('{"process": "x"}', "json: cannot unmarshal string into Go struct field Spec.process of type specs.Process"),
        ('{"mounts": [[]]}', "json: cannot unmarshal array into Go struct field Spec.mounts of type specs.Mount"),
        (
            '{"process": {"user": {"uid": -1}}}',
            "json: cannot unmarshal number -1 into Go struct field Spec.process.user.uid of type uint32",
        ),
        (
            '{"process": {"user": {"uid": true}}}',
            "json: cannot unmarshal bool into Go struct field Spec.process.user.uid of type uint32",
        ),
        (
            '{"annotations": {"a": 1}}',
            "json: cannot unmarshal number into Go struct field Spec.annotations.a of type string",
        ),
        ("[]", "json: cannot unmarshal array into Go value of type specs.Spec"),
    ],
)
def test_a_value_of_the_wrong_type_is_an_error_with_gos_text(text, message):
    with pytest.raises(SpecError) as e:
        read(text)
    assert e.value.message == message


@given(JSON)
def test_any_json_gives_a_configuration_or_a_toolkit_error(document):
    try:
        spec = checked(document, allow_unknown=True)
    except ToolkitError:
        return
    assert checked(json.loads(rendered(spec)), allow_unknown=True) is not None


@given(st.dictionaries(st.sampled_from(sorted(fields("Spec"))), SHAPED))
def test_writing_what_was_read_and_reading_it_again_changes_nothing(document):
    try:
        once = ordered(checked(document, allow_unknown=True))
    except ToolkitError:
        return
    assert ordered(checked(json.loads(rendered(once)), allow_unknown=True)) == once
