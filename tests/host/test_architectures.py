"""ELF files of every profile: of the architecture that their folder is for, whatever machine builds them."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile  # type: ignore[import-untyped]

from nvsim import board, build, catalogue, ldcache, profile
from nvsim.errors import NvsimError
from nvsim.machine import Machine
from nvsim.native import compile as native
from nvsim.profile import Profile

pytestmark = pytest.mark.host
WITH_LIBRARIES = [name for name in profile.names() if (said := profile.load(name)).driver and said.boot != "no-driver"]
AARCH64 = [name for name in profile.names() if (said := profile.load(name)).arch == "aarch64" and not said.tegra]
MACHINES = {"x86_64": ("EM_X86_64", 64), "aarch64": ("EM_AARCH64", 64), "i386": ("EM_386", 32)}
LISTED = {"x86_64": "libc6,x86-64", "aarch64": "libc6,AArch64", "i386": "libc6"}  # as `ldconfig -p` calls them
LINE = re.compile(r"\t(\S+) \(([^ )]+?)(?:, OS ABI: [^)]*)?\) => (\S+)")
VERSION = "import pynvml as n; n.nvmlInit(); print(n.nvmlSystemGetDriverVersion())"


def elf_files(root: str) -> Iterator[tuple[str, ELFFile]]:
    """The ELF files below a root, by their path there, but for those that stand in for them."""
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names if not folder.startswith(f"{root}/.nvsim")):
            if path.is_symlink() or not path.is_file():
                continue
            with path.open("rb") as f:
                if f.read(4) == b"\x7fELF":
                    yield str(path).removeprefix(root), ELFFile(f)


def layout_of(wanted: Profile) -> catalogue.Layout:
    return catalogue.layout(wanted.layout, arch=wanted.arch)


def built(wanted: Profile, root: Path) -> str:
    build.build(wanted, str(root), nodes=False, elf=wanted.arch)
    return str(root)


def listed(root: str, wanted: Profile) -> dict[str, set[str]]:
    """What `ldconfig -p` lists as being of each kind: the files, by their path below the driver root."""
    top = root + wanted.driver_root.rstrip("/")
    cache = top + layout_of(wanted).ld_cache
    if not os.path.isfile(cache):
        return {}
    links = {path.removeprefix(top): os.readlink(path) for folder, folders, files in os.walk(top)
             for name in folders + files if os.path.islink(path := f"{folder}/{name}")}
    done = subprocess.run(["ldconfig", "-p", "-C", cache], capture_output=True, text=True, check=True)
    found: dict[str, set[str]] = {}
    for _, kind, path in LINE.findall(done.stdout):
        found.setdefault(kind, set()).add(ldcache.resolve(path, links))
    return found


@pytest.mark.parametrize("name", WITH_LIBRARIES)
def test_every_elf_file_is_what_its_folder_is_for(name: str, tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("ldconfig")
    wanted = profile.load(name)
    root, layout = built(wanted, tmp_path / "root"), layout_of(wanted)
    compat = layout.for_32_bit() if layout.dirs["libdir32"] and wanted.compat32 and not wanted.wsl else None
    folders32 = {compat.path(f"<{role}>", wanted.driver) for role in ("libdir", "core", "vdpau")
                 if role in compat.dirs} if compat else set()
    top = wanted.driver_root.rstrip("/")
    kinds: dict[str, set[str]] = {}
    for path, elf in elf_files(root):
        path = path.removeprefix(top)
        kind = "i386" if os.path.dirname(path) in folders32 else wanted.arch
        assert (elf["e_machine"], elf.elfclass) == MACHINES[kind], path
        kinds.setdefault(kind, set()).add(path)
    assert set(kinds) == {wanted.arch} | ({"i386"} if compat else set())

    cached = listed(root, wanted)
    assert set(cached) <= {LISTED[kind] for kind in kinds}
    for kind, paths in kinds.items():
        others = [path for of, found in kinds.items() if of != kind for path in found]
        assert cached.get(LISTED[kind], set()).isdisjoint(others)
        of = compat if kind == "i386" and compat else layout
        if cached and not (wanted.ldcache.lacks or wanted.leftover.driver or wanted.wsl) and of.caches("<libdir>"):
            assert cached[LISTED[kind]] >= {path for path in paths if re.search(r"/lib(cuda|nvidia-ml)\.so", path)}


@pytest.mark.parametrize("name", ["rhel9", "debian12", "sles15", "arch", "ubuntu20.04"])
def test_libraries_of_32_bit_are_where_the_layout_has_them_and_nowhere_without(name: str, tmp_path: Path) -> None:
    keys = {"layout": name, "driver": "550.163.01", "gpus": [{"model": "T4"}]}
    folder = catalogue.layout(name).path("<libdir32>", "550.163.01")
    with_, without = (built(profile.of({**keys, "compat32": there}, "test"), tmp_path / str(there))
                      for there in (True, False))
    assert {os.path.dirname(path) for path, elf in elf_files(with_) if elf.elfclass == 32} >= {folder}
    assert [path for path, elf in elf_files(without) if elf.elfclass == 32] == []


@pytest.mark.parametrize("name", AARCH64)
def test_a_tree_for_aarch64_holds_nothing_of_x86(name: str, tmp_path: Path) -> None:
    wanted = profile.load(name)
    root = built(wanted, tmp_path / "root")
    own = f"{root}/.nvsim"
    names = [os.path.join(folder, n).removeprefix(root) for folder, folders, files in os.walk(root)
             for n in folders + files if not folder.startswith(own)]
    assert [n for n in names if re.search(r"x86|i386|amd64|lib32|ld-linux-x86", n)] == []
    files = [path for path, _ in elf_files(root)]
    with open(f"{root}/usr/bin/nvidia-smi", "rb") as f:
        interpreter = ELFFile(f).get_section_by_name(".interp").data()
    assert interpreter == b"/lib/ld-linux-aarch64.so.1\0"
    libraries = {os.path.basename(path) for path in files}
    assert {f"libnvidia-ml.so.{wanted.driver}", f"libcuda.so.{wanted.driver}",
            f"libnvidia-ptxjitcompiler.so.{wanted.driver}"} <= libraries
    for path in files:
        with open(root + path, "rb") as f:
            dynamic = ELFFile(f).get_section_by_name(".dynamic")
            needed = {tag.needed for tag in dynamic.iter_tags("DT_NEEDED")}
        assert not any(library.startswith("ld-linux-x86") for library in needed), path
    assert "for aarch64  " in Path(root, "proc/driver/nvidia/version").read_text()


def test_compiled_libraries_export_the_same_on_each_architecture() -> None:
    def exports(arch: str, part: str) -> set[str]:
        with open(native.artifact(part, arch), "rb") as f:
            symbols = ELFFile(f).get_section_by_name(".dynsym").iter_symbols()
            return {symbol.name for symbol in symbols if symbol["st_shndx"] != "SHN_UNDEF"}

    for part in ("libnvidia-ml-570.so", "libcuda-570.so", "libnvidia-sandboxutils.so"):
        assert exports("aarch64", part) == exports("x86_64", part)


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Machine]:
    """A built tree whose files are for a machine of another architecture, entered."""
    other = next(arch for arch in native.ARCHITECTURES if arch != native.MACHINE)
    wanted = profile.of({"profile": "gh200x1", "arch": other, "driver": "570.148.08"}, "host", name="foreign")
    with Machine(built(wanted, tmp_path / "root")) as machine:
        yield machine


def test_programs_of_this_machine_run_on_a_host_of_another_architecture(foreign: Machine) -> None:
    triple = "aarch64-linux-gnu" if native.MACHINE == "x86_64" else "x86_64-linux-gnu"
    library = f"/usr/lib/{triple}/libnvidia-ml.so.570.148.08"
    assert foreign.run(["nvidia-smi", "-L"]).stdout.startswith("GPU 0: NVIDIA GH200 480GB (UUID: ")
    assert foreign.run([sys.executable, "-c", VERSION]).stdout == "570.148.08\n"
    for path, machine in ((library, native.MACHINE), (foreign.root + library, triple.partition("-")[0])):
        seen = foreign.run([sys.executable, "-c", "import sys; print(open(sys.argv[1], 'rb').read(20)[18])", path])
        assert int(seen.stdout) == {"x86_64": 62, "aarch64": 183}[machine]


def test_changes_reach_the_files_of_both_architectures(foreign: Machine) -> None:
    changed = subprocess.run([sys.executable, "-m", "nvsim", "ctl", "--host", foreign.root, "set", "gpu=0",
                              "temperature=91"], capture_output=True, text=True, check=False)
    assert changed.returncode == 0, changed.stderr
    query = ["nvidia-smi", "--query-gpu=temperature.gpu", "--format=csv,noheader"]
    assert foreign.run(query).stdout == "91\n"
    boards = [top + path for path in build.describe(foreign.root).boards
              for top in (foreign.root, foreign.root + build.TWINS)]
    assert [board.read(path).gpus[0].temperature for path in boards] == [91] * 4


def test_a_tree_that_is_used_in_place_is_entered_on_its_own_architecture_alone(tmp_path: Path) -> None:
    other = next(arch for arch in native.ARCHITECTURES if arch != native.MACHINE)
    root = str(tmp_path / "root")
    build.build(profile.of({"profile": "gh200x1", "arch": other}, "host"), root, nodes=False, dev_root=root, elf=other)
    with pytest.raises(NvsimError, match=f"its programs are {other}"), Machine(root):
        pass
