"""TOML text, the probe's report, logs of runtimes, names of control groups."""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.errors import NvsimError
from scenarios import cgroups, toml
from scenarios.engines import logs, probe

SCALARS = st.booleans() | st.integers(-2**63, 2**63 - 1) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=10)
TABLES = st.recursive(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
                                      SCALARS | st.lists(SCALARS, max_size=3), max_size=3),
                      lambda inner: st.dictionaries(st.text("abc-.", max_size=4), inner, max_size=3), max_leaves=6)


@given(TABLES)
def test_toml_text_reads_back_as_the_mapping(table: dict[str, Any]) -> None:
    assert tomllib.loads(toml.dumps(table)) == table


def test_toml_has_no_word_for_null() -> None:
    with pytest.raises(NvsimError) as caught:
        toml.dumps({"a": {"b": None}}, "config")
    assert caught.value.source == "config.a.b"


def test_merging_goes_table_by_table() -> None:
    assert toml.merged({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}, "b": {"z": 1}}) == {
        "a": {"x": 1, "y": 3}, "b": {"z": 1}}


REPORT: dict[str, Any] = {
    "version": 1, "env": {"A": "1"}, "files": {"/f": {"type": "file", "size": 1, "mode": 420, "text": "x"}},
    "mounts": [{"target": "/x", "source": "s", "fstype": "tmpfs", "options": ["ro"]},
               {"target": "/.nvsim", "source": "s", "fstype": "ext4", "options": []}],
    "devices": [{"path": "/dev/nvidia0", "type": "c", "open": "ENXIO"},
                {"path": "/dev/nvidia1", "type": "c", "open": "EPERM"},
                {"path": "/dev/null", "type": "c", "open": "ok"},
                {"path": "/dev/dri/by-path/pci-0-card", "type": "l", "open": None}],
    "libraries": {"liba.so": {"path": "/lib/liba.so"}, "libb.so": {"error": "not found"}},
    "nvml": {"init": 0, "gpus": [{"uuid": "GPU-a"}]}, "cuda": {"init": 0, "devices": ["GPU-a"]},
    "exec": {"exit": 3, "stdout": "o", "stderr": "e"}}


def test_a_report_of_the_probe_becomes_an_outcome() -> None:
    seen = probe.seen(probe.parse(json.dumps(REPORT), "x"))
    assert (seen["exit"], seen["stdout"], seen["stderr"], seen["gpus"]) == (3, "o", "e", ("GPU-a",))
    assert seen["devices"] == {"/dev/nvidia0": "rw", "/dev/nvidia1": "denied"}
    assert list(seen["mounts"]) == ["/x"] and seen["files"]["/f"].mode == 0o644
    assert (seen["libraries"], seen["cuda"]) == ({"liba.so": "/lib/liba.so"}, ("GPU-a",))


def test_an_image_without_a_loader_says_nothing_about_gpus_and_libraries() -> None:
    nothing = {"error": "no dynamic loader"}
    seen = probe.seen(REPORT | {"nvml": nothing, "cuda": nothing, "libraries": {}})
    assert seen["gpus"] is None and seen["libraries"] is None and seen["cuda"] is None


def test_a_cuda_driver_that_does_not_start_has_no_devices() -> None:
    for cuda in ({"error": "no libcuda"}, {"init": 100}):
        assert probe.seen(REPORT | {"cuda": cuda})["cuda"] == ()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 2}', "sh: not found"])
def test_what_is_no_report_is_an_error(text: str) -> None:
    with pytest.raises(NvsimError, match="probe"):
        probe.parse(text, "x")


def test_log_lines_are_shown_by_level_and_message(tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    log.write_text('{"level":"info","msg":"quiet"}\n{"level":"error","msg":"{\\"msg\\":\\"inner\\",\\"level\\":\\"error\\"}"}\n')
    said = 'time="now" level=error msg="device \\"9\\" is unknown"\nplain\n'
    assert logs.with_errors(said, str(log)) == 'error: device "9" is unknown\nplain\nerror: inner\n'
    assert logs.read(str(log)) == "info: quiet\nerror: inner\n"


@given(st.text(max_size=80))
def test_any_text_is_a_log(text: str) -> None:
    assert logs.with_errors(text, "/nonexistent").count("\n") <= len(text.splitlines()) + 1


def test_the_machines_own_hook_is_not_the_toolkits() -> None:
    own, other = {"path": "/x/nvsim-kernel"}, {"path": "/y", "args": ["y", "z"]}
    spec = {"a": 1, "hooks": {"prestart": [own], "poststop": [other]}}
    assert logs.without_kernel(spec) == {"a": 1, "hooks": {"poststop": [other]}}
    assert logs.hooks_of(logs.without_kernel(spec)) == {"poststop": ("y z",)}


def test_groups_of_dead_processes_are_removed_and_others_are_not(tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "MOUNT", str(tmp_path))
    own, old = cgroups.name("a"), f"nvsim-{os.getpid()}-1-a"  # the same pid, but an earlier process
    for path in (f"devices/{own}", f"devices/{old}/inner", f"unified/{old}", "devices/docker", f"{old}"):
        (tmp_path / path).mkdir(parents=True)
    assert len(cgroups.sweep()) == 3
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*"))
    assert left == ["devices", "devices/docker", f"devices/{own}", "unified"]
    cgroups.remove_own("a")
    assert not (tmp_path / "devices" / own).exists()
