"""The NVIDIA runtime in the TOML of containerd and CRI-O: before → after.

containerd up to 1.x replaces the section of a plugin as a whole where a later file has it, so a drop-in file repeats
that of the configuration.  Source: toolkit v1.20, pkg/config/engine/containerd and crio.
"""

from typing import Any, NamedTuple

from toolkit.errors import ConfigError
from toolkit.plan.engines import (
    Change,
    Table,
    Wanted,
    base_runtime,
    changed,
    not_inferred,
    table_at,
    without,
)
from toolkit.plan.toml_text import Path

PLUGINS = {1: "cri", 2: "io.containerd.grpc.v1.cri"}
PLUGIN = "io.containerd.cri.v1.runtime"  # of version 3 and later
RUNTIME_TYPE = "io.containerd.runc.v2"
CRIO: Path = ("crio", "runtime")


class Layout(NamedTuple):
    """How containerd's configuration is laid out, by its version."""

    version: int
    plugin: str

    @property
    def section(self) -> Path:
        return ("plugins", self.plugin)

    @property
    def cri(self) -> Path:
        return (*self.section, "containerd")


def layout_of(config: Table, *, empty: int = 2) -> Layout:
    """The layout of a configuration; one without a version is of version 1, one without anything of version `empty`.

    Raises ConfigError for a version that is no number."""
    version: Any = config.get("version", 1) if config else empty
    if isinstance(version, bool) or not isinstance(version, int):
        text = str(version).lower() if isinstance(version, bool) else version
        raise ConfigError(f"failed to parse config version: unsupported type for version field: {text}",
                          source="version", hint="write version = 2, or 3 for containerd 2")
    return Layout(version, PLUGINS.get(version, PLUGIN))


def containerd_changes(
    config: Table, layout: Layout, wanted: Wanted, *, runtime_type: str = RUNTIME_TYPE,
    annotations: tuple[str, ...] = (),
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """What the configuration needs for the runtime, and warnings.

    `runtime_type` is for a runtime whose model has none; `annotations` are passed on to it, before those of the model.
    """
    cri = table_at(config, layout.cri)
    base, names = base_runtime(table_at(config, (*layout.cri, "runtimes")), cri.get("default_runtime_name"))
    notes = (() if base is not None else (not_inferred(names),)) + _disabled(config)
    runtime = dict(base) if base is not None else {
        "runtime_root": "", "runtime_engine": "", "privileged_without_host_devices": False}
    if not runtime.get("runtime_type"):
        runtime["runtime_type"] = runtime_type
    if annotations:
        runtime["container_annotations"] = [*annotations, *_annotations(runtime)]
    options = {**table_at(runtime, ("options",)), "BinaryName": wanted.path}
    if layout.version == 1:
        options["Runtime"] = wanted.path
    changes = [Change(("version",), layout.version)] if config.get("version") != layout.version else []
    changes.append(Change((*layout.cri, "runtimes", wanted.name), {**runtime, "options": options}))
    if wanted.default:
        changes.append(Change((*layout.cri, "default_runtime_name"), wanted.name))
    elif cri.get("default_runtime_name") == wanted.name:
        changes.append(Change((*layout.cri, "default_runtime_name")))
    if wanted.cdi:
        place = layout.cri if layout.version == 1 else layout.section
        changes.append(Change((*place, "enable_cdi"), True))
    return tuple(changes), notes


def _disabled(config: Table) -> tuple[str, ...]:
    """A warning where containerd does not load the plugin that reads the runtimes: toolkit#1430."""
    disabled = config.get("disabled_plugins", [])
    names = {"cri", "io.containerd.grpc.v1.cri", PLUGIN} & set(map(str, disabled if isinstance(disabled, list) else ()))
    if not names:
        return ()
    return (f"The CRI plugin is disabled: the runtime has no effect until disabled_plugins is without {min(names)}",)


def _annotations(runtime: Table) -> list[Any]:
    found = runtime.get("container_annotations", [])
    if not isinstance(found, list):
        raise ConfigError(f"invalid annotations: {found}", source="container_annotations", hint="write a list of names")
    return found


def containerd_drop_in(config: Table, layout: Layout, changes: tuple[Change, ...]) -> Table:
    """The drop-in file: the whole section of the CRI plugin, changed."""
    section = table_at(config, layout.section)
    start: Table = {"version": layout.version}
    if section:
        start["plugins"] = {layout.plugin: section}
    return changed(start, changes)


def containerd_import(top: Table, pattern: str, version: int) -> tuple[Change, ...]:
    """What makes containerd read the drop-in files of `pattern`, DIRECTORY/*.toml."""
    imports = top.get("imports", [])
    if not isinstance(imports, list):
        raise ConfigError("imports is not a list", source="imports", hint="write imports = [\"FILE\"]")
    changes = () if top else (Change(("version",), version),)
    return changes if pattern in imports else (*changes, Change(("imports",), [*imports, pattern]))


def containerd_removal(config: Table, name: str) -> tuple[Change, ...]:
    """The configuration, or the drop-in file, without the runtime and the tables that become empty."""
    layout = layout_of(config)
    changes: tuple[Change, ...] = ()
    if layout.version == 1 and _binary(config, (*layout.cri, "default_runtime")) == _binary(
            config, (*layout.cri, "runtimes", name)) != "":
        changes = without(config, (*layout.cri, "default_runtime"))
    for path in ((*layout.cri, "default_runtime_name"), (*layout.cri, "runtimes", name)):
        rest = changed(config, changes)
        value = table_at(rest, path[:-1]).get(path[-1])
        if value == name or (path[-2] == "runtimes" and value is not None):
            changes = (*changes, *without(rest, path))
    if set(changed(config, changes)) == {"version"}:
        changes = (*changes, Change(("version",)))
    return changes


def containerd_import_removal(top: Table, pattern: str) -> tuple[Change, ...]:
    """The top-level file without the import, if that is all it was made for; then nothing is left."""
    if set(top) == {"version", "imports"} and top["imports"] == [pattern]:
        return (Change(("imports",)), Change(("version",)))
    return ()


def crio_changes(config: Table, wanted: Wanted) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """What CRI-O's configuration needs for the runtime, and warnings."""
    runtime = table_at(config, CRIO)
    base, names = base_runtime(table_at(config, (*CRIO, "runtimes")), runtime.get("default_runtime"))
    table = {**(base or {}), "runtime_path": wanted.path, "runtime_type": "oci"}
    changes = [Change((*CRIO, "runtimes", wanted.name), table)]
    if wanted.default:
        changes.append(Change((*CRIO, "default_runtime"), wanted.name))
    return tuple(changes), () if base is not None else (not_inferred(names),)


def crio_removal(config: Table, name: str) -> tuple[Change, ...]:
    """CRI-O's configuration without the runtime and the tables that become empty."""
    changes: tuple[Change, ...] = ()
    for path in ((*CRIO, "default_runtime"), (*CRIO, "runtimes", name)):
        rest = changed(config, changes)
        value = table_at(rest, path[:-1]).get(path[-1])
        if value == name or (path[-2] == "runtimes" and value is not None):
            changes = (*changes, *without(rest, path))
    return changes


def _binary(config: Table, path: Path) -> Any:
    return table_at(config, (*path, "options")).get("BinaryName", "")
