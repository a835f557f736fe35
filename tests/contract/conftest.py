"""What the tests of nvidia-smi share: hosts in a folder, with a driver library and the program that finds it there."""

import os
import shutil
import subprocess

import pytest

from nvsim import board
from nvsim.models import board_gpu
from nvsim.native import branches
from nvsim.native.compile import artifact, compile_all

MODELS = ("A100-SXM4-40GB", "T4", "RTX-4060-Ti-8GB")
UUID = "GPU-00000000-0000-0000-0000-{:012x}"


class Smi:
    """A driver library with a board in a folder, and nvidia-smi that finds it there.  Minor numbers run backwards."""

    def __init__(self, root, models=MODELS, **changes):
        self.root, self.library = root, str(root / "libnvidia-ml.so.1")
        self.program = compile_all("nvidia-smi")[0]
        driver = changes.get("driver_version", "550.54.15")
        compile_all("libnvidia-ml.so")
        shutil.copy(artifact(branches.library(branches.variant_of(driver))), self.library)
        gpus = tuple(board_gpu(model, index=i, minor=len(models) - 1 - i, uuid=UUID.format(i),
                               bus_id=f"0000:{i + 7:02x}:00.0", serial=f"165000000000{i}",
                               driver_branch=int(driver.partition(".")[0]))
                     for i, model in enumerate(models))
        board.write(self.library, board.Board(**{"driver_version": driver, "cuda_version": "12.4",
                                                 "dev_root": str(root), "gpus": gpus, **changes}))
        (root / "dev").mkdir(exist_ok=True)
        for name in ("nvidiactl", *(f"nvidia{gpu.minor}" for gpu in gpus)):
            (root / "dev" / name).touch()

    def __call__(self, *args, library_path=None, timeout=20):
        env = {**os.environ, "LD_LIBRARY_PATH": str(library_path or self.root), "TZ": "UTC"}
        return subprocess.run([self.program, *args], env=env, capture_output=True, text=True, check=False,
                              timeout=timeout)

    def says(self, *args, **kw):
        """Exit status and stdout; nothing may be on stderr."""
        done = self(*args, **kw)
        assert done.stderr == ""
        return done.returncode, done.stdout

    def csv(self, fields, *args, form="csv,noheader"):
        status, text = self.says(f"--query-gpu={fields}", f"--format={form}", *args)
        assert status == 0, text
        return text.splitlines()


@pytest.fixture
def smi(tmp_path):
    return Smi(tmp_path)


@pytest.fixture
def host(tmp_path):
    return lambda *models, **changes: Smi(tmp_path, models, **changes)
