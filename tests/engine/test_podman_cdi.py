"""Podman, unmodified, injects what `cdi generate` wrote in each mode, and the container has what the document says."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from podman_settings import settings

from nvsim import build, profile
from nvsim.machine import Machine
from nvsim.native.compile import compile_all
from scenarios import cgroups, images
from toolkit import launchers

pytestmark = pytest.mark.engine

LABEL = "podman-cdi"
# Podman 4.3, which Debian 12 has, knows CDI up to 0.5.0, and additional group ids need 0.7.0.
FLAGS = ("--feature-flag=no-additional-gids-for-device-nodes",)
MODES = [
    ("a100x8", "nvml", "2"),
    ("a100x8-mig", "nvml", "0:1"),
    ("a100x8", "management", "all"),
    ("gb200x4", "imex", "0"),
    ("h100x8-gpudirect", "gds", "all"),
    ("h100x8-gpudirect", "mofed", "all"),
    ("h100x8-gpudirect", "gdrcopy", "all"),
    ("h100x8-gpudirect", "nvswitch", "all"),
    ("jetson-agx-orin", "csv", "0"),
    ("jetson-thor-rtxpro6000", "csv", "1"),
    ("wsl2-rtx4060-hybrid", "wsl", "all"),
]
Podman = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """`podman(host, mode, device, command…)`: the edits that the device has by its document, and the stdout."""
    from conftest import requires

    requires("root", "podman", "runc")
    work = tmp_path_factory.mktemp("podman")
    launchers.install(str(work / "bin"))
    (work / "tools").mkdir()
    for name in ("nvsim-probe", "nvsim-probe-dl"):
        shutil.copy(compile_all(name)[0], work / "tools" / name)
    image = images.Store(str(work / "images")).get(None, "debian", "test").path
    environment = {**os.environ, "PATH": f"{work}/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
                   **settings(work)}

    def run(host: str, mode: str, device: str, command: str, *flags: str) -> tuple[dict[str, Any], str]:
        root = work / host
        if not root.exists():
            build.build(profile.load(host), str(root))
        with Machine(str(root), cgroup="v1") as machine:
            made = machine.run(["nvidia-ctk", "--quiet", "cdi", "generate", "--output=/etc/cdi/nvidia.json",
                                f"--mode={mode}", *FLAGS, *flags], env=environment)
            assert made.returncode == 0, made.stderr
            document = json.loads(machine.run(["cat", "/etc/cdi/nvidia.json"]).stdout)
            done = machine.run(["podman", "run", "--rm", "--cgroups", "no-conmon", "--cgroup-parent",
                                f"/{cgroups.name(LABEL)}", f"--device=nvidia.com/gpu={device}",
                                f"--volume={work}/tools:/.nvsim:ro", "--rootfs", f"{image}:O", "sh", "-c", command],
                               env=environment, timeout=120)
            assert done.returncode == 0, done.stderr
        own = next(entry["containerEdits"] for entry in document["devices"] if entry["name"] == device)
        common = document["containerEdits"]
        return {key: own.get(key, []) + common.get(key, []) for key in {*own, *common}}, done.stdout

    yield run
    subprocess.run(["podman", "system", "reset", "--force"], env=environment, capture_output=True, check=False)
    cgroups.remove_own(LABEL)


@pytest.mark.parametrize(("host", "mode", "device"), MODES)
def test_a_container_has_the_nodes_mounts_and_variables_of_its_device(
    podman: Podman, host: str, mode: str, device: str
) -> None:
    edits, out = podman(host, mode, device, "/.nvsim/nvsim-probe")
    seen = json.loads(out)
    nodes = {node["path"]: (node["major"], node["minor"]) for node in seen["devices"] if node["type"] == "c"}
    for node in edits.get("deviceNodes", ()):
        assert node["path"] in nodes
        assert "major" not in node or nodes[node["path"]] == (node["major"], node.get("minor", 0))
    mounted = {mount["target"] for mount in seen["mounts"]}
    for mount in edits.get("mounts", ()):  # /lib of the image is a link to /usr/lib
        assert mounted & {mount["containerPath"], "/usr" + mount["containerPath"]}
    assert set(edits["env"]) <= {f"{name}={value}" for name, value in seen["env"].items()}


LOOK = """
nvidia-smi -L
[ -h /usr/lib/x86_64-linux-gnu/libcuda.so ] && [ -e /usr/lib/x86_64-linux-gnu/libcuda.so ] && echo linked
for path in /dev/dri/by-path/*; do [ -c "$path" ] && echo "$path"; done
while read -r line; do echo "$line"; done < /proc/driver/nvidia/params
"""


@pytest.mark.parametrize("flags", [(), ("--feature-flag=combine-hooks",)])
def test_hooks_make_links_and_the_loader_finds_the_driver(podman: Podman, flags: tuple[str, ...]) -> None:
    edits, out = podman("a100x8", "nvml", "all", LOOK, *flags)
    assert "\nlinked\n" in out
    assert out.count("GPU-") == 8
    assert out.count("-card") == out.count("-render") == 8
    assert "ModifyDeviceFiles: 0" in out
    assert len(edits["hooks"]) == (2 if flags else 14)


def test_the_container_of_a_wsl_machine_runs_nvidia_smi_of_the_driver_store(podman: Podman) -> None:
    _, out = podman("wsl2-rtx4060-hybrid", "wsl", "all", "[ -h /usr/bin/nvidia-smi ] && nvidia-smi -L")
    assert out.startswith("GPU 0: NVIDIA GeForce RTX 4060")
