"""YAML as people write it, read with care: every error names the file, the key and the nearest known key."""

import difflib
import re
from collections.abc import Iterable

import yaml

from nvsim import document
from nvsim.errors import NvsimError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str | bytes, source: str) -> object:
    """The value of a YAML document, with numbers, true and false.

    `nvsim.document` says what YAML may hold here.  Raises NvsimError for anything else, and for a scalar that looks
    like a type it is not: 2001-99-99 is no date."""
    document.read(text, source)
    try:
        return yaml.load(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError, AttributeError, LookupError) as e:
        raise NvsimError(f"not valid YAML: {' '.join(str(e).split())}", source=source,
                         hint="quote values that look like dates") from e


def describe(value: object) -> str:
    """A value as an error message shows it: short, on one line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(word: object, known: Iterable[str]) -> str:
    """A hint that names the known word nearest to one that is not known."""
    words = sorted(known)
    close = difflib.get_close_matches(str(word), words, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(words)}"


class Fields:
    """One mapping, read key by key.  `source` is the way to it, such as "case.yaml: steps[0].expect"."""

    def __init__(self, value: object, source: str, known: Iterable[str]) -> None:
        if not isinstance(value, dict):
            raise NvsimError(f"expected a mapping, got {describe(value)}", source=source)
        self.source, self._value, self._known = source, value, tuple(known)
        for key in value:
            if key not in self._known:
                raise NvsimError(f"unknown key {describe(key)}", source=source, hint=nearest(key, self._known))

    def at(self, key: str) -> str:
        """The source of a key's value."""
        return f"{self.source}.{key}" if ": " in self.source else f"{self.source}: {key}"

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def any(self, key: str, default: object = None) -> object:
        """The value as YAML gave it."""
        return self._value.get(key, default)

    def text(self, key: str, default: str | None = None) -> str:
        """A string; a number is taken as written.  Raises NvsimError if it is missing and has no default."""
        if key not in self._value:
            if default is None:
                raise NvsimError(f"{key!r} is missing", source=self.source)
            return default
        return text_of(self._value[key], self.at(key))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; one string counts as a list of one."""
        return texts_of(self._value.get(key, []), self.at(key))

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._value.get(key, default)
        if not isinstance(value, bool):
            raise NvsimError(f"expected true or false, got {describe(value)}", source=self.at(key))
        return value

    def mapping(self, key: str) -> dict[str, object]:
        """A mapping with string keys, empty if absent."""
        return mapping_of(self._value.get(key, {}), self.at(key))

    def items(self, key: str) -> list[tuple[object, str]]:
        """The members of a list, each with its source."""
        value = self._value.get(key, [])
        if not isinstance(value, list):
            raise NvsimError(f"expected a list, got {describe(value)}", source=self.at(key))
        return [(item, f"{self.at(key)}[{i}]") for i, item in enumerate(value)]


def text_of(value: object, source: str) -> str:
    """A string, or a number as written."""
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return str(value)
    raise NvsimError(f"expected a string, got {describe(value)}", source=source, hint="put it in quotes")


def texts_of(value: object, source: str) -> tuple[str, ...]:
    """A list of strings; one string counts as a list of one."""
    if isinstance(value, list):
        return tuple(text_of(item, f"{source}[{i}]") for i, item in enumerate(value))
    return (text_of(value, source),)


def mapping_of(value: object, source: str) -> dict[str, object]:
    """A mapping with string keys."""
    if not isinstance(value, dict):
        raise NvsimError(f"expected a mapping, got {describe(value)}", source=source)
    return {text_of(key, source): item for key, item in value.items()}


def path_of(value: object, source: str) -> str:
    """An absolute path without "." and ".."; raises NvsimError for any other string."""
    path = text_of(value, source)
    if not path.startswith("/") or "\0" in path or re.search(r"/\.{1,2}(/|$)", path):
        raise NvsimError(f"expected an absolute path, got {describe(path)}", source=source)
    return path
