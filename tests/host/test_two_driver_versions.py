"""Libraries of two driver versions in one folder: the loader, NVML and the toolkit each find the one that is theirs."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit.launchers import install

pytestmark = pytest.mark.host
LIB = "/usr/lib/x86_64-linux-gnu"
OLD, NEW = "550.54.14", "550.54.15"  # 550.54.15 are the kernel modules
INIT = """
import pynvml as n
try:
    n.nvmlInit()
    print(n.nvmlSystemGetDriverVersion())
except n.NVMLError as e:
    print(e.value)
"""


@pytest.fixture
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    keys: dict[str, Any] = {"profile": "t4x1", **request.param}
    build.build(profile.of(keys, "host"), str(tmp_path / "root"))
    with Machine(str(tmp_path / "root")) as machine:
        yield machine


def cached(host: Machine) -> list[str]:
    """The driver's names in the loader's cache whose version shows which files ldconfig saw."""
    done = host.run(["/sbin/ldconfig", "-p"])
    assert "libc.so.6 " in done.stdout
    return sorted(line.split()[0] for line in done.stdout.splitlines() if "libnvidia-tls.so" in line)


def leads(host: Machine, link: str) -> str:
    return host.run(["readlink", "-f", f"{LIB}/{link}"]).stdout.strip().rpartition(".so.")[2]


def init(host: Machine) -> str:
    return host.run([sys.executable, "-c", INIT]).stdout.strip()


@pytest.mark.parametrize(("host", "links", "tls", "nvml"), [
    ({"leftover": OLD}, NEW, [OLD, NEW], NEW),
    ({"leftover": {"driver": OLD, "links": True}}, OLD, [OLD, NEW], "18"),
    ({"leftover": {"driver": OLD, "links": True, "ldcache": "driver"}}, OLD, [NEW], "18"),
    ({"leftover": {"driver": OLD, "ldcache": "leftover"}}, NEW, [OLD], NEW),
    ({"driver": OLD, "kernel_driver": NEW, "leftover": {"driver": NEW, "links": True}}, NEW, [OLD, NEW], NEW),
    ({"leftover": {"driver": OLD, "links": True, "only": ["libcuda.so.*"]}}, NEW, [NEW], NEW),
], indirect=["host"])
def test_links_and_cache_are_each_of_the_version_that_the_profile_says(
        host: Machine, links: str, tls: list[str], nvml: str) -> None:
    assert leads(host, "libnvidia-ml.so.1") == links
    assert cached(host) == [f"libnvidia-tls.so.{version}" for version in tls]
    assert init(host) == nvml


@pytest.mark.parametrize("host", [{"leftover": {"driver": OLD, "links": True, "only": ["libcuda.so.*"]}}],
                         indirect=True)
def test_the_versions_may_mix_library_by_library(host: Machine) -> None:
    assert (leads(host, "libcuda.so.1"), leads(host, "libnvidia-ml.so.1")) == (OLD, NEW)
    assert os.path.exists(f"{host.root}{LIB}/libcuda.so.{NEW}")
    assert not os.path.exists(f"{host.root}{LIB}/libnvidia-ml.so.{OLD}")


@pytest.mark.parametrize("host", [{"leftover": {"driver": OLD, "links": True}}], indirect=True)
def test_other_kernel_modules_make_the_other_libraries_fit(host: Machine) -> None:
    assert init(host) == "18"
    for version, nvml in ((OLD, OLD), (NEW, "18")):
        done = host.run([sys.executable, "-m", "nvsim", "ctl", "driver", "upgrade", version])
        assert (done.returncode, init(host)) == (0, nvml)


@pytest.mark.parametrize("host", [{"leftover": OLD}], indirect=True)
def test_the_toolkit_takes_the_libraries_of_the_kernel_modules_version(host: Machine, tmp_path: Path) -> None:
    prefix = str(tmp_path / "toolkit")
    install(prefix)
    for command in (["nvidia-container-cli", "list"], ["nvidia-ctk", "cdi", "generate"]):
        text = host.run([f"{prefix}/{command[0]}", *command[1:]]).stdout
        assert f"{LIB}/libcuda.so.{NEW}" in text
        assert OLD not in text


@pytest.mark.parametrize("host", [{"ldcache": {"lacks": ["libcuda.so*"]}},
                                  {"ldcache": "stale", "absent": [f"{LIB}/libnvidia-ml.so*"]}], indirect=True)
def test_the_cache_of_a_machine_is_as_old_as_its_profile_says(host: Machine) -> None:
    names = {line.split()[0] for line in host.run(["/sbin/ldconfig", "-p"]).stdout.splitlines()}
    there = {name for name in ("libcuda.so.1", "libnvidia-ml.so.1") if os.path.lexists(f"{host.root}{LIB}/{name}")}
    assert ("libcuda.so.1" in names, "libnvidia-ml.so.1" in names) == (there == {"libcuda.so.1"}, True)
    assert init(host) == (NEW if len(there) == 2 else "12")
