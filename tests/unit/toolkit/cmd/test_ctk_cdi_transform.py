"""nvidia-ctk cdi transform root, as a command.  Expectations: reference, toolkit 07 §4."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from toolkit.cmd.ctk.main import main

SPEC = {
    "cdiVersion": "0.5.0",
    "kind": "nvidia.com/gpu",
    "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/driver/dev/nvidia0"}]}}],
    "containerEdits": {},
}
Transform = Callable[..., tuple[int, str, str]]


@pytest.fixture
def transform(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Transform:
    """`transform(text, flags…)` with the text on stdin: exit status, stdout, stderr."""

    def run(text: str, *flags: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        status = main(["nvidia-ctk", "cdi", "transform", "root", *flags])
        return (status, *capfd.readouterr())

    return run


def test_stdin_becomes_yaml_on_stdout(transform: Transform) -> None:
    status, out, err = transform(json.dumps(SPEC), "--from", "/driver", "--to=/new")
    assert (status, err) == (0, "")
    assert out.startswith("---\ncdiVersion: 0.5.0\n")
    (node,) = yaml.safe_load(out)["devices"][0]["containerEdits"]["deviceNodes"]
    assert node == {"path": "/driver/dev/nvidia0", "hostPath": "/new/dev/nvidia0"}


@pytest.mark.parametrize(("name", "written"), [("x.json", "x.json"), ("x.yaml", "x.yaml"), ("x.yml", "x.yml.yaml")])
def test_the_name_of_the_output_decides_the_format(transform: Transform, tmp_path: Path, name: str, written: str
                                                   ) -> None:
    (tmp_path / "in.yaml").write_text(yaml.safe_dump(SPEC))
    assert transform("", "--input", str(tmp_path / "in.yaml"), "--output", str(tmp_path / name))[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in.yaml", written])
    text = (tmp_path / written).read_text()
    assert (json.loads(text) if written.endswith("json") else yaml.safe_load(text))["devices"] == SPEC["devices"]


@pytest.mark.parametrize(
    ("text", "flags", "message"),
    [
        ("foo: 1", (), 'failed to load CDI specification: failed to parse CDI spec: failed to unmarshal CDI Spec: '
                       'error unmarshaling JSON: while decoding JSON: json: unknown field \\"foo\\"'),
        ("", (), "failed to write spec: invalid CDI Spec: invalid spec, no devices"),
        (json.dumps({**SPEC, "cdiVersion": "0.3.0"}), ("--from", "/driver", "--to", "/new"),
         "the spec version must be at least v0.5.0"),
        ("", ("--input", "/nowhere"), "failed to load CDI specification: failed to read spec contents: "
                                      "open /nowhere: no such file or directory"),
        ("", ("--relative-to", "guest"), "invalid --relative-to value: guest"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    transform: Transform, tmp_path: Path, text: str, flags: tuple[str, ...], message: str
) -> None:
    status, out, err = transform(text, *flags)
    assert (status, out) == (1, "") and message in err
    assert transform(text, *flags, "--output", str(tmp_path / "x.json"))[0] == 1
    assert not list(tmp_path.iterdir())
