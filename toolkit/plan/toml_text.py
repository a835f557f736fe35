"""A TOML document as text, as upstream's commands write it, with the comments of the text that it was read from.

Layout: the plain values of a table by name, then its tables by name, each header after an empty line; a level of tables
may be indented.  Upstream loses comments; here they stay with the key or header that they stood before or beside.
Source: what nvidia-ctk v1.20.0 writes for the same documents.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

Path = tuple[str, ...]
Table = Mapping[str, Any]
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_ESCAPED = re.compile('[\x00-\x1f"\\\\\x7f]')


class Number(str):
    """The place of a table in an array of tables, as a part of a path."""


class Commented(NamedTuple):
    """A value that is shown behind "#", so that a reader knows the key."""

    value: Any


class Remarks(NamedTuple):
    """The comments of a document, each with its "#".

    `first` heads the file and `last` ends it.  `before` has the lines above a key or a header, `beside` the one behind
    it; a table of an array of tables has its `Number` as the last part of its path.
    """

    first: tuple[str, ...] = ()
    before: Mapping[Path, tuple[str, ...]] = {}
    beside: Mapping[Path, str] = {}
    last: tuple[str, ...] = ()


NO_REMARKS = Remarks()


def to_toml(table: Table, *, indent: str = "", remarks: Remarks = NO_REMARKS) -> str:
    """The document.  `indent` is what a level of tables is indented by."""
    lines = [*remarks.first, *([""] if remarks.first else []), *_table(table, (), "", indent, remarks), *remarks.last]
    return "".join(f"{line}\n" for line in lines)


def _table(table: Table, path: Path, margin: str, indent: str, remarks: Remarks) -> Iterator[str]:
    for name in sorted(table):
        if not _is_tables(table[name]):
            yield from _plain(table[name], (*path, name), margin, remarks)
    for name in sorted(table):
        value, inner = table[name], (*path, name)
        if isinstance(value, Mapping):
            yield from _header(f"[{_dotted(inner)}]", inner, margin, remarks)
            yield from _table(value, inner, margin + indent, indent, remarks)
        elif _is_tables(value):
            for number, item in enumerate(value):
                place = (*inner, Number(number))
                yield from _header(f"[[{_dotted(inner)}]]", place, margin, remarks)
                yield from _table(item, place, margin + indent, indent, remarks)


def _header(text: str, path: Path, margin: str, remarks: Remarks) -> Iterator[str]:
    yield ""
    yield from (margin + line for line in remarks.before.get(path, ()))
    yield margin + _with(text, path, remarks)


def _plain(value: Any, path: Path, margin: str, remarks: Remarks) -> Iterator[str]:
    yield from (margin + line for line in remarks.before.get(path, ()))
    if isinstance(value, Commented):
        yield margin + f"#{_key(path[-1])} = {value_text(value.value)}"
    else:
        yield margin + _with(f"{_key(path[-1])} = {value_text(value)}", path, remarks)


def _with(text: str, path: Path, remarks: Remarks) -> str:
    beside = remarks.beside.get(path)
    return f"{text} {beside}" if beside else text


def _is_tables(value: Any) -> bool:
    """Whether a value is written as [table] or as [[tables]]."""
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)
    )


def _dotted(path: Path) -> str:
    """A path in a header; the numbers of arrays of tables, which only their paths have, stay out."""
    return ".".join(_key(name) for name in path if not isinstance(name, Number))


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def value_text(value: Any) -> str:
    """A plain value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {value_text(inner)}" for name, inner in value.items()) + "}"
    return str(value.isoformat()).replace("+00:00", "Z")  # a date, a time or both


def _float(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return "nan" if value != value else f"{value:+}"
    return f"{value:.1f}" if value == int(value) else format(Decimal(repr(value)), "f")


def _quoted(text: str) -> str:
    return '"' + _ESCAPED.sub(lambda found: _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04X}", text) + '"'
