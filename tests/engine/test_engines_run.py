"""`nvsim run` on the engines of this machine: one container whatever the engine, and nothing left, even by kill -9."""

import glob
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runs import REPOSITORY, STAYS, command, leftovers, run

from scenarios import cgroups, model
from scenarios.engines import on_machine, podman_rootless, table
from scenarios.engines.docker import CONFIG, daemon
from scenarios.runner import session

pytestmark = pytest.mark.engine

PROGRAMS = {"podman": "podman", "podman-rootless": "newuidmap", "docker": "dockerd", "containerd": "containerd",
            "cri": "containerd"}
ASKED = """
about: one GPU of eight, whatever the engine and the form of the request
host: a100x8
mode: jit-cdi
steps:
  - run: docker run -d --name stays --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=5 debian sleep 1000
    expect: {gpus: [5], devices: {/dev/nvidia5: rw, /dev/nvidia0: missing}}
  - exec: docker exec -e A=1 stays sh -c 'echo $A; nvidia-smi -L; exit 3'
    expect: {exit: 3, stdout: {matches: "^1\\nGPU 0: .*\\n$"}}
  - pod:
      image: {image: debian}
      runtime_handler: nvidia
      command: [nvidia-smi, -L]
      envs: [{key: NVIDIA_VISIBLE_DEVICES, value: "2"}]
    expect: {gpus: [2], stdout: {matches: "^GPU 0: .*$"}, hooks: {createContainer: {matches: update-ldcache}}}
  - compose: {image: debian, runtime: nvidia, environment: {NVIDIA_VISIBLE_DEVICES: none}, read_only: true}
    expect: {gpus: [], mounts: {/: {options: [ro]}}}
  - run: ctr run --rm --runc-binary nvidia-container-runtime --env NVIDIA_VISIBLE_DEVICES=9 debian c1
    expect: {exit: 125, stderr: {contains: failed to get device handle from index}}
"""
ROOTLESS = """
about: a user without root gets the GPU that was asked for, and no other
host: a100x8
modes: [cdi, legacy]
engines: {only: podman-rootless, because: it is about ordinary users}
config: {nvidia-container-cli: {no-cgroups: true}}
before: [nvidia-ctk cdi generate --feature-flag=no-additional-gids-for-device-nodes --output=/etc/cdi/nvidia.yaml]
steps:
  - run: podman run --rm --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=5 debian nvidia-smi -L
    expect: {gpus: [5], devices: {/dev/nvidia5: rw, /dev/nvidia0: missing}, stdout: {matches: "^GPU 0: .*\\n$"}}
  - run: podman run -d --name stays --device nvidia.com/gpu=3 debian sleep 1000
    expect: {gpus: [3], devices: {/dev/nvidia3: rw, /dev/nvidia0: missing}}
  - exec: podman exec stays sh -c 'cat /proc/self/uid_map; stat -c %u:%g /dev/nvidia3; id -u; exit 3'
    expect: {exit: 3, stdout: {matches: " *0 +1000 +1\\n +1 +100000 +65536\\n65534:65534\\n0\\n"}}
"""


@pytest.mark.parametrize("engine", sorted(PROGRAMS))
def test_every_form_of_request_leads_to_the_same_container(engine: str, tmp_path: Path,
                                                           requires: Callable[..., None]) -> None:
    requires("root", "runc", PROGRAMS[engine])
    (tmp_path / "case.yaml").write_text(ASKED)
    done = run(tmp_path / "state", str(tmp_path / "case.yaml"), "--engine", engine)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
    assert leftovers(tmp_path / "state") == []


@pytest.fixture
def passable() -> Iterator[Path]:
    """A folder that all users may enter, unlike tmp_path: what a machine opens to its users, it has for itself."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.parametrize("engine", sorted(PROGRAMS))
def test_what_a_killed_run_left_is_gone_after_the_next(engine: str, tmp_path: Path, passable: Path,
                                                       requires: Callable[..., None]) -> None:
    requires("root", "runc", PROGRAMS[engine])
    marker, state = passable / "marker", passable / "state"
    (tmp_path / "case.yaml").write_text(STAYS.format(marker=marker))
    process = subprocess.Popen(command(state, str(tmp_path / "case.yaml"), "--engine", engine), cwd=REPOSITORY,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not marker.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    groups = glob.glob(f"/sys/fs/cgroup/devices/nvsim-{process.pid}-*") + glob.glob(
        f"/sys/fs/cgroup/nvsim-{process.pid}-*")
    assert groups or engine == "podman-rootless"  # users have none
    process.kill()
    process.wait()
    (tmp_path / "next.yaml").write_text("about: x\nhost: t4x1\nsteps: [{host: 'true'}]\n")
    assert run(state, str(tmp_path / "next.yaml"), "--engine", "runc").returncode == 0
    assert leftovers(state) == [] and not any(os.path.exists(group) for group in groups)


def test_podman_of_a_user_injects_by_cdi_and_by_the_legacy_hook(tmp_path: Path, requires: Callable[..., None]) -> None:
    """No engine is named: the case names one that is none of the default."""
    requires("root", "runc", "podman", "newuidmap")
    (tmp_path / "case.yaml").write_text(ROOTLESS)
    users = sorted(os.listdir("/run/user")) if os.path.isdir("/run/user") else []
    done = run(tmp_path / "state", str(tmp_path / "case.yaml"))
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
    assert leftovers(tmp_path / "state") == []
    assert (sorted(os.listdir("/run/user")) if os.path.isdir("/run/user") else []) == users


def test_where_users_may_make_no_namespaces_podman_without_root_says_so(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "limit").write_text("0\n")
    monkeypatch.setattr(podman_rootless, "unavailable", lambda *programs: "")
    monkeypatch.setattr(podman_rootless, "LIMITS", ((str(tmp_path / "none"), "0"), (str(tmp_path / "limit"), "0")))
    assert podman_rootless.unready() == f"ordinary users may not make user namespaces here: {tmp_path}/limit"
    (tmp_path / "limit").write_text("1000\n")
    assert podman_rootless.unready() == ""


def test_the_folders_that_are_closed_to_others_are_those_without_the_bit(tmp_path: Path) -> None:
    (tmp_path / "open" / "closed" / "open").mkdir(parents=True)
    (tmp_path / "open" / "closed").chmod(0o750)
    found = podman_rootless.closed(str(tmp_path / "open" / "closed" / "open"))
    assert [path for path in found if path.startswith(f"{tmp_path}/")] == [f"{tmp_path}/open/closed"]


def test_a_link_leads_through_the_folders_of_its_own_and_of_its_target(tmp_path: Path) -> None:
    """As the python of a virtual environment in a closed folder is."""
    for name in ("venv", "python"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name).chmod(0o700)
    (tmp_path / "python/bin/python3").touch()
    (tmp_path / "venv/bin/python").symlink_to(tmp_path / "python/bin/python3")
    found = podman_rootless.closed(str(tmp_path / "venv/bin/python"))
    assert [path for path in found if path.startswith(f"{tmp_path}/")] == [f"{tmp_path}/venv", f"{tmp_path}/python"]


def test_a_machine_with_gpus_runs_cases_on_them(tmp_path: Path, requires: Callable[..., None]) -> None:
    """An emulated machine is the real one here: it differs from the case's in GPUs and driver."""
    requires("root", "runc")
    (tmp_path / "case.yaml").write_text(ASKED.replace("a100x8", "{profile: a100x8, driver: 535.161.08}"))
    asked = command(tmp_path / "inner", str(tmp_path / "case.yaml"), "toolkit-884-cuda-image-asks-for-all@cdi",
                    "--target", "real", "--engine", "runc")
    done = subprocess.run(["env", f"NVSIM_STATE={tmp_path}/outer", sys.executable, "-m", "nvsim", "exec", "h100x8",
                           "--", *asked], capture_output=True, text=True, check=False, cwd=REPOSITORY, timeout=300)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout + done.stderr
    assert "emulation and this machine nowhere part" in done.stdout
    assert leftovers(tmp_path / "inner") == leftovers(tmp_path / "outer") == []


def test_testcontainers_finds_a_gpu_in_the_daemon_of_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                               requires: Callable[..., None]) -> None:
    requires("root", "runc", "dockerd")
    monkeypatch.setenv("NVSIM_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    case = model.parse("about: x\nhost: a100x8\nmode: jit-cdi\nsteps: [{host: 'true'}]\n", "case.yaml")[0]
    with session("") as tools:
        folder = f"{tools.folder}/0"
        os.mkdir(folder)
        with on_machine.opened("runc", "engine", case, folder, tools) as on, daemon(on, tools.toolkit) as socket:
            assert json.loads(on.read(CONFIG))["runtimes"]["nvidia"]["path"].endswith("nvidia-container-runtime")
            image = tools.images.archive(tools.images.get(None, "debian", "test"), "/usr/bin")
            monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
            import docker
            from testcontainers.core.container import DockerContainer

            client = docker.DockerClient(base_url=f"unix://{socket}")
            with open(image.path, "rb") as f:
                client.images.load(f.read())
            client.close()
            gpu = DockerContainer(image.name).with_command("nvidia-smi -L").with_env("NVIDIA_VISIBLE_DEVICES", "3")
            own = {"network_mode": "none", "runtime": "nvidia", "cgroup_parent": f"/{cgroups.name('testcontainers')}"}
            with gpu.with_kwargs(**own) as container:
                code = container.get_wrapped_container().wait()["StatusCode"]
                said, wrong = container.get_logs()
    cgroups.remove_own("testcontainers")
    assert (code, said.decode().count("GPU-")) == (0, 1), wrong


def test_an_engine_that_is_not_there_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_machine, "search_path", lambda: "/nonexistent")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert table.ENGINES["podman"].unavailable() == "podman is not installed; apt-get install podman"
    assert table.ENGINES["docker"].unavailable() == "dockerd is not installed; apt-get install docker.io"
