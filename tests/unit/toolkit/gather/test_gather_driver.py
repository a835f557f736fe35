"""A driver root on disk → Driver: what is found where, and what is only a note."""

import struct
from pathlib import Path

import pytest

from toolkit.gather.driver import read_driver
from toolkit.gather.locate import Locator
from toolkit.gather.tree import Tree
from toolkit.model.host import Driver, File, Library

V = "570.86.15"
LIB = "/usr/lib/x86_64-linux-gnu"


def shared_object(soname: str) -> bytes:
    """A minimal 64-bit ELF library with this SONAME; none for ""."""
    strings = b"\0" + soname.encode() + b"\0"
    entries = [(14, 1)] if soname else []
    dynamic = 64 + 2 * 56
    entries += [(5, dynamic + 16 * (len(entries) + 2)), (0, 0)]
    body = b"".join(struct.pack("<qQ", *entry) for entry in entries) + strings
    size = dynamic + len(body)
    header = (
        b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    return header + load + struct.pack("<IIQQQQQQ", 2, 6, dynamic, dynamic, 0, 16 * len(entries), 0, 8) + body


class Root:
    """A driver root that tests fill."""

    def __init__(self, base: Path, prefix: str = "") -> None:
        self.base, self.prefix = base, prefix

    def file(self, path: str, content: bytes = b"", mode: int = 0o644) -> "Root":
        place = self.base / (self.prefix + path).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(mode)
        return self

    def link(self, path: str, target: str) -> "Root":
        place = self.base / (self.prefix + path).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
        return self

    def library(self, name: str, number: str = "1", folder: str = LIB) -> "Root":
        soname = f"{name}.so.{number}"
        self.file(f"{folder}/{name}.so.{V}", shared_object(soname))
        return self.link(f"{folder}/{soname}", f"{name}.so.{V}")

    def read(self, version: str = V, **options: tuple[str, ...]) -> tuple[Driver, list[str]]:
        locator = Locator(Tree(str(self.base)), self.prefix or "/", **options)  # type: ignore[arg-type]
        return read_driver(locator, version=version), locator.notes


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path).library("libcuda").library("libnvidia-ml").link(f"{LIB}/libcuda.so", "libcuda.so.1")


def test_libraries_come_with_soname_and_the_links_beside_them(root: Root) -> None:
    driver, _ = root.read()
    assert driver.libraries[0] == Library(
        name=f"libcuda.so.{V}",
        path=f"{LIB}/libcuda.so.{V}",
        soname="libcuda.so.1",
        links=(f"{LIB}/libcuda.so.1", f"{LIB}/libcuda.so"),
    )
    assert driver.library_dirs == (LIB,)


@pytest.mark.parametrize("known", [V, ""])
def test_the_version_is_in_the_name_of_libcuda(root: Root, known: str) -> None:
    assert root.read(known)[0].version == V


def test_without_libcuda_libnvidia_ml_tells_the_version(tmp_path: Path) -> None:
    assert Root(tmp_path).library("libnvidia-ml").read("")[0].version == V


def test_a_missing_version_is_an_error_that_names_both_libraries(root: Root) -> None:
    driver, _ = root.read("1.2.3")
    assert driver.version == "1.2.3" and driver.libraries == ()
    assert 'failed to locate "libcuda.so.": libcuda.so.1.2.3: not found' in driver.version_error
    assert 'failed to locate "libnvidia-ml.so.": libnvidia-ml.so.1.2.3: not found' in driver.version_error


def test_vdpau_and_the_old_nvvm_are_libraries_too(root: Root) -> None:
    root.library("libvdpau_nvidia", folder=f"{LIB}/vdpau").file(f"{LIB}/libnvidia-nvvm70.so.4", shared_object(""))
    names = [library.name for library in root.read()[0].libraries]
    assert names == [f"libcuda.so.{V}", f"libnvidia-ml.so.{V}", f"libvdpau_nvidia.so.{V}", "libnvidia-nvvm70.so.4"]


def test_a_library_of_another_version_is_not_part_of_the_driver(root: Root) -> None:
    root.file(f"{LIB}/libcuda.so.550.54.15", shared_object("libcuda.so.1"))
    assert "550" not in " ".join(library.name for library in root.read()[0].libraries)


def test_a_library_that_is_no_elf_file_is_mounted_without_links(root: Root) -> None:
    root.file(f"{LIB}/libbroken.so.{V}", b"not ELF")
    driver, notes = root.read()
    assert next(library for library in driver.libraries if "broken" in library.name).soname == ""
    assert any(note.startswith(f"Failed to get soname symlinks for {LIB}/libbroken.so.{V}: ") for note in notes)


def test_a_driver_root_is_left_out_of_all_paths(tmp_path: Path) -> None:
    root = Root(tmp_path, "/run/nvidia/driver").library("libcuda").file("/usr/bin/nvidia-smi", mode=0o755)
    driver, _ = root.file("/etc/vulkan/icd.d/nvidia_icd.json").read()
    assert driver.root == "/run/nvidia/driver"
    assert driver.libraries[0].path == f"{LIB}/libcuda.so.{V}"
    assert driver.binaries == ("/usr/bin/nvidia-smi",)
    assert driver.graphics_files == (
        File(host_path="/run/nvidia/driver/etc/vulkan/icd.d/nvidia_icd.json", path="/etc/vulkan/icd.d/nvidia_icd.json"),
    )


def test_an_explicit_library_folder_lies_outside_the_driver_root(tmp_path: Path) -> None:
    Root(tmp_path).library("libcuda", folder="/opt/lib")
    root = Root(tmp_path, "/run/nvidia/driver")
    driver, _ = root.read(library_folders=("/opt/lib",))
    assert [(library.path, library.host_path) for library in driver.libraries] == [
        (f"/opt/lib/libcuda.so.{V}", f"/opt/lib/libcuda.so.{V}")
    ]


def test_sockets_are_looked_up_in_run_then_in_var_run(root: Root) -> None:
    root.file("/run/nvidia-persistenced/socket").file("/var/run/nvidia-persistenced/socket")
    root.file("/var/run/nvidia-fabricmanager/socket").file("/tmp/nvidia-mps/control")
    driver, notes = root.read()
    assert driver.sockets == ("/run/nvidia-persistenced/socket", "/var/run/nvidia-fabricmanager/socket")
    assert "Could not locate /tmp/nvidia-mps: /tmp/nvidia-mps: not found" in notes


def test_firmware_is_where_the_kernel_was_told_to_look(root: Root) -> None:
    root.file(f"/opt/fw/nvidia/{V}/gsp_ga10x.bin").file(f"/lib/firmware/nvidia/{V}/gsp_tu10x.bin")
    root.file("/lib/firmware/nvidia/1.2.3/gsp_ga10x.bin")
    root.file("/sys/module/firmware_class/parameters/path", b"/opt/fw\n")
    assert root.read()[0].firmware == (
        f"/opt/fw/nvidia/{V}/gsp_ga10x.bin",
        f"/lib/firmware/nvidia/{V}/gsp_tu10x.bin",
    )


def test_what_is_missing_is_a_note_in_upstreams_words(root: Root) -> None:
    _, notes = root.read()
    assert "Could not locate nvidia-smi: nvidia-smi: not found" in notes
    assert (
        "Could not locate libnvidia-egl-gbm.so.*.*: libnvidia-egl-gbm.so.*.*: not found\n"
        "libnvidia-egl-gbm.so.*.*: not found" in notes
    )


def test_graphics_files_keep_upstreams_order(root: Root) -> None:
    root.library("libnvidia-allocator").file(
        f"{LIB}/libnvidia-egl-gbm.so.1.1.2", shared_object("libnvidia-egl-gbm.so.1")
    )
    root.file(f"{LIB}/nvidia/xorg/libglxserver_nvidia.so.{V}").file("/usr/lib/xorg/modules/drivers/nvidia_drv.so")
    root.file("/usr/share/glvnd/egl_vendor.d/10_nvidia.json").file("/etc/glvnd/egl_vendor.d/10_nvidia.json")
    root.file("/usr/share/vulkan/icd.d/nvidia_icd.json").file("/vulkan/icd.d/nvidia_layers.json")
    driver, _ = root.read()
    assert [library.name for library in driver.graphics_libraries] == [
        "libnvidia-egl-gbm.so.1.1.2",
        f"libnvidia-allocator.so.{V}",
    ]
    assert [(file.host_path, file.path) for file in driver.graphics_files] == [
        ("/usr/lib/xorg/modules/drivers/nvidia_drv.so", "/usr/lib/xorg/modules/drivers/nvidia_drv.so"),
        (f"{LIB}/nvidia/xorg/libglxserver_nvidia.so.{V}", f"{LIB}/nvidia/xorg/libglxserver_nvidia.so.{V}"),
        ("/etc/glvnd/egl_vendor.d/10_nvidia.json", "/etc/glvnd/egl_vendor.d/10_nvidia.json"),
        ("/usr/share/glvnd/egl_vendor.d/10_nvidia.json", "/usr/share/glvnd/egl_vendor.d/10_nvidia.json"),
        ("/usr/share/vulkan/icd.d/nvidia_icd.json", "/etc/vulkan/icd.d/nvidia_icd.json"),
        ("/vulkan/icd.d/nvidia_layers.json", "/etc/vulkan/icd.d/nvidia_layers.json"),
    ]
