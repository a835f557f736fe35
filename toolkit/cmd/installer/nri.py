"""The NRI plugin at its socket: it registers with the engine and answers its calls until the connection ends.

The connection carries two others, one for the calls of each side, and these carry ttRPC.  Sources: NRI's and ttRPC's
protocol descriptions.
"""

import os
import socket
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from toolkit.errors import ApplyError, SpecError
from toolkit.log import Log
from toolkit.plan import nri

CALLS_OF_ENGINE, CALLS_OF_PLUGIN = 1, 2
REQUEST, RESPONSE = 1, 2
PAUSE = 2.0  # seconds before the next attempt to connect
_OUTER, _INNER = struct.Struct(">II"), struct.Struct(">IIBB")
_LARGEST = 4 << 20  # of ttRPC's messages


class Plugin(NamedTuple):
    """Who registers, and the namespaces whose pods may have management devices."""

    path: str
    name: str
    position: int
    namespaces: tuple[str, ...]


class Frame(NamedTuple):
    connection: int
    stream: int
    kind: int
    payload: bytes


def serve(plugin: Plugin, log: Log, ready: Callable[[], None], wait: Callable[[float], object]) -> None:
    """Serves for ever, connecting anew where the engine was restarted.  `ready` is called once, when registered.

    Raises ApplyError if the first connection cannot be made; ends by whatever `wait` or a signal raises.
    """
    if not os.path.exists(plugin.path):
        stem = f"failed to find valid nri socket at {plugin.path}: "
        raise ApplyError(f"{stem}stat {plugin.path}: no such file or directory", source="--nri-socket",
                         hint="switch NRI on in the engine, or name its socket")
    attempt, registered = 0, False

    def told() -> None:
        nonlocal registered
        registered = True
        if attempt:
            log.info(f"NRI plugin reconnected to {plugin.path}")
        else:
            ready()

    while True:
        registered = False
        try:
            _converse(plugin, log, told)
        except (OSError, ApplyError, SpecError) as e:
            cause = e.message if isinstance(e, ApplyError | SpecError) else (e.strerror or "failed").lower()
            if not (attempt or registered):
                raise ApplyError(f"plugin exited with error: {cause}", source=plugin.path,
                                 hint="is NRI switched on in the engine? --nri-socket names its socket") from None
            if not registered:
                log.warning(f"NRI plugin reconnect failed: {cause}")
        else:
            if not (attempt or registered):
                raise ApplyError("plugin exited with error: failed to register with NRI/Runtime: the connection was "
                                 "closed", source=plugin.path, hint="the engine's log says why")
        if registered:
            attempt = 0
            log.info(f"NRI ttrpc connection to {plugin.path} is down; attempting to reconnect...")
        attempt += 1
        wait(PAUSE)
        log.info(f"NRI plugin reconnecting to {plugin.path} (attempt {attempt})...")


def _converse(plugin: Plugin, log: Log, told: Callable[[], None]) -> None:
    """One connection, from registration to its end.  Raises OSError, ApplyError where the engine refuses."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trunk:
        trunk.connect(plugin.path)
        request = nri.encoded((1, nri.RUNTIME.encode()), (2, b"RegisterPlugin"),
                              (3, nri.registration(plugin.name, plugin.position)))
        _send(trunk, Frame(CALLS_OF_PLUGIN, 1, REQUEST, request))
        missing, announced = {"registered", "configured"}, False
        for frame in _frames(trunk):
            if (frame.connection, frame.kind) == (CALLS_OF_PLUGIN, RESPONSE):
                _check(frame.payload)
                missing.discard("registered")
            elif (frame.connection, frame.kind) == (CALLS_OF_ENGINE, REQUEST):
                if _answer(trunk, frame, plugin, log) == "Configure":
                    missing.discard("configured")
            if not missing and not announced:
                announced = True
                told()


def _check(response: bytes) -> None:
    """Raises ApplyError for an answer with a status: code, message."""
    for number, status in nri.decoded(response):
        if number == 1 and isinstance(status, bytes) and status:
            texts = [value.decode("utf-8", "replace") for key, value in nri.decoded(status)
                     if key == 2 and isinstance(value, bytes)]
            raise ApplyError(f"failed to register with NRI/Runtime: {' '.join(texts)}", source="NRI")


def _answer(trunk: socket.socket, frame: Frame, plugin: Plugin, log: Log) -> str:
    """Answers a call; its method."""
    fields = dict(nri.decoded(frame.payload))
    service, method, payload = (value if isinstance(value, bytes) else b"" for value in map(fields.get, (1, 2, 3)))
    found = nri.answer(service.decode(), method.decode(), payload, plugin.namespaces)
    if found.note:
        log.info(found.note)
    status = nri.encoded((1, found.code), (2, found.text.encode())) if found.code else b""
    response = nri.encoded(*(((1, status),) if status else ()), (2, found.payload))
    _send(trunk, Frame(CALLS_OF_ENGINE, frame.stream, RESPONSE, response))
    return method.decode()


def _send(trunk: socket.socket, frame: Frame) -> None:
    inner = _INNER.pack(len(frame.payload), frame.stream, frame.kind, 0) + frame.payload
    trunk.sendall(_OUTER.pack(frame.connection, len(inner)) + inner)


def _frames(trunk: socket.socket) -> Iterator[Frame]:
    """The messages of both inner connections until the outer one ends."""
    pending = {CALLS_OF_ENGINE: b"", CALLS_OF_PLUGIN: b""}
    while header := _received(trunk, _OUTER.size):
        connection, length = _OUTER.unpack(header)
        if length > _LARGEST + _INNER.size:
            raise ApplyError(f"a message of {length} bytes", source="NRI")
        data = pending.get(connection, b"") + _received(trunk, length)
        while len(data) >= _INNER.size:
            size, stream, kind, _ = _INNER.unpack_from(data)
            if len(data) < _INNER.size + size:
                break
            yield Frame(connection, stream, kind, data[_INNER.size : _INNER.size + size])
            data = data[_INNER.size + size :]
        pending[connection] = data


def _received(trunk: socket.socket, length: int) -> bytes:
    """That many bytes, or none at the end of the connection."""
    data = b""
    while len(data) < length:
        block = trunk.recv(length - len(data))
        if not block:
            return b""
        data += block
    return data
