"""Makes an engine read its configuration: by a signal to whoever answers at its socket, or by systemd.

Source: toolkit v1.20, cmd/nvidia-ctk-installer/container.
"""

import os
import signal
import socket
import struct
from collections.abc import Callable

from toolkit.errors import ApplyError
from toolkit.log import Log

ATTEMPTS, PAUSE = 6, 5.0  # seconds between two attempts
_ANSWER = 10.0  # seconds to wait for one
# What makes the engine answer, so that the kernel tells who does: containerd greets without being asked.
MESSAGES = {"docker": b"GET /info HTTP/1.0\r\n\r\n", "containerd": b""}


def signal_engine(name: str, path: str, log: Log, wait: Callable[[float], object]) -> None:
    """Sends SIGHUP to the process that answers at the socket `path`; tries again, with `wait` between attempts.

    Raises ApplyError after the last one.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _signal(name, path)
        except (OSError, ApplyError) as e:
            cause = e.message if isinstance(e, ApplyError) else f"unable to dial: dial unix {path}: {_cause(e)}"
            if attempt == ATTEMPTS:
                log.warning(f"Max retries reached {attempt}/{ATTEMPTS}, aborting")
                raise ApplyError(cause, source=path, hint="is the engine running, and is this its socket? --socket "
                                 "names another, and --restart-mode another way") from None
            log.warning(f"Error signaling {name}, attempt {attempt}/{ATTEMPTS}: {cause}")
            wait(PAUSE)
        else:
            log.info(f"Successfully signaled {name}")
            return


def _signal(name: str, path: str) -> None:
    pid = _answering(path, MESSAGES[name])
    if pid <= 0:  # kill(2) takes it for a group of processes, ours first of all
        raise ApplyError(f"unable to send SIGHUP to '{name}' process: it is in another PID namespace", source=path,
                         hint="run the installer in the host's PID namespace")
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as e:
        raise ApplyError(f"unable to send SIGHUP to '{name}' process: {_cause(e)}", source=path) from None


def _answering(path: str, message: bytes) -> int:
    """The process that answers at a socket, 0 if it is none of this PID namespace.

    Not the one that SO_PEERCRED tells: that opened the socket, and may be systemd.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # before the greeting may be sent
        connection.connect(path)
        try:
            if message:
                connection.sendall(message)
            _, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(struct.calcsize("3i")))
        except OSError as e:
            raise ApplyError(f"unable to ReadMsgUnix on socket fd: {_cause(e)}", source=path) from None
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return int(struct.unpack("3i", data)[0])
    return 0


def restart_service(name: str, host_root: str, log: Log) -> None:
    """systemctl restart, on the host.  Raises ApplyError."""
    import subprocess

    argv = [*(["chroot", host_root] if host_root else []), "systemctl", "restart", name]
    log.info(f"Restarting {name}{' on host' if host_root else ''} using systemd: [{' '.join(argv)}]")
    stem = f"error restarting {name} using systemd: "
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, check=False)
    except OSError as e:
        raise ApplyError(f"{stem}exec: \"{argv[0]}\": {_cause(e)}", source=" ".join(argv),
                         hint="--host-root names the host's file system, and --restart-mode another way") from None
    if code := done.returncode:
        raise ApplyError(stem + (f"exit status {code}" if code > 0 else f"signal: {-code}"), source=" ".join(argv),
                         hint=f"journalctl -u {name} says more")


def _cause(error: OSError) -> str:
    return "i/o timeout" if isinstance(error, TimeoutError) else (error.strerror or "failed").lower()
