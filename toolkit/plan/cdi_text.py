"""A CDI document as text, byte for byte as upstream writes it.

YAML is that of Go's yaml.v3 with an indent of 4: a level starts at a multiple of 4 columns, but a mapping that is an
item of a list starts right behind its "- ".  JSON is Go's: one line, `<`, `>` and `&` escaped.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

INDENT = 4
NOT_PLAIN = re.compile(
    r"""[-?:](?:\s|$)      # an indicator that stands alone
    |[#,\[\]{}&*!|>'"%@`]  # an indicator at all
    |\s|---|\.\.\.         # white space, a document marker
    """,
    re.VERBOSE,
)
NOT_WITHIN = re.compile(r":(?:\s|$)|\s\#|\s$", re.VERBOSE)
NOT_PRINTABLE = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
OTHER_TYPE = re.compile(
    r"""~|null|Null|NULL|<<|=
    |y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF|true|True|TRUE|false|False|FALSE
    |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)
    |[-+]?0[bB][01_]+|[-+]?0[oO]?[0-7_]+|[-+]?0[xX][0-9a-fA-F_]+
    |[-+]?[0-9][0-9_]*
    |[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?  # numbers to the base of 60, as in YAML 1.1
    |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9:.]+[ \t]*(?:Z|[-+][0-9:]+)?)?
    """,
    re.VERBOSE,
)
ESCAPES = {"\0": "0", "\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", "\x1b": "e"}


def to_json(document: dict[str, Any]) -> str:
    """The document on one line, without a newline at its end."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def to_yaml(document: dict[str, Any]) -> str:
    """The document behind a line of dashes.  Empty edits are left out, which JSON writes as {}."""
    return "---\n" + "".join(f"{line}\n" for line in _mapping(_without_empty_edits(document), 0))


def _without_empty_edits(document: dict[str, Any]) -> dict[str, Any]:
    document = {key: value for key, value in document.items() if key != "containerEdits" or value}
    if document.get("devices"):
        document["devices"] = [_without_empty_edits(device) for device in document["devices"]]
    return document


def _mapping(mapping: dict[str, Any], column: int) -> Iterator[str]:
    for key, value in mapping.items():
        start = f"{' ' * column}{_scalar(key)}:"
        below = INDENT * (column // INDENT + 1)
        if isinstance(value, dict) and value:
            yield start
            yield from _mapping(value, below)
        elif isinstance(value, list) and value:
            yield start
            yield from _sequence(value, below)
        else:
            yield f"{start} {_scalar(value)}"


def _sequence(items: list[Any], column: int) -> Iterator[str]:
    for item in items:
        dash = " " * column + "- "
        if isinstance(item, dict) and item:
            first, *rest = _mapping(item, column + 2)
            yield dash + first.lstrip(" ")
            yield from rest
        else:
            yield dash + _scalar(item)


def _scalar(value: object) -> str:
    """A value on one line.  A string is quoted only where it would not read as itself."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return "{}" if value == {} else "[]" if value == [] else str(value)
    if not value or OTHER_TYPE.fullmatch(value) or NOT_PRINTABLE.search(value) or "\n" in value:
        return _double_quoted(value)
    if NOT_PLAIN.match(value) or NOT_WITHIN.search(value):
        return "'" + value.replace("'", "''") + "'"
    return value


def _double_quoted(value: str) -> str:
    out = []
    for character in value:
        code = ord(character)
        if character in '"\\':
            out.append("\\" + character)
        elif character in ESCAPES:
            out.append("\\" + ESCAPES[character])
        elif not NOT_PRINTABLE.match(character):
            out.append(character)
        else:
            out.append(f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}")
    return '"' + "".join(out) + '"'
