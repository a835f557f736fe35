"""config.toml and the environment → Config, with the origin of each value.

Source: toolkit v1.20, api/config/v1.  The file overlays the defaults key by key; a list replaces the default list.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from toolkit.errors import ConfigError
from toolkit.gather.quick_config import plain_tables
from toolkit.model.config import Config

DEFAULT_PATH = "/etc/nvidia-container-runtime/config.toml"
Table = dict[str, Any]


class ReadConfig(NamedTuple):
    """A configuration, and where each value of it comes from.

    `origins` maps each dotted key that the file sets to "file"; every other key holds its default.  `path_origin` is
    "flag", "environment" or "default"; `present` is whether the file exists.  `notes` are warnings about keys.
    """

    config: Config
    path: str
    path_origin: str
    present: bool
    origins: Mapping[str, str]
    notes: tuple[str, ...]

    def origin(self, key: str) -> str:
        """Where the value of a dotted key comes from: "default" or "file"."""
        return self.origins.get(key, "default")


def config_path(environment: Mapping[str, str]) -> tuple[str, str]:
    """The path of config.toml and the origin of that path.

    Only one file counts: there is no merging, and no falling back to the next place if the file is absent.
    """
    if path := environment.get("NVIDIA_CTK_CONFIG_FILE_PATH"):
        return path, "environment"
    if base := environment.get("XDG_CONFIG_HOME"):
        return os.path.join(base, "nvidia-container-runtime/config.toml"), "environment"
    return DEFAULT_PATH, "default"


def read_config(
    path: str = "", *, environment: Mapping[str, str] | None = None, root: str = "/", required: bool = False
) -> ReadConfig:
    """The configuration in the file `path` ("": see `config_path`) over the defaults, validated.

    `root` is where the machine's file system is mounted; the file, /etc/os-release and ldconfig are looked up there.
    An absent file gives the defaults, unless `required`.  Raises ConfigError naming file, position and key.
    """
    read = read_unvalidated(path, environment=environment, root=root, required=required)
    check_ldconfig(read.config, source=read.path)
    return read


def read_unvalidated(
    path: str = "", *, environment: Mapping[str, str] | None = None, root: str = "/", required: bool = False
) -> ReadConfig:
    """As `read_config`, but an `ldconfig` in the container passes: `nvidia-ctk` does not check it."""
    origin = "flag"
    if not path:
        path, origin = config_path(os.environ if environment is None else environment)
    text = _text(path, root, required=required)
    if text is None:
        return ReadConfig(defaults(root), path, origin, False, {}, ())
    table = _parsed(text, path)
    origins: dict[str, str] = {}
    notes: list[str] = []
    try:
        config = _overlaid(defaults(root), table, "", origins, notes)
    except _Mismatch as e:
        raise ConfigError(
            f"failed to unmarshal config: {_position(text, e.key, e.table)}{e}", source=f"{path}: {e.key}", hint=e.hint
        ) from None
    return ReadConfig(config, path, origin, True, origins, tuple(notes))


def read_table(path: str) -> tuple[Table | None, str]:
    """The file `path` as tomllib gives it, None if there is none, and its text.  No value is looked at.

    Raises ConfigError as `read_config` does."""
    text = _text(path, "/", required=False)
    return (None, "") if text is None else (_parsed(text, path), text)


def check_ldconfig(config: Config, *, source: str = "") -> None:
    """The one rule on values: `nvidia-container-cli.ldconfig` is a host path, unless a feature allows otherwise."""
    value = config.nvidia_container_cli.ldconfig
    if value.startswith("@") or config.features.allow_ldconfig_from_container:
        return
    raise ConfigError(
        f"nvidia-container-cli.ldconfig value \"{value}\" is not host-relative (does not start with a '@')\n"
        "invalid config value",
        source=source,
        hint='write "@/sbin/ldconfig", or set features.allow-ldconfig-from-container = true if the image is trusted',
    )


def normalised_ldconfig(value: str, root: str = "/") -> str:
    """An `ldconfig` value with Debian's real program behind its wrapper: "@/sbin/ldconfig.real" where that exists.

    A path in the container (without "@") is left alone.  The look-up is on the host, not below the driver root.
    """
    if not value.startswith("@"):
        return value
    plain = value[1:].removesuffix(".real")
    return f"@{plain}.real" if os.path.exists(_below(root, plain + ".real")) else f"@{plain}"


def defaults(root: str = "/") -> Config:
    """The built-in configuration on this machine: ldconfig and, on SUSE, the user depend on it."""
    config = Config()
    cli = config.nvidia_container_cli
    user = "root:video" if _is_suse(root) else cli.user
    cli = cli._replace(ldconfig=normalised_ldconfig(cli.ldconfig, root), user=user)
    return config._replace(nvidia_container_cli=cli)


def _is_suse(root: str) -> bool:
    """The first line of os-release that starts with ID_LIKE= has the item "suse" or "opensuse"."""
    try:
        with open(_below(root, "/etc/os-release"), encoding="utf-8", errors="replace") as f:
            line = next((line for line in f if line.startswith("ID_LIKE=")), "")
    except OSError:
        return False
    return not {"suse", "opensuse"}.isdisjoint(line[len("ID_LIKE=") :].strip().strip('"').split(" "))


def _below(root: str, path: str) -> str:
    return path if root in ("", "/") else root.rstrip("/") + "/" + path.lstrip("/")


def _text(path: str, root: str, *, required: bool) -> str | None:
    """The text of the file; None if it is absent and need not exist."""
    try:
        with open(_below(root, path), "rb") as f:
            return f.read().decode()
    except FileNotFoundError:
        if required:
            raise ConfigError("file does not exist", source=path, hint="write one with `nvidia-ctk config`") from None
        return None
    except (NotADirectoryError, ValueError) as e:
        cause = "invalid UTF-8" if isinstance(e, UnicodeDecodeError) else "not a usable path"
        raise _unloadable(cause, path) from None
    except OSError as e:
        cause = (e.strerror or "unreadable").lower()
        verb = "read" if isinstance(e, IsADirectoryError) else "open"
        raise _unloadable(f"{verb} {path}: {cause}", path) from None


def _parsed(text: str, path: str) -> Table:
    if (plain := plain_tables(text)) is not None:
        return plain
    try:
        return parse_toml(text)
    except ConfigError as e:
        raise _unloadable(e.message, path) from None


def parse_toml(text: str) -> Table:
    """A TOML document.  Raises ConfigError with the position first, "(line, column): cause"."""
    import tomllib  # 7 ms; a machine without the file, or with a plain one, does not pay them

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError("nested too deeply") from None
    except ValueError as e:  # tomllib.TOMLDecodeError, or a number with thousands of digits
        found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", str(e), re.DOTALL)
        if not found:
            raise ConfigError(str(e)) from None
        line, column = found[2] or text.count("\n") + 1, found[3] or 1
        raise ConfigError(f"({line}, {column}): {found[1][:1].lower()}{found[1][1:]}") from None


def _unloadable(cause: str, path: str) -> ConfigError:
    return ConfigError(
        f"failed to load specified config file: {cause}",
        source=path,
        hint="correct the file, or move it away to run with the defaults",
    )


class _Mismatch(Exception):
    """A value of the wrong type, and the dotted key that holds it."""

    def __init__(self, key: str, value: object, wanted: str, hint: str) -> None:
        super().__init__(f"Can't convert {_go_text(value)}({_go_type(value)}) to {wanted}")
        self.key, self.hint, self.table = key, hint, isinstance(value, dict)


# Upstream's names of the tables, as its messages have them.
_STRUCTS = {
    "features": "features", "nvidia-container-cli": "ContainerCLIConfig", "nvidia-ctk": "CTKConfig",
    "nvidia-container-runtime": "RuntimeConfig", "nvidia-container-runtime-hook": "RuntimeHookConfig",
    "modes": "modesConfig", "csv": "csvModeConfig", "cdi": "cdiModeConfig", "jit-cdi": "jitCDIModeConfig",
    "legacy": "legacyModeConfig",
}


def _overlaid(defaults: Any, table: Table, prefix: str, origins: dict[str, str], notes: list[str]) -> Any:
    """`defaults` (a NamedTuple of config.py) with the values of `table`; a table within it is one level down."""
    known = {field.replace("_", "-"): field for field in defaults._fields}
    values: dict[str, Any] = {}
    for name, value in table.items():
        key = prefix + name
        if name not in known:
            notes.append(f"ignoring unknown key {key}{_nearest(name, known, prefix)}")
            continue
        default = getattr(defaults, known[name])
        if hasattr(default, "_fields"):
            if not isinstance(value, dict):
                raise _Mismatch(key, value, f"config.{_STRUCTS[name]}", f"write [{key}] as a table")
            values[known[name]] = _overlaid(default, value, key + ".", origins, notes)
        else:
            values[known[name]] = _checked(key, value, default)
            origins[key] = "file"
    return defaults._replace(**values)


def _checked(key: str, value: Any, default: object) -> Any:
    """The value, if it is of the type of its default."""
    last = key.rpartition(".")[2]
    if isinstance(value, dict):
        raise _Mismatch(key, value, "a tree", f"{key} is a key, no table")
    if isinstance(value, list) and not isinstance(default, tuple):
        raise _Mismatch(key, value, "a slice", f"write one value: {last} = …")
    if isinstance(default, bool):
        if not isinstance(value, bool):
            wanted = "config.feature" if key.startswith("features.") else "bool"
            raise _Mismatch(key, value, wanted, "write true or false, without quotes")
    elif isinstance(default, str):
        if not isinstance(value, str):
            raise _Mismatch(key, value, "string", f'write {last} = "…" with quotes')
    else:
        hint = f'write {last} = ["…", "…"]'
        if not isinstance(value, list):
            raise _Mismatch(key, value, "[]string(slice)", hint)
        for item in value:
            if not isinstance(item, str):
                raise _Mismatch(key, item, "a slice" if isinstance(item, list) else "string", hint)
        return tuple(value)
    return value


def _nearest(name: str, known: Mapping[str, str], prefix: str) -> str:
    import difflib  # 2 ms; only a file with an unknown key pays them

    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else ""


def _go_text(value: object) -> str:
    """A value as upstream's messages show it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{' '.join(map(_go_text, value))}]"
    if isinstance(value, dict):
        return "".join(f"{k} = {_go_text(v)}\n" for k, v in sorted(value.items()))
    return str(value)


def _go_type(value: object) -> str:
    names = {bool: "bool", int: "int64", float: "float64", str: "string", list: "[]interface {}", dict: "*toml.Tree"}
    return names.get(type(value), "time.Time")


def _position(text: str, key: str, is_table: bool) -> str:
    """The "(line, column): " of a dotted key, (1, 0) for one in an inline table, as upstream counts.

    `is_table`: the value is a table, which has no position if it is inline."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if header := re.match(r"\[\s*([^\[\]]+?)\s*\]", bare):
            table = header[1].replace('"', "").replace("'", "") + "."
            if table == key + ".":
                return f"({number}, {len(line) - len(line.lstrip()) + 1}): "
        elif "=" in bare and table + re.sub(r"[\"'\s]", "", bare.partition("=")[0]) == key:
            return "(0, 0): " if is_table else f"({number}, {len(line) - len(line.lstrip()) + 1}): "
    return "(1, 0): "
