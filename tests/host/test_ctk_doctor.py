"""nvidia-ctk doctor names the cause on hosts that are broken as those of public reports are."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit import launchers

pytestmark = pytest.mark.host
CONFIG, DAEMON = "/etc/nvidia-container-runtime/config.toml", "/etc/docker/daemon.json"
CONTAINERD, SYSTEMD = "/etc/containerd/config.toml", "/run/systemd/system/.keep"
RUNTIME = '{"runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}%s}'
CRI = 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options.BinaryName = "nvidia-container-runtime"\n'
NODE = "/dev/nvidia0"
GENERATE = "mkdir -p /etc/cdi; nvidia-ctk --quiet cdi generate --output=/etc/cdi/n.yaml"

# The mistake that is named, the host as what differs from a profile, and what is typed on it before.
BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("no-driver", {"profile": "no-driver"}, ""),
    ("libraries-missing", {"profile": "kernel-module-only"}, ""),
    ("kernel-module-not-loaded", {"profile": "libraries-only"}, ""),
    ("version-mismatch", {"profile": "version-mismatch"}, ""),
    ("device-node-missing", {"profile": "gpu-missing-from-dev"}, ""),
    ("uvm-node-missing", {"profile": "t4x1", "absent": ["/dev/nvidia-uvm*"]}, ""),
    ("device-node-permissions", {"profile": "t4x1"}, f"chmod 0660 {NODE}"),
    ("ldcache-stale", {"profile": "t4x1", "absent": ["/usr/lib/x86_64-linux-gnu/libcuda.so*"], "ldcache": "stale"}, ""),
    ("library-not-in-ldcache", {"profile": "t4x1", "ldcache": {"lacks": ["libnvidia-ml.so*"]}}, ""),
    ("libraries-in-unusual-folder", {"profile": "rtx4090-nixos"}, ""),
    ("driver-elsewhere", {"profile": "a100x8-operator"}, ""),
    ("driver-elsewhere",
     {"profile": "t4x1", "files": {CONFIG: '[nvidia-container-cli]\nroot = "/run/nvidia/driver"\n'}}, ""),
    ("every-gpu-bound-to-vfio", {"profile": "a10x4-vfio"}, ""),
    ("mig-without-instances", {"profile": "a100x8"}, "nvidia-smi -i 0 -mig 1"),
    ("mig-capability-missing", {"profile": "a100x8-mig", "absent": ["/dev/nvidia-caps/*"]}, ""),
    ("fabric-manager-not-running", {"profile": "a100x8", "fabricmanager": False}, ""),
    ("wsl-no-adapter", {"profile": "wsl2-no-nvidia"}, ""),
    ("wsl-without-dxg", {"profile": "wsl2-rtx4090", "absent": ["/dev/dxg"]}, ""),
    ("wsl-dxcore-missing", {"profile": "wsl2-rtx4090", "absent": ["/usr/lib/wsl/lib/libdxcore.so"]}, ""),
    ("wsl-dxcore-not-in-ldcache", {"profile": "wsl2-rtx4090", "ldcache": {"lacks": ["libdxcore.so*"]}}, ""),
    ("config-unusable", {"profile": "t4x1", "files": {CONFIG: "[nvidia-container-runtime\n"}}, ""),
    ("config-unknown-key", {"profile": "t4x1", "files": {CONFIG: '[nvidia-container-runtime]\nmoed = "cdi"\n'}}, ""),
    ("no-cgroups-as-root", {"profile": "t4x1", "files": {CONFIG: "[nvidia-container-cli]\nno-cgroups = true\n"}}, ""),
    ("ldconfig-missing",
     {"profile": "t4x1", "files": {CONFIG: '[nvidia-container-cli]\nldconfig = "@/sbin/ldconfig.none"\n'}}, ""),
    ("ldconfig-of-the-image",
     {"profile": "t4x1", "files": {CONFIG: '[nvidia-container-cli]\nldconfig = "/sbin/ldconfig"\n'}}, ""),
    ("cdi-file-stale", {"profile": "t4x1"}, f"{GENERATE}; sed -i s,/dev/nvidia0,/dev/nvidia9, /etc/cdi/n.yaml"),
    ("cdi-conflict", {"profile": "t4x1"}, f"{GENERATE}; cp /etc/cdi/n.yaml /etc/cdi/o.yaml"),
    ("cdi-file-unusable", {"profile": "t4x1", "files": {"/etc/cdi/nvidia.yaml": "cdiVersion: 0.5.0\nkind: gpu\n"}}, ""),
    ("engine-configuration-unusable", {"profile": "t4x1", "files": {DAEMON: '{"runtimes": }'}}, ""),
    ("docker-without-runtime", {"profile": "t4x1", "files": {DAEMON: "{}"}}, ""),
    ("engine-without-runtime",
     {"profile": "t4x1", "files": {CONTAINERD: "version = 2\n", "/usr/bin/kubelet": "#!"}}, ""),
    ("containerd-cri-disabled", {"profile": "t4x1", "files": {CONTAINERD: 'disabled_plugins = ["cri"]\n' + CRI}}, ""),
    ("containerd-drop-in-not-imported",
     {"profile": "t4x1", "files": {CONTAINERD: "version = 2\n", "/etc/containerd/conf.d/99-nvidia.toml": CRI}}, ""),
    ("gpus-lost-on-daemon-reload",
     {"profile": "t4x1", "dev_char_links": True, "files": {
         SYSTEMD: "", DAEMON: RUNTIME % ', "exec-opts": ["native.cgroupdriver=systemd"]',
         CONFIG: '[nvidia-container-runtime]\nmode = "legacy"\n'}}, ""),
    ("dev-char-links-missing", {"profile": "t4x1", "files": {
        SYSTEMD: "", DAEMON: RUNTIME % ', "exec-opts": ["native.cgroupdriver=systemd"]'}}, ""),
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from conftest import requires

    requires("root", "zig")
    folder = tmp_path_factory.mktemp("doctor")
    launchers.install(str(folder))
    yield str(folder)


def doctor(programs: str, root: Path, before: str = "", *flags: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin"}
    with Machine(str(root)) as machine:
        if before:
            done = machine.run(["/bin/sh", "-c", before], env=environment)
            assert done.returncode == 0, done.stderr
        return machine.run([f"{programs}/nvidia-ctk", "doctor", *flags], env=environment)


@pytest.mark.parametrize(("name", "host", "before"), BROKEN, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(BROKEN)])
def test_the_cause_is_named(programs: str, tmp_path: Path, name: str, host: dict[str, Any], before: str) -> None:
    build.build(profile.of(host, "test", name="broken"), str(tmp_path / "root"))
    done = doctor(programs, tmp_path / "root", before, "--format=json")
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    names = [finding["name"] for finding in report["findings"]]
    assert name in names
    worst = next(severity for severity, count in report["counts"].items() if count)
    assert done.returncode == {"error": 3, "warning": 2, "info": 0}[worst]
    shutil.rmtree(tmp_path / "root", ignore_errors=True)


def test_a_host_that_works_has_no_errors(programs: str, tmp_path: Path) -> None:
    daemon = RUNTIME % ""
    build.build(profile.of({"profile": "t4x1", "files": {DAEMON: daemon}}, "test", name="t"), str(tmp_path / "root"))
    done = doctor(programs, tmp_path / "root")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "nothing that is known as a mistake\n"


def test_a_person_reads_evidence_remedy_and_report(programs: str, tmp_path: Path) -> None:
    build.build(profile.load("version-mismatch"), str(tmp_path / "root"))
    done = doctor(programs, tmp_path / "root")
    assert done.returncode == 3
    for text in ("error    version-mismatch: ", "kernel modules: 550.54.15", "NVML: Driver/library version mismatch",
                 "remedy: reboot", "known from: NVIDIA/nvidia-container-toolkit#394", "1 error"):
        assert text in done.stdout
