"""Every mistake that the doctor knows, from the least facts that show it."""

import re
from pathlib import Path
from typing import Any

import pytest

from toolkit.model.cdi import Document
from toolkit.model.config import Config
from toolkit.model.doctor import Engine, Facts, Finding, Function, SpecFile
from toolkit.model.host import CharDevice, Gpu, MigDevice
from toolkit.plan.doctor import DRIVER_CHECKS, findings
from toolkit.plan.doctor_setup import SETUP_CHECKS
from toolkit.plan.mistakes import MISTAKES

LIBRARY = "/usr/lib64/libnvidia-ml.so.550.54.15"
CONFIG = Config()
CLI = CONFIG.nvidia_container_cli


def node(path: str, major: int = 195, mode: int = 0o666) -> CharDevice:
    return CharDevice(path=path, host_path=path, major=major, minor=0, mode=mode)


def gpu(**changes: Any) -> Gpu:
    return Gpu(index=0, uuid="GPU-1", minor=0, pci_bus_id="0000:00:04.0", name="NVIDIA T4")._replace(**changes)


def spec(version: str = "0.5.0", cuda: str = "550.54.15", **fields: Any) -> Document:
    mounts = [{"hostPath": f"/x/libcuda.so.{cuda}", "containerPath": "/x"}]
    return Document("/etc/cdi/n.yaml", 0, {
        "cdiVersion": version, "kind": "nvidia.com/gpu",
        "devices": [{"name": "0", "containerEdits": {"mounts": mounts}}]} | fields)


# A healthy machine: nothing is found.  Each row below changes something.
HEALTHY = Facts(
    config=CONFIG._replace(nvidia_container_cli=CLI._replace(ldconfig="@/sbin/ldconfig")),
    config_path="/etc/nvidia-container-runtime/config.toml", functions=(Function("0000:00:04.0", "nvidia"),),
    kernel_version="550.54.15", kernel_gpus=("0000:00:04.0",), majors=(("nvidia-uvm", 510),),
    nodes=(node("/dev/nvidia0"), node("/dev/nvidiactl"), node("/dev/nvidia-uvm", 510)), library_files=(LIBRARY,),
    cached=("/usr/lib64/libnvidia-ml.so.1",), nvml_library=LIBRARY, driver_version="550.54.15", gpus=(gpu(),),
    programs=tuple((name, f"/usr/bin/{name}") for name in (
        "nvidia-container-runtime", "nvidia-container-runtime-hook", "nvidia-container-cli", "nvidia-ctk", "runc")))
BARE = HEALTHY._replace(library_files=(), nvml_library="", cached=(), gpus=(), driver_version="")
NVIDIA = (("nvidia", "/usr/bin/nvidia-container-runtime"),)
LEGACY = HEALTHY.config._replace(nvidia_container_runtime=CONFIG.nvidia_container_runtime._replace(mode="legacy"))
MIG = MigDevice(index=0, uuid="MIG-1", gpu_instance=3, compute_instance=0)


def config(**changes: Any) -> Config:
    return HEALTHY.config._replace(**changes)


def cli(**changes: Any) -> Config:
    return config(nvidia_container_cli=HEALTHY.config.nvidia_container_cli._replace(**changes))


ROWS: list[tuple[str, Facts]] = [
    ("no-gpu", Facts(euid=0)),
    ("every-gpu-bound-to-vfio", HEALTHY._replace(functions=(Function("0000:00:04.0", "vfio-pci"),))),
    ("gpu-bound-to-vfio", HEALTHY._replace(functions=(*HEALTHY.functions, Function("0000:00:05.0", "vfio-pci")))),
    ("nouveau-loaded", HEALTHY._replace(modules=("nouveau",))),
    ("nouveau-loaded", BARE._replace(functions=(Function("0000:00:04.0", "nouveau"),), kernel_version="")),
    ("driver-elsewhere", BARE._replace(other_roots=("/run/nvidia/driver",))),
    ("libraries-missing", BARE),
    ("libraries-missing", BARE._replace(library_files=("/usr/lib64/libcuda.so.550.54.15",))),  # NVML alone is missing
    ("libraries-in-unusual-folder", BARE._replace(unusual=("/run/opengl-driver/lib/libnvidia-ml.so.1",))),
    ("no-driver", BARE._replace(kernel_version="", kernel_gpus=(), nodes=())),
    ("kernel-module-not-loaded", HEALTHY._replace(kernel_version="", kernel_gpus=(), nodes=(), nvml_code=9)),
    ("version-mismatch", HEALTHY._replace(kernel_version="550.90.07", nvml_code=18, nvml_error="mismatch", gpus=())),
    ("versions-side-by-side", HEALTHY._replace(library_files=(LIBRARY, "/usr/lib64/libcuda.so.550.54.14"))),
    ("ldcache-stale", HEALTHY._replace(gone=("/usr/lib64/libcuda.so.1",))),
    ("library-not-in-ldcache", HEALTHY._replace(cached=())),
    ("gpu-not-answering", HEALTHY._replace(gpus=(gpu(error="GPU is lost"),))),
    ("nvml-error", HEALTHY._replace(gpus=(), nvml_code=999, nvml_error="Unknown Error")),
    ("device-node-missing", HEALTHY._replace(kernel_gpus=("0000:00:04.0", "0000:00:05.0"))),
    ("device-node-missing", HEALTHY._replace(nodes=())),
    ("uvm-node-missing", HEALTHY._replace(nodes=HEALTHY.nodes[:2])),
    ("device-node-permissions", HEALTHY._replace(nodes=(*HEALTHY.nodes[1:], node("/dev/nvidia0", mode=0o660)))),
    ("device-node-number", HEALTHY._replace(majors=(("nvidia-uvm", 509),))),
    ("mig-without-instances", HEALTHY._replace(gpus=(gpu(mig_enabled=True),))),
    ("mig-capability-missing", HEALTHY._replace(gpus=(gpu(mig_enabled=True, mig_devices=(MIG,)),))),
    ("fabric-manager-not-running", HEALTHY._replace(switches=(Function("0000:86:00.0", "nvidia-nvswitch"),))),
    ("imex-channels-missing", HEALTHY._replace(
        gpus=(gpu(coherent=True),), majors=(("nvidia-caps-imex-channels", 234),))),
    ("config-unusable", HEALTHY._replace(config_error="config.toml: (3, 1): expected")),
    ("config-unknown-key", HEALTHY._replace(config_notes=("ignoring unknown key moed; did you mean mode?",))),
    ("config-mode-unknown", HEALTHY._replace(config=config(
        nvidia_container_runtime=CONFIG.nvidia_container_runtime._replace(mode="jit")))),
    ("no-cgroups-as-root", HEALTHY._replace(config=cli(no_cgroups=True))),
    ("unprivileged-variables-ignored",
     HEALTHY._replace(config=config(accept_nvidia_visible_devices_envvar_when_unprivileged=False))),
    ("ldconfig-missing", HEALTHY._replace(ldconfig=("/sbin/ldconfig", "missing"))),
    ("ldconfig-is-a-script", HEALTHY._replace(ldconfig=("/sbin/ldconfig", "script"))),
    ("ldconfig-of-the-image", HEALTHY._replace(config=cli(ldconfig="/sbin/ldconfig"))),
    ("program-missing", HEALTHY._replace(programs=(("runc", "/usr/bin/runc"),))),
    ("program-missing", HEALTHY._replace(programs=HEALTHY.programs[:1] + HEALTHY.programs[2:], config=LEGACY)),
    ("low-level-runtime-missing", HEALTHY._replace(programs=HEALTHY.programs[:-1])),
    ("cdi-conflict", HEALTHY._replace(specs=(SpecFile(spec()), SpecFile(spec()._replace(path="/etc/cdi/o.yaml"))))),
    ("cdi-file-unusable", HEALTHY._replace(specs=(SpecFile(spec(kind="gpu")),))),
    ("cdi-file-stale", HEALTHY._replace(specs=(SpecFile(spec(), ("/dev/dri/card7",)),))),
    ("cdi-file-of-another-driver", HEALTHY._replace(specs=(SpecFile(spec(cuda="550.40.07")),))),
    ("cdi-version-too-new", HEALTHY._replace(specs=(SpecFile(spec("0.7.0")),), engines=(
        Engine("podman", version="4.9.3"),))),
    ("engine-configuration-unusable", HEALTHY._replace(engines=(Engine("docker", error="daemon.json: bad"),))),
    ("docker-without-runtime", HEALTHY._replace(engines=(Engine("docker"),))),
    ("engine-without-runtime", HEALTHY._replace(engines=(Engine("containerd"),), kubelet=True)),
    ("runtime-program-missing", HEALTHY._replace(
        programs=HEALTHY.programs[1:], engines=(Engine("docker", runtimes=NVIDIA),))),
    ("containerd-cri-disabled", HEALTHY._replace(engines=(Engine("containerd", runtimes=NVIDIA, cri_disabled=True),))),
    ("containerd-drop-in-not-imported", HEALTHY._replace(engines=(
        Engine("containerd", runtimes=NVIDIA, drop_ins=("/etc/containerd/conf.d/99-nvidia.toml",)),))),
    ("gpus-lost-on-daemon-reload", HEALTHY._replace(
        config=LEGACY, systemd=True, char_links=("/dev/char/195:0",),
        engines=(Engine("docker", runtimes=NVIDIA, systemd_cgroup=True),))),
    ("dev-char-links-missing", HEALTHY._replace(systemd=True, engines=(
        Engine("docker", runtimes=NVIDIA, systemd_cgroup=True),))),
    ("selinux-enforcing", HEALTHY._replace(selinux_enforcing=True)),
    ("wsl-without-dxg", BARE._replace(wsl=True, kernel_version="", nodes=(), kernel_gpus=())),
    ("wsl-dxcore-missing", BARE._replace(wsl=True, dxg=True, kernel_version="", nodes=())),
    ("wsl-dxcore-not-in-ldcache", BARE._replace(
        wsl=True, dxg=True, kernel_version="", nodes=(), dxcore="/usr/lib/wsl/lib/libdxcore.so", dxcore_loads=False)),
    ("wsl-no-adapter", BARE._replace(wsl=True, dxg=True, dxcore="/usr/lib/wsl/lib/libdxcore.so", dxcore_error="none")),
    ("wsl-linux-driver-installed", HEALTHY._replace(wsl=True, dxg=True, dxcore="/usr/lib/wsl/lib/libdxcore.so")),
    ("tegra-without-csv", BARE._replace(tegra=True)),
    ("tegra-csv-stale", BARE._replace(tegra=True, csv_files=("/etc/a.csv",), csv_missing=("/dev/nvhost-x",))),
    ("tegra-in-legacy-mode", BARE._replace(tegra=True, csv_files=("/etc/a.csv",), config=LEGACY)),
]
# What follows from the mistake of a row by itself.
BESIDE = {"no-gpu": {"no-driver", "program-missing", "low-level-runtime-missing"},
          "nouveau-loaded": {"no-driver"}, "runtime-program-missing": {"program-missing"}}


def found(facts: Facts) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings(facts, (*DRIVER_CHECKS, *SETUP_CHECKS))}


def test_a_healthy_machine_has_none() -> None:
    assert found(HEALTHY) == {}


@pytest.mark.parametrize(("name", "facts"), ROWS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(ROWS)])
def test_a_mistake_is_found_and_no_other(name: str, facts: Facts) -> None:
    seen = found(facts)
    assert name in seen and set(seen) - {name} <= BESIDE.get(name, set())
    assert seen[name].evidence and seen[name].remedy and "{" not in seen[name].what + seen[name].remedy


def test_every_mistake_has_a_row() -> None:
    assert {name for name, _ in ROWS} == set(MISTAKES)


def test_errors_come_first() -> None:
    facts = HEALTHY._replace(selinux_enforcing=True, config_error="x", config_notes=("y",))
    assert [finding.severity for finding in findings(facts, SETUP_CHECKS)] == ["error", "warning", "info"]


@pytest.mark.parametrize(("engine", "cdi", "readable"), [
    ("4.9.3", "0.6.0", False), ("4.9.3", "0.5.0", True), ("5.1.0", "0.7.0", True), ("3.4.4", "0.7.0", True),
    ("", "1.0.0", True)])
def test_versions_of_cdi_follow_those_of_podman(engine: str, cdi: str, readable: bool) -> None:
    """One that knows no CDI at all, or does not say its version, is not blamed for a file."""
    facts = HEALTHY._replace(specs=(SpecFile(spec(cdi)),), engines=(Engine("podman", version=engine),))
    assert ("cdi-version-too-new" not in found(facts)) == readable


def test_the_documentation_lists_every_mistake() -> None:
    text = (Path(__file__).parents[4] / "docs" / "debugging.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (error|warning|info) \|.*\| (.*) \|$", text, re.MULTILINE)
    assert rows == [(mistake.name, mistake.severity, mistake.report) for mistake in MISTAKES.values()]
