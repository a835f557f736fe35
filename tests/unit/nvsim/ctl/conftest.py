"""Built hosts that are as small as a change needs them: libraries with a board, and machine.json."""

import json
import shutil

import pytest

from nvsim import board
from nvsim.ctl import targets, verbs
from nvsim.models import board_gpu
from nvsim.native.compile import compile_all

LIBRARIES = ("/usr/lib/libnvidia-ml.so.550.54.15", "/run/driver/libnvidia-ml.so.550.54.15")


class Host:
    """Two libraries that carry the same GPUs; the first GPU on the board is on the highest bus."""

    def __init__(self, root, models, driver="550.54.15"):
        self.root = str(root)
        gpus = tuple(board_gpu(model, index=i, minor=i, bus_id=f"0000:0{len(models) - i}:00.0",
                               uuid=f"GPU-00000000-0000-0000-0000-00000000000{i}") for i, model in enumerate(models))
        for path in LIBRARIES:
            (root / path[1:]).parent.mkdir(parents=True)
            shutil.copy(compile_all("libnvidia-ml.so")[0], root / path[1:])
            board.write(str(root / path[1:]),
                        board.Board(driver_version=driver, cuda_version="12.4", gpus=gpus))
        (root / ".nvsim").mkdir()
        (root / ".nvsim/machine.json").write_text(json.dumps({"format": 1, "boards": LIBRARIES}))

    def ctl(self, line):
        """What `nvsim ctl LINE` says."""
        return verbs.parse(line.split()).apply(self.root)

    def gpu(self, index=0):
        """A GPU by its number in bus order, as the second library has it."""
        gpus = board.read(targets.boards(self.root)[1]).gpus
        return sorted(gpus, key=lambda gpu: gpu.bus_id)[index]

    def values(self, *names, index=0):
        return tuple(getattr(self.gpu(index), name) for name in names)


@pytest.fixture
def host(tmp_path):
    """`host("A100-SXM4-40GB", "T4")`."""
    return lambda *models, **options: Host(tmp_path, models, **options)
