"""The packages, installed by dpkg on an emulated host and used there, and read by rpm."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packages import build as packages_of

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit import __version__

pytestmark = pytest.mark.host
# dpkg's database, logs and systemd's notes of this machine are not the emulated host's.
OWN_DATABASE = """
python=$(dpkg -s python3 | grep -E '^(Package|Status|Maintainer|Architecture|Version|Description):')
for folder in /var/lib/dpkg /var/lib/systemd /var/log; do mount -t tmpfs none $folder; done
mkdir /var/lib/dpkg/info /var/lib/dpkg/updates
touch /var/lib/dpkg/available
printf '%s\n' "$python" > /var/lib/dpkg/status
"""
PROGRAMS = {
    "libnvidia-container-tools": {"nvidia-container-cli"},
    "nvidia-container-toolkit": {"nvidia-container-runtime-hook"},
    "nvidia-container-toolkit-base": {"nvidia-cdi-hook", "nvidia-container-runtime", "nvidia-ctk"},
    "nvidia-container-toolkit-operator-extensions": {"nvidia-container-runtime.cdi", "nvidia-container-runtime.legacy"},
}
NAMES = " ".join(PROGRAMS)
PRESET = "/usr/lib/systemd/system-preset/90-nvidia-container-toolkit.preset"
Requires = Callable[..., None]


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return packages_of(tmp_path_factory.mktemp("debs"), "deb")


@pytest.fixture
def host(tmp_path: Path, requires: Requires) -> Iterator[Machine]:
    requires("root", "dpkg")
    build.build(profile.of("t4x1", "host"), str(tmp_path / "root"))
    with Machine(str(tmp_path / "root")) as machine:
        out(machine, OWN_DATABASE)
        yield machine


def out(host: Machine, script: str) -> str:
    done = host.run(["sh", "-ec", script])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_dpkg_installs_and_removes_them(host: Machine, debs: list[Path]) -> None:
    out(host, f"dpkg -i {' '.join(map(str, debs))}")
    for name, programs in PROGRAMS.items():
        listed = out(host, f"dpkg -L {name}").split()
        assert {Path(path).name for path in listed if path.startswith("/usr/bin/")} == programs
    units = "/lib/systemd/system/nvidia-cdi-refresh.service /lib/systemd/system/nvidia-cdi-refresh.path"
    assert set(units.split()) < set(out(host, "dpkg -L nvidia-container-toolkit-base").split())
    assert out(host, "dpkg-query -f '${Conffiles}' -W nvidia-container-toolkit-base").split()[0] == (
        "/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env")
    assert out(host, "readlink /usr/bin/nvidia-container-toolkit") == "/usr/bin/nvidia-container-runtime-hook\n"
    assert 'mode = "auto"' in out(host, "cat /etc/nvidia-container-runtime/config.toml")
    assert "/usr/bin/python3 -IS" in out(host, "head -1 /usr/bin/nvidia-ctk")
    out(host, f"dpkg -P {NAMES}")
    left = "find /usr/bin/nvidia-c* /usr/lib/nvidia-container-toolkit /etc/nvidia-container-toolkit 2>/dev/null || :"
    drivers = {"nvidia-cuda-mps-control", "nvidia-cuda-mps-server"}
    assert {Path(path).name for path in out(host, left).split()} == drivers


def test_every_program_runs_from_its_package(host: Machine, debs: list[Path]) -> None:
    out(host, f"dpkg -i {' '.join(map(str, debs))}")
    assert "kind: nvidia.com/gpu" in out(host, "nvidia-ctk cdi generate 2>/dev/null")
    # YAML, which the package brings along, and the compiled modules that its script made.
    assert "nvidia.com/gpu=0" in out(host, "nvidia-ctk cdi generate --output /etc/cdi/nvidia.yaml 2>/dev/null; "
                                           "nvidia-ctk cdi list")
    assert out(host, "ls -d /usr/lib/nvidia-container-toolkit/toolkit/__pycache__")
    # tomlkit, too: a user's comments stay.
    out(host, "mkdir -p /etc/containerd; printf '# mine\\nversion = 2\\n' > /etc/containerd/config.toml; "
              "nvidia-ctk runtime configure --runtime containerd")
    assert out(host, "cat /etc/containerd/config.toml").startswith("# mine\n")
    assert "/dev/nvidia0" in out(host, "nvidia-container-cli list").split()
    assert __version__ in out(host, "nvidia-cdi-hook --version")
    for name in ("nvidia-container-runtime", "nvidia-container-runtime.cdi", "nvidia-container-runtime.legacy"):
        assert out(host, f"{name} --version").startswith("NVIDIA Container Runtime version ")
    assert "NVIDIA Container Runtime Hook version" in out(host, "nvidia-container-toolkit -version")


def test_an_upgrade_keeps_what_the_user_configured(host: Machine, debs: list[Path]) -> None:
    out(host, f"dpkg -i {' '.join(map(str, debs))}")
    out(host, "nvidia-ctk config --in-place --set nvidia-container-runtime.mode=cdi; "
              "echo NVIDIA_DRIVER_ROOT=/x > /etc/nvidia-container-toolkit/nvidia-cdi-refresh.env")
    out(host, f"dpkg -i {' '.join(map(str, debs))}")
    assert 'mode = "cdi"' in out(host, "cat /etc/nvidia-container-runtime/config.toml")
    assert out(host, "cat /etc/nvidia-container-toolkit/nvidia-cdi-refresh.env") == "NVIDIA_DRIVER_ROOT=/x\n"


def test_units_that_an_old_version_had_in_etc_go(host: Machine, debs: list[Path]) -> None:
    """Until 1.18.0 they were conffiles in /etc, and would hide those in /lib."""
    unit = "/etc/systemd/system/nvidia-cdi-refresh.service"
    fields = {"Package": "nvidia-container-toolkit-base", "Version": "1.18.0-1", "Architecture": "all",
              "Maintainer": "x", "Description": "x"}
    control = "".join(f"{name}: {value}\n" for name, value in fields.items())
    out(host, f"mkdir -p /var/log/old/DEBIAN /var/log/old/etc/systemd/system; cd /var/log/old; echo x > .{unit}; "
              f"echo {unit} > DEBIAN/conffiles; printf '%s' '{control}' > DEBIAN/control; "
              f"dpkg-deb -b . /var/log/old.deb; dpkg -i /var/log/old.deb; test -e {unit}")
    out(host, f"dpkg -i {' '.join(map(str, debs))}")
    assert host.run(["test", "-e", unit]).returncode == 1


def test_rpm_has_the_same_files(debs: list[Path], tmp_path: Path, requires: Requires) -> None:
    requires("rpmbuild")
    rpms = {path.name.rpartition(f"-{__version__}")[0]: path for path in packages_of(tmp_path, "rpm")}
    assert set(rpms) == set(PROGRAMS)
    for deb in debs:
        listed = subprocess.run(["dpkg-deb", "-c", deb], capture_output=True, text=True, check=True).stdout
        files = {line.split()[-1][1:] for line in listed.splitlines() if line[0] == "-"}
        files = {f"/usr{path}" if path.startswith("/lib/") else path for path in files}
        dumped = (line.split() for line in query(rpms[deb.name.partition("_")[0]], "-l", "--dump"))
        assert {words[0] for words in dumped if words[4].startswith("0100")} - {PRESET} == files
    base, toolkit = rpms["nvidia-container-toolkit-base"], rpms["nvidia-container-toolkit"]
    assert PRESET in query(base, "-l")
    assert "python3 >= 3.11" in query(base, "--requires")
    assert query(base, "--configfiles") == ["/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env"]
    assert f"nvidia-container-toolkit-base = {__version__}-1.py1" in query(toolkit, "--requires")
    assert query(toolkit, "--obsoletes") == ["nvidia-container-runtime <= 3.5.0-1",
                                             "nvidia-container-runtime-hook <= 1.4.0-2"]


def query(rpm: Path, *options: str) -> list[str]:
    return subprocess.run(["rpm", "-qp", *options, rpm], capture_output=True, text=True, check=True).stdout.splitlines()


