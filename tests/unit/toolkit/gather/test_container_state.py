"""The container's root, from a hook's state."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import SpecError, ToolkitError
from toolkit.gather.container import read_container_root


@pytest.fixture
def state(tmp_path):
    def write(config, **extra):
        (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
        (tmp_path / "state").write_text(json.dumps({"ociVersion": "1.0", "bundle": str(tmp_path), **extra}))
        return str(tmp_path / "state")

    return write


@pytest.mark.parametrize(("root", "expected"), [
    ({"path": "/abs/rootfs"}, "/abs/rootfs"), ({"path": "rootfs"}, "{bundle}/rootfs"),
    ({"path": "../x"}, "{parent}/x"), ({}, "{bundle}"), (None, "{bundle}"),
])
def test_the_root_follows_from_bundle_and_config(state, tmp_path, root, expected):
    path = state({"root": root, "unknown": [1]}, id="x", pid=1)
    assert read_container_root(path) == expected.format(bundle=tmp_path, parent=tmp_path.parent)


@pytest.mark.parametrize(("config", "message"), [
    ("{", "failed to determined container root: failed to load minimal OCI spec: unexpected EOF"),
    ("[]", "failed to determined container root: failed to load minimal OCI spec: json: cannot unmarshal array into "
           "Go value of type minimalSpec"),
    ('{"root":{"path":5}}', "failed to determined container root: failed to load minimal OCI spec: json: cannot "
                            "unmarshal number into Go struct field minimalSpec.root.path of type string"),
])
def test_a_configuration_that_cannot_be_used_is_named(state, config, message):
    with pytest.raises(SpecError) as caught:
        read_container_root(state(config))
    assert str(caught.value) == message


def test_a_missing_configuration_is_named(tmp_path):
    (tmp_path / "state").write_text(json.dumps({"bundle": "/no/bundle"}))
    with pytest.raises(SpecError) as caught:
        read_container_root(str(tmp_path / "state"))
    assert str(caught.value) == ("failed to determined container root: failed to open OCI spec file: "
                                 "open /no/bundle/config.json: no such file or directory")


def test_a_missing_or_broken_state_is_named(tmp_path):
    with pytest.raises(SpecError) as caught:
        read_container_root("/no/state")
    assert str(caught.value) == ("failed to load container state: failed to open file: open /no/state: "
                                 "no such file or directory")
    (tmp_path / "state").write_text("")
    with pytest.raises(SpecError) as caught:
        read_container_root(str(tmp_path / "state"))
    assert str(caught.value) == "failed to load container state: failed to decode container state: EOF"


@given(st.binary())
def test_any_bytes_as_state_are_a_root_or_an_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any-state"
    path.write_bytes(content)
    try:
        read_container_root(str(path))
    except ToolkitError:
        pass


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["root", "path", "x"]), inner)))
def test_any_json_as_configuration_is_a_root_or_an_error(tmp_path_factory, config):
    folder = tmp_path_factory.getbasetemp()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "json-state").write_text(json.dumps({"bundle": str(folder)}))
    try:
        assert read_container_root(str(folder / "json-state"))
    except SpecError as e:
        assert "failed to determined container root" in str(e)
