"""nvidia-ctk-installer and a real engine: dockerd learns of the runtimes by the installer's signal."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from docker_daemon import running

pytestmark = pytest.mark.engine
RUNTIMES = "[{{json .Runtimes}}, {{json .DefaultRuntime}}]"
OURS = {"nvidia", "nvidia-cdi", "nvidia-legacy"}
TOP = Path(__file__).resolve().parents[2]


def followed(log, line):
    """Reads the daemon's log until it says a line."""
    while line not in log.readline():
        pass


def test_dockerd_learns_of_the_runtimes_and_returns_to_its_default(requires, tmp_path_factory):
    requires("root", "dockerd", "docker", "unshare", "tail")
    folder = tmp_path_factory.mktemp("d")
    with running(folder, {"debug": True}) as daemon:
        before = json.loads(daemon.config.read_text())
        with subprocess.Popen(["tail", "-n", "+1", "-F", daemon.log], stdout=subprocess.PIPE, text=True) as log:
            installer = subprocess.Popen(
                [sys.executable, "-m", "toolkit.cmd.installer", "--config", daemon.config, "--socket", daemon.socket,
                 "--toolkit-install-dir", folder / "nv", "--pid-file", folder / "toolkit.pid", "--python",
                 sys.executable, "--toolkit-package-type", "deb"],
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
