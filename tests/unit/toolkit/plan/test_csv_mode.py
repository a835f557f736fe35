"""Mode csv of the generator.  Expectations: reference, toolkit 06 §10."""

import pytest

from toolkit.errors import HostError, RequestError
from toolkit.model.cdi import Spec
from toolkit.model.config import Config
from toolkit.model.host import CharDevice, Driver, File, Gpu, Host, Library, Tegra
from toolkit.plan.edits import Wanted, plan_generated
from toolkit.plan.generate import Options, plan_spec

LIB = "/usr/lib/aarch64-linux-gnu/nvidia"
ENTRIES = ("/dev/nvhost-gpu", "/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl", "/dev/nvmap")
NODES = (*ENTRIES, "/dev/nvidia2", "/dev/nvidia-uvm", "/dev/dri/card1")


def node(path: str) -> CharDevice:
    return CharDevice(path=path, host_path=path, major=195, minor=1, mode=0o660, gid=44)


def file(path: str) -> File:
    return File(host_path=path, path=path)


ORIN_GPU = Gpu(index=0, uuid="11112222-3333-4444-5555-666677778888", minor=0, pci_bus_id="", name="Orin (nvgpu)",
               bus_id_error="Not Supported")
THOR_GPU = Gpu(index=0, uuid="GPU-11112222-3333-4444-5555-666677778888", minor=0, pci_bus_id="0000:01:00.0",
               name="NVIDIA Thor")
DISCRETE = Gpu(index=1, uuid="GPU-99992222-3333-4444-5555-666677778888", minor=1, pci_bus_id="0005:01:00.0",
               name="NVIDIA RTX PRO 6000", drm=("card1",))
BOARD = Host(
    platform="tegra",
    devices=tuple(map(node, NODES)),
    tegra=Tegra(
        devices=tuple((entry, (entry,)) for entry in ENTRIES),
        directories=(file("/etc/vulkan"),),
        libraries=(
            Library(name="libcuda.so.1.1", path=f"{LIB}/libcuda.so.1.1", soname="libcuda.so.1",
                    links=(f"{LIB}/libcuda.so.1", f"{LIB}/libcuda.so"), host_path=f"{LIB}/libcuda.so.1.1"),
        ),
        targets=(file("/usr/lib/aarch64-linux-gnu/tegra-egl/nvidia.json"),),
        links=(("../tegra-egl/nvidia.json", "/usr/share/glvnd/egl_vendor.d/10_nvidia.json"),),
        release_file="/etc/nv_tegra_release",
        is_empty=False,
    ),
)
ORIN = BOARD._replace(has_nvml=True, gpus=(ORIN_GPU,), driver=Driver(cuda_version="12.6"))
THOR = BOARD._replace(has_nvml=True, gpus=(THOR_GPU, DISCRETE), driver=Driver(cuda_version="13.0"))


def nodes(spec: Spec) -> dict[str, list[str]]:
    return {device.name: [n.path for n in device.edits.device_nodes] for device in spec.devices}


def hooks(spec: Spec) -> list[tuple[str, ...]]:
    return [hook.args[1:] for hook in spec.edits.hooks]


def test_a_board_without_nvml_is_one_device_with_the_nodes_of_the_csv_files() -> None:
    spec, notes = plan_spec(BOARD, mode="auto")
    assert nodes(spec) == {"0": sorted(ENTRIES)}
    assert spec.devices[0].edits.additional_gids == (44,)
    assert [mount.container_path for mount in spec.edits.mounts] == [
        "/etc/nv_tegra_release", "/etc/vulkan", f"{LIB}/libcuda.so.1.1",
        "/usr/lib/aarch64-linux-gnu/tegra-egl/nvidia.json"]
    assert hooks(spec) == [
        ("create-symlinks", "--link", f"libcuda.so.1::{LIB}/libcuda.so", "--link",
         f"libcuda.so.1.1::{LIB}/libcuda.so.1"),
        ("create-symlinks", "--link", "../tegra-egl/nvidia.json::/usr/share/glvnd/egl_vendor.d/10_nvidia.json"),
        ("update-ldcache", "--folder", LIB),
    ]
    assert notes == ()


def test_a_node_that_is_listed_and_not_there_is_a_note() -> None:
    tegra = BOARD.tegra._replace(devices=(*BOARD.tegra.devices, ("/dev/nvsciipc", ())))
    _, notes = plan_spec(BOARD._replace(tegra=tegra), mode="csv")
    assert notes == ("Could not locate /dev/nvsciipc: /dev/nvsciipc: not found",)


def test_no_csv_file_at_all_leaves_the_release_file() -> None:
    spec, notes = plan_spec(Host(tegra=Tegra(release_file="/etc/nv_tegra_release")), mode="csv")
    assert [mount.container_path for mount in spec.edits.mounts] == ["/etc/nv_tegra_release"]
    assert notes == ("No mount specs specified",)


def test_an_orin_has_its_own_folder_of_compatibility_libraries() -> None:
    compat = ("enable-cuda-compat", "--host-cuda-version=12.6", "--cuda-compat-container-root=")
    for folder, expected in (("", "/usr/local/cuda/compat_orin"), ("/opt/compat", "/opt/compat")):
        spec, _ = plan_spec(ORIN, mode="csv", options=Options(compat_folder=folder))
        assert hooks(spec)[2] == (*compat[:2], compat[2] + expected)
    spec, _ = plan_spec(THOR, mode="csv")
    assert ("enable-cuda-compat", "--host-cuda-version=13.0") in hooks(spec)


def test_nvml_that_does_not_answer_means_no_compatibility_hook() -> None:
    spec, notes = plan_spec(ORIN._replace(gpus=(), nvml_error="failed to initialize NVML: Unknown Error"), mode="csv")
    assert "enable-cuda-compat" not in {args[0] for args in hooks(spec)}
    assert notes == ("Skipping CUDA Forward Compat hook creation: failed to initialize NVML: Unknown Error",)


@pytest.mark.parametrize("identifier", ["1", "GPU-11112222-3333-4444-5555-666677778888", "none", "0:0"])
def test_a_board_with_one_gpu_has_no_other_device_than_0(identifier: str) -> None:
    with pytest.raises(RequestError) as caught:
        plan_spec(ORIN, mode="csv", ids=(identifier,))
    assert caught.value.message == (
        "failed to create device CDI specs: failed to construct device spec generators: "
        f"unsupported device id: {identifier}")


def test_a_board_with_one_gpu_has_no_uuid_to_be_named_by() -> None:
    spec, _ = plan_spec(ORIN, mode="csv", options=Options(naming=("index", "uuid")))
    assert [device.name for device in spec.devices] == ["0"]
    with pytest.raises(HostError, match="failed to get device name: no names defined"):
        plan_spec(ORIN, mode="csv", options=Options(naming=("uuid",)))


def test_of_two_gpus_each_gets_its_own_nodes() -> None:
    spec, notes = plan_spec(THOR, mode="csv")
    assert nodes(spec) == {
        "0": ["/dev/nvhost-gpu", "/dev/nvidia0", "/dev/nvidia2", "/dev/nvidiactl", "/dev/nvmap"],
        "1": ["/dev/nvhost-gpu", "/dev/nvidia-uvm", "/dev/nvidia1", "/dev/nvidiactl", "/dev/nvmap", "/dev/dri/card1"],
    }
    assert not any(device.edits.mounts for device in spec.devices)  # the release file is in the common edits
    assert [note for note in notes if "nvidia-modeset" not in note and "uvm-tools" not in note and "by-path" not in note
            ] == []


@pytest.mark.parametrize(("identifier", "name"), [("1", "1"), (DISCRETE.uuid, "1"), (THOR_GPU.uuid, "0"), ("00", "0")])
def test_one_of_two_gpus_is_named_by_index_or_uuid(identifier: str, name: str) -> None:
    spec, _ = plan_spec(THOR, mode="csv", ids=(identifier,))
    assert [device.name for device in spec.devices] == [name]


@pytest.mark.parametrize(
    ("host", "identifier", "why"),
    [
        (THOR, "0:0", 'device "0:0": generating a CDI spec for MIG id "0:0" is not supported in CSV mode'),
        (THOR, "7", 'device "7": failed to get device handle from index: Invalid Argument'),
        (THOR, "x", 'device "x": identifier is not a valid UUID or index: "x"'),
        (THOR._replace(gpus=(DISCRETE._replace(index=0), DISCRETE)), "0",
         'device "0": unexpected device index for dGPU: 0'),
        (THOR._replace(gpus=(THOR_GPU, THOR_GPU._replace(index=1))), "1",
         'device "1": unexpected device index for iGPU: 1'),
    ],
)
def test_what_does_not_fit_two_gpus_falls_back_to_one_device(host: Host, identifier: str, why: str) -> None:
    stem = "Failed to create mixed CSV spec generator; falling back to pure CSV implementation: "
    try:
        spec, notes = plan_spec(host, mode="csv", ids=(identifier,))
    except RequestError as e:
        assert e.message.endswith(f"unsupported device id: {identifier}") and identifier != "0"
    else:
        assert nodes(spec) == {"0": sorted(ENTRIES)}
        assert notes[0] == f"{stem}failed to create device spec generator for {why}"


def test_a_feature_flag_makes_one_device_of_two_gpus() -> None:
    spec, _ = plan_spec(THOR, mode="csv", options=Options(feature_flags=("disable-multiple-csv-devices",)))
    assert nodes(spec) == {"0": sorted(ENTRIES)}


def test_only_a_whole_gpu_beside_the_board_is_annotated() -> None:
    spec, _ = plan_spec(THOR, mode="csv", options=Options(feature_flags=("enable-coherent-annotations",)))
    assert [(device.name, dict(device.annotations)) for device in spec.devices] == [
        ("0", {}), ("1", {"gpu.nvidia.com/coherent": "false"})]


def test_errors_of_the_runtime_do_not_name_the_step() -> None:
    with pytest.raises(RequestError) as caught:
        plan_generated(ORIN, (Wanted("csv", ("1",)),), Config(), hook_path="/usr/bin/nvidia-ctk")
    assert caught.value.message == (
        'failed to generate CDI spec for mode "csv": failed to construct device spec generators: '
        "unsupported device id: 1")
