"""The catalogue: every file of it is complete enough to make a host of any branch."""

import pytest

from nvsim import catalogue, profile
from nvsim.errors import NvsimError
from nvsim.plan import plan

BRANCHES = sorted(catalogue._read("drivers.yaml")["branches"])
LAYOUTS = sorted(catalogue._read("layouts.yaml"))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("branch", BRANCHES)
def test_every_branch_makes_a_host_on_every_layout(branch: int, layout: str) -> None:
    version = catalogue._read("drivers.yaml")["branches"][branch]["version"]
    assert catalogue.release(version).branch == branch
    for kind in ("open", "closed"):
        found = {op.path for op in plan(profile.of(
            {"layout": layout, "driver": version, "kernel_module": kind, "gpus": [{"model": "T4"}]}, "host"))}
        libdir = catalogue.layout(layout).path("<libdir>", version)
        assert {f"{libdir}/libcuda.so.{version}", "/proc/driver/nvidia/params", "/dev/nvidia0"} <= found
        assert not [path for path in found if "<" in path]


def test_a_version_between_branches_belongs_to_the_older_one() -> None:
    assert catalogue.release("552.10.01").branch == 550
    assert catalogue.release("999.10").branch == max(BRANCHES)


@pytest.mark.parametrize("version", ["", "550", "550.54.15-1", "550.54.1٥", "v550.54.15", "418.226.00"])
def test_what_is_no_known_driver_version_is_an_error(version: str) -> None:
    with pytest.raises(NvsimError):
        catalogue.release(version)


def test_needed_libraries_differ_by_branch_and_architecture() -> None:
    def needed(version: str, arch: str, file: str) -> tuple[str, ...]:
        return next(found.needed for found in catalogue.libraries(version, arch, frozenset())
                    if found.file.startswith(file))

    assert "libnvidia-gpucomp.so.550.54.15" in needed("550.54.15", "x86_64", "libnvidia-eglcore")
    assert not [name for name in needed("535.261.03", "x86_64", "libnvidia-eglcore") if "gpucomp" in name]
    assert "ld-linux.so.2" in needed("550.54.15", "i386", "libnvcuvid")
    assert "ld-linux-aarch64.so.1" in needed("550.54.15", "aarch64", "libnvcuvid")


def test_roles_of_a_layout_may_begin_with_another_role() -> None:
    layout = catalogue.layout("ubuntu22.04")
    assert layout.path("<gbm>/x.so.<V>", "550.54.15") == "/usr/lib/x86_64-linux-gnu/gbm/x.so.550.54.15"
