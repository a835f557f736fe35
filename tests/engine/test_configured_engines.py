"""What `nvidia-ctk runtime configure` writes is read by the engines themselves, and its removal leaves no trace."""

import json
import tomllib

import pytest
from containerd_config import dumped, in_cri, pause_image
from docker_daemon import running

from toolkit.cmd.ctk.main import main
from toolkit.cmd.ctk.toml_edit import edited
from toolkit.plan import engines, engines_toml

pytestmark = pytest.mark.engine

MINE = """# mine
version = 2

# where it is
root = "{root}"

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "mine" # pinned
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = true
"""


def configure(engine, *args):
    assert main(["nvidia-ctk", "--quiet", "runtime", "configure", "--runtime", engine, *args]) == 0


@pytest.mark.parametrize("drop_in", [True, False])
def test_containerd_reads_the_runtime_and_forgets_it(requires, tmp_path, drop_in):
    requires("containerd")
    config, path = tmp_path / "config.toml", tmp_path / "conf.d/99-nvidia.toml"
    text = MINE.format(root=tmp_path)
    config.write_text(text)
    before = dumped(config)
    args = ("--config", str(config), "--drop-in-config", str(path) if drop_in else "", "--set-as-default")
    configure("containerd", *args)
    whole = dumped(config)
    after = in_cri(whole)
    assert pause_image(whole) == "mine" and after["containerd"]["default_runtime_name"] == "nvidia"
    options = after["containerd"]["runtimes"]["nvidia"]["options"]
    assert options["BinaryName"] == "/usr/bin/nvidia-container-runtime" and options["SystemdCgroup"] is True
    assert "runc" in after["containerd"]["runtimes"]

    for file in (path, config) if drop_in else (config,):
        document = tomllib.loads(file.read_text())
        file.write_text(edited(file.read_text(), engines_toml.containerd_removal(document, "nvidia")))
    assert in_cri(dumped(config)) == in_cri(before)
    assert [line for line in text.splitlines() if line not in config.read_text().splitlines()] == []


def test_containerd_is_asked_and_reads_its_own_answer(requires, tmp_path):
    requires("containerd")
    config = tmp_path / "config.toml"
    configure("containerd", "--config", str(config), "--drop-in-config", f"{tmp_path}/conf.d/99.toml",
              "--config-source", "command", "--nvidia-runtime-name", "gpu")
    runtimes = in_cri(dumped(config))["containerd"]["runtimes"]
    assert runtimes["gpu"]["options"]["BinaryName"] == "/usr/bin/nvidia-container-runtime" and "runc" in runtimes


@pytest.fixture
def dockerd(requires, tmp_path_factory):
    """`dockerd(config)` starts a daemon without network and returns what `docker info` says of its runtimes."""
    requires("root", "dockerd", "docker", "unshare")
    folder = tmp_path_factory.mktemp("d")  # a socket's path has to be short

    def info(config):
        with running(folder, config) as daemon:
            return daemon.info("[{{json .Runtimes}}, {{json .DefaultRuntime}}]")

    return info


def test_docker_knows_the_runtime_and_forgets_it(dockerd, tmp_path):
    config = tmp_path / "daemon.json"
    config.write_text('{"max-concurrent-downloads": 3}')
    configure("docker", "--config", str(config), "--set-as-default", "--runtime-path", "/opt/nvidia-container-runtime")
    after = json.loads(config.read_text())
    runtimes, default = dockerd(after)
    assert runtimes["nvidia"]["path"] == "/opt/nvidia-container-runtime" and default == "nvidia"
    removed = engines.changed(after, engines.docker_removal(after, "nvidia"))
    assert removed == {"max-concurrent-downloads": 3, "default-runtime": "runc"}
    runtimes, default = dockerd(removed)
    assert "nvidia" not in runtimes and default == "runc"
