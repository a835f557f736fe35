"""Images: what they are called, what is put into them, and that nothing of that leaves them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.errors import NvsimError
from scenarios import images
from scenarios.model import Image


@pytest.mark.parametrize(("name", "base"), [
    ("debian:12", "debian"), ("ubuntu", "debian"), ("docker.io/library/rockylinux:9", "rhel"), ("busybox", "busybox"),
    ("nvidia/cuda:12.4.1-base-ubuntu22.04", "cuda"),
])
def test_an_image_stands_for_its_base(name: str, base: str) -> None:
    assert images.named(name, "x").name == base


def test_an_unknown_image_comes_with_the_nearest_one() -> None:
    with pytest.raises(NvsimError) as caught:
        images.named("debain", "case.yaml: image")
    assert caught.value.source == "case.yaml: image" and "'debian'" in caught.value.hint


def test_the_cuda_image_is_debian_with_an_environment() -> None:
    base, layers = images.resolve(None, "nvidia/cuda", "x")
    assert base.name == "debian" and len(layers) == 2
    assert dict(images.described(None, "nvidia/cuda", "x").env)["NVIDIA_VISIBLE_DEVICES"] == "all"


def test_a_case_adds_to_the_environment_and_wins() -> None:
    image = Image(base="cuda", env=(("NVIDIA_VISIBLE_DEVICES", "void"), ("A", "1")))
    env = dict(images.described(image, "whatever", "x").env)
    assert (env["NVIDIA_VISIBLE_DEVICES"], env["A"], env["CUDA_VERSION"][:2]) == ("void", "1", "12")


def test_folders_files_links_and_removals_are_applied_in_this_order(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x")
    images.apply(Image(folders=("/d",), files=(("/d/f", "#!/bin/sh\n"), ("/a/b/c", "text")), links=(("/l", "/d"),),
                       remove=("/old", "/a/b")), str(tmp_path))
    assert os.readlink(tmp_path / "l") == "/d" and os.access(tmp_path / "d/f", os.X_OK)
    assert not (tmp_path / "old").exists() and (tmp_path / "a").is_dir() and not (tmp_path / "a/b").exists()


def test_a_link_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "lib/inner").mkdir(parents=True)
    images.apply(Image(links=(("/lib", "../../victim"),)), str(tmp_path))
    assert os.readlink(tmp_path / "lib") == "../../victim"


@pytest.mark.parametrize("target", ["/victim", "../../../../../victim", "./../victim"])
def test_files_behind_a_hostile_link_stay_inside(tmp_path: Path, target: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "lib").symlink_to(target)
    images.apply(Image(files=(("/lib/file", "x"),)), str(root))
    assert (root / "victim/file").read_text() == "x" and sorted(os.listdir(tmp_path)) == ["root"]


def test_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(NvsimError, match="too many levels"):
        images.inside(str(tmp_path), "/a/x")


def test_libraries_are_shared_objects_with_their_soname(tmp_path: Path) -> None:
    from elftools.elf.elffile import ELFFile

    images.apply(Image(libraries=(("/usr/lib/libcuda.so.1.2", "libcuda.so.1"),)), str(tmp_path))
    with open(tmp_path / "usr/lib/libcuda.so.1.2", "rb") as f:
        dynamic = ELFFile(f).get_section_by_name(".dynamic")
        assert [tag.soname for tag in dynamic.iter_tags("DT_SONAME")] == ["libcuda.so.1"]


@given(st.binary(max_size=200))
def test_any_bytes_as_an_image_give_a_base_or_an_error(content: bytes) -> None:
    try:
        images.parse(content, "images/x.yaml")
    except NvsimError as e:
        assert e.source.startswith("images/x.yaml")
