"""nvidia-ctk-installer on emulated hosts, as the GPU Operator runs it: what it installs works there."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit.launchers import install

pytestmark = pytest.mark.host
FOLDER = "/usr/local/nvidia/toolkit"
SPEC = "/var/run/cdi/management.nvidia.com-gpu.yaml"
Run = Callable[..., tuple[Machine, str]]


@pytest.fixture
def run(tmp_path: Path, requires: Callable[..., None]) -> Iterator[Run]:
    """`run(PROFILE, ARGUMENT…)`: the machine after the installer ran on it, and what the installer said."""
    requires("root")
    install(str(tmp_path / "bin"))
    with ExitStack() as stack:
        def on(name: str, *arguments: str, code: int = 0) -> tuple[Machine, str]:
            build.build(profile.of(name, "host"), str(tmp_path / "root"))
            host = stack.enter_context(Machine(str(tmp_path / "root")))
            done = host.run([f"{tmp_path}/bin/nvidia-ctk-installer", "--no-daemon", "--cdi-enabled", "--python",
                             sys.executable, "--restart-mode", "none", "--pid-file", "/run/nvidia/toolkit.pid",
                             "--toolkit-install-dir", "/usr/local/nvidia", *arguments])
            assert done.returncode == code, done.stderr
            return host, done.stderr

        yield on


def out(host: Machine, script: str) -> str:
    done = host.run(["sh", "-ec", script])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_programs_from_the_folder_find_the_hosts_driver(run: Run) -> None:
    host, _ = run("t4x1", "--driver-root", "/", "--driver-root-ctr-path", "/", "--config", "/etc/docker/daemon.json")
    assert "/dev/nvidia0" in out(host, f"{FOLDER}/nvidia-container-cli list").split()
    assert "kind: nvidia.com/gpu" in out(host, f"{FOLDER}/nvidia-ctk cdi generate 2>/dev/null")
    wrapper = out(host, f"cat {FOLDER}/nvidia-container-runtime")
    assert f"{FOLDER}/.config/nvidia-container-runtime/config.toml" in wrapper
    assert "Hook version" in out(host, f"{FOLDER}/nvidia-container-toolkit -version")
    # The wrapper would look for the module, and kernels without modules cannot show one.
    assert "NVIDIA Container Runtime version " in out(host, f"{FOLDER}/nvidia-container-runtime.real --version")
    config = json.loads(out(host, "cat /etc/docker/daemon.json"))
    assert config["features"] == {"cdi": True}
    document = out(host, f"cat {SPEC}")
    assert "kind: management.nvidia.com/gpu" in document and f"path: {FOLDER}/nvidia-cdi-hook" in document
    assert "management.nvidia.com/gpu=all" in out(host, f"{FOLDER}/nvidia-ctk cdi list 2>/dev/null")


def test_the_specification_names_the_hosts_paths_of_a_driver_container(run: Run) -> None:
    """The installer sees the driver container's root elsewhere than the host does."""
    host, _ = run("a100x8-operator", "--driver-root", "/host/driver", "--dev-root", "/", "--dev-root-ctr-path", "/",
                  "--no-runtime-config")
    document = out(host, f"cat {SPEC}")
    libraries = re.findall(r"hostPath: (\S*libcuda\.so\S*)", document)
    assert libraries and all(path.startswith("/host/driver/") for path in libraries)
    assert "path: /dev/nvidia0" in document and "/run/nvidia/driver" not in document


def test_a_host_whose_modules_are_not_loaded_runs_containers_without_gpus(run: Run) -> None:
    host, _ = run("no-driver", "--cdi-enabled=false", "--no-runtime-config", "--nvidia-container-runtime.runtimes",
                  "/bin/echo")
    done = host.run([f"{FOLDER}/nvidia-container-runtime", "create", "x"])
    assert done.stdout == "create x\n"
    assert "nvidia driver modules are not yet loaded, invoking /bin/echo directly" in done.stderr


def test_without_the_drivers_majors_nothing_is_installed(run: Run) -> None:
    host, said = run("no-driver", "--driver-root-ctr-path", "/", "--config", "/etc/docker/daemon.json", code=1)
    assert "unable to install toolkit: error creating device nodes: failed to create library" in said
    assert host.run(["ls", FOLDER]).returncode != 0
    assert host.run(["ls", "/etc/docker/daemon.json", "/run/nvidia/toolkit.pid"]).stdout == ""
