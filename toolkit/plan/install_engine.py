"""An engine's configuration for the three runtimes of the installer: before → after, and the way back.

Source: toolkit v1.20, cmd/nvidia-ctk-installer/container, pkg/config/engine.
"""

from posixpath import join
from typing import Any, NamedTuple

from toolkit.model.install import RUNTIMES
from toolkit.plan import engines, engines_toml
from toolkit.plan.engines import LOW_LEVEL, Change, Table, Wanted, changed, table_at
from toolkit.plan.engines_toml import CRIO, RUNTIME_TYPE, Layout

MODES = ("cdi", "legacy")


class Containerd(NamedTuple):
    """What containerd alone has: the type of runtimes without one, annotations to pass on, and the layout of before
    1.3, whose default runtime is a table."""

    runtime_type: str = RUNTIME_TYPE
    annotations: tuple[str, ...] = ()
    legacy: bool = False


def runtimes_of(folder: str, name: str, *, default: bool, cdi: bool) -> tuple[Wanted, ...]:
    """The runtimes that are added: the one called `name`, and one for each mode, whose names are fixed."""
    fixed = tuple(f"nvidia-{mode}" for mode in MODES)
    names = ("nvidia" if name in fixed else name, *fixed)
    return tuple(Wanted(each, join(folder, program), default=default and each == name, cdi=cdi)
                 for each, program in zip(names, RUNTIMES, strict=True))


def low_level_of(engine: str, config: Table, layout: Layout | None = None) -> tuple[str, ...]:
    """The programs of the default runtime, unless it is ours, of runc and of crun, as the engine has them."""
    key: tuple[str, ...]
    if engine == "docker":
        runtimes, default, key = table_at(config, ("runtimes",)), config.get("default-runtime"), ("path",)
    elif engine == "crio":
        runtimes, key = table_at(config, (*CRIO, "runtimes")), ("runtime_path",)
        default = table_at(config, CRIO).get("default_runtime")
    else:
        assert layout is not None
        runtimes = table_at(config, (*layout.cri, "runtimes"))
        default, key = table_at(config, layout.cri).get("default_runtime_name"), ("options", "BinaryName")
    own = not isinstance(default, str) or not default or default.startswith("nvidia")
    paths = [_value(runtimes, (name, *key)) for name in (*(() if own else (default,)), *LOW_LEVEL)]
    return tuple(dict.fromkeys(path for path in paths if isinstance(path, str) and path))


def _value(table: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        table = table.get(name) if isinstance(table, dict) else None
    return table


def docker_changes(config: Table, runtimes: tuple[Wanted, ...]) -> tuple[Change, ...]:
    return tuple(change for wanted in runtimes for change in engines.docker_changes(config, wanted))


def docker_removal(config: Table, names: tuple[str, ...]) -> tuple[Change, ...]:
    """daemon.json without the runtimes."""
    return _in_turn(config, names, engines.docker_removal)


def containerd_changes(
    config: Table, layout: Layout, runtimes: tuple[Wanted, ...], special: Containerd
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """What containerd's configuration needs, and warnings, each once."""
    changes: list[Change] = []
    notes: list[str] = []
    table_default = special.legacy and layout.version == 1
    for wanted in runtimes:
        more, said = engines_toml.containerd_changes(
            config, layout, wanted._replace(default=wanted.default and not table_default),
            runtime_type=special.runtime_type, annotations=special.annotations)
        changes += more
        notes += said
        if table_default and wanted.default:
            changes.append(_default_table(config, layout, wanted, special.runtime_type))
    return tuple(changes), tuple(dict.fromkeys(notes))


def _default_table(config: Table, layout: Layout, wanted: Wanted, runtime_type: str) -> Change:
    """The default runtime as containerd before 1.3 has it."""
    path = (*layout.cri, "default_runtime")
    table = table_at(config, path) or {
        "runtime_type": runtime_type, "runtime_root": "", "runtime_engine": "",
        "privileged_without_host_devices": False}
    options = {**table_at(table, ("options",)), "BinaryName": wanted.path, "Runtime": wanted.path}
    return Change(path, {**table, "options": options})


def containerd_removal(top: Table, names: tuple[str, ...], pattern: str) -> tuple[Change, ...]:
    """containerd's own file without the runtimes and, if that is all that is left, without the import of `pattern`."""
    changes = _in_turn(top, names, engines_toml.containerd_removal)
    return (*changes, *engines_toml.containerd_import_removal(changed(top, changes), pattern))


def crio_changes(config: Table, runtimes: tuple[Wanted, ...]) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """What CRI-O's configuration needs, and warnings, each once."""
    found = [engines_toml.crio_changes(config, wanted) for wanted in runtimes]
    notes = dict.fromkeys(note for _, said in found for note in said)
    return tuple(change for changes, _ in found for change in changes), tuple(notes)


def crio_default_removal(config: Table, name: str) -> tuple[Change, ...]:
    """CRI-O's configuration without the default runtime.  The runtimes stay, for pods that name one of them."""
    default = table_at(config, CRIO).get("default_runtime")
    return (Change((*CRIO, "default_runtime")),) if default == name else ()


def _in_turn(config: Table, names: tuple[str, ...], removal: Any) -> tuple[Change, ...]:
    changes: tuple[Change, ...] = ()
    for name in names:
        changes = (*changes, *removal(changed(config, changes), name))
    return changes
