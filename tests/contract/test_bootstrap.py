"""ci/bootstrap on a distribution with one package manager or the other: what it would install, by the names there."""

import os
import subprocess
from pathlib import Path

import pytest

BOOTSTRAP = Path(__file__).parents[2] / "ci" / "bootstrap"
# Every tool is missing there; these are what the script itself uses.
USED = ("cat", "dirname", "grep", "sh")


def run(tmp_path: Path, manager: str, *tools: str, ci: bool = True) -> "subprocess.CompletedProcess[str]":
    """The script where nothing is but a package manager, which says how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in USED:
        for place in os.environ["PATH"].split(":"):
            if os.access(f"{place}/{name}", os.X_OK) and not (folder / name).is_symlink():
                (folder / name).symlink_to(f"{place}/{name}")
    # Root may install, and it is root there whoever runs the test.
    for name, text in (("id", "echo 0"), (manager, f'echo {manager} "$@" >&2')):
        if name:
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
    # The script adds /usr/sbin and /sbin, where dockerd may be: a copy looks into the folder alone.
    script = tmp_path / "bootstrap"
    script.write_text(BOOTSTRAP.read_text().replace('PATH="$PATH:/usr/sbin:/sbin"\n', ""))
    return subprocess.run(["/bin/sh", str(script), *tools], env={"PATH": str(folder), **({"CI": "true"} if ci else {})},
                          text=True, capture_output=True, check=False)


@pytest.mark.parametrize(("manager", "tools", "installed"), [
    ("apt-get", "runc busybox docker readelf", "runc busybox-static docker.io binutils"),
    ("apt-get", "gcc podman", "gcc libc6-dev podman"),
    ("dnf", "runc busybox docker readelf", "runc busybox moby-engine binutils"),
    ("apt-get", "rpmbuild systemd-analyze newuidmap", "rpm systemd uidmap"),
    ("dnf", "rpmbuild", "rpm-build"),
    ("dnf", "gcc python", "gcc glibc-devel libasan libtsan libubsan python3"),
])
def test_what_is_missing_is_installed_by_its_name_there(tmp_path: Path, manager: str, tools: str,
                                                        installed: str) -> None:
    done = run(tmp_path, manager, *tools.split())
    assert done.returncode == 0, done.stderr
    refresh, install = done.stderr.splitlines()
    assert refresh in ("apt-get update -q", "dnf makecache -q")
    assert install.startswith(f"{manager} install -y ")
    assert install.endswith(f" {installed} -q")


def test_without_a_package_manager_it_says_what_is_missing_and_fails_in_ci_alone(tmp_path: Path) -> None:
    done = run(tmp_path, "", "runc", "busybox")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ci/bootstrap: missing: runc busybox-static" in done.stderr
    assert "Run, as root" not in done.stderr
    (tmp_path / "again").mkdir()
    assert run(tmp_path / "again", "", "runc", ci=False).returncode == 0


def test_each_function_of_it_is_defined_once() -> None:
    functions = [line for line in BOOTSTRAP.read_text().splitlines() if line.endswith("() {")]
    assert sorted(functions) == ["package_of() {", "present() {"]


def test_nothing_to_install_is_no_work(tmp_path: Path) -> None:
    assert run(tmp_path, "apt-get").stderr == ""
