"""YAML as people write profiles and catalogues: text, lists and mappings, nothing else.

A scalar stays the text it is written as, so that `driver: 495.46` and `driver: 510.10` keep their digits; whoever
reads a value says what it must be.  Anchors, tags and duplicate keys are errors: a file shows what it means.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from nvsim.errors import NvsimError

Value = str | list["Value"] | dict[str, "Value"]
LIMIT = 1024 * 1024  # bytes of a file
DEPTH = 20  # lists and mappings inside each other
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def read(text: str | bytes, source: str) -> Value:
    """The value of a YAML text; an empty text is an empty mapping.

    Raises NvsimError with file and line for anything that is not such a value."""
    if len(text) > LIMIT:
        raise NvsimError(f"larger than {LIMIT // 1024} KiB", source=source)
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        events = iter(yaml.parse(decoded, Loader=_LOADER))
        values = [_value(event, events, source, 0) for event in events if _starts_value(event)]
    except UnicodeError as e:
        raise NvsimError("not UTF-8 text", source=source) from e
    except yaml.YAMLError as e:
        raise _syntax_error(e, source) from e
    if len(values) > 1:
        raise NvsimError("several documents in one file", source=source, hint="remove the lines that are ---")
    return values[0] if values and values[0] != "" else {}


def _starts_value(event: Any) -> bool:
    return not isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent,
                                  yaml.DocumentEndEvent))


def _syntax_error(error: Exception, source: str) -> NvsimError:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML")
    return NvsimError(problem, source=f"{source}:{mark.line + 1}" if mark else source)


def _value(event: Any, events: Iterator[Any], source: str, depth: int) -> Value:
    where = f"{source}:{event.start_mark.line + 1}"
    if isinstance(event, yaml.AliasEvent) or event.anchor:
        raise NvsimError("anchors and aliases are not used here", source=where, hint="write the value out")
    if event.tag and event.tag != "!":
        raise NvsimError(f"the tag {event.tag} is not used here", source=where)
    if depth > DEPTH:
        raise NvsimError(f"more than {DEPTH} lists and mappings inside each other", source=where)
    if isinstance(event, yaml.ScalarEvent):
        return "" if event.value in ("~", "null") and not event.style else str(event.value)
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Value] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_value(event, events, source, depth + 1))
        return items
    return _mapping(events, source, depth)


def _mapping(events: Iterator[Any], source: str, depth: int) -> dict[str, Value]:
    found: dict[str, Value] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        where = f"{source}:{event.start_mark.line + 1}"
        key = _value(event, events, source, depth + 1)
        if not isinstance(key, str):
            raise NvsimError("a key must be text", source=where)
        if key in found:
            raise NvsimError(f"the key {key} occurs twice", source=where)
        found[key] = _value(next(events), events, source, depth + 1)
    return found


class Keys:
    """Takes values out of a mapping, key by key, each as what it must be; errors name the key and what is expected.

    `source` is what stands in front of the key in errors: the file, or "file: gpus[0]"."""

    def __init__(self, value: object, source: str, known: tuple[str, ...]) -> None:
        """Raises NvsimError if the value is no mapping, or has a key that is not known."""
        if not isinstance(value, Mapping):
            raise NvsimError(f"expected keys and values, got {kind(value)}", source=source)
        self._values, self._source = value, source
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
                raise NvsimError(f"unknown key {str(key)[:60]!r}", source=source,
                                 hint=f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def where(self, key: str) -> str:
        """File and key, for an error's source."""
        return f"{self._source}: {key}"

    def raw(self, key: str) -> Any:
        """The value as it was read; None if the key is absent."""
        return self._values.get(key)

    def text(self, key: str, default: str = "") -> str:
        """A text; the default if the key is absent."""
        return text(self._values.get(key, default), self.where(key))

    def flag(self, key: str, *, default: bool) -> bool:
        """true or false."""
        value = self._values.get(key, default)
        words = {"true": True, "yes": True, "false": False, "no": False}
        if isinstance(value, bool):
            return value
        if not isinstance(value, str) or value.lower() not in words:
            raise NvsimError(f"expected true or false, got {kind(value)}", source=self.where(key))
        return words[value.lower()]

    def integer(self, key: str, default: int, least: int, most: int) -> int:
        """A decimal number within bounds."""
        return integer(self._values.get(key, default), self.where(key), least, most)

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        """One of several words; the default if the key is absent."""
        value = self.text(key, default)
        if value not in choices:
            raise NvsimError(f"expected one of {', '.join(choices)}; got {value[:60]!r}", source=self.where(key))
        return value

    def items(self, key: str) -> list[tuple[str, Any]]:
        """The members of a list, each with its place in the file for errors; none if the key is absent."""
        value = self._values.get(key, [])
        if not isinstance(value, list):
            raise NvsimError(f"expected a list, got {kind(value)}", source=self.where(key))
        return [(f"{self.where(key)}[{number}]", item) for number, item in enumerate(value)]

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; none if the key is absent."""
        return tuple(text(item, where) for where, item in self.items(key))


def text(value: object, source: str) -> str:
    """The value, if it is text or a whole number.  Raises NvsimError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise NvsimError(f"expected text, got {kind(value)}", source=source, hint="quote it")
    if "\0" in value:
        raise NvsimError("a NUL character", source=source)
    return value


def integer(value: object, source: str, least: int, most: int) -> int:
    """The value, if it is a whole number within bounds, as number or text.  Raises NvsimError otherwise."""
    digits = value if isinstance(value, str) else str(value) if type(value) is int else ""
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and least <= int(digits) <= most:
        return int(digits)
    raise NvsimError(f"expected a whole number from {least} to {most}, got {kind(value)}", source=source)


def kind(value: object) -> str:
    """What a value is, for errors; never longer than a line."""
    if isinstance(value, str):
        return repr(value[:60]) if value else "nothing"
    return {dict: "keys and values", list: "a list", type(None): "nothing"}.get(type(value), repr(value)[:60])
