"""What makes an engine know the NVIDIA runtime: changes to its configuration, before → after.

A change is one key by its path, so that whoever writes the file can leave everything else as the user wrote it.
This module has what the engines share, Docker's daemon.json, and the hook file of engines that read those.
Source: toolkit v1.20, pkg/config/engine, cmd/nvidia-ctk/runtime/configure.
"""

import json
from posixpath import basename, dirname
from typing import Any, NamedTuple

from toolkit.errors import ConfigError
from toolkit.plan.toml_text import Path

Table = dict[str, Any]
FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
LOW_LEVEL = ("runc", "crun")


class Wanted(NamedTuple):
    """What is to be configured: the runtime's name and program, and whether it is the default, and CDI on."""

    name: str
    path: str
    default: bool = False
    cdi: bool = False


class Change(NamedTuple):
    """One key and its new value; None takes the key out."""

    path: Path
    value: Any = None


def changed(table: Table, changes: tuple[Change, ...]) -> Table:
    """A new table with the changes in turn.  Raises ConfigError where a path leads through a value."""
    for change in changes:
        table = _with(table, change.path, change.value, 0)
    return table


def _with(table: Table, path: Path, value: Any, depth: int) -> Table:
    """`table` is the one at the first `depth` names of the path."""
    name, result = path[depth], dict(table)
    if depth + 1 < len(path):
        if value is not None or name in table:
            result[name] = _with(_table(table, path, depth), path, value, depth + 1)
    elif value is None:
        result.pop(name, None)
    else:
        result[name] = value
    return result


def table_at(table: Table, path: Path) -> Table:
    """The table at a path, empty if there is none.  Raises ConfigError if something else is there."""
    for depth in range(len(path)):
        table = _table(table, path, depth)
    return table


def _table(table: Table, path: Path, depth: int) -> Table:
    """The table named path[depth] in the one at the names before it."""
    found = table.get(path[depth])
    if found is None:
        return {}
    if not isinstance(found, dict):
        key = ".".join(path[: depth + 1])
        raise ConfigError(f"{key} is not a table", source=key, hint="correct the file: the engine cannot read it")
    return found


def without(table: Table, path: Path) -> tuple[Change, ...]:
    """The changes that take a key out, and with it the tables that it leaves empty."""
    while len(path) > 1 and set(table_at(table, path[:-1])) <= {path[-1]}:
        path = path[:-1]
    return (Change(path),)


def base_runtime(runtimes: Table, default: Any) -> tuple[Table | None, tuple[str, ...]]:
    """The runtime that the NVIDIA one is modelled on: the default, unless it is ours, else runc, else crun.

    None if none of them is configured; with the names that were looked for.
    """
    own = isinstance(default, str) and default.startswith("nvidia")
    names = ((default,) if isinstance(default, str) and default and not own else ()) + LOW_LEVEL
    for name in names:
        if isinstance(runtimes.get(name), dict):
            return runtimes[name], names
    return None, names


def not_inferred(names: tuple[str, ...]) -> str:
    return f"Could not infer options from runtimes [{' '.join(names)}]"


def docker_changes(config: Table, wanted: Wanted) -> tuple[Change, ...]:
    """daemon.json with the runtime; its `features` keep their other members, which upstream drops."""
    changes = [Change(("runtimes", wanted.name), {"args": [], "path": wanted.path})]
    if wanted.default:
        changes.append(Change(("default-runtime",), wanted.name))
    if wanted.cdi:
        changes.append(Change(("features", "cdi"), True))
    return tuple(changes)


def docker_removal(config: Table, name: str) -> tuple[Change, ...]:
    """daemon.json without the runtime; a daemon whose default it was gets runc."""
    changes = without(config, ("runtimes", name)) if name in table_at(config, ("runtimes",)) else ()
    return (*changes, *docker_default_removal(config, name))


def docker_default_removal(config: Table, name: str) -> tuple[Change, ...]:
    return (Change(("default-runtime",), "runc"),) if config.get("default-runtime") == name else ()


def docker_text(config: Table, before: Table) -> str:
    """daemon.json as text: Go's, four blanks a level, no newline at its end.

    Keys stay in the order of `before`, the configuration as it was; an object that was sorted by name stays so.
    Raises ConfigError for a number that JSON cannot express.
    """
    try:
        text = json.dumps(_sorted_as(before, config), indent=4, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise ConfigError("a number is out of range", hint="no float64 holds it") from None
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _sorted_as(before: Any, after: Any) -> Any:
    if not isinstance(after, dict):
        return after
    old = before if isinstance(before, dict) else {}
    names = sorted(after) if list(old) == sorted(old) else list(after)
    return {name: _sorted_as(old.get(name), after[name]) for name in names}


def hook_text(path: str) -> str:
    """The file that makes CRI-O or podman run the prestart hook for every container."""
    folders = FOLDERS if dirname(path) in FOLDERS else (*FOLDERS, dirname(path))
    document = {
        "version": "1.0.0",
        "hook": {"path": path, "args": [basename(path), "prestart"], "env": [f"PATH={':'.join(folders)}"]},
        "when": {"always": True, "commands": [".*"]},
        "stages": ["prestart"],
    }
    return json.dumps(document, indent=2) + "\n"
