"""libcuda under the compiler's sanitizers, in `tox -e sanitize`: every function with NULLs, and 16 threads at once."""

import os
import platform
import subprocess
import sys
from pathlib import Path

from nvsim import board, models, state
from nvsim.native import generate_cuda
from nvsim.native.compile import HERE as NATIVE
from nvsim.native.compile import TARGETS

HERE = Path(__file__).parent
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-g", "-O1", "-w", "-fno-omit-frame-pointer", "-pthread", "-I", str(NATIVE))
SANITIZERS = {"address": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
              "thread": ("-fsanitize=thread",)}
# The thread sanitizer of gcc 12 does not start where addresses are randomised over more than 28 bits.
RUNNERS = {"address": (), "thread": ("setarch", platform.machine(), "-R")}
GPUS = 2


def check(folder: Path, sanitizer: str) -> None:
    """Compiles the library and its client into one program, gives it a board, and runs it.

    Raises CalledProcessError if a sanitizer or the client found something."""
    names = [f.name for f in generate_cuda.functions() if not f.name.startswith("cudbg")]
    (folder / "functions.inc").write_text("".join(f"FUNCTION({name})\n" for name in names))
    target = next(t for t in TARGETS if t.name == "libcuda.o")
    sources = sorted(str(path) for pattern in target.sources for path in NATIVE.glob(pattern))
    program = folder / "client"
    subprocess.run(["gcc", *FLAGS, *SANITIZERS[sanitizer], "-I", str(folder), *sources, str(HERE / "cuda.c"),
                    "-o", str(program)], check=True)
    gpus = tuple(models.board_gpu("A100-SXM4-40GB", index=i, minor=i, uuid=f"GPU-{i:08x}-0000-0000-0000-000000000000",
                                  bus_id=f"0000:{i + 1:02x}:00.0") for i in range(GPUS))
    board.write(str(program), board.Board(driver_version="550.54.15", cuda_version="12.4", dev_root=str(folder),
                                          gpus=gpus))
    (folder / "dev").mkdir()
    for name in ("nvidiactl", "nvidia-uvm", *(f"nvidia{i}" for i in range(GPUS))):
        (folder / "dev" / name).touch()
    subprocess.run([*RUNNERS[sanitizer], str(program)], check=True, timeout=600,
                   env={name: value for name, value in os.environ.items() if not name.startswith("CUDA_")})


def main() -> int:
    with state.workdir("sanitize-cuda") as folder:
        for name in SANITIZERS:
            print(f"sanitize: libcuda, {name}", flush=True)
            (Path(folder) / name).mkdir()
            try:
                check(Path(folder) / name, name)
            except subprocess.SubprocessError as e:
                print(f"sanitize: {e}", file=sys.stderr)
                return 1
    print("sanitize: no report")
    return 0


if __name__ == "__main__":
    sys.exit(main())
