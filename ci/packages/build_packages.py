#!/usr/bin/env python3
"""Builds the toolkit's packages: ci/packages/build_packages.py [deb] [rpm] --output FOLDER

The packages are the same on every architecture: programs are launchers that run `python3 -IS`, and their modules, with
PyYAML and tomlkit, lie in a folder of their own.  .deb needs dpkg-deb, .rpm needs rpmbuild.  With SOURCE_DATE_EPOCH set
the files are the same, byte for byte, at each build.
"""

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path[:0] = [str(HERE), str(TOP)]

import rpm_spec  # noqa: E402
from contents import MODULES, PACKAGES, PYTHON, Package  # noqa: E402

from toolkit import __version__, launchers  # noqa: E402
from toolkit.apply.install import copy_package  # noqa: E402

REVISION = "1+py1"  # beside NVIDIA's 1.20.0-1
MAINTAINER = "The gpu-container-harness authors <packages@invalid>"
PLACES = {"deb": {"UNITS": "/lib/systemd/system", "RULES": "/lib/udev/rules.d"},
          "rpm": {"UNITS": "/usr/lib/systemd/system", "RULES": "/usr/lib/udev/rules.d"}}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Builds the toolkit's packages.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="deb or rpm; default: both")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER")
    options = parser.parse_args(argv)
    if unknown := set(options.kinds) - {"deb", "rpm"}:
        parser.error(f"unknown kind of package: {', '.join(sorted(unknown))}")
    options.output.mkdir(parents=True, exist_ok=True)
    for kind in options.kinds or ("deb", "rpm"):
        tool = {"deb": "dpkg-deb", "rpm": "rpmbuild"}[kind]
        if not shutil.which(tool):
            print(f"{tool} is missing: apt-get install {'dpkg' if kind == 'deb' else 'rpm'}", file=sys.stderr)
            return 1
        for path in {"deb": build_deb, "rpm": build_rpm}[kind](options.output):
            print(path)
    return 0


def build_deb(output: Path) -> list[Path]:
    """One .deb for each package; their paths."""
    version, built = f"{__version__}-{REVISION}", []
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "root")
            stage(package, root, "deb")
            size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) // 1024
            _write_control(package, root / "DEBIAN", version, size)
            _clamp(root)
            path = output / f"{package.name}_{version}_all.deb"
            subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, path], check=True,
                           stdout=subprocess.DEVNULL)
            built.append(path)
    return built


def build_rpm(output: Path) -> list[Path]:
    """One .rpm for each package; their paths."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        for package in PACKAGES:
            stage(package, top / "stage" / package.name, "rpm")
        _clamp(top / "stage")
        spec = top / "toolkit.spec"
        spec.write_text(rpm_spec.text(top / "stage", __version__, REVISION.replace("+", ".")))
        subprocess.run(["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {top}/build", "--define",
                        "_build_id_links none", "--target", "noarch", spec], check=True, stdout=subprocess.DEVNULL)
        return [Path(shutil.copy(path, output)) for path in sorted((top / "build/RPMS").rglob("*.rpm"))]


def stage(package: Package, root: Path, kind: str) -> None:
    """The files of a package below `root`."""
    for name in package.programs:
        text = launchers.script(name, launchers.PROGRAMS[name], PYTHON, home=MODULES)
        _put(root / "usr/bin" / name, text, 0o755)
    for place, source in package.files:
        for word, folder in PLACES[kind].items():
            place = place.replace(word, folder)
        _put(root / place.lstrip("/"), (HERE / source).read_text(), 0o644)
    documents = root / "usr/share/doc" / package.name
    _put(documents / "copyright", (TOP / "LICENSE").read_text(), 0o644)
    if package.modules:
        for source in map(Path, launchers.sources()):
            copy_package(str(source), str(root / MODULES.lstrip("/") / source.name))
        for name, text in _licences():
            _put(documents / f"copyright.{name}", text, 0o644)
        if kind == "rpm":
            preset = "90-nvidia-container-toolkit.preset"
            _put(root / "usr/lib/systemd/system-preset" / preset, (HERE / "systemd" / preset).read_text(), 0o644)


def _licences() -> list[tuple[str, str]]:
    """The licences of the third parties whose modules are in the package."""
    found = []
    for name in ("PyYAML", "tomlkit"):
        files = importlib.metadata.files(name) or []
        texts = [file.read_text() for file in files if file.name.upper().startswith("LICENSE")]
        if not texts:
            raise SystemExit(f"{name} is installed without its licence: use the one of a package index")
        found.append((name, texts[0]))
    return found


def _write_control(package: Package, folder: Path, version: str, size: int) -> None:
    def relations(names: tuple[str, ...]) -> str:
        return ", ".join(names).replace("VERSION", version)

    fields = {
        "Package": package.name, "Version": version, "Architecture": "all", "Maintainer": MAINTAINER,
        "Installed-Size": str(size), "Section": "utils", "Priority": "optional",
        "Depends": relations(package.depends), "Breaks": relations(package.breaks),
        "Replaces": relations(package.breaks),
        "Description": f"{package.summary}\n Makes NVIDIA GPUs usable in containers.  The programs are Python.",
    }
    _put(folder / "control", "".join(f"{name}: {value}\n" for name, value in fields.items() if value), 0o644)
    conffiles = [place for place, _ in package.files if place.startswith("/etc/")]
    if conffiles:
        _put(folder / "conffiles", "".join(f"{place}\n" for place in conffiles), 0o644)
    for script in sorted((HERE / "deb").glob(f"{package.name}.*")):
        _put(folder / script.suffix[1:], script.read_text().replace("VERSION", version), 0o755)


def _put(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _clamp(root: Path) -> None:
    """Permissions as of umask 022, and one time for all files where SOURCE_DATE_EPOCH says which."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        if epoch:
            os.utime(path, (int(epoch), int(epoch)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
