"""What legacy mode adds beside its prestart hook, and what jit-cdi generates."""

import pytest

from toolkit.errors import ToolkitError
from toolkit.model.config import Config, Features, JitCdi, Legacy, Modes, Runtime
from toolkit.model.host import CharDevice, Driver, File, Gpu, Host
from toolkit.model.request import Request
from toolkit.plan.edits import Wanted, modes_to_read, plan_generated, plan_mig_rights, wanted_of
from toolkit.plan.gated import compat_edits, gated_wanted, graphics_sets, no_graphics_reason, wants_compat_hook

CTK = "/usr/bin/nvidia-ctk"


def drm_node(name, minor, gid):
    return CharDevice(
        path=f"/dev/dri/{name}", host_path=f"/dev/dri/{name}", major=226, minor=minor, mode=0o660, gid=gid
    )


HOST = Host(
    driver=Driver(version="550.54.15", graphics_files=(File(host_path="/x/nvidia_icd.json", path="/etc/icd.json"),)),
    gpus=(
        Gpu(index=-1, uuid="GPU-a", minor=4, pci_bus_id="0000:07:00.0", drm=("card1", "renderD128")),
        Gpu(index=-1, uuid="GPU-b", minor=0, pci_bus_id="0000:0f:00.0", drm=("card2",)),
    ),
    devices=(drm_node("card1", 1, 44), drm_node("card2", 2, 44), drm_node("renderD128", 128, 109)),
    links=(
        ("/dev/dri/by-path/pci-0000:07:00.0-card", "../card1"),
        ("/dev/dri/by-path/pci-0000:0f:00.0-card", "../card2"),
    ),
)


def capabilities(value, devices=("0",)):
    return Request(devices=devices, env=(("NVIDIA_DRIVER_CAPABILITIES", value),))


@pytest.mark.parametrize("value", ["graphics", "all", "compute,display"])
def test_graphics_are_for_those_who_ask(value):
    assert no_graphics_reason(capabilities(value)) == ""
    assert no_graphics_reason(capabilities(value, ())) == "no devices requested"


@pytest.mark.parametrize("request_", [Request(devices=("0",)), capabilities("compute"), capabilities(" graphics")])
def test_and_for_nobody_else(request_):
    assert no_graphics_reason(request_) == "no required capabilities requested"


@pytest.mark.parametrize("devices", [("4",), ("GPU-a",), ("0000:07:00.0",)])
def test_drm_nodes_are_chosen_by_minor_uuid_or_bus_id(devices):
    drm, files = graphics_sets(HOST, capabilities("graphics", devices), Config(), hook_path=CTK)
    assert [node.path for node in drm.edits.device_nodes] == ["/dev/dri/card1", "/dev/dri/renderD128"]
    assert drm.edits.additional_gids == (44, 109)
    assert [hook.args for hook in drm.edits.hooks] == [
        ("nvidia-ctk", "hook", "create-symlinks", "--link", "../card1::/dev/dri/by-path/pci-0000:07:00.0-card")
    ]
    assert [(m.host_path, m.container_path) for m in files.edits.mounts] == [("/x/nvidia_icd.json", "/etc/icd.json")]


@pytest.mark.parametrize(("devices", "count"), [(("all",), 3), (("",), 0), (("7",), 0), (("", "0"), 1)])
def test_all_means_every_gpu_and_none_means_none(devices, count):
    drm, _ = graphics_sets(HOST, capabilities("graphics", devices), Config(), hook_path=CTK)
    assert len(drm.edits.device_nodes) == count


def test_groups_can_be_left_out():
    config = Config(features=Features(no_additional_gids_for_device_nodes=True))
    drm, _ = graphics_sets(HOST, capabilities("graphics", ("all",)), config, hook_path=CTK)
    assert drm.edits.additional_gids == ()


@pytest.mark.parametrize(
    ("mode", "disabled", "devices", "wanted"),
    [
        ("hook", False, ("0",), True),
        ("hook", True, ("0",), False),
        ("hook", False, (), False),
        ("ldconfig", False, ("0",), False),
    ],
)
def test_the_compat_hook_is_for_its_mode_alone(mode, disabled, devices, wanted):
    config = Config(
        nvidia_container_runtime=Runtime(modes=Modes(legacy=Legacy(cuda_compat_mode=mode))),
        features=Features(disable_cuda_compat_lib_hook=disabled),
    )
    assert wants_compat_hook(Request(devices=devices), config) is wanted


def test_the_compat_hook_knows_the_drivers_version():
    (hook,) = compat_edits("550.54.15", CTK).hooks
    assert (hook.name, hook.path) == ("createContainer", CTK)
    assert hook.args == ("nvidia-ctk", "hook", "enable-cuda-compat", "--host-driver-version=550.54.15")
    assert hook.env == ("NVIDIA_CTK_DEBUG=false",)


def test_gated_modes_need_a_device_request():
    assert gated_wanted(Request(devices=("0",), gated_modes=("gds", "mofed"))) == (Wanted("gds"), Wanted("mofed"))
    assert gated_wanted(Request(gated_modes=("gds",))) == ()


def test_jit_cdi_generates_devices_then_gated_then_channels():
    request = Request(gated_modes=("gds",), imex_channels=("", "0", "7"))
    wanted = wanted_of(request, ("0", "GPU-a"))
    assert wanted == (Wanted("auto", ("0", "GPU-a")), Wanted("gds"), Wanted("imex", ("0", "7")))
    assert modes_to_read(wanted) == ("auto", "gds", "imex")


def test_no_imex_channel_is_not_every_channel():
    assert wanted_of(Request(imex_channels=("",)), ("0",)) == (Wanted("auto", ("0",)),)


@pytest.mark.parametrize(("privileged", "variables", "paths", "notes"), [
    (True, {"CONFIG": "all", "MONITOR": "all"}, ["nvidia-cap1", "nvidia-cap2"], 0), (True, {"MONITOR": "0"}, [], 0),
    (True, {"MONITOR": "all"}, ["nvidia-cap2"], 0), (False, {"MONITOR": "all"}, [], 1), (True, {}, [], 0)])
def test_a_privileged_container_may_get_the_rights_to_watch_and_configure_mig(privileged, variables, paths, notes):
    folder = "/dev/nvidia-caps"
    nodes = tuple(CharDevice(path=f"{folder}/nvidia-cap{n}", host_path=f"{folder}/nvidia-cap{n}", major=237, minor=n,
                             mode=0o444) for n in (1, 2, 21))
    host = Host(devices=nodes, mig_capabilities=(("config", 1), ("monitor", 2), ("gpu0/gi2/access", 21)))
    env = tuple((f"NVIDIA_MIG_{name}_DEVICES", value) for name, value in variables.items())
    sets, said = plan_mig_rights(host, Request(devices=("0",), env=env, privileged=privileged))
    assert [node.path for one in sets for node in one.edits.device_nodes] == [f"{folder}/{name}" for name in paths]
    assert len(said) == notes


def test_each_specification_gives_its_devices_edits_and_then_its_own():
    config = Config(nvidia_container_runtime=Runtime(modes=Modes(jit_cdi=JitCdi(nvcdi_feature_flags=("x",)))))
    host = Host(devices=(CharDevice(path="/dev/gdrdrv", host_path="/dev/gdrdrv", major=9, minor=0, mode=0o666),))
    sets, _ = plan_generated(host, (Wanted("gdrcopy"), Wanted("mofed")), config, hook_path=CTK)
    assert [stem for _, stem in sets] == [
        'failed to apply edits for device "runtime.nvidia.com/gdrcopy=all": ',
        "",
        'failed to apply edits for device "runtime.nvidia.com/mofed=all": ',
        "",
    ]
    assert [node.path for node in sets[0].edits.device_nodes] == ["/dev/gdrdrv"]
    assert [edits.env for edits, _ in sets[1::2]] == [("NVIDIA_VISIBLE_DEVICES=void",)] * 2


def test_what_cannot_be_generated_names_the_mode():
    with pytest.raises(ToolkitError, match='^failed to generate CDI spec for mode "imex": .*bogus'):
        plan_generated(Host(), (Wanted("imex", ("bogus",)),), Config(), hook_path=CTK)
    with pytest.raises(ToolkitError, match='failed to construct CDI library for mode "csi": unknown mode "csi"'):
        plan_generated(Host(), (Wanted("csi"),), Config(), hook_path=CTK)
