"""The comments of a TOML document and where they stand, by tomlkit: it costs 60 ms, a text without "#" none of them."""

import re
from collections.abc import Mapping
from typing import Any

from toolkit.errors import HostError
from toolkit.plan.toml_text import Number, Path, Remarks

# Strings before comments, so that a "#" within a string is not one.
_TOKEN = re.compile(r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL)


def remarks_of(text: str, shown: Mapping[tuple[Path, str], Path]) -> Remarks:
    """The comments of a document that tomllib has read.

    `shown` maps a table and a line "#key = value" to the key that such a line shows: it is no comment to keep, but
    the place that those before it belong to.
    """
    if "#" not in text:
        return Remarks()
    walk = _Walk(shown)
    walk.body(load_tomlkit().parse(text).body, ())
    return Remarks(first=tuple(walk.first), before=walk.before, beside=walk.beside, last=tuple(walk.pending))


def load_tomlkit() -> Any:
    """The module.  Raises HostError where it is not installed."""
    try:
        import tomlkit
    except ImportError:
        raise HostError("tomlkit is not installed: comments cannot be kept without it", source="python3",
                        hint="install it, e.g. python3 -m pip install tomlkit, and write the launchers again") from None
    return tomlkit


class _Walk:
    def __init__(self, shown: Mapping[tuple[Path, str], Path]) -> None:
        self._shown = shown
        self._start = True
        self.first: list[str] = []
        self.pending: list[str] = []
        self.before: dict[Path, tuple[str, ...]] = {}
        self.beside: dict[Path, str] = {}

    def body(self, body: list[tuple[Any, Any]], path: Path) -> None:
        """Goes through the entries of a table in the order of the text."""
        from tomlkit import items

        for key, item in body:
            if isinstance(item, items.Comment):
                self._comment(item.trivia.comment, path)
            elif isinstance(item, items.Whitespace):
                if self._start and self.pending and "\n" in item.s:  # an empty line: they head the file
                    self.first, self.pending, self._start = self.pending, [], False
            elif key is not None:
                self._entry((*path, key.key), item)

    def _comment(self, text: str, path: Path) -> None:
        if (key := self._shown.get((path, text))) is not None:
            self._start = False
            self._attach(key)
        else:
            self.pending.append(text.rstrip())

    def _entry(self, path: Path, item: Any) -> None:
        from tomlkit import items

        if isinstance(item, items.AoT):
            for number, table in enumerate(item.body):
                self._table((*path, Number(number)), table)
        elif isinstance(item, items.Table):
            self._table(path, item)
        else:
            inner = _TOKEN.findall(item.as_string()) if isinstance(item, items.Array | items.InlineTable) else []
            self.pending += [token.rstrip() for token in inner if token.startswith("#")]
            self._attach(path, item.trivia.comment)

    def _table(self, path: Path, table: Any) -> None:
        if not table.is_super_table():
            self._attach(path, table.trivia.comment)
        self.body(table.value.body, path)

    def _attach(self, path: Path, beside: str = "") -> None:
        self._start = False
        if self.pending:
            self.before[path] = (*self.before.get(path, ()), *self.pending)
            self.pending = []
        if beside:
            self.beside[path] = beside
