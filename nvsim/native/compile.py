"""Compiles the C parts with ziglang: `python3 -m nvsim.native.compile`.

Results lie in nvsim/native/out/ARCH/ and travel in the wheel.  Dynamic parts link against glibc 2.17 symbols, so that
they run in any container image of the last decade; the probe is static, so that it runs in an image without a libc.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from nvsim.errors import NvsimError

HERE = Path(__file__).resolve().parent
FLAGS = ("-std=c11", "-O2", "-g0", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-fno-sanitize=all", "-I", str(HERE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One file to compile: `sources` are globs below this folder, `triple` is zig's without the architecture."""

    name: str
    sources: tuple[str, ...]
    triple: str
    flags: tuple[str, ...] = ()


TARGETS = (
    Target(
        name="libnvidia-ml.so",
        sources=("nvml/*.c", "board/*.c"),
        triple="linux-gnu.2.17",
        flags=("-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-soname,libnvidia-ml.so.1", "-Wl,-z,now", "-s",
               "-Wl,--version-script=" + str(HERE / "nvml" / "exports.map"), "-lpthread", "-ldl"),
    ),
    Target(name="nvidia-smi", sources=("smi/*.c",), triple="linux-gnu.2.17", flags=("-ldl", "-s")),
    Target(name="nvsim-probe", sources=("probe/*.c",), triple="linux-musl", flags=("-static", "-s")),
    Target(name="nvsim-probe-dl", sources=("probe_dl.c", "probe/json.c"), triple="linux-gnu.2.17",
           flags=("-ldl", "-s")),
    Target(name="nvsim-kernel", sources=("kernel.c",), triple="linux-musl", flags=("-static", "-s")),
)
ARCHITECTURES = ("x86_64",)


def artifact(name: str, arch: str = "x86_64") -> str:
    """Path of a compiled part, e.g. "libnvidia-ml.so" or "nvidia-smi".

    Raises NvsimError if it has not been compiled."""
    path = HERE / "out" / arch / name
    if not path.exists():
        raise NvsimError(f"{name} for {arch} has not been compiled", source=str(path),
                         hint="run: python3 -m pip install ziglang && python3 -m nvsim.native.compile")
    return str(path)


def compile_all(*names: str) -> list[str]:
    """Compiles the named targets (default: all) for each architecture; the paths of the results.

    A target whose result is newer than every source is left alone.  Raises NvsimError with the compiler's words."""
    targets = [t for t in TARGETS if not names or t.name in names]
    return [_compile(target, arch) for arch in ARCHITECTURES for target in targets]


def _compile(target: Target, arch: str) -> str:
    out = HERE / "out" / arch / target.name
    sources = sorted(str(p) for glob in target.sources for p in HERE.glob(glob))
    if not sources:
        raise NvsimError(f"no source for {target.name}", source=str(HERE))
    if out.exists() and out.stat().st_mtime > _newest_source():
        return str(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(f".{out.name}.{os.getpid()}")
    command = [sys.executable, "-m", "ziglang", "cc", "-target", f"{arch}-{target.triple}", *FLAGS, *sources,
               *target.flags, "-o", str(fresh)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        fresh.unlink(missing_ok=True)
        raise NvsimError(f"compiling {target.name} failed:\n{done.stderr}", source=sources[0],
                         hint="the compiler is the package ziglang: python3 -m pip install ziglang")
    fresh.replace(out)
    return str(out)


def _newest_source() -> float:
    patterns = ("*.[ch]", "*/*.[ch]", "*/*.map", "*/*.inc", "compile.py")
    return max(p.stat().st_mtime for pattern in patterns for p in HERE.glob(pattern))


if __name__ == "__main__":
    for path in compile_all(*sys.argv[1:]):
        print(path)
