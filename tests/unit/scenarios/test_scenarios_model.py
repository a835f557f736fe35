"""The case language: good files give cases, bad ones an error with file, key and remedy, any bytes one of the two."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.errors import NvsimError
from scenarios import model

CORPUS = Path(__file__).resolve().parents[2] / "corpus" / "cases"
SMALLEST = "about: x\nhost: t4x1\nsteps: [{run: docker run debian}]\n"


@pytest.mark.parametrize("path", sorted((CORPUS / "good").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_good_file_gives_cases(path: Path) -> None:
    assert model.load_file(str(path))


@pytest.mark.parametrize("path", sorted((CORPUS / "bad").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_bad_file_gives_an_error_that_names_file_and_fault(path: Path) -> None:
    expected = path.read_bytes().split(b"\n")[0].decode().removeprefix("# error: ")
    with pytest.raises(NvsimError) as caught:
        model.load_file(str(path))
    assert expected in str(caught.value) and str(path) in str(caught.value)


def test_an_unknown_key_comes_with_the_nearest_known_one() -> None:
    with pytest.raises(NvsimError) as caught:
        model.parse(SMALLEST.replace("about", "abuot"), "c.yaml")
    assert (caught.value.source, caught.value.hint) == ("c.yaml", "did you mean 'about'?")


def test_an_error_names_the_way_to_the_key() -> None:
    text = SMALLEST.replace("debian}", "debian, expect: {files: {/x: {sise: 3}}}}")
    with pytest.raises(NvsimError) as caught:
        model.parse(text, "c.yaml")
    assert caught.value.source == "c.yaml: steps[0].expect.files./x"


def test_modes_make_one_case_each() -> None:
    cases = model.parse(SMALLEST + "modes: [legacy, cdi, jit-cdi]\n", "c.yaml", "family/c")
    assert [(c.name, c.mode) for c in cases] == [
        ("family/c@legacy", "legacy"), ("family/c@cdi", "cdi"), ("family/c@jit-cdi", "jit-cdi")]


def test_overrides_change_a_named_profile_and_keep_its_gpus() -> None:
    case = model.parse(SMALLEST.replace("t4x1", "{profile: a100x8, absent: [/dev/nvidia3]}"), "c.yaml")[0]
    assert case.host.absent == ("/dev/nvidia3",) and len(case.host.gpus) == 8


def test_a_driver_version_keeps_its_digits() -> None:
    case = model.parse(SMALLEST.replace("t4x1", "{profile: t4x1, driver: 550.10}"), "c.yaml")[0]
    assert case.host.driver == "550.10"


def test_a_restriction_says_why() -> None:
    case = model.parse(SMALLEST + "engines: {only: runc, because: of this}\n", "c.yaml")[0]
    assert (case.engines.refuses("runc"), case.engines.refuses("crun")) == ("", "only runc: of this")
    case = model.parse(SMALLEST + "engines: {not: [runc, crun], because: of that}\n", "c.yaml")[0]
    assert (case.engines.refuses("podman"), case.engines.refuses("crun")) == ("", "not crun: of that")


@pytest.mark.parametrize("words", ["{because: of this}", "{only: runc, not: crun, because: of this}"])
def test_engines_are_named_one_way(words: str) -> None:
    with pytest.raises(NvsimError, match="expected one of 'only' and 'not'") as caught:
        model.parse(f"{SMALLEST}engines: {words}\n", "c.yaml")
    assert caught.value.source == "c.yaml: engines" and caught.value.hint == "engines: {only: [spec], because: …}"


def test_every_case_that_ships_parses_and_has_a_name_of_its_own() -> None:
    names = [case.name for case in model.cases()]
    assert len(names) == len(set(names)) >= 20


@pytest.mark.parametrize("word", ["selection/toolkit-1555-none", "toolkit-1555-none", "toolkit-1555-none@cdi"])
def test_a_case_is_found_by_name_with_or_without_family_and_mode(word: str) -> None:
    assert "selection/toolkit-1555-none@cdi" in [case.name for case in model.select((word,))]


def test_a_report_selects_its_cases() -> None:
    assert {"selection/toolkit-1555-none"} <= {
        case.name.partition("@")[0] for case in model.select(("nvidia-container-toolkit#1555",))}


def test_a_report_may_be_named_as_short_as_in_the_help() -> None:
    assert {case.name.partition("@")[0] for case in model.select(("toolkit#48",))} == {
        "device-nodes-cgroups/toolkit-48-daemon-reload"}


def test_a_case_that_does_not_exist_comes_with_the_nearest_name() -> None:
    with pytest.raises(NvsimError) as caught:
        model.select(("toolkit-1555-nune",))
    assert "toolkit-1555-none" in caught.value.hint


@given(st.binary(max_size=300))
def test_any_bytes_give_cases_or_an_error(content: bytes) -> None:
    try:
        model.parse(content, "c.yaml")
    except NvsimError as e:
        assert e.source.startswith("c.yaml")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12) |
    st.sampled_from(["docker run debian", "/a", "rw", "missing", "untouched", "daemon-reload", "t4x1", "legacy"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([*model.KEYS, *model.IMAGE_KEYS, *model.STEPS, "expect", "only", "because", "exit", "stdout",
                         "gpus", "devices", "mounts", "files", "hooks", "spec", "host", "but", "contains", "matches",
                         "legacy", "gpu", "/a"]), inner, max_size=4), max_leaves=12)


@given(st.dictionaries(st.sampled_from(model.KEYS), VALUES, max_size=8))
def test_any_values_under_known_keys_give_cases_or_an_error(value: dict[str, object]) -> None:
    import json

    whole = {"about": "x", "host": "t4x1", "steps": [{"run": "docker run debian"}]} | value
    try:
        model.parse(json.dumps(whole), "c.yaml")
    except NvsimError as e:
        assert e.message


def test_a_case_of_ones_own_is_named_by_its_file_and_mode(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("about: mine\nhost: t4x1\nmodes: [legacy, cdi]\nsteps:\n  - run: docker run debian true\n"
                    "    expect: {exit: 0}\n")
    words = [case.word for case in model.select((str(path),))]
    assert words == [f"{path}@legacy", f"{path}@cdi"]
    assert [case.mode for case in model.select((words[1],))] == ["cdi"]
