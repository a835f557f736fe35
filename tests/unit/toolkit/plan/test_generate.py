"""Host values → CDI Spec.  The host here is that of the worked example: three GPUs, the second one in MIG mode."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import ConfigError, HostError, RequestError
from toolkit.model.cdi import Device, Spec
from toolkit.model.host import CharDevice, Driver, File, Gpu, Host, Library, Listed, MigDevice
from toolkit.plan.cdi_format import spec_to_dict
from toolkit.plan.cdi_text import to_yaml
from toolkit.plan.generate import Options, plan_spec

GOLDEN = Path(__file__).parents[3] / "golden" / "cdi"
VERSION = "570.86.15"
LIB = "/usr/lib/x86_64-linux-gnu"
UUID = "5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a7{}"


def library(name: str, soname: str, *links: str, folder: str = LIB) -> Library:
    file = f"{name}.so.{VERSION}"
    return Library(name=file, path=f"{folder}/{file}", soname=soname, links=tuple(f"{folder}/{link}" for link in links))


def device(path: str, major: int, minor: int, mode: int = 0o666, gid: int = 0, dev_root: str = "") -> CharDevice:
    return CharDevice(path=path, host_path=dev_root + path, major=major, minor=minor, mode=mode, gid=gid)


def example_host(driver_root: str = "/") -> Host:
    dev = "" if driver_root == "/" else driver_root
    nodes = [device(f"/dev/nvidia{n}", 195, n, dev_root=dev) for n in range(3)]
    nodes += [device("/dev/nvidiactl", 195, 255, dev_root=dev), device("/dev/nvidia-modeset", 195, 254, dev_root=dev)]
    nodes += [device("/dev/nvidia-uvm", 510, 0, dev_root=dev), device("/dev/nvidia-uvm-tools", 510, 1, dev_root=dev)]
    nodes += [device(f"/dev/nvidia-caps/nvidia-cap{n}", 511, n, 0o444, dev_root=dev) for n in (30, 31)]
    nodes += [device(f"/dev/dri/card{n}", 226, n, 0o660, 44, dev_root=dev) for n in (1, 2, 3)]
    nodes += [device(f"/dev/dri/renderD{n}", 226, n, 0o660, 105, dev_root=dev) for n in (128, 129, 130)]
    by_path = dev + "/dev/dri/by-path/pci-0000:"
    return Host(
        platform="nvml",
        driver=example_driver(driver_root),
        gpus=(
            Gpu(index=0, uuid="GPU-" + UUID.format(0), minor=0, pci_bus_id="0000:1a:00.0", drm=("card1", "renderD128")),
            Gpu(
                index=1,
                uuid="GPU-" + UUID.format(1),
                minor=1,
                pci_bus_id="0000:1b:00.0",
                drm=("card2", "renderD129"),
                mig_enabled=True,
                mig_capable=True,
                max_mig_devices=7,
                mig_devices=(
                    MigDevice(
                        index=0,
                        uuid="MIG-" + UUID.format(7),
                        gpu_instance=3,
                        compute_instance=0,
                        gi_access_minor=30,
                        ci_access_minor=31,
                    ),
                ),
            ),
            Gpu(index=2, uuid="GPU-" + UUID.format(2), minor=2, pci_bus_id="0000:1c:00.0", drm=("card3", "renderD130")),
        ),
        devices=tuple(nodes),
        links=(
            (by_path + "1a:00.0-card", "../card1"),
            (by_path + "1a:00.0-render", "../renderD128"),
            (by_path + "1c:00.0-card", "../card3"),
            (by_path + "1c:00.0-render", "../renderD130"),
        ),
        mig_capabilities=(("config", 1), ("monitor", 2), ("gpu1/gi3/access", 30), ("gpu1/gi3/ci0/access", 31)),
    )


def example_driver(root: str) -> Driver:
    prefix = "" if root == "/" else root
    allocator = library("libnvidia-allocator", "libnvidia-allocator.so.1", "libnvidia-allocator.so.1")
    xorg = f"{LIB}/nvidia/xorg"
    return Driver(
        root=root,
        dev_root=root,
        version=VERSION,
        libraries=(
            library("libGLX_nvidia", "libGLX_nvidia.so.0", "libGLX_nvidia.so.0"),
            library("libcuda", "libcuda.so.1", "libcuda.so.1", "libcuda.so"),
            allocator,
            library("libnvidia-ml", "libnvidia-ml.so.1", "libnvidia-ml.so.1"),
            library("libvdpau_nvidia", f"libvdpau_nvidia.so.{VERSION}", folder=f"{LIB}/vdpau"),
        ),
        library_dirs=(LIB,),
        binaries=("/usr/bin/nvidia-smi",),
        firmware=(f"/lib/firmware/nvidia/{VERSION}/gsp_ga10x.bin",),
        sockets=("/run/nvidia-persistenced/socket",),
        graphics_libraries=(allocator._replace(soname="", links=()),),
        graphics_files=tuple(
            File(host_path=prefix + path, path=path)
            for path in (
                f"{xorg}/nvidia_drv.so",
                f"{xorg}/libglxserver_nvidia.so.{VERSION}",
                "/usr/share/glvnd/egl_vendor.d/10_nvidia.json",
                "/etc/vulkan/icd.d/nvidia_icd.json",
            )
        ),
    )


def planned(host: Host, *ids: str, **options: object) -> Spec:
    return plan_spec(host, ids=ids, options=Options(**options))[0]  # type: ignore[arg-type]


def named(spec: Spec, name: str) -> Device:
    return next(device for device in spec.devices if device.name == name)


def hook_names(spec: Spec) -> list[str]:
    return [hook.args[1] for hook in spec.edits.hooks]


def test_the_worked_example_comes_out_to_the_byte() -> None:
    spec = planned(example_host(), merged_device="all")
    assert to_yaml(spec_to_dict(spec)) == (GOLDEN / "worked-example.yaml").read_text()


def test_a_driver_root_is_prefixed_to_host_paths_only() -> None:
    root = "/run/nvidia/driver"
    spec = planned(example_host(root), "0")
    assert {node.host_path for node in spec.edits.device_nodes} == {
        root + path for path in ("/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl")
    }
    assert all(mount.host_path == root + mount.container_path for mount in spec.edits.mounts)
    plain = planned(example_host(), "0")
    assert spec.edits.hooks == plain.edits.hooks
    assert spec.edits.env == plain.edits.env


def test_links_by_path_keep_the_dev_root() -> None:
    spec = planned(example_host("/run/nvidia/driver"), "0")
    assert named(spec, "0").edits.hooks[0].args[3] == (
        "../card1::/run/nvidia/driver/dev/dri/by-path/pci-0000:1a:00.0-card"
    )


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        ((), ["0", "1:0", "2"]),
        (("all",), ["0", "1:0", "2"]),
        (("2", "all"), ["0", "1:0", "2"]),
        (("2", "0"), ["0", "2"]),
        (("1",), ["1"]),  # in MIG mode, but asked for by name
        (("1:0",), ["1:0"]),
        (("GPU-" + UUID.format(2),), ["2"]),
        (("MIG-" + UUID.format(7),), ["1:0"]),
        (("MIG-GPU-" + UUID.format(1) + "/3/0",), ["1:0"]),
        (("none",), ["none"]),
        (("none", "all"), ["none"]),
    ],
)
def test_ids_select_devices(ids: tuple[str, ...], names: list[str]) -> None:
    assert [device.name for device in planned(example_host(), *ids).devices] == names


@pytest.mark.parametrize(
    ("identifier", "text"),
    [
        ("7", "failed to get device handle from index: Invalid Argument"),
        ("7:0", "failed to get parent device handle: Invalid Argument"),
        ("1:5", "failed to get MIG handle by index: Not Found"),
        ("1:7", "failed to get MIG handle by index: Invalid Argument"),
        ("0:0", "failed to get MIG handle by index: Not Supported"),
        ("GPU-" + UUID.format(9), "failed to get device handle from UUID: Not Found"),
        ("GPU-GB200-0", 'identifier is not a valid UUID or index: "GPU-GB200-0"'),
        ("-1", 'identifier is not a valid UUID or index: "-1"'),
        ("", 'identifier is not a valid UUID or index: ""'),
        ("²", 'identifier is not a valid UUID or index: "²"'),
    ],
)
def test_an_unknown_id_is_refused_with_upstreams_text(identifier: str, text: str) -> None:
    with pytest.raises(RequestError) as caught:
        planned(example_host(), identifier)
    assert str(caught.value) == (
        f"failed to create device CDI specs: failed to construct device spec generators: {text}"
    )
    assert caught.value.hint


def test_none_gets_no_device_but_the_common_edits() -> None:
    spec = planned(example_host(), "none")
    edits = named(spec, "none").edits
    assert edits.env == ("NVCT_EMPTY_DEVICE=",)
    assert not edits.device_nodes
    assert spec.edits.mounts


def test_strategies_name_each_device_in_turn() -> None:
    spec = planned(example_host(), "0", "1:0", naming=("type-index", "uuid"))
    assert [device.name for device in spec.devices] == [
        "GPU-" + UUID.format(0),
        "MIG-" + UUID.format(7),
        "gpu0",
        "mig1:0",
    ]
    assert named(spec, "gpu0").edits == named(spec, "GPU-" + UUID.format(0)).edits


def test_the_node_follows_the_minor_and_not_the_index() -> None:
    host = example_host()
    swapped = host.gpus[0]._replace(minor=2), host.gpus[1], host.gpus[2]._replace(minor=0)
    spec = planned(host._replace(gpus=swapped), "0")
    assert named(spec, "0").edits.device_nodes[0].path == "/dev/nvidia2"


def test_a_missing_node_is_a_warning() -> None:
    host = example_host()
    spec, notes = plan_spec(host._replace(devices=tuple(d for d in host.devices if d.path != "/dev/nvidia-uvm-tools")))
    assert "Could not locate /dev/nvidia-uvm-tools: /dev/nvidia-uvm-tools: not found" in notes
    assert "/dev/nvidia-uvm-tools" not in [node.path for node in spec.edits.device_nodes]


def test_a_gpu_that_does_not_answer_matters_only_if_asked_for() -> None:
    host = example_host()
    lost = Gpu(index=2, uuid="", minor=-1, pci_bus_id="", error="GPU is lost")
    host = host._replace(gpus=(*host.gpus[:2], lost))
    assert [device.name for device in planned(host, "0").devices] == ["0"]
    with pytest.raises(HostError, match="GPU is lost"):
        planned(host, "2")
    with pytest.raises(HostError, match="error getting device handle for index '2': GPU is lost"):
        planned(host)


def test_a_display_of_a_dgx_station_is_not_part_of_all() -> None:
    host = example_host()
    display = host.gpus[0]._replace(name="NVIDIA DGX Display")
    assert [d.name for d in planned(host._replace(gpus=(display, *host.gpus[1:]))).devices] == ["1:0", "2"]


def test_nvml_that_does_not_start_is_an_error_with_its_text() -> None:
    host = Host(nvml_error="failed to initialize NVML: Driver Not Loaded")
    with pytest.raises(HostError) as caught:
        planned(host)
    assert str(caught.value) == (
        "failed to create device CDI specs: failed to construct device spec generators: "
        "failed to initialize NVML: Driver Not Loaded"
    )


@pytest.mark.parametrize(
    ("version", "step"),
    [
        ("", 'failed to determine driver version (""): '),
        ("570.86.15", "failed to create discoverer for driver libraries: failed to get libraries for driver version: "
                      "failed to get driver library locator: failed to get libcuda.so parent directory: "),
    ],
)  # fmt: skip
def test_without_driver_files_the_common_edits_fail(version: str, step: str) -> None:
    host = example_host()._replace(driver=Driver(version=version, version_error="libcuda.so.570.86.15: not found"))
    stem = "failed to create edits common for entities: "
    with pytest.raises(HostError) as caught:
        planned(host, "0")
    assert str(caught.value) == (
        f"{stem}failed to create discoverer for common entities: failed to create discoverer for driver files: "
        f"{step}libcuda.so.570.86.15: not found"
    )
    with pytest.raises(HostError) as caught:
        plan_spec(host, mode="management")
    assert str(caught.value) == f"{stem}failed to create driver library discoverer: {step}" + (
        "libcuda.so.570.86.15: not found")


def test_the_driver_s_own_list_of_a_gpu_counts_before_dev() -> None:
    nodes = (device("/dev/nvidia7", 195, 7, dev_root="/elsewhere"),
             CharDevice(path="/dev/nvidia8", host_path="/dev/nvidia8", major=0, minor=0, mode=0))
    listed = Listed(known=True, nodes=nodes, graphics=(device("/dev/dri/card9", 226, 9, 0o660, gid=44),),
                    links=(("../card9", "/dev/dri/by-path/x"),))
    host = example_host()
    gpu = host.gpus[0]._replace(listed=listed, minor=-1, minor_error="Not Supported")
    spec, _ = plan_spec(host._replace(gpus=(gpu,)))
    edits = spec.devices[0].edits
    assert [(n.path, n.host_path, n.major) for n in edits.device_nodes] == [
        ("/dev/nvidia7", "/elsewhere/dev/nvidia7", 195), ("/dev/nvidia8", "", 0), ("/dev/dri/card9", "", 226)]
    assert [hook.args[1:] for hook in edits.hooks] == [("create-symlinks", "--link", "../card9::/dev/dri/by-path/x")]
    assert edits.additional_gids == (44,)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"minor": -1, "minor_error": "Not Supported"},
         "error getting device node path: error getting GPU device minor number: Not Supported"),
        ({"pci_bus_id": "", "bus_id_error": "Not Supported"}, "error getting PCI info for device: Not Supported"),
    ],
)
def test_a_gpu_without_a_minor_or_a_pci_address_is_an_error(change: dict[str, Any], why: str) -> None:
    host = example_host()
    with pytest.raises(HostError) as caught:
        plan_spec(host._replace(gpus=(host.gpus[0]._replace(**change),)))
    assert caught.value.message == (
        "failed to create device CDI specs: failed to get CDI device edits: failed to create device discoverer: "
        f"failed to create device discoverer: {why}")


Breakage = Callable[[MigDevice], MigDevice]


@pytest.mark.parametrize(
    ("breakage", "text"),
    [
        (
            lambda m: m._replace(gi_access_minor=-1),
            "failed to get GI cap device path: invalid MIG capability path gpu1/gi3/access",
        ),
        (
            lambda m: m._replace(ci_access_minor=-1),
            "failed to get CI cap device path: invalid MIG capability path gpu1/gi3/ci0/access",
        ),
        (lambda m: m._replace(profile_error="Not Supported"), "error getting MIG Profile attributes: Not Supported"),
    ],
)
def test_a_mig_device_without_its_capabilities_is_an_error(breakage: Breakage, text: str) -> None:
    host = example_host()
    broken = host.gpus[1]._replace(mig_devices=(breakage(host.gpus[1].mig_devices[0]),))
    with pytest.raises(HostError) as caught:
        planned(host._replace(gpus=(host.gpus[0], broken, host.gpus[2])), "1:0")
    assert caught.value.message == f"failed to create device CDI specs: {text}"


def test_a_mig_device_with_graphics_gets_the_drm_nodes_of_its_gpu() -> None:
    host = example_host()
    gfx = host.gpus[1].mig_devices[0]._replace(gfx=True)
    host = host._replace(gpus=(host.gpus[1]._replace(mig_devices=(gfx,)),))
    paths = [node.path for node in named(planned(host), "1:0").edits.device_nodes]
    assert paths[-4:-2] == ["/dev/dri/card2", "/dev/dri/renderD129"]


def test_group_ids_can_be_switched_off_for_old_engines() -> None:
    spec = planned(example_host(), feature_flags=("no-additional-gids-for-device-nodes",))
    assert not any(device.edits.additional_gids for device in spec.devices)
    assert spec_to_dict(spec)["cdiVersion"] == "0.5.0"


def test_sockets_can_be_switched_off() -> None:
    spec = planned(example_host(), feature_flags=("disable-ipc-discoverer",))
    assert not [mount for mount in spec.edits.mounts if "socket" in mount.container_path]


def test_coherence_is_an_annotation_of_whole_gpus() -> None:
    spec = planned(example_host(), feature_flags=("enable-coherent-annotations",))
    assert named(spec, "0").annotations == (("gpu.nvidia.com/coherent", "false"),)
    assert named(spec, "1:0").annotations == ()


ALL_HOOKS = [
    "create-symlinks",
    "create-symlinks",
    "enable-cuda-compat",
    "update-ldcache",
    "disable-device-node-modification",
    "update-application-profile",
]


@pytest.mark.parametrize(
    ("disabled", "enabled", "left"),
    [
        ((), (), ALL_HOOKS),
        (("enable-cuda-compat",), (), [h for h in ALL_HOOKS if h != "enable-cuda-compat"]),
        (("all",), (), []),
        (("all",), ("update-ldcache",), ["update-ldcache"]),
        (("update-ldcache",), ("update-ldcache",), ALL_HOOKS),
        (("no-such-hook",), (), ALL_HOOKS),
    ],
)
def test_hooks_can_be_disabled_and_enabled(
    disabled: tuple[str, ...], enabled: tuple[str, ...], left: list[str]
) -> None:
    assert hook_names(planned(example_host(), disabled_hooks=disabled, enabled_hooks=enabled)) == left


def test_the_chmod_hook_is_made_on_request_only() -> None:
    spec = planned(example_host(), "0", enabled_hooks=("chmod",))
    assert named(spec, "0").edits.hooks[1].args == ("nvidia-cdi-hook", "chmod", "--mode", "755", "--path", "/dev/dri")


def test_hooks_of_nvidia_ctk_have_the_word_hook() -> None:
    spec, _ = plan_spec(
        example_host(), hook_path="/opt/bin/nvidia-ctk", options=Options(ldconfig_path="/sbin/ldconfig")
    )
    assert spec.edits.hooks[3].path == "/opt/bin/nvidia-ctk"
    assert spec.edits.hooks[3].args[:5] == ("nvidia-ctk", "hook", "update-ldcache", "--ldconfig-path", "/sbin/ldconfig")


def test_a_library_outside_the_driver_root_is_mounted_from_where_it_lies() -> None:
    host = example_host("/run/nvidia/driver")
    outside = library("libcuda", "libcuda.so.1")._replace(host_path=f"/opt/lib/libcuda.so.{VERSION}")
    spec = planned(host._replace(driver=host.driver._replace(libraries=(outside,))), "0")
    mount = next(m for m in spec.edits.mounts if "libcuda" in m.container_path)
    assert (mount.host_path, mount.container_path) == (f"/opt/lib/libcuda.so.{VERSION}", f"{LIB}/libcuda.so.{VERSION}")


def test_the_mode_decides_vendor_and_class_unless_given() -> None:
    host = Host(devices=(device("/dev/nvidia-fs0", 240, 0),))
    assert plan_spec(host, mode="gds")[0].kind == "nvidia.com/gds"
    assert plan_spec(host, mode="gds", vendor="x.com", class_="y")[0].kind == "x.com/y"


def test_a_mode_without_its_devices_has_an_empty_device() -> None:
    spec, notes = plan_spec(Host(), mode="gdrcopy")
    assert [(device.name, bool(device.edits)) for device in spec.devices] == [("all", False)]
    assert notes == ("Could not locate /dev/gdrdrv: /dev/gdrdrv: not found",)
    assert spec.edits.env == ("NVIDIA_VISIBLE_DEVICES=void",)


def test_storage_mounts_come_with_storage_nodes_only() -> None:
    files = (File(host_path="/run/udev", path="/run/udev"),)
    assert not plan_spec(Host(files=files), mode="gds")[0].devices[0].edits.mounts
    host = Host(files=files, devices=(device("/dev/nvidia-fs0", 240, 0),))
    assert plan_spec(host, mode="gds")[0].devices[0].edits.mounts[0].container_path == "/run/udev"


def test_management_has_every_node_of_the_driver_and_no_hook_on_nodes() -> None:
    host = example_host()
    extra = (device("/dev/nvidia-fs0", 240, 0), device("/dev/nvidia-nvswitch0", 241, 0))
    spec, _ = plan_spec(host._replace(devices=(*host.devices, *extra)), mode="management")
    paths = [node.path for node in named(spec, "all").edits.device_nodes]
    assert "/dev/nvidia-caps/nvidia-cap30" in paths
    assert not {"/dev/nvidia-fs0", "/dev/nvidia-nvswitch0", "/dev/dri/card1"} & set(paths)
    assert hook_names(spec) == ["create-symlinks", "enable-cuda-compat", "update-ldcache"]
    with pytest.raises(HostError, match="no NVIDIA device nodes found"):
        plan_spec(host._replace(devices=()), mode="management")


@pytest.mark.parametrize(
    ("ids", "names"), [((), ["0", "7"]), (("channelall",), ["0", "7"]), (("channel7",), ["7"]), (("0",), ["0"])]
)
def test_imex_channels_are_devices(ids: tuple[str, ...], names: list[str]) -> None:
    channels = tuple(device(f"/dev/nvidia-caps-imex-channels/channel{n}", 234, n) for n in (0, 7))
    spec, _ = plan_spec(Host(devices=channels), mode="imex", ids=ids)
    assert [device.name for device in spec.devices] == names
    node = spec.devices[0].edits.device_nodes[0]
    assert node.host_path == node.path


@pytest.mark.parametrize(
    ("identifier", "text"),
    [
        ("x", 'invalid channel ID x: strconv.ParseUint: parsing "x": invalid syntax'),
        ("1048576", "invalid channel ID 1048576: must be in the range [0, 1048575]"),
        ("3", "IMEX channel 3 not found at /dev/nvidia-caps-imex-channels/channel3: stat "
              "/dev/nvidia-caps-imex-channels/channel3: no such file or directory"),
    ],
)  # fmt: skip
def test_a_channel_that_is_none_or_absent_is_refused(identifier: str, text: str) -> None:
    with pytest.raises((RequestError, HostError)) as caught:
        plan_spec(Host(), mode="imex", ids=(identifier,))
    assert str(caught.value).endswith(text)


def test_a_mode_that_is_none_names_what_there_is() -> None:
    with pytest.raises(ConfigError, match='unknown mode "vfio"') as caught:
        plan_spec(Host(), mode="vfio")
    assert "csv" in caught.value.hint and "wsl" in caught.value.hint
