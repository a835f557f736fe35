"""The command line of nvidia-container-cli."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import ConfigError, RequestError, SpecError
from toolkit.model.config import Cli, Config, Features, Legacy, Modes, Runtime
from toolkit.model.request import SUPPORTED_CAPABILITIES, Request
from toolkit.plan.hook_args import (
    capabilities_of,
    check_mode,
    cli_args,
    cli_environment,
    is_privileged,
    mig_flags,
    supported_capabilities,
)
from toolkit.plan.request import Image

DEFAULT = Config()


def args(request, config=DEFAULT, **options):
    defaults = {
        "capabilities": (),
        "mig": (),
        "ldconfig": "@/sbin/ldconfig",
        "pid": 123,
        "rootfs": "/b/rootfs",
        "debug": False,
    }
    return cli_args(request, config, **{**defaults, **options})


def with_compat(mode, **features):
    runtime = Runtime(modes=Modes(legacy=Legacy(cuda_compat_mode=mode)))
    return Config(nvidia_container_runtime=runtime, features=Features(**features))


def test_the_defaults_give_the_documented_example():
    assert args(Request(devices=("0", "1")), capabilities=("compute", "utility")) == (
        "--load-kmods",
        "configure",
        "--cuda-compat-mode=ldconfig",
        "--ldconfig=@/sbin/ldconfig",
        "--device=0,1",
        "--compute",
        "--utility",
        "--pid=123",
        "/b/rootfs",
    )


def test_every_option_has_its_place():
    cli = Cli(root="/run/nvidia/driver", debug="/log", ldcache="/c", user="root:video", no_pivot=True, no_cgroups=True)
    config = Config(nvidia_container_cli=cli, features=Features(disable_imex_channel_creation=True))
    request = Request(devices=("", "0"), imex_channels=("", "7"), requirements=("cuda>=11.0", ""))
    assert args(request, config, capabilities=SUPPORTED_CAPABILITIES, mig=("--mig-config=all", "--mig-monitor=0")) == (
        "--root=/run/nvidia/driver",
        "--load-kmods",
        "--no-create-imex-channels",
        "--no-pivot",
        "--debug=/log",
        "--ldcache=/c",
        "--user=root:video",
        "configure",
        "--cuda-compat-mode=ldconfig",
        "--ldconfig=@/sbin/ldconfig",
        "--no-cgroups",
        "--device=,0",
        "--mig-config=all",
        "--mig-monitor=0",
        "--imex-channel=,7",
        "--compat32",
        "--compute",
        "--display",
        "--graphics",
        "--ngx",
        "--utility",
        "--video",
        "--require=cuda>=11.0",
        "--require=",
        "--pid=123",
        "/b/rootfs",
    )


def test_none_names_no_device_and_debug_goes_to_stderr():
    found = args(Request(devices=("",)), debug=True)
    assert not any(arg.startswith("--device") for arg in found)
    assert "--debug=/dev/stderr" in found


@pytest.mark.parametrize(
    ("mode", "flag"),
    [("ldconfig", "ldconfig"), ("mount", "mount"), ("hook", "disabled"), ("disabled", "disabled"), ("", "disabled")],
)
def test_the_compat_mode_is_translated(mode, flag):
    assert f"--cuda-compat-mode={flag}" in args(Request(), with_compat(mode))


def test_an_unknown_compat_mode_can_leave_the_choice_to_the_cli():
    found = args(Request(), with_compat("", allow_cuda_compat_libs_from_container=True))
    assert not any("compat" in arg for arg in found)
    assert "--cuda-compat-mode=mount" in args(
        Request(), with_compat("mount", allow_cuda_compat_libs_from_container=True)
    )


@pytest.mark.parametrize(
    ("value", "legacy", "expected"),
    [
        (None, False, ("compute", "utility")),
        ("", False, ("compute", "utility")),
        (None, True, SUPPORTED_CAPABILITIES),
        ("", True, ("compute", "utility")),
        ("all", False, SUPPORTED_CAPABILITIES),
        ("video,all", False, SUPPORTED_CAPABILITIES),
        ("video, display,,video", False, ("display", "video")),
        (",", False, ()),
    ],
)
def test_capabilities(value, legacy, expected):
    env = {"CUDA_VERSION": "9.0"} if legacy else {}
    image = Image(env=env if value is None else {**env, "NVIDIA_DRIVER_CAPABILITIES": value})
    assert capabilities_of(image, SUPPORTED_CAPABILITIES) == expected


def test_capabilities_are_limited_by_the_configuration():
    assert capabilities_of(Image(env={}), ("utility", "video")) == ("utility",)
    with pytest.raises(RequestError) as e:
        capabilities_of(Image(env={"NVIDIA_DRIVER_CAPABILITIES": "video,compute"}), ("utility", "video"))
    assert e.value.message == "unsupported capabilities found in 'compute,video' (allowed 'video')"
    with pytest.raises(RequestError, match=r"found in 'none' \(allowed ''\)"):
        capabilities_of(Image(env={"NVIDIA_DRIVER_CAPABILITIES": "none"}), SUPPORTED_CAPABILITIES)


def test_the_supported_capabilities_of_the_configuration():
    assert supported_capabilities("all") == SUPPORTED_CAPABILITIES
    assert supported_capabilities("") == ()
    assert supported_capabilities("utility, compute") == ("compute", "utility")
    for wrong in ("compute,all", "none", "gpu"):
        with pytest.raises(ConfigError) as e:
            supported_capabilities(wrong)
        assert e.value.message == (
            f"Invalid value for config option 'supported-driver-capabilities'; {wrong} "
            "(supported: compat32,compute,display,graphics,ngx,utility,video)"
        )


def test_mig_rights_are_for_privileged_containers():
    env = {"NVIDIA_MIG_CONFIG_DEVICES": "all", "NVIDIA_MIG_MONITOR_DEVICES": "0,1"}
    assert mig_flags(Image(env=env, privileged=True)) == ("--mig-config=all", "--mig-monitor=0,1")
    assert mig_flags(Image(env={"NVIDIA_MIG_CONFIG_DEVICES": ""})) == ()
    with pytest.raises(RequestError, match="cannot set MIG_CONFIG_DEVICES in non privileged container"):
        mig_flags(Image(env=env))
    with pytest.raises(RequestError, match="cannot set MIG_MONITOR_DEVICES in non privileged container"):
        mig_flags(Image(env={"NVIDIA_MIG_MONITOR_DEVICES": "all"}))


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("1.0.0-rc1", True),
        ("1.0.0-rc4", True),
        ("1.0.0-rc1.1", True),
        ("1.0.0-rc5", False),
        ("1.0.0-rc5-dev", False),
        ("1.0.0-rc0", False),
        ("1.0.0-dev", False),
        ("1.0.0", False),
        ("1.0.2-dev", False),
        ("0.7.0", False),
        ("", False),
        ("rc2", False),
    ],
)
def test_capabilities_were_a_list_before_rc5(version, old):
    sets, names = {"bounding": ["CAP_SYS_ADMIN"]}, ["CAP_CHOWN", "CAP_SYS_ADMIN"]
    right, wrong = (names, sets) if old else (sets, names)
    assert is_privileged(version, right)
    assert not is_privileged(version, None)
    with pytest.raises(SpecError, match="could not decode Process.Capabilities in OCI spec: json"):
        is_privileged(version, wrong)


def test_only_the_bounding_set_counts():
    assert not is_privileged("1.0.2", {"effective": ["CAP_SYS_ADMIN"], "bounding": ["CAP_CHOWN"], "other": 1})


def test_configured_variables_do_not_replace_the_hooks_own():
    config = Config(nvidia_container_cli=Cli(environment=("A=config", "B=x=y", "broken")))
    assert cli_environment(config, {"A": "hook", "C": ""}) == {"A": "hook", "B": "x=y", "C": ""}


def test_other_modes_refuse_the_hook():
    check_mode("legacy")
    with pytest.raises(
        RequestError, match=r"^nvidia-container-runtime.mode: invoking the NVIDIA Container Runtime Hook"
    ):
        check_mode("cdi")


@given(st.text())
def test_any_version_and_capabilities_are_read_or_refused(text):
    is_privileged(text, {"bounding": [text]})
    try:
        capabilities_of(Image(env={"NVIDIA_DRIVER_CAPABILITIES": text}), supported_capabilities("all"))
        supported_capabilities(text)
    except (RequestError, ConfigError):
        pass
