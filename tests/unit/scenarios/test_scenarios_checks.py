"""The words of `expect:`, judged on values."""

from typing import Any

import pytest

from scenarios import checks
from scenarios.outcome import File, Mount, Outcome

UUIDS = ("GPU-a", "GPU-b", "GPU-c")
MIGS = {"1:0": ("MIG-x", "GPU-b"), "1:1": ("MIG-y", "GPU-b")}


def judged(expect: dict[str, Any], *places: str, **seen: Any) -> dict[str, str]:
    """The differences by word, of an outcome of the level `container` that exited 0."""
    outcome = Outcome(**{"level": "container", "exit": 0, "host_gpus": UUIDS, "host_migs": MIGS} | seen)
    return dict(checks.judge(checks.parse(expect, "x").at(*places), outcome).differences)


def unseen(expect: dict[str, Any], **seen: Any) -> tuple[str, ...]:
    return checks.judge(checks.parse(expect, "x"), Outcome(**{"level": "spec"} | seen)).unseen


@pytest.mark.parametrize(("expect", "seen"), [
    ({"exit": 6}, {"exit": 6}),
    ({"exit": {"not": 0}}, {"exit": 3}),
    ({"stdout": "No devices found."}, {"stdout": "No devices found.\n"}),
    ({"stderr": {"contains": ["a", "b"], "lacks": "c", "matches": "^b"}}, {"stderr": "a\nb\n"}),
    ({"gpus": [2, 0]}, {"gpus": ("GPU-a", "GPU-c")}),
    ({"gpus": "all"}, {"gpus": ("GPU-a", "MIG-x", "MIG-y", "GPU-c")}),
    ({"gpus": "all"}, {"gpus": UUIDS, "host_migs": {}}),
    ({"gpus": ["1:1", 2]}, {"gpus": ("MIG-y", "GPU-c")}),
    ({"gpus": []}, {"gpus": ()}),
    ({"cuda": [1]}, {"cuda": ("GPU-b",)}),
    ({"cuda": [0]}, {"cuda": ("GPU-5a97",), "host_gpus": ("5a97",)}),  # that of a Jetson has no prefix in NVML
    ({"gpus": {"contains": [1], "lacks": ["GPU-a"]}}, {"gpus": ("GPU-b", "GPU-c")}),
    ({"devices": {"/dev/nvidia0": "rw", "/dev/nvidia1": "missing"}}, {"devices": {"/dev/nvidia0": "rw"}}),
    ({"devices": ["/dev/nvidia0"]}, {"devices": {"/dev/nvidia0": "rw", "/dev/nvidia1": "denied"}}),
    ({"mounts": {"/x": {"options": ["ro"], "fstype": "tmpfs"}, "/y": "missing"}},
     {"mounts": {"/x": Mount(fstype="tmpfs", options=("ro", "nosuid"))}}),
    ({"links": {"/l": "target", "/m": "missing"}}, {"files": {"/l": File(kind="link", link="target"),
                                                              "/m": File(kind="missing")}}),
    ({"files": {"/f": {"mode": 644, "text": {"contains": "x"}}, "/g": "missing"}},
     {"files": {"/f": File(kind="file", mode=0o644, text="axb"), "/g": File(kind="missing")}}),
    ({"environment": {"A": "1", "B": "missing"}}, {"environment": {"A": "1"}}),
    ({"libraries": {"libcuda.so.1": {"contains": "/lib"}}}, {"libraries": {"libcuda.so.1": "/lib/libcuda.so.1"}}),
    ({"hooks": {"prestart": ["hook prestart"]}}, {"hooks": {"prestart": ("hook prestart",)}}),
    ({"spec": {"process.user.uid": 1, "mounts.0.type": "proc", "annotations": "missing"}},
     {"spec": {"process": {"user": {"uid": 1}}, "mounts": [{"type": "proc"}]}}),
    ({"spec": "unchanged"}, {"spec": {"a": 1}, "original": {"a": 1, "b": [], "c": {"d": False}}}),
    ({"host": {"/x": "untouched", "/y": "missing"}}, {"host": {"/x": ("same", "same"), "/y": ("", "")}}),
    ({"log": {"contains": "mode"}}, {"log": "info: Using requested mode 'cdi'\n"}),
])
def test_what_fits_gives_no_difference(expect: dict[str, Any], seen: dict[str, Any]) -> None:
    assert judged(expect, **seen) == {}


@pytest.mark.parametrize(("expect", "seen", "word", "text"), [
    ({}, {"exit": 3, "stderr": "boom"}, "exit", "expected 0, got 3"),
    ({"stdout": "a"}, {"stdout": "b\n"}, "stdout", "expected 'a'\ngot 'b\\n'"),
    ({"gpus": [2]}, {"gpus": ("GPU-a", "GPU-c")}, "gpus", "got GPU 0 (GPU-a), which was not expected"),
    ({"cuda": []}, {"cuda": ("GPU-a",)}, "cuda", "got GPU 0 (GPU-a), which was not expected"),
    ({"gpus": ["all"]}, {"gpus": ("GPU-a", "MIG-x", "MIG-y")}, "gpus", "expected GPU 2 (GPU-c), which is missing"),
    ({"gpus": ["1:0"]}, {"gpus": ("MIG-y",)}, "gpus", "expected MIG 1:0 (MIG-x), which is missing"),
    ({"devices": {"/dev/nvidia0": "rw"}}, {"devices": {"/dev/nvidia0": "denied"}}, "devices",
     "/dev/nvidia0: expected rw, got denied"),
    ({"devices": []}, {"devices": {"/dev/nvidia0": "rw"}}, "devices", "got /dev/nvidia0, which was not expected"),
    ({"mounts": ["/x"]}, {"mounts": {}}, "mounts", "/x: expected present, got missing"),
    ({"mounts": {"/x": {"options": ["ro"]}}}, {"mounts": {"/x": Mount(options=("rw",))}}, "mounts",
     "/x: options: expected ro, which is missing"),
    ({"links": {"/l": "a"}}, {"files": {"/l": File(kind="file")}}, "links",
     "/l: expected 'a'\ngot '(a file, not a link)'"),
    ({"files": {"/f": "missing"}}, {"files": {"/f": File(kind="dir")}}, "files", "/f: expected missing, got dir"),
    ({"files": {"/f": {"mode": "0600"}}}, {"files": {"/f": File(kind="file", mode=0o644)}}, "files",
     "/f: mode: expected 0600, got 0644"),
    ({"environment": {"A": "missing"}}, {"environment": {"A": "1"}}, "environment", "A: expected missing, got '1'"),
    ({"libraries": {"libx.so": {"contains": "/usr"}}}, {"libraries": {}}, "libraries",
     "libx.so: expected /usr, got nothing"),
    ({"hooks": {"prestart": []}}, {"hooks": {"prestart": ("h",)}}, "hooks", "prestart: got h, which was not expected"),
    ({"spec": "unchanged"}, {"spec": {"a": [1, 2]}, "original": {"a": [1]}}, "spec", "a: expected no 2"),
    ({"host": {"/x": "untouched"}}, {"host": {"/x": ("old", "new")}}, "host",
     "/x: changed on the host: was old\n/x: changed on the host: now new"),
    ({"log": {"lacks": "secret"}}, {"log": "a secret"}, "log", "expected not to contain 'secret'\ngot 'a secret'"),
    ({}, {"left": ("/mnt",)}, "host", "/mnt: this mount was left behind"),
])
def test_a_difference_is_readable_on_its_own(expect: dict[str, Any], seen: dict[str, Any], word: str,
                                             text: str) -> None:
    assert judged(expect, **seen)[word].startswith(text)


def test_a_container_that_unexpectedly_does_not_start_is_one_difference() -> None:
    found = judged({"gpus": [1], "stdout": "x"}, started=False, exit=125, stderr="no such GPU\n", stdout="")
    assert found == {"exit": "the container did not start\nno such GPU"}


def test_words_under_but_hold_in_their_place_only() -> None:
    expect = {"exit": 0, "but": {"legacy": {"exit": 1}, "crun": {"exit": 2}}}
    assert judged(expect, "cdi", "container", "runc", exit=0) == {}
    assert judged(expect, "legacy", "container", "runc", exit=1) == {}
    assert judged(expect, "legacy", "container", "crun", exit=2) == {}


def test_a_level_names_the_words_that_it_cannot_see() -> None:
    assert unseen({"stdout": "x", "gpus": [0], "environment": {"A": "1"}}, environment={"A": "1"}) == (
        "stdout", "gpus", "exit")


def test_level_spec_notices_that_nothing_stops_a_container() -> None:
    verdict = checks.judge(checks.parse({"exit": 125}, "x"), Outcome(level="spec"))
    assert dict(verdict.differences) == {"exit": "expected the container not to start, but nothing stops it"}


def test_a_probe_is_asked_for_what_the_words_name() -> None:
    expect = checks.parse({"files": {"/f": "file"}, "links": {"/l": "x"}, "libraries": {"libx.so": "missing"},
                           "host": {"/h": "missing"}}, "x")
    assert checks.wanted(expect) == (("/f", "/l"), ("libx.so",), ("/h",))
