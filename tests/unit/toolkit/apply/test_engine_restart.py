"""An engine is told to read its configuration."""

import os
import signal
import subprocess
import sys

import pytest

from toolkit.apply.engine_restart import ATTEMPTS, restart_service, signal_engine
from toolkit.errors import ApplyError
from toolkit.log import Notes

# An engine: it says when it listens, answers one connection, as docker after a question, and says which signal it got.
ENGINE = """
import os, signal, socket, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGTERM])
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("listening", flush=True)
connection, _ = listening.accept()
if sys.argv[2] == "docker":
    print(connection.recv(100).partition(b"\\r")[0].decode(), flush=True)
connection.send(b"HTTP/1.0 200 OK")
print(signal.Signals(signal.sigwait([signal.SIGHUP, signal.SIGTERM])).name, flush=True)
"""


@pytest.mark.parametrize(("name", "said"), [("docker", ["GET /info HTTP/1.0", "SIGHUP"]), ("containerd", ["SIGHUP"])])
def test_who_answers_at_the_socket_is_sent_sighup(tmp_path, name, said):
    path, log = str(tmp_path / "engine.sock"), Notes()
    with subprocess.Popen([sys.executable, "-c", ENGINE, path, name], stdout=subprocess.PIPE, text=True) as engine:
        try:
            assert engine.stdout.readline() == "listening\n"
            signal_engine(name, path, log, pytest.fail)
        finally:
            engine.send_signal(signal.SIGTERM)
        assert engine.stdout.read().splitlines() == said
    assert log.lines == [("info", f"Successfully signaled {name}")]


def test_an_engine_that_is_not_there_is_tried_six_times(tmp_path):
    waited, log = [], Notes()
    with pytest.raises(ApplyError, match="unable to dial: dial unix .*: no such file or directory") as e:
        signal_engine("docker", f"{tmp_path}/none", log, waited.append)
    assert waited == [5.0] * (ATTEMPTS - 1)
    assert log.lines[-1] == ("warning", "Max retries reached 6/6, aborting")
    assert "--restart-mode" in e.value.hint


@pytest.mark.parametrize(("host_root", "argv"), [
    ("", "systemctl restart crio"), ("/host", "chroot /host systemctl restart crio")])
def test_systemd_restarts_the_service_on_the_host(tmp_path, monkeypatch, host_root, argv):
    for name in ("systemctl", "chroot"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/ran\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    restart_service("crio", host_root, Notes())
    assert (tmp_path / "ran").read_text() == argv + "\n"


def test_a_failed_restart_tells_the_status(tmp_path, monkeypatch):
    (tmp_path / "systemctl").write_text("#!/bin/sh\nexit 5\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ApplyError, match="error restarting crio using systemd: exit status 5"):
        restart_service("crio", "", Notes())
