"""Calls that change a GPU: who may make them, and who sees what they did."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nvsim import board, build, profile

SET = """
import ctypes, sys
lib = ctypes.CDLL(sys.argv[1])
assert lib.nvmlInit_v2() == 0
device = ctypes.c_void_p()
assert lib.nvmlDeviceGetHandleByIndex_v2(1, ctypes.byref(device)) == 0
print(lib.nvmlDeviceSetComputeMode(device, 3))
"""
pytestmark = pytest.mark.host
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@pytest.fixture
def library(tmp_path: Path, requires) -> str:
    requires("root", "setpriv")
    root = str(tmp_path / "host")
    machine = build.build(profile.load("a100x8"), root, dev_root=root)
    return root + next(path for path in machine.boards if "nvidia-ml" in path)


def result(library: str, *before: str) -> int:
    """What nvmlDeviceSetComputeMode answers in a process of its own."""
    done = subprocess.run([*before, sys.executable, "-c", SET, library], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_an_administrator_changes_a_gpu_for_every_process(library: str) -> None:
    lib, device, mode = ctypes.CDLL(library), ctypes.c_void_p(), ctypes.c_uint()
    assert lib.nvmlInit_v2() == 0
    assert lib.nvmlDeviceGetHandleByIndex_v2(1, ctypes.byref(device)) == 0
    assert result(library) == 0
    assert lib.nvmlDeviceGetComputeMode(device, ctypes.byref(mode)) == 0 and mode.value == 3
    assert lib.nvmlShutdown() == 0
    assert [gpu.compute_mode for gpu in board.read(library).gpus] == [0, 3, 0, 0, 0, 0, 0, 0]


def test_root_without_the_capability_may_not(library: str) -> None:
    assert result(library, "setpriv", "--bounding-set=-sys_admin") == 4
    assert board.read(library).gpus[1].compute_mode == 0


def test_an_ordinary_user_may_not(library: str) -> None:
    for folder in Path(library).parents:
        if os.stat(folder).st_mode & 0o005 != 0o005:
            folder.chmod(0o755)
    assert result(library, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") == 4
    assert board.read(library).gpus[1].compute_mode == 0


def test_a_privileged_container_changes_a_gpu_through_the_read_only_mount_of_its_library(library: str) -> None:
    assert result(library, "unshare", "-m", "sh", "-c", READ_ONLY, library) == 0
    assert board.read(library).gpus[1].compute_mode == 3
