"""A client of libcuda.so.1, through ctypes, and the hosts that it runs on: a library with a dev folder beside it."""

import ctypes
import os
import shutil
import subprocess
import sys

from nvsim import board
from nvsim.models import board_gpu, model
from nvsim.native.compile import compile_all

UUID = "GPU-{:08x}-0000-0000-0000-000000000000"
NODES = ("nvidiactl", "nvidia-uvm")
NODES_OF_NVGPU = ("nvhost-ctrl-gpu", "host1x-fence", "dri/renderD128")


class Host:
    """GPUs of these models, the first at bus 1; `changes` are for their records on the board."""

    def __init__(self, root, *models, gpu=None, **changes):
        self.root, self.path = str(root), f"{root}/libcuda.so.1"
        shutil.copy(compile_all("libcuda.so")[0], self.path)
        gpus = tuple(board_gpu(m, index=i, minor=i, uuid=_uuid(m, i), bus_id=f"0000:{i + 1:02x}:00.0")
                     for i, m in enumerate(models))
        self.board = board.Board(**{"driver_version": "550.54.15", "cuda_version": "12.4", "dev_root": self.root,
                                    "gpus": gpus, **changes})
        board.write(self.path, self.board)
        for place in range(len(gpus) if gpu else 0):
            board.update(self.path, place, **gpu)
        os.makedirs(f"{root}/dev/dri", exist_ok=True)
        by_nvgpu = NODES_OF_NVGPU if any(gpu.integrated == 2 for gpu in gpus) else ()
        for name in (*NODES, *(f"nvidia{i}" for i in range(len(gpus))), *by_nvgpu):
            open(f"{root}/dev/{name}", "w").close()

    def without(self, *names):
        for name in names:
            os.unlink(f"{self.root}/dev/{name}")
        return self

    def cuda(self):
        return Cuda(self.path)

    def run(self, code, **env):
        """stdout and stderr of Python code in a process of its own, in which `cuda` is a client and CUDA is started."""
        start = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); from cuda_client import *\n"
        start += f"cuda = Cuda({self.path!r}); cuda('cuInit', 0)\n"
        done = subprocess.run([sys.executable, "-c", start + code], env={**os.environ, **env}, capture_output=True,
                              text=True, check=True, timeout=60)
        return done.stdout, done.stderr


def _uuid(name, index):
    """The UUID of a GPU that nvgpu drives has no prefix."""
    bare = model(name).get("integrated") == "nvgpu"
    return UUID.format(0xA0 + index).removeprefix("GPU-" if bare else "")


class CudaError(Exception):
    """A code other than 0: `code`."""

    def __init__(self, function, code):
        super().__init__(f"{function}: {code}")
        self.code = code


class Cuda:
    """Calls functions by name: `cuda("cuDeviceGet", ctypes.c_int, 0)`.  A ctypes type stands for an output of that
    type; the outputs are what is returned.  Integers of 2**31 and more, and None, are passed as 64 bits."""

    def __init__(self, path):
        self.lib = ctypes.CDLL(path)

    def code(self, function, *arguments):
        """The code that a call returns."""
        return self._call(function, arguments)[0]

    def __call__(self, function, *arguments):
        code, outputs = self._call(function, arguments)
        if code:
            raise CudaError(function, code)
        values = [o.value if hasattr(o, "value") else o for o in outputs]
        return values[0] if len(values) == 1 else tuple(values)

    def _call(self, function, arguments):
        outputs, passed = [], []
        for argument in arguments:
            if isinstance(argument, type):
                outputs.append(argument())
                passed.append(ctypes.byref(outputs[-1]))
            elif argument is None or (isinstance(argument, int) and argument >= 2**31):
                passed.append(ctypes.c_void_p(argument))
            else:
                passed.append(argument)
        return getattr(self.lib, function)(*passed), outputs

    # What programs do first

    def start(self, device=0):
        """Initialises, makes a context on a device current, and returns this client."""
        self("cuInit", 0)
        self("cuCtxCreate_v2", ctypes.c_void_p, 0, device)
        return self

    def names(self):
        return [self.text("cuDeviceGetName", i) for i in range(self("cuDeviceGetCount", ctypes.c_int))]

    def text(self, function, device, size=96):
        buffer = ctypes.create_string_buffer(size)
        self(function, buffer, size, device)
        return buffer.value.decode()

    def attribute(self, number, device=0):
        return self("cuDeviceGetAttribute", ctypes.c_int, number, device)

    def uuid(self, device=0, function="cuDeviceGetUuid_v2"):
        return bytes(self(function, ctypes.c_ubyte * 16, device)).hex()

    def allocate(self, size):
        return self("cuMemAlloc_v2", ctypes.c_uint64, ctypes.c_size_t(size))

    def write(self, address, data):
        self("cuMemcpyHtoD_v2", ctypes.c_uint64(address), data, ctypes.c_size_t(len(data)))

    def read(self, address, size):
        buffer = ctypes.create_string_buffer(size)
        self("cuMemcpyDtoH_v2", buffer, ctypes.c_uint64(address), ctypes.c_size_t(size))
        return buffer.raw
