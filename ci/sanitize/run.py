"""The driver library under the compiler's sanitizers: `tox -e sanitize`.

Compiles nvsim/native/nvml with address and undefined-behaviour, and with thread sanitizers, beside a client that calls
every function that the library exports (calls.py).  Any report ends the run.  `--board-rounds N` says how many boards
of mutated bytes are tried; the same seed gives the same boards.

The compiler is gcc: zig, which compiles the library otherwise, comes without the sanitizers' run-time libraries.
"""

import argparse
import contextlib
import itertools
import os
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from calls import table

from nvsim import board, build, profile, state
from nvsim.native.compile import HERE as NATIVE
from nvsim.native.compile import TARGETS

HERE = Path(__file__).parent
# Generations that differ in what they support, and GPUs with and without MIG devices.
HOST = """
about: a host of everything
layout: ubuntu22.04
driver: 550.54.15
gpus:
  - {model: A100-SXM4-40GB, count: 2, mig: {0: [3g.20gb, 2g.10gb, 1g.5gb]}}
  - {model: H100-SXM5-80GB, mig: {0: [1g.10gb, 1g.10gb+me]}}
  - {model: T4}
  - {model: V100-SXM2-16GB}
  - {model: RTX-4060-Ti-8GB}
"""
PATIENCE_S = 3600
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-w", "-fno-omit-frame-pointer", "-pthread", "-I", str(NATIVE),
         "-I", str(HERE))
BUILDS = {
    # The board is a section of its own, around which the address sanitizer keeps no watch unless told to.
    "address": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                f"-fsanitize-sections={board.SECTION}"),
    "thread": ("-fsanitize=thread",),
}
OPTIONS = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "abort_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "abort_on_error=1:halt_on_error=1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A client and the library that it finds, whose board lies at `offset`."""

    client: str
    library: str
    offset: int

    def argv(self, *arguments: object) -> list[str]:
        return [*_fixed_addresses(), self.client, *map(str, arguments)]

    def run(self, *arguments: object) -> None:
        """Raises CalledProcessError if a sanitizer or the client found something."""
        print("sanitize:", *arguments, flush=True)
        subprocess.run(self.argv(*arguments), check=True, env=_environment(), timeout=PATIENCE_S)


def compiled(folder: Path, sanitizer: str) -> Build:
    """The library with the board of HOST, and the client, under a sanitizer."""
    folder.mkdir()
    library = folder / "libnvidia-ml.so.1"
    target = next(t for t in TARGETS if t.name == "libnvidia-ml.o")
    sources = sorted(str(path) for pattern in target.sources for path in NATIVE.glob(pattern))
    compiler = ["gcc", *FLAGS, *BUILDS[sanitizer]]
    subprocess.run([*compiler, "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1", "-Wl,-z,now", *sources,
                    "-ldl", "-o", str(library)], check=True)
    (folder / "calls.inc").write_text(table(_exported(library)))
    client = folder / "client"
    subprocess.run([*compiler, "-I", str(folder), str(HERE / "calls.c"), str(HERE / "main.c"), str(library),
                    f"-Wl,-rpath,{folder}", "-o", str(client)], check=True)
    return Build(client=str(client), library=str(library), offset=_furnish(folder, library))


def _exported(library: Path) -> set[str]:
    lines = subprocess.run(["nm", "-D", "--defined-only", str(library)], check=True, capture_output=True, text=True)
    return {line.split()[-1] for line in lines.stdout.splitlines()}


def _furnish(folder: Path, library: Path) -> int:
    """Gives the library the board of HOST, with its device nodes beside it; where the board lies in the file."""
    root = str(folder / "host")
    machine = build.build(profile.parse(HOST, "sanitize"), root, nodes=False, dev_root=root)
    board.write(str(library), board.read(root + machine.boards[0]))
    with board._opened(str(library), write=False) as (_, start):
        return start


def _environment() -> dict[str, str]:
    return {**os.environ, **OPTIONS}


def _fixed_addresses() -> list[str]:
    """The thread sanitizer of gcc 12 does not start where addresses are randomised over more than 28 bits."""
    bits = Path("/proc/sys/vm/mmap_rnd_bits")
    random = bits.exists() and int(bits.read_text()) > 28
    return ["setarch", platform.machine(), "-R"] if random else []


def run_threads(build: Build, seed: int, rounds: int) -> None:
    """Every function from many threads, while this process changes the board and another one starts and ends."""
    with _written(build.library), _neighbour(build):
        build.run("threads", seed, rounds)


@contextlib.contextmanager
def _written(library: str) -> Iterator[None]:
    """Changes every GPU and makes events happen, for as long as the block runs."""
    done = threading.Event()

    def write() -> None:
        gpus = len(board.read(library).gpus)
        for number in itertools.takewhile(lambda _: not done.is_set(), itertools.count()):
            gpu = number % gpus
            board.update(library, gpu, temperature=30 + number % 60, utilization_gpu=number % 100)
            board.push_event(library, gpu, 8, 13)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()


@contextlib.contextmanager
def _neighbour(build: Build) -> Iterator[None]:
    """Another process that initialises and shuts down, for as long as the block runs; it must not fail either."""
    with subprocess.Popen(build.argv("life", 0, 2**32 - 1), env=_environment()) as process:
        try:
            yield
            if process.poll() is not None:
                raise subprocess.CalledProcessError(process.returncode, process.args)
        finally:
            process.terminate()


def run(folder: Path, options: argparse.Namespace) -> None:
    """All runs, or those of one sanitizer."""
    if options.only in ("", "address"):
        build = compiled(folder / "address", "address")
        build.run("calls", options.seed, options.rounds)
        run_boards(build, options)
    if options.only in ("", "thread"):
        run_threads(compiled(folder / "thread", "thread"), options.seed, options.thread_rounds)


def run_boards(build: Build, options: argparse.Namespace) -> None:
    """Boards of any bytes; what they did to the file is of no use to a later run."""
    build.run("board", options.seed, options.board_rounds, build.library, build.offset, options.first_board)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", choices=sorted(BUILDS), help="one sanitizer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20, help="times that every function is called with each flaw")
    parser.add_argument("--thread-rounds", type=int, default=100, help="times that each thread calls every function")
    parser.add_argument("--board-rounds", type=int, default=3000, help="boards of mutated bytes")
    parser.add_argument("--first-board", type=int, default=0, help="number of the first one, to repeat a failure")
    options = parser.parse_args()
    if not shutil.which("gcc"):
        print("sanitize: needs gcc and its sanitizers: ci/bootstrap gcc", file=sys.stderr)
        return 1
    with state.workdir("sanitize") as folder:
        try:
            run(Path(folder), options)
        except subprocess.SubprocessError as e:
            print(f"sanitize: {e}", file=sys.stderr)
            return 1
    print("sanitize: no report")
    return 0


if __name__ == "__main__":
    sys.exit(main())
