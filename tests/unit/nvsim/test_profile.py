"""Profiles: what a file says becomes a value, or an error that names file and key."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim import document, models, plan_host, profile, profile_gpus
from nvsim.errors import NvsimError

CORPUS = Path(__file__).parents[2] / "corpus" / "profiles"


def test_the_profiles_of_this_package_load_and_say_what_they_are() -> None:
    assert {"a100x8", "h100x8", "t4x1", "rtx4060ti", "no-driver"} <= set(profile.names())
    for name in profile.names():
        loaded = profile.load(name)
        assert loaded.name == name
        assert loaded.about


@pytest.mark.parametrize("name", profile.names())
def test_the_driver_of_a_profile_is_one_that_its_gpus_work_with(name: str) -> None:
    loaded = profile.load(name)
    driver = plan_host.host(loaded).driver
    used = {gpu.model: models.model(gpu.model) for gpu in loaded.gpus}.values()
    for model in (model for model in used if "integrated" not in model) if driver else ():  # of a Jetson: profile_tegra
        first, last = model["branches"]
        assert first <= driver.branch <= (last or 10_000)
        # The open modules drive Turing and later, and nothing else drives Blackwell.
        assert loaded.kernel_module == "closed" or model["architecture"] >= 6
        assert loaded.kernel_module == "open" or model["architecture"] < 10


def test_gpus_may_be_near_nodes_that_their_order_does_not_tell() -> None:
    assert [gpu.numa_node for gpu in profile.load("a100x8-535").gpus] == [3, 3, 1, 1, 7, 7, 5, 5]
    assert {gpu.numa_node for gpu in profile.load("a100x8").gpus} == {-1}


def test_nvlinks_of_a_profile_are_pairs_of_gpus_in_order() -> None:
    read = profile.parse("{gpus: [{model: A100-PCIE-80GB, count: 4}], nvlinks: {3-2: 12, 0-1: 12}}", "p.yaml")
    assert [(b.first, b.second, b.links) for b in read.nvlinks] == [(0, 1, 12), (2, 3, 12)]


def test_every_gpu_of_a_dgx_1_has_its_six_links_in_use() -> None:
    links = profile.load("v100x8").nvlinks
    assert [sum(b.links for b in links if gpu in (b.first, b.second)) for gpu in range(8)] == [6] * 8


def test_other_gpus_in_a_derived_profile_take_their_links_along() -> None:
    derived = profile.of({"profile": "a30x2", "gpus": [{"model": "T4"}]}, "case.yaml: host")
    assert derived.nvlinks == ()


def test_eight_gpus_have_eight_uuids_serials_and_the_bus_ids_of_a_dgx() -> None:
    gpus = profile.load("a100x8").gpus
    assert [gpu.bus_id[5:7] for gpu in gpus] == ["07", "0f", "47", "4e", "87", "90", "b7", "bd"]
    assert [(gpu.index, gpu.minor) for gpu in gpus] == [(i, i) for i in range(8)]
    assert len({gpu.uuid for gpu in gpus}) == len({gpu.serial for gpu in gpus}) == 8


def test_a_profile_is_the_same_each_time_and_another_name_gives_other_uuids() -> None:
    text = "gpus: [{model: T4}]"
    one, again, other = (profile.parse(text, source) for source in ("a.yaml", "x/a.yaml", "b.yaml"))
    assert one == again
    assert one.gpus[0].uuid != other.gpus[0].uuid
    assert one.gpus[0].serial != other.gpus[0].serial


def test_the_index_follows_the_bus_id_and_the_minor_is_as_given() -> None:
    gpus = profile.parse((CORPUS / "good/minors.yaml").read_bytes(), "minors.yaml").gpus
    assert [(gpu.index, gpu.minor, gpu.bus_id, gpu.uuid[-1]) for gpu in gpus] == [
        (0, 1, "0000:07:00.0", "b"), (1, 3, "0001:0f:00.0", "a")]


def test_a_derived_profile_keeps_uuids_and_changes_what_it_says() -> None:
    derived = profile.of({"profile": "a100x8", "driver": "470.82.01", "absent": ["/dev/nvidia3"]}, "case.yaml: host")
    base = profile.load("a100x8")
    assert derived == replace(base, driver="470.82.01", kernel_driver="470.82.01", absent=("/dev/nvidia3",))


def test_a_name_in_place_of_keys_is_that_profile() -> None:
    assert profile.of("t4x1", "case.yaml: host") == profile.load("t4x1")


def test_versions_keep_their_digits_without_quotes() -> None:
    assert profile.parse("driver: 510.10", "p.yaml").driver == "510.10"


def test_a_kernel_driver_follows_the_driver_unless_it_is_named() -> None:
    read = {path.stem: profile.parse(path.read_bytes(), str(path)) for path in (CORPUS / "good").iterdir()}
    assert (read["mismatch"].driver, read["mismatch"].kernel_driver) == ("550.54.15", "535.261.03")
    assert (read["libraries-only"].driver, read["libraries-only"].kernel_driver) == ("550.54.15", "")
    assert (read["kernel-only"].driver, read["kernel-only"].kernel_driver) == ("", "565.77")
    assert read["kernel-only"].kernel_module == "open"


def test_every_key_reaches_the_profile() -> None:
    path = CORPUS / "good/everything.yaml"
    assert set(document.read(path.read_bytes(), "")) == set(profile.KEYS) - {"profile"}
    read = profile.parse(path.read_bytes(), str(path))
    untouched = {name for name in profile.Profile.__slots__
                 if getattr(read, name) == getattr(profile.Profile(name="everything"), name)}
    assert untouched <= {"name", "layout", "persistenced", "fabricmanager", "nvswitches", "wsl", "tegra"}
    assert read.driver_root == "/run/nvidia/driver"


@pytest.mark.parametrize("path", sorted((CORPUS / "good").iterdir()), ids=lambda path: path.stem)
def test_good_files_are_profiles(path: Path) -> None:
    assert profile.load(str(path)).name == ("a100x8" if path.stem == "derived" else path.stem)


@pytest.mark.parametrize("path", sorted((CORPUS / "bad").iterdir()), ids=lambda path: path.stem)
def test_bad_files_are_refused_with_file_and_key(path: Path) -> None:
    expected = path.read_text().splitlines()[0].removeprefix("# expect: ")
    with pytest.raises(NvsimError) as caught:
        profile.load(str(path))
    assert expected in str(caught.value)
    assert str(path) in str(caught.value) or caught.value.source == "profile"


def test_a_misspelt_key_is_told_the_nearest_one() -> None:
    with pytest.raises(NvsimError) as caught:
        profile.parse("gpu: []", "host.yaml")
    assert (caught.value.source, caught.value.hint) == ("host.yaml", "did you mean 'gpus'?")


@pytest.mark.parametrize("name", ["a100x9", "", "x/y.yaml", "/", "nul\0.yaml"])
def test_a_profile_that_is_not_there_is_an_error(name: str) -> None:
    with pytest.raises(NvsimError):
        profile.load(name)


def test_nesting_without_end_is_an_error_not_a_crash() -> None:
    for text in ("[" * 100_000, "{a: " * 100_000, "- " * 100_000, "a: " + "[" * 50 + "]" * 50):
        with pytest.raises(NvsimError):
            profile.parse(text, "deep.yaml")


WORDS = st.sampled_from([*profile.KEYS, *profile_gpus.KEYS, "A100-SXM4-40GB", "T4", "550.54.15", "/dev/nvidia0", "none",
                         "true", "fresh", "3", "-1", "", "~", "07:00.0", "\0", "é"])
VALUES = st.recursive(WORDS | st.text() | st.integers() | st.none() | st.floats() | st.booleans(),
                      lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4))


@given(st.binary())
def test_any_bytes_are_a_profile_or_an_error(data: bytes) -> None:
    _profile_or_error(lambda: profile.parse(data, "any.yaml"))


@given(st.text(alphabet="[]{}:,-&*!|>'\"#%@ \n\tagpusmodel0123~"))
def test_any_text_of_yaml_characters_is_a_profile_or_an_error(text: str) -> None:
    _profile_or_error(lambda: profile.parse(text, "any.yaml"))


@given(VALUES)
def test_any_value_is_a_profile_or_an_error(value: object) -> None:
    _profile_or_error(lambda: profile.of(value, "any: host"))


def _profile_or_error(make: object) -> None:
    try:
        assert isinstance(make(), profile.Profile)  # type: ignore[operator]
    except NvsimError as e:
        assert e.message
        assert len(str(e)) < 1000
