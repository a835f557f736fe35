"""A driver library whose board a test chose, and how to ask it through ctypes."""

import ctypes
import os
import shutil
import subprocess
import sys

from nvsim import board
from nvsim.models import board_gpu
from nvsim.models import model as find_model
from nvsim.native import branches
from nvsim.native.compile import artifact, compile_all

UUID = "GPU-00000000-0000-0000-0000-{:012x}"
A100 = "A100-SXM4-40GB"


class Host:
    """A driver library with a dev folder of placeholders beside it: the newest one, or that of a variant."""

    def __init__(self, root, models, variant=branches.NEWEST, **changes):
        self.root, self.path = str(root), f"{root}/libnvidia-ml.so.1"
        compile_all("libnvidia-ml.so")
        shutil.copy(artifact(branches.library(variant)), self.path)
        branch = int(changes.get("driver_version", "550.").partition(".")[0])
        gpus = tuple(board_gpu(m, index=i, minor=i, uuid=_uuid(m, i), bus_id=f"0000:{i + 1:02x}:00.0",
                               serial=f"16500000000{i:02}", numa_node=i // 4, driver_branch=branch)
                     for i, m in enumerate(models))
        self.board = board.Board(**{"driver_version": "550.54.15", "cuda_version": "12.4", "dev_root": self.root,
                                    "gpus": gpus, **changes})
        board.write(self.path, self.board)
        os.makedirs(f"{root}/dev", exist_ok=True)
        by_nvgpu = ("nvhost-ctrl-gpu",) if any(gpu.integrated == 2 for gpu in self.board.gpus) else ()
        for name in ("nvidiactl", *(f"nvidia{gpu.minor}" for gpu in self.board.gpus), *by_nvgpu):
            open(f"{root}/dev/{name}", "w").close()

    def without(self, *names):
        for name in names:
            os.unlink(f"{self.root}/dev/{name}")
        return self

    def library(self):
        return ctypes.CDLL(self.path)

    def run(self, code, **env):
        """stdout of Python code in a process whose loader finds this library."""
        return subprocess.run([sys.executable, "-c", code], env={**os.environ, "LD_LIBRARY_PATH": self.root, **env},
                              capture_output=True, text=True, check=True, timeout=60).stdout


def _uuid(model, index):
    """The UUID of a GPU that nvgpu drives has no prefix."""
    bare = find_model(model).get("integrated") == "nvgpu"
    return UUID.format(index).removeprefix("GPU-" if bare else "")


def handle(lib, index=0):
    device = ctypes.c_void_p()
    assert lib.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) == 0
    return device


def number(lib, function, device, *arguments):
    """A 32-bit answer, or the negative return code."""
    value = ctypes.c_uint()
    code = getattr(lib, function)(device, *arguments, ctypes.byref(value))
    return value.value if code == 0 else -code


def text(lib, function, *arguments, size=96):
    buffer = ctypes.create_string_buffer(size)
    code = getattr(lib, function)(*arguments, buffer, size)
    return buffer.value.decode() if code == 0 else -code
