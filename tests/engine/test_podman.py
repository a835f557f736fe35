"""Podman, unmodified, on an emulated host: the toolkit as its runtime, in each mode."""

import os
import subprocess

import pytest
from podman_settings import settings

from nvsim import build, profile
from nvsim.machine import Machine
from scenarios import cgroups, images
from toolkit import launchers

pytestmark = pytest.mark.engine

LABEL = "podman"


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    """`podman(mode, …)` runs a debian-like image with GPU 2 through nvidia-container-runtime in that mode."""
    from conftest import requires

    requires("root", "podman", "runc")
    work = tmp_path_factory.mktemp("podman")
    build.build(profile.load("a100x8"), str(work / "root"))
    launchers.install(str(work / "bin"))
    image = images.Store(str(work / "images")).get(None, "debian", "test").path
    (work / "nvidia-container-runtime").mkdir()
    environment = {**os.environ, "PATH": f"{work}/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
                   **settings(work)}

    def run(mode, *command):
        config = work / "nvidia-container-runtime" / f"{mode}.toml"
        config.write_text(f'[nvidia-container-runtime]\nmode = "{mode}"\n')
        own = {**environment, "NVIDIA_CTK_CONFIG_FILE_PATH": str(config)}
        with Machine(str(work / "root"), cgroup="v1") as machine:
            if mode == "cdi":
                made = machine.run(["nvidia-ctk", "cdi", "generate", "--output=/etc/cdi/nvidia.yaml"], env=own)
                assert made.returncode == 0, made.stderr
            return machine.run(
                ["podman", "run", "--rm", "--cgroups", "no-conmon", "--cgroup-parent", f"/{cgroups.name(LABEL)}",
                 "--runtime", f"{work}/bin/nvidia-container-runtime", "-e", "NVIDIA_VISIBLE_DEVICES=2",
                 "--rootfs", f"{image}:O", *command], env=own, timeout=120)

    yield run
    subprocess.run(["podman", "system", "reset", "--force"], env=environment, capture_output=True, check=False)
    cgroups.remove_own(LABEL)


@pytest.mark.parametrize("mode", ["legacy", "cdi", "jit-cdi"])
def test_a_podman_container_sees_the_one_gpu_that_it_asked_for(podman, mode):
    seen = podman(mode, "nvidia-smi", "-L")
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout.count("GPU-") == 1
    nodes = podman(mode, "sh", "-c", "echo /dev/nvidia[0-9]")
    assert nodes.stdout.split() == ["/dev/nvidia2"]
