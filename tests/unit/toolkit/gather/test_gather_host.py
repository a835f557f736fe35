"""A whole emulated host → Host: two witnesses, one writes the machine and the other reads it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nvsim import build, profile
from toolkit.errors import HostError
from toolkit.gather import nvml
from toolkit.gather.devices import read_by_path_links, read_devices, read_drm, read_mig_minors
from toolkit.gather.host import read_host, read_platform
from toolkit.gather.tree import Tree
from toolkit.plan.cdi_validate import validate
from toolkit.plan.generate import Options, plan_spec
from toolkit.plan.transform import minimum_version

Requires = Callable[..., None]


@pytest.fixture(scope="module")
def dgx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, build.Machine]]:
    """Eight A100, built in place: its path and what nvsim says was built."""
    root = str(tmp_path_factory.mktemp("dgx") / "root")
    yield root, build.build(profile.load("a100x8"), root, dev_root=root)
    build.remove(root)


def test_gpus_are_those_that_were_built(dgx: tuple[str, build.Machine]) -> None:
    root, machine = dgx
    host = read_host(root=root)
    assert host.nvml_error == ""
    seen = [(gpu.index, gpu.minor, gpu.uuid, gpu.pci_bus_id, gpu.name) for gpu in host.gpus]
    assert seen == [(gpu.index, gpu.minor, gpu.uuid, gpu.bus_id, gpu.name) for gpu in machine.gpus]
    assert (host.driver.version, host.driver.cuda_version) == (machine.driver, machine.cuda)
    assert all(gpu.mig_capable and not gpu.mig_enabled and gpu.compute_capability == "8.0" for gpu in host.gpus)
    assert all(len(gpu.drm) == 2 for gpu in host.gpus)


def test_device_nodes_have_the_numbers_that_were_built(dgx: tuple[str, build.Machine], requires: Requires) -> None:
    requires("root")
    root, machine = dgx
    built = {device.path: (device.major, device.minor, device.mode, device.gid) for device in machine.devices}
    read = {d.path: (d.major, d.minor, d.mode, d.gid) for d in read_host(root=root).devices}
    assert "/dev/nvidia7" in read and "/dev/dri/card1" in read
    assert read == {path: built[path] for path in read}


def test_no_path_contains_the_mount(dgx: tuple[str, build.Machine]) -> None:
    root, _ = dgx
    assert root not in repr(read_host(root=root, want=("auto", "gds", "imex")))


def test_the_same_tree_as_a_driver_root_shows_the_same_driver(dgx: tuple[str, build.Machine]) -> None:
    root, _ = dgx
    inside, outside = read_host(root=root), read_host(driver_root=root)
    assert outside.driver.root == root
    assert outside.driver.libraries == inside.driver.libraries
    assert outside.driver.binaries == inside.driver.binaries
    assert [gpu.uuid for gpu in outside.gpus] == [gpu.uuid for gpu in inside.gpus]


def test_a_valid_specification_comes_out(dgx: tuple[str, build.Machine], requires: Requires) -> None:
    requires("root")
    host = read_host(root=dgx[0])
    spec, _ = plan_spec(host, options=Options(naming=("index", "uuid"), merged_device="all"))
    validate(spec._replace(version=minimum_version(spec)))
    assert len(spec.devices) == 17
    assert "/dev/nvidia3" in [node.path for node in spec.devices[3].edits.device_nodes]


def test_the_platform_follows_the_libraries(dgx: tuple[str, build.Machine], tmp_path: Path) -> None:
    assert read_platform(root=dgx[0]) == "nvml"
    assert read_platform(driver_root=dgx[0]) == "nvml"
    assert read_platform(root=str(tmp_path)) == "unknown"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").touch()
    assert read_platform(root=str(tmp_path)) == "tegra"


def test_auto_on_an_unknown_platform_assumes_nvml_and_says_so(tmp_path: Path) -> None:
    host = read_host(root=str(tmp_path), want=("auto",))
    assert host.platform == "unknown"
    assert host.notes[0] == "Unsupported platform detected: unknown; assuming nvml"
    assert host.nvml_error == "failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND"


def test_without_device_nodes_the_driver_is_not_loaded(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    build.build(profile.load("t4x1"), root, dev_root=root)
    try:
        (tmp_path / "root/dev/nvidiactl").unlink()
        assert read_host(root=root).nvml_error == "failed to initialize NVML: Driver Not Loaded"
    finally:
        build.remove(root)


def test_modes_without_a_driver_do_not_ask_nvml(tmp_path: Path) -> None:
    (tmp_path / "run/udev").mkdir(parents=True)
    host = read_host(root=str(tmp_path), want=("gds", "imex"))
    assert host.nvml_error == "" and host.notes == ()
    assert [file.path for file in host.files] == ["/run/udev"]


@pytest.mark.parametrize("library", ["/nonexistent/libnvidia-ml.so.1", "libnvidia-ml-nowhere.so.1"])
def test_a_library_that_cannot_be_loaded_is_an_error(library: str) -> None:
    with pytest.raises(HostError, match="failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND"):
        nvml.read(library)


def test_a_library_without_nvmls_functions_is_an_error_and_no_crash() -> None:
    with pytest.raises(HostError, match="failed to initialize NVML"):
        nvml.read("libc.so.6")


def test_links_and_plain_files_are_no_devices(tmp_path: Path, requires: Requires) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    (tmp_path / "dev/nvidia1").symlink_to("/dev/null")
    assert read_devices(Tree(str(tmp_path)), "/", ("/dev/nvidia*",)) == ()


def test_real_devices_have_their_numbers() -> None:
    (null,) = read_devices(Tree("/"), "/", ("/dev/nul?",))
    assert (null.path, null.major, null.minor) == ("/dev/null", 1, 3)


def test_drm_entries_come_from_sysfs_and_links_from_the_dev_root(tmp_path: Path) -> None:
    pci = tmp_path / "sys/devices/pci0000:00/0000:1a:00.0/drm"
    (pci / "renderD128").mkdir(parents=True)
    (pci / "card1").mkdir()
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    (tmp_path / "sys/bus/pci/devices/0000:1a:00.0").symlink_to("../../../devices/pci0000:00/0000:1a:00.0")
    (tmp_path / "d/dev/dri/by-path").mkdir(parents=True)
    (tmp_path / "d/dev/dri/by-path/pci-0000:1a:00.0-card").symlink_to("../card1")
    tree = Tree(str(tmp_path))
    assert read_drm(tree, "0000:1a:00.0") == ("card1", "renderD128")
    assert read_drm(tree, "0000:1b:00.0") == read_drm(tree, "") == ()
    links = read_by_path_links(tree, "/d", "0000:1a:00.0")
    assert links == (("/d/dev/dri/by-path/pci-0000:1a:00.0-card", "../card1"),)


def test_mig_minors_are_read_and_odd_lines_left_out(tmp_path: Path) -> None:
    assert read_mig_minors(Tree(str(tmp_path))) == ()
    folder = tmp_path / "proc/driver/nvidia-caps"
    folder.mkdir(parents=True)
    (folder / "mig-minors").write_bytes(
        b"config 1\n\nx\ngpu0/gi1/access 12\ngpu0/gi1/ci0/access -3\n\xff 4 5\nbig 99999999999\n"
    )
    assert read_mig_minors(Tree(str(tmp_path))) == (("config", 1), ("gpu0/gi1/access", 12))
