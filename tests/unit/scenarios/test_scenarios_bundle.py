"""Requests as the OCI spec that docker would write."""

from typing import Any

import jsonschema
import pytest

from scenarios import bundle, request


def spec(line: str, env: tuple[tuple[str, str], ...] = (), **options: Any) -> dict[str, Any]:
    return bundle.spec_of(request.parse_run(f"docker run {line}", "step"), env=env, command=("/bin/sh",), **options)


def env_of(found: dict[str, Any]) -> dict[str, str]:
    return dict(item.split("=", 1) for item in found["process"]["env"])


# The members of the runtime-spec's config-schema.json that our bundles use.
SCHEMA = {
    "type": "object", "required": ["ociVersion", "root", "process", "mounts", "linux"],
    "properties": {
        "root": {"type": "object", "required": ["path"], "properties": {"readonly": {"type": "boolean"}}},
        "process": {"type": "object", "required": ["cwd", "args", "user"], "properties": {
            "args": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "env": {"type": "array", "items": {"type": "string", "pattern": "^[^=]+="}},
            "user": {"type": "object", "properties": {"uid": {"type": "integer", "minimum": 0}}}}},
        "mounts": {"type": "array", "items": {"type": "object", "required": ["destination"], "properties": {
            "destination": {"type": "string", "pattern": "^/"}, "options": {"type": "array"}}}},
        "hooks": {"type": "object", "additionalProperties": {"type": "array", "items": {
            "type": "object", "required": ["path"], "properties": {"path": {"type": "string", "pattern": "^/"}}}}},
        "linux": {"type": "object", "properties": {"resources": {"type": "object", "properties": {
            "devices": {"type": "array", "items": {"type": "object", "required": ["allow"]}}}}}}},
}


@pytest.mark.parametrize("line", ["debian", "--gpus all debian", "--privileged --user 1:2 -v /a:/b debian",
                                  "--device nvidia.com/gpu=0 --read-only debian"])
def test_the_spec_has_the_form_of_the_runtime_spec(line: str) -> None:
    jsonschema.validate(spec(line), SCHEMA)


def test_everything_is_denied_but_the_harmless_nodes() -> None:
    rules = spec("debian")["linux"]["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"} in rules
    assert not any(rule.get("major") == 195 for rule in rules)


def test_the_flag_gpus_adds_the_hook_and_the_variable() -> None:
    found = spec("--gpus '\"device=0,2\",capabilities=utility' -e NVIDIA_VISIBLE_DEVICES=7 debian")
    assert [hook["args"] for hook in found["hooks"]["prestart"]] == [["nvidia-container-runtime-hook", "prestart"]]
    assert env_of(found)["NVIDIA_VISIBLE_DEVICES"] == "0,2"
    assert env_of(found)["NVIDIA_DRIVER_CAPABILITIES"] == "utility"


def test_without_the_flag_nothing_of_nvidia_is_there() -> None:
    found = spec("debian")
    assert "hooks" not in found and not any("NVIDIA" in name for name in env_of(found))


def test_the_command_line_wins_over_the_image() -> None:
    found = spec("-e A=2 debian", env=(("A", "1"), ("B", "3")))
    assert (env_of(found)["A"], env_of(found)["B"], len(found["process"]["env"])) == ("2", "3", len(env_of(found)))


def test_cdi_names_travel_as_an_annotation_to_the_cdi_runtime() -> None:
    run = request.parse_run("docker run --device nvidia.com/gpu=0 --device nvidia.com/gpu=2 debian", "step")
    assert bundle.cdi_annotations(run) == {"cdi.k8s.io/nvsim": "nvidia.com/gpu=0,nvidia.com/gpu=2"}
    assert bundle.runtime_of(run) == "nvidia-container-runtime.cdi"


def test_an_unprivileged_container_gets_dockers_capabilities() -> None:
    found = spec("--cap-add SYS_ADMIN debian")["process"]["capabilities"]
    assert "CAP_SYS_ADMIN" in found["bounding"] and "CAP_NET_ADMIN" not in found["bounding"]
    assert "CAP_SYS_ADMIN" not in spec("debian")["process"]["capabilities"]["bounding"]


def test_a_privileged_container_gets_no_more_than_the_engine_has() -> None:
    found = spec("--privileged debian", capabilities=frozenset({"CAP_CHOWN", "CAP_SYS_ADMIN"}))
    assert found["process"]["capabilities"]["bounding"] == ["CAP_CHOWN", "CAP_SYS_ADMIN"]
    assert found["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


def test_an_ordinary_user_has_no_effective_capabilities() -> None:
    found = spec("--user 1000:1001 debian")["process"]
    assert found["user"] == {"uid": 1000, "gid": 1001} and "effective" not in found["capabilities"]


def test_own_capabilities_are_known_by_name() -> None:
    assert bundle.own_capabilities() <= frozenset(bundle.ALL_CAPABILITIES)
