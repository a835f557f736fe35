"""The runtimes that an engine knows by name: docker's daemon.json, podman's containers.conf.

Facts: reference pages of dockerd (daemon configuration file) and containers.conf(5).
"""

import json
import os
from typing import Any, NamedTuple

from toolkit.errors import ConfigError

DOCKER = "/etc/docker/daemon.json"
PODMAN = ("/usr/share/containers/containers.conf", "/etc/containers/containers.conf")


class Runtimes(NamedTuple):
    """Program by name, the name of the default one ("" : the engine's own), and the file that says so, "" if none."""

    programs: dict[str, str]
    default: str = ""
    source: str = ""


def read_runtimes(engine: str, *, root: str = "/") -> Runtimes:
    """What an engine's configuration says of runtimes.  Raises ConfigError for a file that is not what it should be;
    an absent one says nothing."""
    if engine == "docker":
        return _docker(root)
    return _podman(root) if engine == "podman" else Runtimes({})


def _docker(root: str) -> Runtimes:
    data = _read(root, DOCKER)
    if data is None:
        return Runtimes({})
    try:
        document = json.loads(data or b"{}")
    except ValueError as e:
        raise ConfigError(f"cannot be parsed: {e}", source=DOCKER, hint="dockerd does not start with it") from None
    table = _table(document, DOCKER)
    programs = {name: str(_table(entry, f"{DOCKER}: runtimes.{name}").get("path", name))
                for name, entry in _table(table.get("runtimes", {}), f"{DOCKER}: runtimes").items()}
    return Runtimes(programs, str(table.get("default-runtime", "")), DOCKER)


def _podman(root: str) -> Runtimes:
    found = Runtimes({})
    for path in PODMAN:
        data = _read(root, path)
        if data is None:
            continue
        import tomllib

        try:
            engine = tomllib.loads(data.decode()).get("engine", {})
        except ValueError as e:
            raise ConfigError(f"cannot be parsed: {e}", source=path, hint="podman does not start with it") from None
        table = _table(engine, f"{path}: engine")
        programs = {name: str((paths or [name])[0]) if isinstance(paths, list) else str(paths)
                    for name, paths in _table(table.get("runtimes", {}), f"{path}: engine.runtimes").items()}
        found = Runtimes({**found.programs, **programs}, str(table.get("runtime", found.default)), path)
    return found


def _read(root: str, path: str) -> bytes | None:
    try:
        with open(os.path.join(root, path.lstrip("/")), "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None
    except OSError as e:
        raise ConfigError(f"cannot be read: {(e.strerror or 'failed').lower()}", source=path,
                          hint="run as a user who may read it") from None


def _table(value: object, source: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError("expected a table", source=source, hint="write NAME: {…}")
    return value
