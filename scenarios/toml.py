"""A mapping as TOML text: strings, numbers, booleans, lists of these, and tables.  Fact: TOML 1.0."""

import json
import re

from nvsim.errors import NvsimError
from scenarios.fields import describe

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dumps(table: dict[str, object], source: str = "config") -> str:
    """The TOML text of a mapping.  Raises NvsimError with the key of a value that TOML cannot hold."""
    return "".join(line + "\n" for line in _table(table, (), source))


def merged(low: dict[str, object], high: dict[str, object]) -> dict[str, object]:
    """Two mappings as one, table by table; where both say something, `high` wins."""
    found = dict(low)
    for key, value in high.items():
        below = found.get(key)
        found[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return found


def _table(table: dict[str, object], path: tuple[str, ...], source: str) -> list[str]:
    plain = [f"{_key(k)} = {_value(v, f'{source}.{k}')}" for k, v in table.items() if not isinstance(v, dict)]
    lines = [f"[{'.'.join(map(_key, path))}]", *plain] if path and (plain or not table) else plain
    for key, inner in table.items():
        if isinstance(inner, dict):
            lines += _table(inner, (*path, str(key)), f"{source}.{key}")
    return lines


def _key(key: object) -> str:
    return str(key) if _BARE.fullmatch(str(key)) else _string(str(key), "config")


def _string(text: str, source: str) -> str:
    try:
        text.encode()
    except UnicodeError as e:
        raise NvsimError(f"config.toml cannot hold {describe(text)}", source=source) from e
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: object, source: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and -2**63 <= value < 2**63:
        return str(value)
    if isinstance(value, str):
        return _string(value, source)
    if isinstance(value, list):
        return f"[{', '.join(_value(item, source) for item in value)}]"
    raise NvsimError(f"config.toml cannot hold {describe(value)}", source=source)
