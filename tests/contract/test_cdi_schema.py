"""What `cdi generate` writes against the published schema's facts: CDI 1.1.0, schema/defs.json and schema.json."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from nvsim import build, profile
from toolkit.gather.host import read_host
from toolkit.plan.cdi_format import spec_to_dict
from toolkit.plan.generate import Options, plan_spec

GOLDEN = Path(__file__).parents[1] / "golden" / "cdi"

STRING = {"type": "string"}
STRINGS = {"type": "array", "items": STRING}
PATH = {"type": "string", "pattern": "^/"}
UINT32 = {"type": "integer", "minimum": 0, "maximum": 4294967295}
INT64 = {"type": "integer", "minimum": -(1 << 63), "maximum": (1 << 63) - 1}


def closed(required: tuple[str, ...] = (), **properties: object) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "additionalProperties": False, "properties": properties}


EDITS = closed(
    env={"type": "array", "items": {"type": "string", "pattern": "^[^=]+=.*$"}},
    deviceNodes={
        "type": "array",
        "items": closed(
            ("path",),
            path=PATH,
            hostPath=PATH,
            type={"enum": ["b", "c", "u", "p"]},
            major=INT64,
            minor=INT64,
            fileMode=UINT32,
            permissions={"type": "string", "pattern": "^[rwm]+$"},
            uid=UINT32,
            gid=UINT32,
        ),
    },
    hooks={
        "type": "array",
        "items": closed(
            ("hookName", "path"),
            hookName={
                "enum": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
            },
            path=PATH,
            args=STRINGS,
            env=STRINGS,
            timeout=INT64,
        ),
    },
    mounts={
        "type": "array",
        "items": closed(("hostPath", "containerPath"), hostPath=PATH, containerPath=PATH, options=STRINGS, type=STRING),
    },
    additionalGids={"type": "array", "items": UINT32},
)
ANNOTATIONS = {"type": "object", "additionalProperties": STRING}
SCHEMA = closed(
    ("cdiVersion", "kind", "devices"),
    cdiVersion={"enum": ["0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"]},
    kind={"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_.-]*$"},
    annotations=ANNOTATIONS,
    devices={
        "type": "array",
        "minItems": 1,
        "items": closed(
            ("name", "containerEdits"),
            name={"type": "string", "pattern": "^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$"},
            annotations=ANNOTATIONS,
            containerEdits=EDITS,
        ),
    },
    containerEdits=EDITS,
)


@pytest.fixture(scope="module", params=["a100x8", "t4x1", "rtx4060ti"])
def host_root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = str(tmp_path_factory.mktemp("host") / "root")
    build.build(profile.load(request.param), root, dev_root=root)
    yield root
    build.remove(root)


def test_the_schema_accepts_the_worked_example_and_refuses_an_unknown_field() -> None:
    document = yaml.safe_load((GOLDEN / "worked-example.yaml").read_text())
    jsonschema.validate(document, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "containerEdit": {}}, SCHEMA)


@pytest.mark.parametrize("features", [(), ("enable-coherent-annotations",), ("no-additional-gids-for-device-nodes",)])
def test_what_is_generated_obeys_the_schema(host_root: str, features: tuple[str, ...]) -> None:
    options = Options(naming=("index", "uuid"), merged_device="all", feature_flags=features)
    spec, _ = plan_spec(read_host(root=host_root), options=options)
    jsonschema.validate(spec_to_dict(spec), SCHEMA)


def test_a_driver_root_obeys_the_schema(host_root: str) -> None:
    spec, _ = plan_spec(read_host(driver_root=host_root), ids=("0",))
    jsonschema.validate(spec_to_dict(spec), SCHEMA)
