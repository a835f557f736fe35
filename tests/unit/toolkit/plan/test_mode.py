"""auto → jit-cdi | cdi | csv | legacy."""

import pytest

from toolkit.errors import ConfigError
from toolkit.plan.mode import check_mode, mode_of, needs_platform

CDI = ("nvidia.com/gpu=0", "nvidia.com/gpu=GPU-1")


@pytest.mark.parametrize("mode", ["legacy", "csv", "cdi", "jit-cdi", "nonsense", ""])
def test_a_mode_that_is_not_auto_is_taken_literally(mode):
    assert not needs_platform(mode, ("0",))
    assert mode_of(mode, CDI, platform="tegra") == mode


def test_qualified_names_alone_choose_cdi_without_a_look_at_the_machine():
    assert not needs_platform("auto", CDI)
    assert mode_of("auto", CDI, platform="") == "cdi"


@pytest.mark.parametrize(
    ("platform", "runtime", "hook"),
    [
        ("nvml", "jit-cdi", "legacy"),
        ("wsl", "jit-cdi", "legacy"),
        ("tegra", "csv", "csv"),
        ("unknown", "jit-cdi", "legacy"),
    ],
)
def test_otherwise_the_platform_decides_and_the_default_is_the_programs(platform, runtime, hook):
    for devices in (("0",), (*CDI, "0")):
        assert needs_platform("auto", devices)
        assert mode_of("auto", devices, platform=platform) == runtime
        assert mode_of("auto", devices, platform=platform, default="legacy") == hook


def test_a_container_without_devices_does_not_need_the_platform():
    assert not needs_platform("auto", ())
    assert mode_of("auto", (), platform="") == "jit-cdi"


def test_a_mode_that_does_not_exist_is_an_error_with_upstreams_text():
    with pytest.raises(ConfigError, match='invalid mode "csi"') as e:
        check_mode("csi")
    assert "jit-cdi" in e.value.hint
    with pytest.raises(ConfigError, match="a mode must be specified"):
        check_mode("")
    for mode in ("legacy", "csv", "cdi", "jit-cdi"):
        check_mode(mode)
