"""The csv files of a Tegra system.  Expectations: reference, toolkit 06 §10; host/tegra.md."""

import os
from pathlib import Path

import pytest

from toolkit.gather.locate import Locator
from toolkit.gather.tegra import FOLDER, list_csv_files, read_tegra
from toolkit.gather.tree import Tree
from toolkit.model.host import Tegra

LIB = "/usr/lib/aarch64-linux-gnu"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine: a folder of the csv files, a library with links, a configuration file behind two links."""
    files = {
        f"{FOLDER}/drivers.csv": (
            f"lib, {LIB}/nvidia/libcuda.so.1.1\n"
            f"sym, /etc/vulkan/icd.d/nvidia_icd.json\r\n"
            f"lib, //lib/firmware/nvhost.fw\n"
            "dir, /opt/tegra\n"
            f"lib, {LIB}/nvidia/libgone.so\n"
            "sym, /etc/gone.json\n"
            "# comment\nlib\nfoo, /bar\nlib,\n"
        ),
        f"{LIB}/nvidia/libcuda.so.1.1": "no ELF",
        "/lib/firmware/nvhost.fw": "",
        f"{LIB}/nvidia/icd.json": "{}",
        "/opt/tegra/x": "",
    }
    for path, text in files.items():
        (tmp_path / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path.lstrip("/")).write_text(text)
    (tmp_path / "etc/vulkan/icd.d").mkdir(parents=True)
    (tmp_path / "etc/vulkan/icd.d/nvidia_icd.json").symlink_to(f"{LIB}/tegra/icd.json")
    (tmp_path / f"{LIB.lstrip('/')}/tegra").symlink_to("nvidia")
    return tmp_path


def read(root: Path, *, driver_root: str = "/", files: tuple[str, ...] = (), ignore: tuple[str, ...] = (),
         folders: tuple[str, ...] = ()) -> tuple[Tegra, list[str]]:
    locator = Locator(Tree(str(root)), driver_root, library_folders=folders)
    return read_tegra(locator, files=files, ignore=ignore)[0], locator.notes


def test_what_is_listed_is_found_with_its_links_resolved(root: Path) -> None:
    tegra, notes = read(root)
    assert [library.host_path for library in tegra.libraries] == [
        f"{LIB}/nvidia/libcuda.so.1.1", "/lib/firmware/nvhost.fw"]
    assert [file.path for file in tegra.directories] == ["/opt/tegra"]
    assert [file.host_path for file in tegra.targets] == [f"{LIB}/nvidia/icd.json"]
    assert tegra.links == ((f"{LIB}/tegra/icd.json", "/etc/vulkan/icd.d/nvidia_icd.json"),)
    assert f"Could not locate {LIB}/nvidia/libgone.so: {LIB}/nvidia/libgone.so: not found" in notes
    assert "Failed to locate symlink /etc/gone.json" in notes


def test_a_missing_and_an_empty_file_are_notes(root: Path) -> None:
    (root / FOLDER.lstrip("/") / "devices.csv").write_text("\n")
    _, notes = read(root)
    assert f"Skipping CSV file {FOLDER}/devices.csv: CSV file is empty" in notes
    assert any(f"{FOLDER}/l4t.csv for reading: open {FOLDER}/l4t.csv: no such file" in note for note in notes)


@pytest.mark.parametrize(
    ("pattern", "left"),
    [("**/*.json", 0), ("/etc/vulkan/icd.d/*", 0), ("*.json", 1), ("/etc/*", 1), ("nvidia_icd.json", 1)],
)
def test_symbolic_entries_are_left_out_by_base_name_or_by_path(root: Path, pattern: str, left: int) -> None:
    assert len(read(root, ignore=(pattern,))[0].targets) == left


def test_libraries_are_searched_below_the_driver_root_and_mounted_without_it(root: Path) -> None:
    os.rename(root / "usr", root / "driver")
    (root / "run").mkdir()
    (root / "run/driver").mkdir()
    os.rename(root / "driver", root / "run/driver/usr")
    (root / "run/driver/opt").mkdir()
    (root / "run/driver/opt/libx.so").write_text("")
    (root / "list.csv").write_text(f"lib, {LIB}/nvidia/libcuda.so.1.1\nlib, libx.so\n")
    tegra, notes = read(root, driver_root="/run/driver", files=("/list.csv",), folders=("/opt",))
    assert [(library.path, library.host_path) for library in tegra.libraries] == [
        (f"{LIB}/nvidia/libcuda.so.1.1", f"/run/driver{LIB}/nvidia/libcuda.so.1.1"),
        ("/opt/libx.so", "/run/driver/opt/libx.so")]
    assert not any("not found" in note for note in notes)


def test_a_folder_lists_its_csv_files_and_the_base_ones_if_no_more_is_wanted(root: Path) -> None:
    folder = root / FOLDER.lstrip("/")
    for name in ("l4t.csv", "cuda.CSV", ".csv", "readme.txt"):
        (folder / name).write_text("")
    (folder / "x.csv").mkdir()
    tree = Tree(str(root))
    assert list_csv_files(tree, FOLDER, base_only=False) == tuple(
        f"{FOLDER}/{name}" for name in ("cuda.CSV", "drivers.csv", "l4t.csv"))
    assert list_csv_files(tree, FOLDER, base_only=True) == tuple(
        f"{FOLDER}/{name}" for name in ("drivers.csv", "l4t.csv"))
    assert list_csv_files(tree, "/nowhere", base_only=True) == ()
