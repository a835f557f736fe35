"""Versions as they are compared, numbers part by part, and conditions on them, such as `docker >=25.0, <28`.

What follows the numbers of a version does not count."""

import re
from dataclasses import dataclass

_ONE = r"(?:<=|>=|==|<|>) *[0-9]+(?:\.[0-9]+)*"
_CONDITION = re.compile(rf"([a-z][a-z-]*) +({_ONE}(?: *, *{_ONE})*)")
_TEST = re.compile(r"(<=|>=|==|<|>) *([0-9.]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The version of `name`, an engine or "toolkit", has to pass every test, each an operator and a version."""

    name: str
    tests: tuple[tuple[str, str], ...]

    def holds(self, version: str) -> bool:
        """Whether a version passes.  One that is not known passes none."""
        return bool(key(version)) and all(_holds(compare(version, wanted), sign) for sign, wanted in self.tests)


def condition(text: str) -> Condition | None:
    """The condition that a text states; None if it states none."""
    found = _CONDITION.fullmatch(text)
    return Condition(name=found[1], tests=tuple(_TEST.findall(found[2]))) if found else None


def _holds(order: int, sign: str) -> bool:
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0, "==": order == 0}[sign]


def key(version: str) -> tuple[int, ...]:
    """The numbers of a version: 20.10.24+dfsg1 → (20, 10, 24)."""
    found = re.match(r"v?([0-9]{1,9}(?:\.[0-9]{1,9})*)", version)
    return tuple(map(int, found[1].split("."))) if found else ()


def at_least(version: str, wanted: str) -> bool:
    """Whether a version is `wanted` or later; 1.18 counts as 1.18.0."""
    return compare(version, wanted) >= 0


def compare(one: str, other: str) -> int:
    """-1, 0 or 1."""
    left, right = key(one), key(other)
    length = max(len(left), len(right))
    padded = [(*numbers, *([0] * (length - len(numbers)))) for numbers in (left, right)]
    return (padded[0] > padded[1]) - (padded[0] < padded[1])
