"""The installer's NRI plugin, at an engine's socket."""

import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from toolkit.cmd.installer import nri as plugin
from toolkit.errors import ApplyError
from toolkit.log import Notes
from toolkit.plan.nri import decoded, encoded

TOP = Path(__file__).resolve().parents[4]
ENGINE, PLUGIN = 1, 2  # whose calls a connection carries
POD = encoded((2, b"pod"), (4, b"default"), (6, encoded((1, b"nvidia.cdi.k8s.io/pod"), (2, b"nvidia.com/gpu=0"))))
CREATE = encoded((1, POD), (2, encoded((3, b"c"))))


class Engine:
    """What containerd does at the other end of a connection."""

    def __init__(self, path):
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen()
        self.listening.settimeout(60)

    def accept(self):
        """Takes a connection and its registration; the plugin's index and name."""
        self.trunk, _ = self.listening.accept()
        self.trunk.settimeout(60)
        connection, stream, kind, payload = self.read()
        assert (connection, kind) == (PLUGIN, 1)
        request = dict(decoded(payload))
        assert (request[1], request[2]) == (b"nri.pkg.api.v1alpha1.Runtime", b"RegisterPlugin")
        self.registered = stream
        fields = dict(decoded(request[3]))
        return fields[2].decode(), fields[1].decode()

    def confirm(self, status=b""):
        self.write(PLUGIN, self.registered, 2, encoded((1, status)) if status else b"")

    def call(self, stream, method, payload=b""):
        """The answer to a call: status and message."""
        request = encoded((1, b"nri.pkg.api.v1alpha1.Plugin"), (2, method), (3, payload), (4, 2_000_000_000))
        self.write(ENGINE, stream, 1, request)
        connection, answered, kind, response = self.read()
        assert (connection, answered, kind) == (ENGINE, stream, 2)
        fields = dict(decoded(response))
        return fields.get(1, b""), fields.get(2, b"")

    def write(self, connection, stream, kind, payload):
        inner = struct.pack(">IIBB", len(payload), stream, kind, 0) + payload
        self.trunk.sendall(struct.pack(">II", connection, len(inner)) + inner)

    def read(self):
        connection, length = struct.unpack(">II", self.exactly(8))
        data = self.exactly(length)
        size, stream, kind, _ = struct.unpack_from(">IIBB", data)
        while len(data) < 10 + size:
            _, length = struct.unpack(">II", self.exactly(8))
            data += self.exactly(length)
        return connection, stream, kind, data[10:]

    def exactly(self, length):
        data = self.trunk.recv(length, socket.MSG_WAITALL)
        assert len(data) == length
        return data


@pytest.fixture
def engine(tmp_path):
    made = Engine(tmp_path / "nri.sock")
    yield made
    made.listening.close()


def test_a_container_gets_the_devices_of_its_pods_annotation(tmp_path, engine):
    (tmp_path / "nv").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "toolkit.cmd.installer", "--enable-nri-plugin", "--nri-namespace", "x",
         "--nri-plugin-index", "7", "--nri-socket", f"{tmp_path}/nri.sock", "--pid-file", f"{tmp_path}/toolkit.pid",
         "--toolkit-install-dir", f"{tmp_path}/nv", "--toolkit-source-root", f"{tmp_path}", "--ignore-errors"],
        cwd=TOP, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert engine.accept() == ("07", "nvidia-ctk-installer")
        status, configured = engine.call(1, b"Configure", encoded((2, b"containerd")))
        assert (status, dict(decoded(configured))[2]) == (b"", 1 << 3)
        engine.confirm()
        assert engine.call(3, b"Synchronize") == (b"", b"")
        status, created = engine.call(5, b"CreateContainer", CREATE)
        assert (status, created) == (b"", encoded((1, encoded((8, encoded((1, b"nvidia.com/gpu=0")))))))
        assert dict(decoded(engine.call(7, b"UpdateContainer")[0]))[1] == 12
        for line in process.stderr:
            if "Waiting for signal" in line:
                break
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        process.stderr.close()
    assert (process.wait(), "Completed nvidia-ctk-installer" in said) == (0, True)
    assert not (tmp_path / "toolkit.pid").exists()


class Enough(Exception):
    pass


def served(path, waits, ready=lambda: None):
    """What the plugin logs until it was to wait for the last time."""
    log, waited = Notes(), []

    def wait(seconds):
        waited.append(seconds)
        if len(waited) == waits:
            raise Enough

    with pytest.raises(Enough):
        plugin.serve(plugin.Plugin(str(path), "x", 10, ()), log, ready, wait)
    assert waited == [2.0] * waits
    return [message for _, message in log.lines]


def test_it_registers_anew_with_an_engine_that_was_restarted(tmp_path, engine):
    def twice():
        for _ in range(2):
            engine.accept()
            engine.confirm()
            engine.call(1, b"Configure")
            engine.trunk.close()

    thread = threading.Thread(target=twice)
    thread.start()
    path, told = tmp_path / "nri.sock", []
    lines = served(path, 2, lambda: told.append("ready"))
    thread.join()
    down = f"NRI ttrpc connection to {path} is down; attempting to reconnect..."
    again = [f"NRI plugin reconnecting to {path} (attempt 1)...", f"NRI plugin reconnected to {path}"]
    assert lines == [down, *again, down]
    assert told == ["ready"]


def test_a_refused_registration_is_an_error(tmp_path, engine):
    def refuse():
        engine.accept()
        engine.confirm(encoded((1, 3), (2, b"bad index")))
        engine.trunk.close()

    thread = threading.Thread(target=refuse)
    thread.start()
    with pytest.raises(ApplyError, match="plugin exited with error: failed to register with NRI/Runtime: bad index"):
        plugin.serve(plugin.Plugin(str(tmp_path / "nri.sock"), "x", 10, ()), Notes(), lambda: None, pytest.fail)
    thread.join()


def test_a_socket_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ApplyError, match=f"failed to find valid nri socket at {tmp_path}/none: stat "):
        plugin.serve(plugin.Plugin(f"{tmp_path}/none", "x", 10, ()), Notes(), lambda: None, pytest.fail)
