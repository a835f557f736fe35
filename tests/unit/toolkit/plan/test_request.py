"""Who asks for what: environment, mounts, annotations.  Source of the tables: toolkit v1.20, internal/config/image."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import RequestError, ToolkitError
from toolkit.model.config import Config, Features
from toolkit.plan.request import Image, cuda_version, image_of, request_of, requirements_of

DEFAULT = Config()
MOUNTS = Config(accept_nvidia_visible_devices_as_volume_mounts=True)
STRICT = Config(accept_nvidia_visible_devices_envvar_when_unprivileged=False)
LEGACY = {"CUDA_VERSION": "9.0"}


def devices(env, config=DEFAULT, **image):
    return request_of(Image(env=env, **image), config).devices


def from_mounts(*destinations):
    mounts = tuple(("/dev/null", f"/var/run/nvidia-container-devices/{name}") for name in destinations)
    return request_of(Image(env={}, mounts=mounts), MOUNTS)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ()),
        (" , ,", ()),
        ("void", ()),
        ("0,void", ()),
        ("void,all", ()),
        ("all", ("all",)),
        ("all,none", ("all",)),
        ("0,all", ("all",)),
        ("none", ("",)),
        ("none,all", ("",)),
        ("0,none", ("",)),
        ("0", ("0",)),
        ("0, 1", ("0", "1")),
        ("GPU-1234,1:0", ("GPU-1234", "1:0")),
        ("nvidia.com/gpu=0", ("nvidia.com/gpu=0",)),
        ("0,0", ("", "0")),
        ("0,1,0", ("", "1", "0")),
    ],
)
def test_the_variable_becomes_a_list_to_upstreams_letter(value, expected):
    assert devices({"NVIDIA_VISIBLE_DEVICES": value}) == expected


def test_a_container_without_the_variable_asks_for_nothing():
    assert devices({"PATH": "/bin"}) == ()


def test_a_legacy_image_without_the_variable_asks_for_all():
    assert devices(LEGACY) == ("all",)


def test_a_legacy_image_with_an_empty_variable_asks_for_nothing():
    assert devices({**LEGACY, "NVIDIA_VISIBLE_DEVICES": ""}) == ()


def test_an_image_that_requires_cuda_is_not_legacy():
    assert devices({**LEGACY, "NVIDIA_REQUIRE_CUDA": "cuda>=9.0"}) == ()


def test_swarm_variables_replace_the_usual_one_where_they_are_set():
    config = Config(swarm_resource=" DOCKER_RESOURCE_GPU ,,OTHER")
    env = {"NVIDIA_VISIBLE_DEVICES": "3", "OTHER": "1", "DOCKER_RESOURCE_GPU": "0"}
    assert devices(env, config) == ("0", "1")
    assert devices({"NVIDIA_VISIBLE_DEVICES": "3"}, config) == ("3",)
    assert devices({"NVIDIA_VISIBLE_DEVICES": "3", "OTHER": ""}, config) == ()


def test_an_unprivileged_container_may_be_refused_its_variable():
    request = request_of(Image(env={"NVIDIA_VISIBLE_DEVICES": "0"}), STRICT)
    assert request.devices == ()
    assert request.notes == (
        "Ignoring devices requested by environment variable(s) in unprivileged container: [NVIDIA_VISIBLE_DEVICES]",
    )
    assert devices({"NVIDIA_VISIBLE_DEVICES": "0"}, STRICT, privileged=True) == ("0",)


def test_mounts_win_over_the_variable_and_need_no_privilege():
    config = STRICT._replace(accept_nvidia_visible_devices_as_volume_mounts=True)
    image = Image(env={"NVIDIA_VISIBLE_DEVICES": "all"}, mounts=(("/dev/null", "/var/run/nvidia-container-devices/1"),))
    assert request_of(image, config).devices == ("1",)
    assert request_of(image, Config()).devices == ("all",)


def test_mounts_name_devices_and_cdi_devices():
    request = from_mounts(
        "0", "a/b/", "cdi/nvidia.com/gpu/1", "cdi/nvidia.com/gpu=2", "cdi/v.com/c/d/e", "cdi/x", "0", "imex/4"
    )
    assert request.devices == ("0", "a/b", "nvidia.com/gpu=1", "nvidia.com/gpu=2", "v.com/c=d/e")
    assert request.imex_channels == ("4",)
    assert request.notes == (
        "Ignoring invalid mount request for CDI device cdi/x: invalid mount CDI device request: cdi/x",
    )


def test_mounts_of_other_sources_and_places_do_not_count():
    mounts = (
        ("/dev/zero", "/var/run/nvidia-container-devices/0"),
        ("/dev/null", "/elsewhere/0"),
        ("//dev/./null", "/var/run//nvidia-container-devicesX"),
    )
    assert request_of(Image(env={}, mounts=mounts), MOUNTS).devices == ("X",)


def test_annotations_win_over_everything_in_the_order_of_their_keys():
    image = Image(
        env={"NVIDIA_VISIBLE_DEVICES": "0"},
        annotations={"cdi.k8s.io/b": "v/c=2", "cdi.k8s.io/a": "v/c=1, x", "other": "v/c=3"},
    )
    assert request_of(image, STRICT, prefixes=("cdi.k8s.io/",)).devices == ("v/c=1", " x", "v/c=2")
    assert request_of(image, Config()).devices == ("0",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0,2047", ("0", "2047")),
        ("all", ()),
        ("none", ("",)),
        ("7,0,7", ("", "0", "7")),
        ("", ()),
    ],
)
def test_imex_channels_follow_the_same_rules_except_all(value, expected):
    assert request_of(Image(env={"NVIDIA_IMEX_CHANNELS": value}), Config()).imex_channels == expected


def test_imex_channels_can_be_ignored_or_refused():
    image = Image(env={"NVIDIA_IMEX_CHANNELS": "0"})
    ignoring = Config(features=Features(ignore_imex_channel_requests=True))
    assert request_of(image, ignoring).imex_channels == ()
    refused = request_of(image, STRICT)
    assert refused.imex_channels == ()
    assert refused.imex_notes == (
        "Ignoring request by environment variable(s) in unprivileged container: [NVIDIA_IMEX_CHANNELS]",
    )
    assert request_of(Image(env=LEGACY), Config()).imex_channels == ()


def test_gated_modes_need_the_exact_word():
    env = {"NVIDIA_NVSWITCH": "enabled", "NVIDIA_GDS": "enabled", "NVIDIA_MOFED": "ENABLED", "NVIDIA_GDRCOPY": "true"}
    assert request_of(Image(env=env), Config()).gated_modes == ("gds", "nvswitch")


def test_the_last_of_equal_variables_counts():
    image = image_of({"process": {"env": ["A=1", "B=", "A=2=3"]}})
    assert image.env == {"A": "2=3", "B": ""}


def test_a_variable_without_equals_is_an_error():
    with pytest.raises(RequestError, match="^process.env: invalid environment variable: BROKEN$"):
        image_of({"process": {"env": ["BROKEN"]}})


@pytest.mark.parametrize(
    ("bounding", "privileged"), [(["CAP_SYS_ADMIN"], True), (["cap_sys_admin"], False), ([], False)]
)
def test_privilege_is_cap_sys_admin_in_the_bounding_set(bounding, privileged):
    spec = {"process": {"capabilities": {"bounding": bounding, "effective": ["CAP_SYS_ADMIN"]}}}
    assert image_of(spec).privileged is privileged


def test_requirements_are_all_but_jetpacks_and_the_legacy_one_comes_last():
    env = {
        "NVIDIA_REQUIRE_B": "b",
        "NVIDIA_REQUIRE_A": "",
        "NVIDIA_REQUIRE_JETPACK": "x",
        "NVIDIA_REQUIRE_JETPACK_H": "y",
    }
    assert requirements_of(Image(env=env)) == ("", "b")
    assert requirements_of(Image(env={**env, "CUDA_VERSION": "11.2.152"})) == ("", "b", "cuda>=11.2")


@pytest.mark.parametrize(("value", "count"), [("true", 0), ("1", 0), ("T", 0), ("yes", 1), ("", 1), ("0", 1)])
def test_requirements_can_be_switched_off(value, count):
    image = Image(env={"NVIDIA_REQUIRE_CUDA": "cuda>=12", "NVIDIA_DISABLE_REQUIRE": value})
    assert len(requirements_of(image)) == count
    assert requirements_of(image, disabled=True) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("11.2", "11.2"),
        ("11", "11.0"),
        ("11.2.152", "11.2"),
        ("v11.2", "11.2"),
        ("9.0.116-1", "9.0"),
        ("11.2.0+build", "11.2"),
    ],
)
def test_cuda_versions_are_read_leniently(text, expected):
    assert cuda_version(text) == expected


@pytest.mark.parametrize("text", ["1.2.3.4", "a", "11.02", "11.", ""])
def test_other_cuda_versions_are_an_error(text):
    with pytest.raises(RequestError, match="failed to get version: invalid CUDA version .*: invalid version string"):
        cuda_version(text)


@given(st.lists(st.text(max_size=40)), st.booleans(), st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60))))
def test_any_environment_and_mounts_give_a_request_or_a_toolkit_error(env, privileged, mounts):
    spec = {"process": {"env": env}, "mounts": [{"source": s, "destination": d} for s, d in mounts]}
    try:
        image = image_of(spec, privileged=privileged)
        request = request_of(image, MOUNTS, prefixes=("cdi.k8s.io/",))
        requirements_of(image)
    except ToolkitError:
        return
    assert all(isinstance(device, str) for device in request.devices)
