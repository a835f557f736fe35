"""Every layout: readers of ELF files, loaders and the toolkit find the driver where that distribution has it."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import reached
from elftools.elf.elffile import ELFFile  # type: ignore[import-untyped]

from nvsim import build, catalogue, profile
from nvsim.machine import Machine
from nvsim.profile import Profile
from toolkit.launchers import install

pytestmark = pytest.mark.host
LAYOUTS = [profile.of({"layout": name, "driver": "550.163.01", "gpus": [{"model": "T4"}]}, name)
           for name in catalogue.layout_names()]
each_layout = pytest.mark.parametrize("wanted", LAYOUTS, ids=lambda wanted: str(wanted.layout))
MACHINES = {"EM_X86_64": 64, "EM_386": 32}
UUIDS = "import pynvml as n; n.nvmlInit(); print(n.nvmlDeviceGetUUID(n.nvmlDeviceGetHandleByIndex(0)))"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the toolkit's commands."""
    folder = str(tmp_path_factory.mktemp("toolkit"))
    install(folder)
    return folder


@pytest.fixture
def machine(wanted: Profile, tmp_path: Path) -> Iterator[Machine]:
    build.build(wanted, str(tmp_path / "root"))
    with Machine(str(tmp_path / "root")) as machine:
        yield machine


def libdirs(wanted: Profile) -> dict[str, str]:
    """The folder of the driver's libraries by architecture."""
    layout = catalogue.layout(wanted.layout)
    found = {layout.arch: layout.path("<libdir>", wanted.driver)}
    return found | ({"i386": layout.path("<libdir32>", wanted.driver)} if layout.dirs["libdir32"] else {})


def out(machine: Machine, wanted: Profile, *argv: str) -> str:
    done = machine.run(argv, env=reached.environment(machine.root, wanted))
    assert done.returncode == 0, done.stderr
    return done.stdout


@each_layout
def test_every_library_is_of_its_folders_architecture_and_linked_by_its_soname(wanted: Profile, tmp_path: Path) -> None:
    build.build(wanted, str(tmp_path / "root"), nodes=False)
    found: dict[int, set[str]] = {32: set(), 64: set()}
    for folder, _, names in os.walk(tmp_path / "root"):
        for path in (Path(folder, name) for name in names if ".so" in name):
            if path.is_symlink() or path.read_bytes()[:4] != b"\x7fELF":
                continue
            with path.open("rb") as f:
                elf = ELFFile(f)
                assert MACHINES[elf["e_machine"]] == elf.elfclass
                sonames = [tag.soname for tag in elf.get_section_by_name(".dynamic").iter_tags("DT_SONAME")]
            found[elf.elfclass].add(f"/{path.relative_to(tmp_path / 'root')}")
            if sonames and path.name.endswith(wanted.driver):
                assert (path.parent / sonames[0]).resolve() == path
    libraries = libdirs(wanted)
    assert f"{libraries['x86_64']}/libcuda.so.{wanted.driver}" in found[64]
    assert bool(found[32]) == ("i386" in libraries)
    layout = catalogue.layout(wanted.layout).for_32_bit()
    places = {layout.path(f"<{role}>", wanted.driver) for role in ("libdir", "core", "vdpau") if role in layout.dirs}
    assert {os.path.dirname(path) for path in found[32]} <= places


@each_layout
def test_everyone_finds_the_driver_where_the_distribution_has_it(wanted: Profile, machine: Machine,
                                                                 prefix: str) -> None:
    libraries, uuid, version = libdirs(wanted), wanted.gpus[0].uuid, wanted.driver
    assert out(machine, wanted, "nvidia-smi", "-L") == f"GPU 0: Tesla T4 (UUID: {uuid})\n"
    assert out(machine, wanted, sys.executable, "-c", UUIDS) == f"{uuid}\n"
    if catalogue.layout(wanted.layout).loader_knows("<libdir>"):
        listed = out(machine, wanted, f"{prefix}/nvidia-container-cli", "list").splitlines()
        for folder in libraries.values():
            assert {f"{folder}/libcuda.so.{version}", f"{folder}/libnvidia-ml.so.{version}"} <= set(listed)


    spec = json.loads(out(machine, wanted, f"{prefix}/nvidia-ctk", "cdi", "generate", "--format=json",
                          *reached.search_options(wanted)))
    mounts = {mount["hostPath"] for mount in spec["containerEdits"]["mounts"]}
    assert {f"{libraries['x86_64']}/libcuda.so.{version}", f"{libraries['x86_64']}/libnvidia-ml.so.{version}"} <= mounts
    assert f"{reached.bindir(machine.root, wanted)}/nvidia-smi" in mounts


@pytest.mark.parametrize("wanted", [of for of in LAYOUTS if of.layout in ("nixos", "cos")], ids=lambda of: of.layout)
def test_a_machine_has_folders_that_this_one_lacks_and_keeps_those_of_this_one(wanted: Profile, tmp_path: Path) -> None:
    top, homes = set(os.listdir("/")), set(os.listdir("/home"))
    build.build(wanted, str(tmp_path / "root"))
    with Machine(str(tmp_path / "root")) as machine:
        shown = [set(out(machine, wanted, "ls", "-A", folder).split()) for folder in ("/", "/home")]
        out(machine, wanted, "touch", str(tmp_path / "written"))
    assert shown == ([top | {"nix"}, homes] if wanted.layout == "nixos" else [top, homes | {"kubernetes"}])
    assert (set(os.listdir("/")), set(os.listdir("/home"))) == (top, homes)
    assert (tmp_path / "written").exists()
