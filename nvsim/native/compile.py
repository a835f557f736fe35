"""Compiles the C parts with ziglang: `python3 -m nvsim.native.compile`.

Results lie in nvsim/native/out/ARCH/, and those for the architecture of the machine that builds the wheel travel in it.
Those for another one, whose files `nvsim build` writes, are compiled when they are first asked for: seconds, once.
Dynamic parts link against glibc 2.17 symbols, so that they run in any container image of the last decade; the probe is
static, so that it runs in an image without a libc.
libnvidia-ml.so is compiled once and linked for every driver branch: what it exports and needs differs.
"""

import contextlib
import fcntl
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nvsim.errors import NvsimError
from nvsim.native import branches

HERE = Path(__file__).resolve().parent
FLAGS = ("-std=c11", "-O2", "-g0", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-fno-sanitize=all", "-I", str(HERE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One file to make: `sources` are globs below this folder, `triple` is zig's without the architecture.

    `object` is another target that is linked into it; `variant` one of nvsim.native.branches, whose functions it
    exports; `part` what it is a variant of."""

    name: str
    sources: tuple[str, ...]
    triple: str
    flags: tuple[str, ...] = ()
    object: str = ""
    variant: str = ""
    part: str = ""


GLIBC = "linux-gnu.2.17"
LIBRARY = ("-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-z,now", "-s")


def _nvml(variant: str) -> Target:
    """libnvidia-ml.so as a branch has it.  The real ones need libm since 525 and librt since 535."""
    branch, _ = branches.branch_of(variant)
    needs = tuple(flag for flag, since in (("-DNEEDS_LIBM", 525), ("-DNEEDS_LIBRT", 535)) if branch >= since)
    return Target(name=branches.library(variant), sources=("needs.c",), triple=GLIBC, object="libnvidia-ml.o",
                  variant=variant, part="libnvidia-ml.so",
                  flags=(*LIBRARY, "-Wl,-soname,libnvidia-ml.so.1", *needs, "-lpthread", "-ldl", "-lm", "-lrt"))


def _cuda(variant: str) -> Target:
    """libcuda.so as a branch has it.  The real ones need all of glibc's libraries."""
    return Target(name=branches.cuda_library(variant), sources=("needs.c",), triple=GLIBC, object="libcuda.o",
                  variant=variant, part="libcuda.so",
                  flags=(*LIBRARY, "-Wl,-soname,libcuda.so.1", "-DNEEDS_LIBDL", "-DNEEDS_LIBM", "-DNEEDS_LIBRT",
                         "-lpthread", "-ldl", "-lm", "-lrt"))


TARGETS = (
    Target(name="libnvidia-ml.o", sources=("nvml/*.c", "board/*.c"), triple=GLIBC, part="libnvidia-ml.so",
           flags=("-r", "-fPIC", "-fvisibility=hidden")),
    *(_nvml(variant) for variant in reversed(branches.VARIANTS)),
    Target(name="libcuda.o", sources=("cuda/*.c", "board/*.c"), triple=GLIBC, part="libcuda.so",
           flags=("-r", "-fPIC", "-fvisibility=hidden")),
    *(_cuda(variant) for variant in reversed(branches.CUDA_VARIANTS)),
    Target(name="libnvidia-sandboxutils.so", sources=("sandboxutils.c",), triple=GLIBC,
           flags=(*LIBRARY, "-Wl,-soname,libnvidia-sandboxutils.so.1", "-lpthread", "-ldl")),
    Target(name="libdxcore.so", sources=("dxcore.c", "board/section.c", "board/host.c"), triple=GLIBC,
           flags=(*LIBRARY, "-Wl,-soname,libdxcore.so")),
    Target(name="nvidia-smi", sources=("smi/*.c",), triple=GLIBC, flags=("-ldl", "-s")),
    Target(name="nvsim-probe", sources=("probe/*.c",), triple="linux-musl", flags=("-static", "-s")),
    Target(name="nvsim-probe-dl", sources=("probe_dl.c", "probe_cuda.c", "probe/json.c"), triple=GLIBC,
           flags=("-ldl", "-s")),
    Target(name="nvsim-kernel", sources=("kernel.c",), triple="linux-musl", flags=("-static", "-s")),
)
ARCHITECTURES = ("x86_64", "aarch64")
MACHINE = os.uname().machine  # the architecture whose programs run here


def artifact(name: str, arch: str = MACHINE) -> str:
    """Path of a compiled part, e.g. "libnvidia-ml.so" or "nvidia-smi"; one for another architecture than this machine's
    is compiled now if it is older than a source, or not there.

    Raises NvsimError if one for this machine has not been compiled, and if the compiler fails or is not there."""
    path = HERE / "out" / arch / name
    if arch != MACHINE and arch in ARCHITECTURES:
        return _cross_compiled(name, arch)
    if not path.exists():
        raise NvsimError(f"{name} for {arch} has not been compiled", source=str(path),
                         hint="run: python3 -m pip install ziglang && python3 -m nvsim.native.compile")
    return str(path)


def compile_all(*names: str) -> list[str]:
    """Compiles the named targets with their variants (default: all) for this machine's architecture; the paths of the
    results, without those that only others are linked from.

    A target whose result is newer than every source is left alone.  Raises NvsimError with the compiler's words."""
    targets = [t for t in TARGETS if not names or t.name in names or t.part in names]
    newest = _newest_source()
    made = [(target, _compile(target, MACHINE, newest)) for target in targets]
    return [path for target, path in made if not target.name.endswith(".o")]


@functools.cache
def _cross_compiled(name: str, arch: str) -> str:
    """A part for another architecture, with what it is linked from; one process at a time compiles."""
    target, out, newest = next(t for t in TARGETS if t.name == name), HERE / "out" / arch / name, _newest_source()
    if out.exists() and out.stat().st_mtime > newest:
        return str(out)
    with _gate(out.parent):
        for needed in (t for t in TARGETS if t.name == target.object):
            _compile(needed, arch, newest)
        return _compile(target, arch, newest)


@contextlib.contextmanager
def _gate(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder of results.  Raises NvsimError if this user may not write there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as e:
        raise NvsimError(f"cannot keep compiled parts here: {e.strerror}", source=str(folder),
                         hint="once, as a user who may write there: nvsim build with this profile") from e
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _compile(target: Target, arch: str, newest_source: float) -> str:
    out = HERE / "out" / arch / target.name
    sources = sorted(str(p) for glob in target.sources for p in HERE.glob(glob))
    if not sources:
        raise NvsimError(f"no source for {target.name}", source=str(HERE))
    if out.exists() and out.stat().st_mtime > newest_source:
        return str(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(f".{out.name}.{os.getpid()}")
    objects = [str(out.with_name(target.object))] if target.object else []
    script = fresh.with_name(f"{fresh.name}.map")
    command = [sys.executable, "-m", "ziglang", "cc", "-target", f"{arch}-{target.triple}", *FLAGS, *sources, *objects,
               *target.flags, *_exporting(target, script), "-o", str(fresh)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    script.unlink(missing_ok=True)
    if done.returncode:
        fresh.unlink(missing_ok=True)
        raise NvsimError(f"compiling {target.name} for {arch} failed:\n{done.stderr}", source=sources[0],
                         hint="the compiler is the package ziglang: python3 -m pip install ziglang")
    fresh.replace(out)
    return str(out)


def _exporting(target: Target, script: Path) -> list[str]:
    """Writes the version script of a variant; the flag that names it."""
    if not target.variant:
        return []
    from nvsim.native import generate, generate_cuda  # they read the catalogue, which only these targets need

    branch, early = branches.branch_of(target.variant)
    script.write_text(generate_cuda.exports_map(branch) if target.part == "libcuda.so"
                      else generate.exports_map(branch, early=early))
    return [f"-Wl,--version-script={script}"]


def _newest_source() -> float:
    patterns = ("*.[ch]", "*/*.[ch]", "*/*.map", "*/*.inc", "compile.py")
    catalogue = [HERE.parent / "catalog" / name for name in ("nvml-functions.yaml", "cuda-functions.yaml")]
    return max(p.stat().st_mtime for p in (*catalogue, *(p for pattern in patterns for p in HERE.glob(pattern))))


if __name__ == "__main__":
    for path in compile_all(*sys.argv[1:]):
        print(path)
