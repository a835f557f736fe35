"""Spec ⇄ dict ⇄ text, validation, the registry of several files."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import SpecError
from toolkit.gather.cdi_dirs import parsed, read_documents
from toolkit.model.cdi import Device, Document, Spec
from toolkit.model.edits import DeviceNode, Edits, Hook, IntelRdt, Mount, NetDevice
from toolkit.plan.cdi_format import spec_of_dict, spec_to_dict
from toolkit.plan.cdi_text import to_json, to_yaml
from toolkit.plan.cdi_validate import validate
from toolkit.plan.registry import registry_of

CORPUS = Path(__file__).parents[3] / "corpus" / "cdi"
FULL = Spec(
    version="1.1.0",
    kind="vendor.com/class",
    annotations=(("a", "b"),),
    devices=(
        Device(
            name="0",
            annotations=(("c", "d"),),
            edits=Edits(
                env=("A=1", "B=x y"),
                device_nodes=(
                    DeviceNode("/dev/a", "/dev/b", "c", 195, 3, 0o600, "rw", 0, 0),
                    DeviceNode(path="/dev/c"),
                ),
                net_devices=(NetDevice("eth0", "eth1"),),
                hooks=(Hook("createContainer", "/bin/x", ("x", "--y"), ("Z=1",), 0),),
                mounts=(Mount("/h", "/c", ("ro", "rbind"), "bind"),),
                intel_rdt=IntelRdt("id", "L3:0=f", "MB:0=10", ("L2:0=1",), True),
                additional_gids=(44, 0),
            ),
        ),
    ),
    edits=Edits(intel_rdt=IntelRdt()),
)


def test_every_field_survives_the_way_there_and_back() -> None:
    assert spec_of_dict(spec_to_dict(FULL)) == FULL
    assert spec_of_dict(json.loads(to_json(spec_to_dict(FULL)))) == FULL
    assert spec_of_dict(yaml.safe_load(to_yaml(spec_to_dict(FULL)))) == FULL


def test_zeros_are_left_out_but_for_pointers() -> None:
    node = DeviceNode(path="/dev/a", major=0, minor=0, file_mode=0, uid=0)
    document = spec_to_dict(Spec(kind="a.b/c", devices=(Device("x", Edits(device_nodes=(node,))),)))
    assert document["devices"][0]["containerEdits"] == {"deviceNodes": [{"path": "/dev/a", "fileMode": 0, "uid": 0}]}


def test_keys_keep_upstreams_order() -> None:
    assert list(spec_to_dict(FULL)) == ["cdiVersion", "kind", "annotations", "devices", "containerEdits"]
    node = spec_to_dict(FULL)["devices"][0]["containerEdits"]["deviceNodes"][0]
    assert list(node) == ["path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid"]


def test_json_shows_empty_edits_and_yaml_does_not() -> None:
    document = spec_to_dict(Spec(kind="a.b/c", devices=(Device("x", Edits()),)))
    assert to_json(document) == (
        '{"cdiVersion":"0.3.0","kind":"a.b/c","devices":[{"name":"x","containerEdits":{}}],"containerEdits":{}}'
    )
    assert to_yaml(document) == "---\ncdiVersion: 0.3.0\nkind: a.b/c\ndevices:\n    - name: x\n"


def test_json_escapes_as_go_does() -> None:
    assert "\\u003c\\u003e\\u0026" in to_json({"kind": "<>&"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("0", '"0"'),
        ("1:0", '"1:0"'),
        ("0.5.0", "0.5.0"),
        ("1.1", '"1.1"'),
        ("yes", '"yes"'),
        ("null", '"null"'),
        ("2026-01-01", '"2026-01-01"'),
        ("", '""'),
        ("a: b", "'a: b'"),
        ("it's#1", "it's#1"),
        ("a #b", "'a #b'"),
        ("--link", "--link"),
        ("- x", "'- x'"),
        ("../card1::/dev/dri/by-path/pci-0000:1a:00.0-card", "../card1::/dev/dri/by-path/pci-0000:1a:00.0-card"),
        ("*all", "'*all'"),
        ("GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77", "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77"),
        ("a\nb", '"a\\nb"'),
    ],
)
def test_a_string_is_quoted_only_where_it_must_be(text: str, shown: str) -> None:
    assert to_yaml({"kind": text}) == f"---\nkind: {shown}\n"


@given(st.text())
def test_any_string_reads_back_as_itself(text: str) -> None:
    text = text.encode(errors="replace").decode()
    assert yaml.safe_load(to_yaml({"k": text, "l": [text, {"m": text}]})) == {"k": text, "l": [text, {"m": text}]}


@pytest.mark.parametrize(
    ("document", "source", "message"),
    [
        ([], "", "expected an object, got a list"),
        ({"devices": [{"nam": "x"}]}, "devices[0]", 'unknown field "nam"'),
        ({"devices": [{"name": 5}]}, "devices[0].name", "expected a string, got an integer"),
        ({"containerEdits": {"env": "A=1"}}, "containerEdits.env", "expected a list, got a string"),
        ({"kind": "a/b", "Kind": "a/b"}, "", 'duplicate field "Kind"'),
        (
            {"containerEdits": {"deviceNodes": [{"uid": -1}]}},
            "containerEdits.deviceNodes[0].uid",
            "expected an integer from 0 to 4294967295, got -1",
        ),
        (
            {"containerEdits": {"intelRdt": {"enableCMT": True}}},
            "containerEdits.intelRdt",
            'unknown field "enableCMT"',
        ),
    ],
)
def test_reading_is_strict_and_names_the_key(document: object, source: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of_dict(document)
    assert (caught.value.source, caught.value.message) == (source, message)


def test_field_names_match_without_case_and_null_is_absence() -> None:
    assert spec_of_dict({"CDIVERSION": "0.3.0", "devices": None, "kind": None}) == Spec(kind="", version="0.3.0")


GOOD = Spec(version="0.5.0", kind="a.b/c", devices=(Device("0", Edits(env=("A=1",))),))


def device(**fields: object) -> Spec:
    return GOOD._replace(version="1.1.0", devices=(Device("x", Edits(**fields)),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (GOOD._replace(version=""), 'invalid version ""'),
        (GOOD._replace(version="9.9.9"), 'invalid version "9.9.9"'),
        (GOOD._replace(version="0.3.0"), "the spec version must be at least v0.5.0"),
        (GOOD._replace(kind="/c"), "invalid vendor. empty name"),
        (GOOD._replace(kind="1a/c"), 'invalid vendor. "1a", should start with letter'),
        (GOOD._replace(kind="a/c!d"), "invalid class. invalid character '!' in name \"c!d\""),
        (GOOD._replace(kind="a/c-"), 'invalid class. "c-", should end with a letter or digit'),
        (GOOD._replace(devices=()), "invalid spec, no devices"),
        (GOOD._replace(devices=GOOD.devices * 2), 'invalid spec, multiple device "0"'),
        (GOOD._replace(devices=(Device("x", Edits()),)), 'failed add device "x": invalid device, empty device edits'),
        (
            GOOD._replace(devices=(Device("-x", GOOD.devices[0].edits),)),
            'failed add device "-x": invalid class "-x", should start with a letter or digit',
        ),
        (device(env=("=x",)), 'failed add device "x": invalid device "x": invalid environment variable "=x"'),
        (
            device(device_nodes=(DeviceNode(path=""),)),
            'failed add device "x": invalid device "x": invalid (empty) device path',
        ),
        (
            device(device_nodes=(DeviceNode("/a", type="z"),)),
            'failed add device "x": invalid device "x": device "/a": invalid type "z"',
        ),
        (
            device(device_nodes=(DeviceNode("/a", permissions="rx"),)),
            'failed add device "x": invalid device "x": device "/a": invalid permissions "rx"',
        ),
        (device(hooks=(Hook("x", "/a"),)), 'failed add device "x": invalid device "x": invalid hook name "x"'),
        (
            device(hooks=(Hook("poststop", ""),)),
            'failed add device "x": invalid device "x": invalid hook "poststop" with empty path',
        ),
        (
            device(mounts=(Mount("", "/a"),)),
            'failed add device "x": invalid device "x": invalid mount, empty host path',
        ),
        (
            GOOD._replace(edits=Edits(mounts=(Mount("/a", ""),))),
            "invalid mount, empty container path",
        ),
    ],
)
def test_an_invalid_specification_is_refused_in_cdis_words(spec: Spec, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        validate(spec)
    assert caught.value.message == f"invalid CDI Spec: {message}"


@pytest.mark.parametrize("spec", [GOOD, GOOD._replace(version="v1.0.0"), GOOD._replace(kind="a/b"), FULL])
def test_valid_specifications_pass(spec: Spec) -> None:
    validate(spec)


def write(folder: Path, name: str, *devices: str, version: str = "0.5.0") -> None:
    folder.mkdir(exist_ok=True)
    document = {
        "cdiVersion": version,
        "kind": "nvidia.com/gpu",
        "devices": [{"name": d, "containerEdits": {"env": [f"FROM={folder.name}/{name}"]}} for d in devices],
    }
    (folder / name).write_text(json.dumps(document) if name.endswith("json") else yaml.safe_dump(document))


def test_later_folders_win_silently(tmp_path: Path) -> None:
    write(tmp_path / "etc", "a.yaml", "0", "1")
    write(tmp_path / "run", "b.json", "0")
    registry = registry_of(read_documents(("/etc", "/run", "/missing"), root=str(tmp_path)))
    assert not registry.errors
    found = {name: device.edits.env for name, (_, device) in registry.devices.items()}
    assert found == {"nvidia.com/gpu=0": ("FROM=run/b.json",), "nvidia.com/gpu=1": ("FROM=etc/a.yaml",)}


def test_a_conflict_within_a_folder_takes_the_device_away(tmp_path: Path) -> None:
    write(tmp_path / "etc", "a.json", "0")
    write(tmp_path / "run", "a.json", "0", "1")
    write(tmp_path / "run", "b.json", "0")
    registry = registry_of(read_documents(("/etc", "/run"), root=str(tmp_path)))
    assert set(registry.devices) == {"nvidia.com/gpu=1"}
    assert registry.find("nvidia.com/gpu=0") is None
    text = 'conflicting device "nvidia.com/gpu=0" (specs "/run/b.json", "/run/a.json")'
    assert registry.errors == {"/run/a.json": (text,), "/run/b.json": (text,)}


def test_a_bad_file_is_an_error_and_the_others_count(tmp_path: Path) -> None:
    write(tmp_path / "d", "good.json", "0")
    write(tmp_path / "d", "old.json", "1", version="0.3.0")
    write(tmp_path / "d", "ignored.yml", "2")
    (tmp_path / "d/text.json").write_text("{")
    (tmp_path / "d/empty.yaml").touch()
    (tmp_path / "d/folder.json").mkdir()
    registry = registry_of(read_documents(("/d",), root=str(tmp_path)))
    assert set(registry.devices) == {"nvidia.com/gpu=0"}
    assert set(registry.errors) == {"/d/old.json", "/d/text.json", "/d/empty.yaml"}
    assert registry.errors["/d/old.json"] == (
        "failed to load CDI Spec invalid CDI Spec: the spec version must be at least v0.5.0",
    )
    assert registry.errors["/d/text.json"][0].startswith(
        'failed to load CDI Spec failed to parse CDI Spec "/d/text.json": failed to unmarshal CDI Spec: '
    )


def test_a_pipe_in_the_folder_does_not_stop_us(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "x.json")
    (document,) = read_documents(("/",), root=str(tmp_path))
    assert "not a regular file" in document.error


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "a: 1\na: 2\n", '{"b": {"a": 1, "a": 2}}'])
def test_repeated_keys_are_refused(text: str) -> None:
    with pytest.raises(SpecError, match='key "a" already set in map'):
        parsed(text.encode())


@pytest.mark.parametrize("path", sorted((CORPUS / "bad").iterdir()), ids=lambda path: path.name)
def test_bad_files_are_refused(path: Path) -> None:
    with pytest.raises(SpecError):
        validate(spec_of_dict(parsed(path.read_bytes())))


@pytest.mark.parametrize("path", sorted((CORPUS / "good").iterdir()), ids=lambda path: path.name)
def test_good_files_are_read(path: Path) -> None:
    validate(spec_of_dict(parsed(path.read_bytes())))


WORDS = st.sampled_from(
    ["cdiVersion", "kind", "devices", "name", "containerEdits", "env", "deviceNodes", "intelRdt", "x"]
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just("0.5.0")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=4)),
)


@given(VALUES)
def test_any_document_gives_a_registry(document: object) -> None:
    registry = registry_of([Document("/a.json", 0, document)])
    assert registry.errors or registry.devices


@given(st.one_of(st.binary(), st.text(alphabet="{}[]:,-&*!|>'\"%@`#? \nabc0129~<=\t").map(str.encode)))
def test_any_bytes_give_a_value_or_an_error(data: bytes) -> None:
    try:
        parsed(data)
    except SpecError as e:
        assert e.message
