"""nvidia-ctk-installer and real engines, which learn of the runtimes by its signal."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from containerd_config import dumped, in_cri
from docker_daemon import running

pytestmark = pytest.mark.engine
RUNTIMES = "[{{json .Runtimes}}, {{json .DefaultRuntime}}]"
OURS = {"nvidia", "nvidia-cdi", "nvidia-legacy"}
TOP = Path(__file__).resolve().parents[2]


def followed(log, line):
    """Reads the daemon's log until it says a line."""
    while line not in (said := log.readline()):
        assert said


def options(folder, config, address):
    """Arguments of an installer of our own programs."""
    return ["--config", config, "--socket", address, "--toolkit-install-dir", folder / "nv", "--pid-file",
            folder / "toolkit.pid", "--python", sys.executable, "--toolkit-package-type", "deb"]


CONTAINERD = """version = 2
root = "{0}/root"
state = "{0}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{0}/sock"
[plugins."io.containerd.grpc.v1.cri".cni]
  conf_dir = "{0}/cni"
"""


def test_containerd_ends_at_the_signal_for_systemd_to_start_it_anew(requires, tmp_path_factory):
    requires("root", "containerd", "unshare")
    folder = tmp_path_factory.mktemp("c")
    (folder / "config.toml").write_text(CONTAINERD.format(folder))
    # Go leaves the signal ignored where nohup had it ignored.
    command = ["env", "--default-signal=HUP", "unshare", "-nm", "containerd", "-c", folder / "config.toml"]
    engine = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        followed(engine.stderr, "containerd successfully booted")
        done = subprocess.run(
            [sys.executable, "-m", "toolkit.cmd.installer", "--runtime", "containerd", "--no-daemon", "--config-source",
             "file", "--drop-in-config", folder / "conf.d/99-nvidia.toml",
             *options(folder, folder / "config.toml", folder / "sock")],
            cwd=TOP, capture_output=True, text=True, check=False)
        assert (done.returncode, "Successfully signaled containerd" in done.stderr) == (0, True), done.stderr
        assert engine.wait(timeout=60) == -signal.SIGHUP
    finally:
        engine.kill()
        engine.stderr.close()
        engine.wait()
    cri = in_cri(dumped(folder / "config.toml"))
    assert set(cri["containerd"]["runtimes"]) >= OURS and cri["cni"]["conf_dir"] == f"{folder}/cni"


def test_dockerd_learns_of_the_runtimes_and_returns_to_its_default(requires, tmp_path_factory):
    requires("root", "dockerd", "docker", "unshare", "tail")
    folder = tmp_path_factory.mktemp("d")
    with running(folder, {"debug": True}) as daemon:
        before = json.loads(daemon.config.read_text())
        with subprocess.Popen(["tail", "-n", "+1", "-F", daemon.log], stdout=subprocess.PIPE, text=True) as log:
            installer = subprocess.Popen(
                [sys.executable, "-m", "toolkit.cmd.installer", *options(folder, daemon.config, daemon.socket)],
                cwd=TOP, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                while "Waiting for signal" not in (said := installer.stderr.readline()):
                    assert said
                followed(log.stdout, "Reloaded configuration")
                runtimes, default = daemon.info(RUNTIMES)
                assert (set(runtimes) >= OURS, default) == (True, "nvidia")
                assert runtimes["nvidia-cdi"]["path"] == f"{folder}/nv/toolkit/nvidia-container-runtime.cdi"
                assert json.loads(daemon.config.read_text())["debug"] is True

                installer.send_signal(signal.SIGTERM)
                assert "Successfully signaled docker" in installer.stderr.read()
                assert installer.wait() == 0
                followed(log.stdout, "Reloaded configuration")
                assert daemon.info(RUNTIMES)[1] == "runc"
                assert json.loads(daemon.config.read_text()) == {**before, "default-runtime": "runc"}
            finally:
                installer.kill()
                installer.stderr.close()
                log.kill()
