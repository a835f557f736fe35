"""Jetson hosts: what a profile with the key `tegra` becomes."""

import fnmatch
import re

import pytest

from nvsim import ldcache, profile, tegra
from nvsim.ops import Artifact, BoardLibrary, CharDev, File, Library, Op, Symlink
from nvsim.plan import plan

LIB, MANIFESTS = "/usr/lib/aarch64-linux-gnu", "/etc/nvidia-container-runtime/host-files-for-container.d"
JETSONS = [name for name in profile.names() if profile.load(name).tegra]
# Nodes by which CUDA reaches the GPU of Orin: published listings of /dev on JetPack 6.
NVGPU = {"as", "channel", "ctrl", "ctxsw", "dbg", "nvsched", "nvsched_ctrl_fifo", "power", "prof", "prof-ctx",
         "prof-dev", "sched", "tsg"}


def host(name: str = "jetson-agx-orin", **changes: object) -> dict[str, Op]:
    return {op.path: op for op in plan(profile.of({"profile": name, **changes}, "host"))}


def text_of(found: dict[str, Op], path: str) -> str:
    op = found[path]
    assert isinstance(op, File)
    return op.data.decode()


def nodes(found: dict[str, Op]) -> dict[str, CharDev]:
    return {path: op for path, op in found.items() if isinstance(op, CharDev)}


def links(found: dict[str, Op]) -> dict[str, str]:
    return {path: op.target for path, op in found.items() if isinstance(op, Symlink)}


def listed(found: dict[str, Op], kind: str) -> list[str]:
    """What the manifests name, in their own words."""
    return [line.partition(", ")[2] for path in sorted(found) if path.startswith(f"{MANIFESTS}/")
            for line in text_of(found, path).splitlines() if line.startswith(f"{kind}, ")]


def board(found: dict[str, Op], path: str) -> BoardLibrary:
    op = found[path]
    assert isinstance(op, BoardLibrary)
    return op


@pytest.mark.parametrize(("name", "files"), [
    ("jetson-agx-xavier", ["cuda.csv", "cudnn.csv", "l4t.csv", "tensorrt.csv", "visionworks.csv"]),
    ("jetson-agx-orin-jp5", ["l4t.csv"]), ("jetson-agx-orin", ["devices.csv", "drivers.csv"]),
    ("jetson-agx-thor", ["devices.csv", "drivers.csv"])])
def test_the_manifests_are_those_of_the_release(name: str, files: list[str]) -> None:
    assert [path.rpartition("/")[2] for path in sorted(host(name)) if path.startswith(f"{MANIFESTS}/")] == files


def test_the_manifest_of_nodes_is_that_of_a_real_orin() -> None:
    lines = text_of(host(), f"{MANIFESTS}/devices.csv").splitlines()
    assert len(lines) == 40  # published terminal output of L4T 36.4.3
    assert {"dev, /dev/dri/card*", "dir, /dev/dri/by-path", "dev, /dev/nvgpu/igpu0/ctrl",
            "dev, /dev/nvmap"} <= set(lines)
    drivers = text_of(host(), f"{MANIFESTS}/drivers.csv")
    for line in (f"lib, {LIB}/nvidia/libcuda.so.1.1", f"sym, {LIB}/nvidia/libcuda.so.1", f"sym, {LIB}/libcuda.so",
                 f"lib, {LIB}/nvidia/libnvidia-rmapi-tegra.so.540.4.0", "lib, /usr/sbin/nvidia-smi",
                 "lib, //lib/firmware/tegra19x/nvhost_nvdec040_ns.fw"):
        assert f"{line}\n" in drivers


@pytest.mark.parametrize("name", JETSONS)
def test_a_board_has_every_file_of_its_manifests_but_firmware_of_older_processors(name: str) -> None:
    found = host(name)
    release = profile.load(name).tegra
    assert release
    missing = set(tegra.missing(release.facts()[1]))
    for path in listed(found, "lib") + listed(found, "sym") + listed(found, "dir"):
        place = ldcache.resolve("/" + path.lstrip("/"), links(found))
        assert (place in found) != ("/" + path.lstrip("/") in missing), path
    assert all(isinstance(found[path], Symlink) for path in listed(found, "sym"))


@pytest.mark.parametrize("name", JETSONS)
def test_every_link_leads_somewhere(name: str) -> None:
    found = host(name)
    assert [path for path in links(found) if ldcache.resolve(path, links(found)) not in found] == []


def test_two_lines_of_the_manifests_of_jetpack_6_name_what_no_board_has() -> None:
    found = host()  # all but two lines exist on an Orin NX, by published output
    assert [path for path in listed(found, "lib") if "tegra19x" in path] == [
        "//lib/firmware/tegra19x/nvhost_nvdec040_ns.fw", "/lib/firmware/tegra19x/nvhost_nvdec040_ns.fw"]
    assert "/usr/lib/firmware/tegra23x/nvhost_nvdec050_desc_prod.bin" in found


def test_libcuda_is_one_file_with_links_to_it() -> None:
    for name, folder in (("jetson-agx-orin", "nvidia"), ("jetson-agx-orin-jp5", "tegra")):
        found = host(name)
        assert board(found, f"{LIB}/{folder}/libcuda.so.1.1").soname == "libcuda.so.1"
        assert {path: target for path, target in links(found).items() if re.search(r"/libcuda\.so(\.1)?$", path)} == {
            f"{LIB}/libcuda.so": f"{folder}/libcuda.so", f"{LIB}/{folder}/libcuda.so": "libcuda.so.1.1",
            f"{LIB}/{folder}/libcuda.so.1": "libcuda.so.1.1"}


def test_the_folder_tegra_is_a_link_since_jetpack_6() -> None:
    assert links(host())[f"{LIB}/tegra"] == "nvidia"
    assert f"{LIB}/tegra" not in links(host("jetson-agx-orin-jp5"))


def test_nvml_and_nvidia_smi_came_with_jetpack_6() -> None:
    assert board(host(), f"{LIB}/nvidia/libnvidia-ml.so.1").board.driver_version == "540.4.0"
    assert isinstance(host()["/usr/sbin/nvidia-smi"], Artifact)
    for name in ("jetson-agx-orin-jp5", "jetson-agx-xavier"):
        assert not [path for path in host(name) if re.search(r"nvidia-ml|nvidia-smi$", path)]


def test_libcuda_is_of_the_releases_cuda_and_not_of_the_drivers_number() -> None:
    cuda = board(host(), f"{LIB}/nvidia/libcuda.so.1.1")
    assert (cuda.board.cuda_version, cuda.artifact) == ("12.6", "libcuda-560.so")
    assert board(host("jetson-agx-xavier"), f"{LIB}/tegra/libcuda.so.1.1").board.cuda_version == "10.2"


def test_libraries_are_of_the_boards_architecture_and_bear_the_soname_of_their_link() -> None:
    libraries = {path: op for path, op in host().items() if isinstance(op, Library)}
    assert {op.arch for op in libraries.values()} == {"aarch64"}
    assert {name: libraries[f"{LIB}/nvidia/{name}"].soname for name in (
        "libnvrm_gpu.so", "libnvidia-nvvm.so.540.4.0", "libnvidia-ptxjitcompiler.so.540.4.0", "libnvscibuf.so.1")} == {
        "libnvrm_gpu.so": "libnvrm_gpu.so", "libnvidia-nvvm.so.540.4.0": "libnvidia-nvvm.so.4",
        "libnvidia-ptxjitcompiler.so.540.4.0": "libnvidia-ptxjitcompiler.so.1", "libnvscibuf.so.1": "libnvscibuf.so.1"}


def test_the_loader_is_told_of_the_drivers_folder_and_of_that_for_egl() -> None:
    found = host()
    assert text_of(found, "/etc/ld.so.conf.d/nvidia-tegra.conf") == f"{LIB}/nvidia\n"
    egl = ldcache.resolve("/etc/ld.so.conf.d/aarch64-linux-gnu_EGL.conf", links(found))
    assert (egl, text_of(found, egl)) == (f"{LIB}/tegra-egl/ld.so.conf", f"{LIB}/tegra-egl\n")
    cache = found["/etc/ld.so.cache"]
    assert isinstance(cache, File)
    for library in (b"nvidia/libcuda.so.1", b"nvidia/libnvidia-ml.so.1", b"nvidia/libnvrm_gpu.so",
                    b"tegra-egl/libEGL_nvidia.so.0"):
        assert b"/usr/lib/aarch64-linux-gnu/" + library + b"\0" in cache.data


@pytest.mark.parametrize(("name", "processor", "model"), [
    ("jetson-agx-xavier", "nvidia,tegra194", "Jetson-AGX"),
    ("jetson-orin-nano", "nvidia,tegra234", "NVIDIA Jetson Orin Nano Developer Kit"),
    ("jetson-agx-thor", "nvidia,tegra264", "NVIDIA Jetson AGX Thor Developer Kit")])
def test_the_machine_says_that_it_is_a_jetson(name: str, processor: str, model: str) -> None:
    found = host(name)
    assert text_of(found, "/sys/devices/soc0/family") == "Tegra\n"
    assert text_of(found, "/sys/firmware/devicetree/base/compatible").endswith(f"\0{processor}\0")
    assert text_of(found, "/sys/firmware/devicetree/base/model") == f"{model}\0"
    assert links(found)["/proc/device-tree"] == "/sys/firmware/devicetree/base"
    assert text_of(found, "/etc/nv_tegra_release").startswith("# R")


def test_the_gpu_of_orin_is_no_pci_function_and_nothing_that_the_module_nvidia_shows() -> None:
    found = host()
    assert not [path for path in found if path.startswith(("/sys/bus/pci/devices/", "/proc/driver/nvidia/gpus/",
                                                           "/proc/driver/nvidia/capabilities"))]
    assert text_of(found, "/proc/driver/nvidia/version").startswith(
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build  (buildbrain@")
    modules = [line.split()[0] for line in text_of(found, "/proc/modules").splitlines()]
    assert {"nvgpu", "nvmap", "nvidia", "nvidia_modeset", "nvidia_drm"} <= set(modules) and "nvidia_uvm" not in modules


def test_the_gpu_of_thor_is_the_module_nvidias() -> None:
    found = host("jetson-agx-thor")
    assert "Model: \t\t NVIDIA Thor\n" in text_of(found, "/proc/driver/nvidia/gpus/0000:01:00.0/information")
    assert "/sys/bus/pci/devices/0000:01:00.0" in found
    assert "nvgpu" not in text_of(found, "/proc/modules") and not [path for path in nodes(found) if "nvgpu" in path]
    assert {"/dev/nvidia0", "/dev/nvidia-uvm", "/dev/nvidia-caps/nvidia-cap2", "/dev/nvmap"} <= set(nodes(found))


def test_nodes_of_orin_are_of_the_group_video() -> None:
    found = nodes(host())
    for path, number in (("/dev/nvhost-gpu", (487, 1)), ("/dev/nvmap", (10, 124))):  # published listing of L4T 36
        op = found[path]
        assert (op.major, op.minor, op.mode, op.gid) == (*number, 0o660, 44)
    assert (found["/dev/v4l2-nvdec"].major, found["/dev/v4l2-nvdec"].minor) == (1, 3)  # /dev/null by another name
    assert {path.rpartition("/")[2] for path in found if path.startswith("/dev/nvgpu/igpu0/")} == NVGPU
    assert {path for path in found if re.fullmatch(r"/dev/nvidia.*", path)} == {
        "/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-modeset"}
    assert len({(op.major, op.minor) for op in found.values()}) == len(found) - 1  # the two names of /dev/null


@pytest.mark.parametrize(("name", "lacks"), [
    ("jetson-agx-orin", {"fb1"}), ("jetson-agx-xavier", {"nvidiactl"}),
    ("jetson-orin-nano", {"fb1", "nvhost-ctrl-nvdla0", "nvhost-ctrl-nvdla1", "nvhost-ctrl-pva0", "v4l2-nvenc"})])
def test_manifests_name_nodes_that_a_board_does_not_have(name: str, lacks: set[str]) -> None:
    found = host(name)
    named = listed(found, "dev")
    assert {path.removeprefix("/dev/") for path in named if not fnmatch.filter(nodes(found), path)} == lacks


def test_the_display_of_thor_moves_up_for_a_discrete_gpu() -> None:
    def minors(name: str) -> list[str]:
        return sorted(path for path in nodes(host(name)) if re.fullmatch(r"/dev/nvidia\d", path))
    assert minors("jetson-agx-thor") == ["/dev/nvidia0", "/dev/nvidia1"]
    assert minors("jetson-thor-rtxpro6000") == ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidia2"]
    assert minors("igx-orin-rtxa6000") == ["/dev/nvidia0", "/dev/nvidia1"]


def test_drm_nodes_have_links_by_platform_and_by_pci_address() -> None:
    found = links(host("igx-orin-rtxa6000"))
    assert {path.removeprefix("/dev/dri/by-path/"): target for path, target in found.items() if "by-path" in path} == {
        "platform-13e00000.host1x-card": "../card0", "platform-13e00000.host1x-render": "../renderD128",
        "platform-13800000.display-card": "../card1", "platform-13800000.display-render": "../renderD129",
        "pci-0005:03:00.0-card": "../card2", "pci-0005:03:00.0-render": "../renderD130"}
    assert found["/dev/char/226:1"] == "../dri/card1"


def test_a_discrete_gpu_beside_orin_brings_the_rest_of_the_module() -> None:
    found = host("igx-orin-rtxa6000")
    assert {"/dev/nvidia-uvm", "/dev/nvidia1", "/dev/nvgpu/igpu0/ctrl"} <= set(nodes(found))
    assert [path for path in found if path.startswith("/sys/bus/pci/devices/0005:03:")] != []
    gpus = board(found, f"{LIB}/nvidia/libnvidia-ml.so.1").board.gpus
    assert [(gpu.name, gpu.integrated, gpu.sm_count) for gpu in gpus] == [("Orin (nvgpu)", 2, 16),
                                                                         ("NVIDIA RTX A6000", 0, 84)]


def test_smaller_modules_have_smaller_gpus() -> None:
    gpu = board(host("jetson-orin-nano"), f"{LIB}/nvidia/libcuda.so.1.1").board.gpus[0]
    assert (gpu.sm_count, gpu.cuda_cores) == (8, 1024)


def test_without_its_kernel_modules_a_jetson_has_files_and_no_nodes() -> None:
    found = host(kernel_driver="none")
    assert not nodes(found) and "nvgpu" not in text_of(found, "/proc/modules")
    assert not board(found, f"{LIB}/nvidia/libnvidia-ml.so.1").board.driver_loaded


def test_field_bugs_are_edits_of_a_profile() -> None:
    found = host(absent=[f"{MANIFESTS}/devices.csv", "/dev/nvhost-ctrl-nvdla*", f"{LIB}/nvidia/libnvidia-ml.so.1"],
                 links={f"{LIB}/nvidia/libcuda.so.1": "libcuda.so.1.0", "/usr/lib/libcuda.so": f"{LIB}/libcuda.so"},
                 files={"/etc/ld.so.conf.d/nvidia-tegra.conf": "/usr/lib/tegra\n"})
    assert not [path for path in found if "devices.csv" in path or "nvdla" in path and path.startswith("/dev/")]
    assert not [path for path in found if path.endswith("libnvidia-ml.so.1")]
    assert links(found)[f"{LIB}/nvidia/libcuda.so.1"] == "libcuda.so.1.0"
    assert links(found)["/usr/lib/libcuda.so"] == f"{LIB}/libcuda.so"
    assert text_of(found, "/etc/ld.so.conf.d/nvidia-tegra.conf") == "/usr/lib/tegra\n"
