"""config.toml as a table: the defaults, `--set KEY[=VALUE]`, and which keys are shown behind "#".

Source: toolkit v1.20, api/config/v1, cmd/nvidia-ctk/config.  The table is what tomllib gives, so that keys
that nobody knows stay.
"""

from collections.abc import Iterator
from typing import Any

from toolkit.errors import ConfigError
from toolkit.model.config import Config
from toolkit.plan.toml_text import Commented, Path

Table = dict[str, Any]
TRUE = ("1", "t", "T", "TRUE", "true", "True")
FALSE = ("0", "f", "F", "FALSE", "false", "False")
SUSE_USER = "root:video"
# What stands behind "#" for a key that nobody has set.
SHOWN: dict[Path, Any] = {
    ("swarm-resource",): "DOCKER_RESOURCE_GPU",
    ("accept-nvidia-visible-devices-envvar-when-unprivileged",): True,
    ("accept-nvidia-visible-devices-as-volume-mounts",): False,
    ("nvidia-container-cli", "root"): "/run/nvidia/driver",
    ("nvidia-container-cli", "path"): "/usr/bin/nvidia-container-cli",
    ("nvidia-container-cli", "debug"): "/var/log/nvidia-container-toolkit.log",
    ("nvidia-container-cli", "ldcache"): "/etc/ld.so.cache",
    ("nvidia-container-cli", "no-cgroups"): False,
    ("nvidia-container-cli", "user"): SUSE_USER,
    ("nvidia-container-runtime", "debug"): "/var/log/nvidia-container-runtime.log",
}
# Keys that the defaults leave out while they hold the zero value.
OMITTED = {
    ("nvidia-container-cli", "no-pivot"),
    ("nvidia-container-runtime", "modes", "csv", "compat-container-root"),
    ("nvidia-container-runtime", "modes", "jit-cdi", "nvcdi-feature-flags"),
    ("nvidia-container-runtime", "modes", "jit-cdi", "nvcdi-disable-hooks"),
}


def table_of(config: Config) -> Table:
    """A configuration as its table, without the keys that are left out while nobody sets them."""
    table: Table = {}
    for path, value in _values(config, ()):
        if value or not (path in OMITTED or path[0] == "features"):
            _put(table, path, list(value) if isinstance(value, tuple) else value)
    return table


def paths_of(table: Table, path: Path = ()) -> Iterator[Path]:
    """The path of each value of a table, and of its tables."""
    for name, value in table.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from paths_of(value, (*path, name))


def with_settings(table: Table, options: tuple[str, ...], separator: str) -> tuple[Table, frozenset[Path]]:
    """The table with each option KEY[=VALUE] in turn, and the keys set.  `separator` splits the items of a list.

    A switch without VALUE is switched on; a feature with the value "nil" is taken out.  Raises ConfigError.
    """
    table, done = _copied(table), set()
    for option in options:
        try:
            path, value = _setting(option, separator)
            if value is not None:
                _put(table, path, value)
            elif isinstance(table.get(path[0]), dict):
                table[path[0]].pop(path[1], None)
        except ConfigError as e:
            raise ConfigError(f"invalid --set option {option}: {e.message}", source=e.source, hint=e.hint) from None
        done.add(path)
    return table, frozenset(done)


def with_shown_defaults(table: Table, *, present: frozenset[Path], suse: bool) -> Table:
    """The table with keys behind "#", by the table `SHOWN`, but for those in `present`: in the file or set."""
    table = _copied(table)
    for path, shown in SHOWN.items():
        place = _place(table, path[:-1])
        value = place.get(path[-1])
        if path in present or (suse and path[-1] == "user" and value == SUSE_USER):
            continue
        silent = path == ("nvidia-container-runtime", "debug") and value == "/dev/null"
        if value is None or value in (shown, "") or silent:
            place[path[-1]] = Commented(shown)
    return table


def _setting(option: str, separator: str) -> tuple[Path, Any]:
    """The path of an option and its value; None takes the key out."""
    name, equals, text = option.partition("=")
    path = tuple(name.split("."))
    default = _default(path)
    feature = path[0] == "features"
    if isinstance(default, bool) and (not equals or (feature and text == "nil")):
        return path, None if equals else True
    if not equals:
        raise ConfigError(f"invalid format: expected key=value; got {option}", source="--set")
    if isinstance(default, bool):
        if text not in (*TRUE, *FALSE):
            raise ConfigError(f'invalid format: strconv.ParseBool: parsing "{text}": invalid syntax', source="--set",
                              hint=f"write {name}=true or {name}=false")
        return path, text in TRUE
    if isinstance(default, str):
        return path, text
    if hasattr(default, "_fields"):
        raise ConfigError(f"unsupported type for [{name} {text}] (struct)", source="--set",
                          hint=f"{name} is a table: name one of its keys")
    return path, text.split(separator if separator in text else ",")


def _default(path: Path) -> Any:
    """The default of a key, which tells its type.  Raises ConfigError for a key that does not exist."""
    place: Any = Config()
    for name in path:
        fields = getattr(place, "_fields", ())
        if name.replace("-", "_") not in fields or "_" in name:
            known = ", ".join(field.replace("_", "-") for field in fields)
            raise ConfigError(f'invalid config option: undefined field: "{name}"', source="--set",
                              hint=f"known here: {known}" if known else "it has no keys below it")
        place = getattr(place, name.replace("-", "_"))
    return place


def _values(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Each key of a configuration with its value."""
    for field in value._fields:
        inner, place = getattr(value, field), (*path, field.replace("_", "-"))
        if hasattr(inner, "_fields"):
            yield from _values(inner, place)
        else:
            yield place, inner


def _put(table: Table, path: Path, value: Any) -> None:
    _place(table, path[:-1])[path[-1]] = value


def _place(table: Table, path: Path) -> Table:
    """The table of a path, made if missing.  Raises ConfigError where the path leads through a value."""
    for number, name in enumerate(path, 1):
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{'.'.join(path[:number])} is not a table", source=".".join(path[:number]),
                              hint=f"write [{'.'.join(path[:number])}] and its keys below it")
        table = inner
    return table


def _copied(table: Table) -> Table:
    return {name: _copied(value) if isinstance(value, dict) else value for name, value in table.items()}
