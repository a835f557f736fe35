"""Container engines and CDI files of a host, for `nvidia-ctk doctor`: what is installed and how it is configured."""

import json
import re
import subprocess
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.gather.cdi_dirs import read_documents
from toolkit.gather.engine_runtimes import DOCKER, read_runtimes
from toolkit.gather.locate import Locator
from toolkit.gather.tree import Tree
from toolkit.model.doctor import Engine, SpecFile

CONTAINERD, CRIO = "/etc/containerd/config.toml", "/etc/crio/crio.conf"
CONTAINERD_DROP_INS, CRIO_DROP_INS = "/etc/containerd/conf.d/*.toml", "/etc/crio/crio.conf.d/*"
CRI_PLUGINS = ("io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "cri")
_NUMBER = re.compile(r"\b(\d+\.\d+(?:\.\d+)?)")


def read_specs(folders: tuple[str, ...], tree: Tree, root: str) -> tuple[SpecFile, ...]:
    """The files of the CDI folders, with the host paths that they name and that do not exist."""
    found = []
    for document in read_documents(folders, root=root):
        found.append(SpecFile(document, _missing(_table(document.content), tree)))
    return tuple(found)


def _missing(content: dict[str, Any], tree: Tree) -> tuple[str, ...]:
    """Host paths of device nodes and mounts that do not exist."""
    edits = [_table(content.get("containerEdits")), *(
        _table(_table(device).get("containerEdits")) for device in _list(content.get("devices")))]
    entries = [_table(entry) for one in edits for key in ("deviceNodes", "mounts") for entry in _list(one.get(key))]
    paths = dict.fromkeys(str(entry.get("hostPath") or entry.get("path") or "") for entry in entries)
    return tuple(path for path in paths if path.startswith("/") and tree.status(path) is None)


def read_engines(tree: Tree, environment: dict[str, str], root: str) -> tuple[Engine, ...]:
    """The engines whose program or configuration is there."""
    readers = {"docker": (("dockerd", "docker"), _docker), "podman": (("podman",), _podman),
               "containerd": (("containerd",), _containerd), "crio": (("crio",), _crio)}
    locator = Locator(tree, environment=(("PATH", environment.get("PATH", "")),))
    found = []
    for name, (programs, read) in readers.items():
        program = next(filter(None, map(locator.executable, programs)), "")
        engine = read(Engine(name=name), tree, root)
        if program or engine.source:
            version = _version(tree.real(program)) if program and root == "/" else ""
            found.append(engine._replace(version=version))
    return tuple(found)


def _version(program: str) -> str:
    """What `PROGRAM --version` says; "" if it says nothing within five seconds."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, errors="replace", timeout=5,
                              check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return ""
    number = _NUMBER.search(done.stdout)
    return number[1] if number else ""


def _docker(engine: Engine, tree: Tree, root: str) -> Engine:
    try:
        known = read_runtimes("docker", root=root)
    except ToolkitError as e:
        return engine._replace(source=DOCKER, error=str(e))
    options = _list(json.loads(tree.read(DOCKER) or b"{}").get("exec-opts")) if known.source else []
    return engine._replace(source=known.source, runtimes=tuple(known.programs.items()), default=known.default,
                           systemd_cgroup="native.cgroupdriver=systemd" in options)


def _podman(engine: Engine, tree: Tree, root: str) -> Engine:
    try:
        known = read_runtimes("podman", root=root)
    except ToolkitError as e:
        return engine._replace(source="containers.conf", error=str(e))
    return engine._replace(source=known.source, runtimes=tuple(known.programs.items()), default=known.default)


def _containerd(engine: Engine, tree: Tree, root: str) -> Engine:
    """Facts: containerd, docs/man/containerd-config.toml.5 and docs/cri/config; versions 1 to 3 of the file."""
    drop_ins = tree.glob(CONTAINERD_DROP_INS)
    table, error = _toml(tree, CONTAINERD)
    if table is None:
        return engine._replace(drop_ins=drop_ins)
    disabled = map(str, _list(table.get("disabled_plugins")))
    merged: dict[str, Any] = {}
    for path in (CONTAINERD, *(path for path in drop_ins if _imports(table, path))):
        merged |= _cri_runtimes(_toml(tree, path)[0] or {})
    options = [_table(_table(entry).get("options")) for entry in merged.values()]
    return engine._replace(
        source=CONTAINERD, error=error, runtimes=tuple((name, _binary(entry)) for name, entry in merged.items()),
        systemd_cgroup=any(option.get("SystemdCgroup") for option in options),
        imports=tuple(map(str, _list(table.get("imports")))), drop_ins=drop_ins,
        cri_disabled=bool({"cri", "io.containerd.grpc.v1.cri"} & set(disabled)))


def _imports(table: dict[str, Any], path: str) -> bool:
    return any(Tree.matcher(str(pattern))(path) for pattern in _list(table.get("imports")))


def _cri_runtimes(table: dict[str, Any]) -> dict[str, Any]:
    """The runtimes of the CRI plugin, under the name that it has in each version of the file."""
    plugins = _table(table.get("plugins"))
    plugin = next((plugins[name] for name in CRI_PLUGINS if name in plugins), None)
    return _table(_table(_table(plugin).get("containerd")).get("runtimes"))


def _binary(entry: object) -> str:
    return str(_table(_table(entry).get("options")).get("BinaryName", ""))


def _crio(engine: Engine, tree: Tree, root: str) -> Engine:
    """Facts: crio.conf(5): runtimes stand in [crio.runtime.runtimes.NAME]."""
    runtimes: dict[str, str] = {}
    source = error = ""
    for path in (CRIO, *tree.glob(CRIO_DROP_INS)):
        table, wrong = _toml(tree, path)
        source, error = source or (path if table is not None else ""), error or wrong
        runtime = _table(_table(_table(table).get("crio")).get("runtime"))
        runtimes |= {name: str(_table(entry).get("runtime_path", ""))
                     for name, entry in _table(runtime.get("runtimes")).items()}
    return engine._replace(source=source, error=error, runtimes=tuple(runtimes.items()))


def _table(value: object) -> dict[str, Any]:
    """A table; an empty one in place of anything else: whoever wrote that hears it from the engine."""
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _toml(tree: Tree, path: str) -> tuple[dict[str, Any] | None, str]:
    """A TOML file and what is wrong with it; (None, "") for one that does not exist."""
    import tomllib

    data = tree.read(path)
    if data is None:
        return None, ""
    try:
        return tomllib.loads(data.decode()), ""
    except ValueError as e:
        return {}, f"{path}: cannot be parsed: {e}"

