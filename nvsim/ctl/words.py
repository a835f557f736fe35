"""The words of a change: `gpu=0 79 pid=4711` → named and bare ones, each of them known.

`--for 60s` is another way to write `for=60s`.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nvsim.errors import NvsimError

_UNITS = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_NUMBER = re.compile(r"(-?[0-9]+|0x[0-9a-fA-F]+)(KiB|MiB|GiB|)")
_TIME = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,3})?)(s|m|h|)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """`verb` is what errors name; `bare` are the words without =, `named` those with."""

    verb: str
    bare: tuple[str, ...]
    named: Mapping[str, str]

    def where(self, key: str) -> str:
        """Verb and key, for an error's source."""
        return f"ctl {self.verb}: {key}"

    def text(self, key: str, default: str | None = None) -> str:
        """The value of a key.  Raises NvsimError if it is missing and there is no default."""
        value = self.named.get(key, default)
        if not value:
            raise NvsimError(f"{key}= is missing", source=f"ctl {self.verb}",
                             hint=f"nvsim ctl {self.verb} --help shows examples")
        return value

    def number(self, key: str, default: int | None = None, *, least: int = 0, most: int = 2**32 - 1) -> int:
        """A number within bounds, with or without KiB, MiB, GiB.  Raises NvsimError for anything else."""
        if key not in self.named and default is not None:
            return default
        value = number(self.text(key), self.where(key))
        if not least <= value <= most:
            raise NvsimError(f"expected {least} to {most}, got {value}", source=self.where(key))
        return value

    def choice(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of several words.  Raises NvsimError that names the nearest."""
        return chosen(self.text(key, default), choices, self.where(key))

    def seconds(self, key: str, default: float) -> float:
        """A time in seconds, minutes or hours: 90, 90s, 1.5m, 2h.  Raises NvsimError for anything else."""
        if key not in self.named:
            return default
        found = _TIME.fullmatch(self.named[key])
        if not found:
            raise NvsimError(f"expected a time, got {self.named[key]!r}", source=self.where(key),
                             hint="such as 90s, 1.5m, 2h")
        return float(found[1]) * _SECONDS[found[2]]

    def no_bare(self) -> None:
        """Raises NvsimError if there is a word without =."""
        if self.bare:
            raise NvsimError("expected NAME=VALUE", source=self.where(self.bare[0]),
                             hint=f"nvsim ctl {self.verb} --help shows examples")


def split(verb: str, words: Sequence[str], known: Sequence[str]) -> Words:
    """Raises NvsimError for a key that is not known, with the nearest, and for one that occurs twice."""
    bare, named = [], dict[str, str]()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--") and "=" not in word and rest:
            word = f"{word[2:]}={rest.pop(0)}"
        name, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            bare.append(word)
            continue
        chosen(name, known, f"ctl {verb}")
        if name in named:
            raise NvsimError(f"{name}= occurs twice", source=f"ctl {verb}")
        named[name] = value
    return Words(verb=verb, bare=tuple(bare), named=named)


def chosen(value: str, choices: Sequence[str], source: str) -> str:
    """The value, if it is one of the choices.  Raises NvsimError that names the nearest."""
    if value in choices:
        return value
    near = difflib.get_close_matches(value, choices, n=1, cutoff=0.5)
    raise NvsimError(f"{value[:60]!r} is not known here", source=source,
                     hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(choices)}")


def number(value: str, source: str, hint: str = "") -> int:
    """A number: decimal, 0x…, or a size such as 10GiB.  Raises NvsimError for anything else."""
    found = _NUMBER.fullmatch(value)
    if not found or len(value) > 30:
        raise NvsimError(f"expected a number, got {value[:60]!r}", source=source, hint=hint)
    return int(found[1], 0 if found[1].startswith("0x") else 10) * _UNITS[found[2]]
