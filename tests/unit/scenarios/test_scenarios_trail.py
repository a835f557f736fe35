"""The path of a container, as reports show it."""

from typing import Any

import pytest

from scenarios import model, trail
from scenarios.outcome import Outcome

HOOK = {"path": "/usr/bin/nvidia-container-runtime-hook", "args": ["nvidia-container-runtime-hook", "prestart"]}
BARE: dict[str, Any] = {"process": {"env": ["A=1"]}, "mounts": [{"destination": "/proc"}], "linux": {}}
EDITED: dict[str, Any] = {
    "process": {"env": ["A=1", "NVIDIA_VISIBLE_DEVICES=void"], "user": {"additionalGids": [44]}},
    "mounts": [{"destination": "/proc"}, {"destination": "/usr/bin/nvidia-smi"}],
    "linux": {"devices": [{"path": "/dev/nvidia0"}, {"path": "/dev/nvidiactl"}]},
    "hooks": {"createContainer": [{"path": "/usr/bin/nvidia-cdi-hook", "args": ["nvidia-cdi-hook", "chmod"]}]}}


def stations(line: str, **seen: Any) -> dict[str, trail.Station]:
    """The stations of one `docker run`, by kind."""
    case = model.parse(f"about: x\nhost: t4x1\nsteps: [{{run: '{line}'}}]\n", "c.yaml")[0]
    outcome = Outcome(**{"level": "container", "exit": 0, "original": BARE, "spec": EDITED, "log": ""} | seen)
    found = trail.of(1, case.steps[0], outcome, "runc").stations
    assert [one.kind for one in found] == ["engine", "runtime", "mode", "edits", "container"]
    return {one.kind: one for one in found}


def test_a_container_with_cdi_edits_passes_every_stop() -> None:
    found = stations("docker run --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=0 debian", gpus=("GPU-a",),
                     devices={"/dev/nvidia0": "rw"}, log="info: Auto-detected mode as 'jit-cdi'\n")
    assert found["runtime"].name == "nvidia-container-runtime"
    assert found["runtime"].details == ("asks for NVIDIA_VISIBLE_DEVICES=0",)
    assert (found["mode"].name, found["mode"].details) == ("jit-cdi", ("found out",))
    assert found["edits"].name == "1 hook, 2 device nodes, 1 mount, 1 variable, 1 group"
    assert "device node: /dev/nvidia0" in found["edits"].details
    assert "hook: createContainer nvidia-cdi-hook chmod" in found["edits"].details
    assert found["container"].name == "1 GPU"
    assert found["container"].details == ("exit code 0", "NVML 0: GPU-a", "/dev/nvidia0: rw")
    assert {one.state for one in found.values()} == {"ok"}


def test_an_engine_that_calls_the_hook_itself_is_in_legacy_mode() -> None:
    hooked = BARE | {"hooks": {"prestart": [HOOK]}}
    found = stations("docker run --gpus all debian", original=hooked, spec=hooked, gpus=("GPU-a", "GPU-b"))
    assert (found["runtime"].state, found["runtime"].details) == ("idle", ("asks for --gpus all",))
    assert (found["mode"].name, found["edits"].name) == ("legacy", "1 hook by the engine")
    assert found["container"].name == "2 GPUs"


def test_a_container_without_gpus_is_idle_on_its_way() -> None:
    found = stations("docker run debian", spec=BARE, gpus=())
    assert {kind for kind, one in found.items() if one.state == "idle"} == {"runtime", "mode", "edits", "container"}


def test_a_container_that_did_not_start_ends_the_path_with_what_was_said() -> None:
    found = stations("docker run --runtime=nvidia debian", started=False, exit=125, stderr="one\ntwo\n",
                     log="info: Using requested mode 'cdi'\n")
    assert (found["container"].state, found["container"].details) == ("failed", ("one", "two"))
    assert (found["mode"].name, found["mode"].details) == ("cdi", ("asked for",))


def test_cdi_names_go_through_the_runtime_for_cdi() -> None:
    found = stations("docker run --device nvidia.com/gpu=0 debian", original=None)
    assert found["runtime"].name == "nvidia-container-runtime.cdi"
    assert (found["edits"].name, found["edits"].state) == ("not seen", "idle")


@pytest.mark.parametrize("line", ["ctl: xid gpu=0 79", "host: nvidia-smi -L"])
def test_what_is_no_container_has_no_path(line: str) -> None:
    case = model.parse(f"about: x\nhost: t4x1\nsteps: [{{{line}}}]\n", "c.yaml")[0]
    found = trail.of(2, case.steps[0], Outcome(level="container", exit=0, stdout="x"), "runc")
    assert (found.number, found.stations, found.stdout) == (2, (), "x")


def test_of_a_long_output_the_end_is_kept() -> None:
    case = model.parse("about: x\nhost: t4x1\nsteps: [{host: x}]\n", "c.yaml")[0]
    found = trail.of(1, case.steps[0], Outcome(level="container", stdout="a" * 40_000 + "the error"), "runc")
    assert found.stdout.startswith("… 8009 characters left out …\n") and found.stdout.endswith("the error")
