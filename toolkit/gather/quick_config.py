"""The plain form of config.toml, read in a fraction of a millisecond: tomllib costs 7, and `start` needs very little.

Certain or silent: what follows the plain form means the same to TOML; for anything else the answer is None, and the
caller reads the file with `toolkit.gather.config`.  The plain form has known tables and keys, each once, and one-line
values that are true, false, a string without backslash, or a list of such strings.  That is what `nvidia-ctk config`
and the packages write.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_PATH = "/etc/nvidia-container-runtime/config.toml"
Value = bool | str | tuple[str, ...]

# Each key that may occur, by table; the value shows the type.  A test compares this with toolkit.model.config.
KEYS: dict[str, dict[str, Value]] = {
    "": {
        "disable-require": False,
        "swarm-resource": "",
        "accept-nvidia-visible-devices-envvar-when-unprivileged": False,
        "accept-nvidia-visible-devices-as-volume-mounts": False,
        "supported-driver-capabilities": "",
    },
    "nvidia-container-cli": {
        "root": "", "path": "", "environment": (), "debug": "", "ldcache": "", "load-kmods": False, "no-pivot": False,
        "no-cgroups": False, "user": "", "ldconfig": "",
    },
    "nvidia-ctk": {"path": ""},
    "nvidia-container-runtime": {"debug": "", "log-level": "", "runtimes": (), "mode": ""},
    "nvidia-container-runtime.modes": {},
    "nvidia-container-runtime.modes.csv": {"mount-spec-path": "", "compat-container-root": ""},
    "nvidia-container-runtime.modes.cdi": {"spec-dirs": (), "default-kind": "", "annotation-prefixes": ()},
    "nvidia-container-runtime.modes.jit-cdi": {"nvcdi-feature-flags": (), "nvcdi-disable-hooks": ()},
    "nvidia-container-runtime.modes.legacy": {"cuda-compat-mode": ""},
    "nvidia-container-runtime-hook": {"path": "", "skip-mode-detection": False},
    "features": {
        "allow-cuda-compat-libs-from-container": False, "allow-ldconfig-from-container": False,
        "allow-unknown-oci-spec-fields": False, "disable-cuda-compat-lib-hook": False,
        "disable-imex-channel-creation": False, "ignore-imex-channel-requests": False,
        "no-additional-gids-for-device-nodes": False,
    },
}


def read_quickly(path: str) -> dict[tuple[str, str], Value] | None:
    """The values in the file by (table, key), {} if there is no file, None if only the full reader can tell.

    The one rule on values counts too: an `ldconfig` that is not on the host is left to the full reader.
    """
    try:
        with open(path, "rb") as f:
            data = f.read()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return None
    if not data.isascii():
        return None
    values = plain_values(data.decode("ascii"))
    ldconfig = (values or {}).get(("nvidia-container-cli", "ldconfig"), "@")
    return values if isinstance(ldconfig, str) and ldconfig.startswith("@") else None


def plain_values(text: str) -> dict[tuple[str, str], Value] | None:
    """The values of a document in the plain form, by (table, key); None if it is not in that form."""
    values: dict[tuple[str, str], Value] = {}
    table, seen = "", {""}
    for raw in text.split("\n"):
        line = raw.strip(" \t")
        if not line.replace("\t", " ").isprintable():
            return None
        if not line or line[0] == "#":
            continue
        if line[0] == "[":
            table = line[1:-1]
            if line[-1] != "]" or table not in KEYS or table in seen:
                return None
            seen.add(table)
            continue
        key, equals, rest = line.partition("=")
        key = key.rstrip(" \t")
        if not equals or key not in KEYS[table] or (table, key) in values:
            return None
        value = _value(rest.lstrip(" \t"), KEYS[table][key])
        if value is None:
            return None
        values[table, key] = value
    return values


def plain_tables(text: str) -> "dict[str, Any] | None":
    """A document in the plain form as nested tables, as tomllib gives them; None if it is not in that form."""
    values = plain_values(text) if text.isascii() else None
    if values is None:
        return None
    tables: dict[str, Any] = {}
    for (table, key), value in values.items():
        place = tables
        for name in table.split(".") if table else ():
            place = place.setdefault(name, {})
        place[key] = list(value) if isinstance(value, tuple) else value
    return tables


def _value(text: str, like: Value) -> Value | None:
    """A value of the type of `like`, None if the text holds anything else, comments included."""
    if isinstance(like, bool):
        return {"true": True, "false": False}.get(text)
    if isinstance(like, str):
        return _string(text)
    if len(text) < 2 or text[0] != "[" or text[-1] != "]":
        return None
    inner = text[1:-1].strip(" \t")
    items = [_string(item.strip(" \t")) for item in inner.split(",")] if inner else []
    return tuple(item for item in items if item is not None) if None not in items else None


def _string(text: str) -> str | None:
    """A string in double quotes; a quote or backslash within it is left to the full reader."""
    inner = text[1:-1]
    plain = len(text) >= 2 and text[0] == text[-1] == '"' and '"' not in inner and "\\" not in inner
    return inner if plain else None
