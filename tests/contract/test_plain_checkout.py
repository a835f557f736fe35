"""The command from a plain checkout, on a machine without a package index."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]
# What `pip install --target` puts there for the four that nvsim names.
PACKAGES = ("yaml", "rich", "pygments", "markdown_it", "mdurl", "tomlkit", "jinja2", "markupsafe")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("nvsim", "scenarios", "toolkit"):
        shutil.copytree(HOME / name, tmp_path / name, ignore=shutil.ignore_patterns("out", "__pycache__"))
    return tmp_path


def nvsim(checkout: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    """In a Python without packages."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([sys.executable, "-S", "-m", "nvsim", *argv], cwd=checkout, env=environment,
                          capture_output=True, text=True, check=False)


def test_a_package_that_is_missing_is_named_with_the_way_to_bring_it(checkout: Path) -> None:
    done = nvsim(checkout, "run", "--help")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("nvsim: the Python package PyYAML is not installed\n  hint: pip install ")
    assert "pip install --target nvsim/native/out/packages PyYAML rich tomlkit Jinja2" in done.stderr


def test_packages_beside_the_compiled_parts_are_found(checkout: Path) -> None:
    packages = checkout / "nvsim/native/out/packages"
    packages.mkdir(parents=True)
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        if found and found.origin:
            (packages / name).symlink_to(Path(found.origin).parent)
    done = nvsim(checkout, "run", "--help")
    assert done.returncode == 0 and "--target {emulated,real}" in done.stdout, done.stderr
    assert "selection/toolkit-1555-none" in nvsim(checkout, "list", "cases").stdout
