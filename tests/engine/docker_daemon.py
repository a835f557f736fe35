"""A dockerd of a test's own: its own folder, no network, gone with the test."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

# dockerd writes /etc/docker/key.json, whatever it is configured to do: it sees an /etc of its own.
OWN_ETC = """mount -t tmpfs none "$0" && mkdir "$0/upper" "$0/work" &&
mount -t overlay -o "lowerdir=/etc,upperdir=$0/upper,workdir=$0/work" none /etc && exec "$@"
"""


class Daemon(NamedTuple):
    """A daemon that runs; `socket`, `config` and `log` are its files."""

    socket: Path
    config: Path
    log: Path

    def info(self, template: str) -> Any:
        """What `docker info` says, by a template that makes JSON."""
        command = ["docker", "-H", f"unix://{self.socket}", "info", "--format", template]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


@contextmanager
def running(folder: Path, config: Mapping[str, Any]) -> Iterator[Daemon]:
    """A daemon with this configuration.  The path of the folder has to be short, as a socket's."""
    daemon = Daemon(folder / "sock", folder / "daemon.json", folder / "log")
    settings = {"data-root": f"{folder}/data", "exec-root": f"{folder}/exec", "pidfile": f"{folder}/pid",
                "hosts": [f"unix://{daemon.socket}"], "iptables": False, "ip6tables": False, "bridge": "none",
                "storage-driver": "vfs"}
    daemon.config.write_text(json.dumps({**settings, **config}))
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    environment = {**os.environ, "PATH": path, "NOTIFY_SOCKET": f"{folder}/ready"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, daemon.log.open("wb") as log:
        (folder / "ready").unlink(missing_ok=True)
        ready.bind(f"{folder}/ready")
        ready.settimeout(60)
        (folder / "etc").mkdir(exist_ok=True)
        process = subprocess.Popen(["unshare", "-nm", "sh", "-c", OWN_ETC, f"{folder}/etc", "dockerd", "--config-file",
                                    str(daemon.config)], stdout=log, stderr=log, env=environment)
        try:
            while b"READY=1" not in ready.recv(4096):
                pass
            yield daemon
        finally:
            process.terminate()
            process.wait(timeout=30)
