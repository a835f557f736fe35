"""Images composed from this machine's own files: their programs run, and a clone shares nothing with its source."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios import images

pytestmark = pytest.mark.host


def said(root: str, *argv: str) -> str:
    return subprocess.run(["chroot", root, *argv], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def store(tmp_path: Path) -> images.Store:
    return images.Store(str(tmp_path / "images"))


@pytest.mark.parametrize(("name", "marker", "folder"), [
    ("debian", "/etc/debian_version", "-linux-gnu/libc.so.6"), ("rhel", "/etc/redhat-release", "/usr/lib64/libc.so.6")])
def test_a_glibc_image_runs_and_its_loader_knows_its_libraries(
        name: str, marker: str, folder: str, store: images.Store, requires: Callable[..., None]) -> None:
    requires("root")
    root = store.get(None, name, "x").path
    assert os.path.exists(root + marker)
    assert folder in said(root, "/sbin/ldconfig", "-p")
    assert said(root, "/bin/sh", "-c", "echo $((1+1))") == "2\n"


def test_the_busybox_image_has_no_ldconfig_and_no_loader(store: images.Store, requires: Callable[..., None]) -> None:
    requires("root", "busybox")
    root = store.get(None, "busybox", "x").path
    assert said(root, "/bin/echo", "hi") == "hi\n"
    assert not os.path.exists(f"{root}/sbin/ldconfig") and not os.path.exists(f"{root}/lib64")


def test_a_clone_shares_no_file_with_its_source(store: images.Store, tmp_path: Path,
                                                requires: Callable[..., None]) -> None:
    requires("root")
    root = store.get(None, "debian", "x").path
    images.clone(root, str(tmp_path / "clone"))
    (tmp_path / "clone/etc/os-release").write_text("changed")
    assert "debian" in Path(root, "etc/os-release").read_text()


def test_an_image_is_composed_once(store: images.Store, requires: Callable[..., None]) -> None:
    requires("root")
    first = store.get(None, "debian", "x").path
    Path(first, "mark").touch()
    assert os.path.exists(store.get(None, "debian:12", "x").path + "/mark")
