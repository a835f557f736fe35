"""A change of the board reaches programs that see the library through a mount, as containers do."""

import shutil
import subprocess
import sys

import pytest

from nvsim import board
from nvsim.models import board_gpu
from nvsim.native.compile import compile_all

pytestmark = pytest.mark.host

WATCH = """import ctypes, sys
lib, device, value = ctypes.CDLL(sys.argv[1]), ctypes.c_void_p(), ctypes.c_uint()
assert lib.nvmlInit_v2() == 0
lib.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device))
for _ in range(2):
    lib.nvmlDeviceGetTemperature(device, 0, ctypes.byref(value))
    print(value.value, flush=True)
    sys.stdin.readline()
"""
MOUNTS = {
    "a read-only bind mount": "touch view/lib.so; mount --bind host/lib.so view/lib.so;"
                              "mount -o remount,ro,bind view/lib.so",
    "the lower layer of an overlay": "mount -t tmpfs tmpfs upper; mkdir upper/u upper/w;"
                                     "mount -t overlay overlay -o lowerdir=host,upperdir=upper/u,workdir=upper/w view",
}


@pytest.mark.parametrize("mount", MOUNTS)
def test_a_running_program_sees_changes_through(mount, tmp_path, requires):
    requires("root", "unshare")
    for name in ("host", "view", "upper", "dev"):
        (tmp_path / name).mkdir()
    for name in ("nvidiactl", "nvidia0"):
        (tmp_path / "dev" / name).touch()
    library = str(tmp_path / "host/lib.so")
    shutil.copy(compile_all("libnvidia-ml.so")[0], library)
    gpu = board_gpu("T4", index=0, minor=0, uuid="GPU-00000000-0000-0000-0000-000000000000", bus_id="0000:01:00.0")
    board.write(library, board.Board(driver_version="550.54.15", cuda_version="12.4", dev_root=str(tmp_path),
                                     gpus=(gpu,)))
    script = f'set -e; {MOUNTS[mount]}; exec "$0" -c "$1" view/lib.so'
    with subprocess.Popen(["unshare", "-m", "sh", "-c", script, sys.executable, WATCH], cwd=tmp_path, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        first = program.stdout.readline()
        board.update(library, 0, temperature=85)
        program.stdin.write("\n\n")
        program.stdin.flush()
        assert (first, program.stdout.readline()) == ("33\n", "85\n")
