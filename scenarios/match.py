"""The three forms of an expectation: exact, contains (and lacks), matches.

A plain value means exact.  `{contains: …}`, `{lacks: …}` and `{matches: REGULAR EXPRESSION}` may be combined; each
takes one value or a list, and every member must hold.
"""

import re
from dataclasses import dataclass

from nvsim.errors import NvsimError
from scenarios.fields import Fields, describe, text_of, texts_of

FORMS = ("exact", "contains", "lacks", "matches")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What a text must be.  `exact` is None if it was not given; newlines at the end do not count."""

    exact: str | None = None
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()

    def differs(self, got: str) -> str:
        """How a text differs, readable on its own; "" if it fits."""
        lines = []
        if self.exact is not None and got.rstrip("\n") != self.exact.rstrip("\n"):
            lines.append(f"expected {self.exact!r}")
        lines += [f"expected to contain {part!r}" for part in self.contains if part not in got]
        lines += [f"expected not to contain {part!r}" for part in self.lacks if part in got]
        lines += [f"expected to match {part!r}" for part in self.matches if not re.search(part, got, re.M)]
        return "\n".join([*lines, f"got {shortened(got)}"]) if lines else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """What a set of strings must be; order does not count."""

    exact: tuple[str, ...] | None = None
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()

    def differs(self, got: tuple[str, ...]) -> str:
        """How a set differs: what is missing and what is too much, never the whole; "" if it fits."""
        lines = []
        if self.exact is not None:
            lines += [f"expected {item}, which is missing" for item in self.exact if item not in got]
            lines += [f"got {item}, which was not expected" for item in got if item not in self.exact]
        lines += [f"expected {item}, which is missing" for item in self.contains if item not in got]
        lines += [f"got {item}, which was not expected" for item in self.lacks if item in got]
        lines += [f"expected one that matches {part!r}, got {', '.join(got) or 'none'}"
                  for part in self.matches if not any(re.search(part, item) for item in got)]
        return "\n".join(lines)


def parse_text(value: object, source: str) -> Text:
    """A text's expectation; raises NvsimError with the key of what is wrong."""
    if not isinstance(value, dict):
        return Text(exact="" if value is None else text_of(value, source))
    fields = Fields(value, source, FORMS)
    return Text(exact=fields.text("exact") if "exact" in fields else None, contains=fields.texts("contains"),
                lacks=fields.texts("lacks"), matches=patterns(fields))


def parse_items(value: object, source: str) -> Items:
    """A set's expectation; a list means exact, so [] means none at all."""
    if not isinstance(value, dict):
        return Items(exact=texts_of([] if value is None else value, source))
    fields = Fields(value, source, FORMS)
    return Items(exact=fields.texts("exact") if "exact" in fields else None, contains=fields.texts("contains"),
                 lacks=fields.texts("lacks"), matches=patterns(fields))


def patterns(fields: Fields) -> tuple[str, ...]:
    """The regular expressions under `matches`; raises NvsimError for one that Python does not take."""
    found = fields.texts("matches")
    for part in found:
        try:
            re.compile(part)
        except (re.error, RecursionError, OverflowError) as e:
            raise NvsimError(f"not a regular expression: {describe(part)}: {e}", source=fields.at("matches")) from e
    return found


def shortened(text: str, limit: int = 1200) -> str:
    """A text for a report: as it is when short, else its end, where errors are."""
    return repr(text) if len(text) <= limit else f"(the last {limit} of {len(text)} characters) {text[-limit:]!r}"
