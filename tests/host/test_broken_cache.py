"""A loader's cache that does not say what is on disk stays so on a machine that is entered."""

from pathlib import Path

import pytest

from nvsim import build, profile
from nvsim.machine import Machine

pytestmark = pytest.mark.host
FOLDER = "/usr/lib/x86_64-linux-gnu"


def listed(tmp_path: Path, **changes: object) -> set[str]:
    """What `ldconfig -p` lists of NVML and CUDA on a machine with these changes; this machine's libraries are there."""
    from conftest import requires

    requires("root", "zig")
    wanted = profile.of({"profile": "t4x1", "compat32": False, **changes}, "test", name="broken")
    build.build(wanted, str(tmp_path / "root"))
    with Machine(str(tmp_path / "root")) as machine:
        lines = machine.run(["ldconfig", "-p"]).stdout.splitlines()
    names = {line.split()[0] for line in lines[1:]}
    assert "libc.so.6" in names
    return {name for name in names if name.startswith(("libnvidia-ml", "libcuda.so"))}


def test_a_fresh_cache_lists_both(tmp_path: Path) -> None:
    assert listed(tmp_path) == {"libnvidia-ml.so", "libnvidia-ml.so.1", "libcuda.so", "libcuda.so.1"}


def test_what_the_cache_lacks_is_not_listed(tmp_path: Path) -> None:
    assert listed(tmp_path, ldcache={"lacks": ["libnvidia-ml.so*"]}) == {"libcuda.so", "libcuda.so.1"}


def test_a_stale_cache_lists_what_is_gone(tmp_path: Path) -> None:
    gone = {"absent": [f"{FOLDER}/libcuda.so*"]}
    assert "libcuda.so.1" in listed(tmp_path, ldcache="stale", **gone)
