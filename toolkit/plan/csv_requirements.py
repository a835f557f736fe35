"""NVIDIA_REQUIRE_* in mode csv, which the runtime checks itself: another language than that of the container CLI.

    requirement := term { ' ' term }          any of them holds
    term        := factor { ',' factor }      all of them hold
    factor      := property operator value    one of an unknown property is passed over

Source: toolkit v1.20, internal/requirements.  A version that is not known is lower than every other.
"""

import re
from typing import NamedTuple

from toolkit.errors import RequestError
from toolkit.plan.semver import NONE, version_of

VERSIONS, STRINGS = ("arch", "cuda", "driver"), ("brand",)
OPERATORS = ("!=", "<=", ">=", "=", "<", ">")
HINT = "write terms like cuda>=12.0,arch>=8.7 with spaces between alternatives"
SKIP = "NVIDIA_DISABLE_REQUIRE=1 skips the check"


class Facts(NamedTuple):
    """What this machine has; "" for what is not known."""

    cuda: str = ""
    arch: str = ""
    driver: str = ""
    brand: str = ""


class _Factor(NamedTuple):
    name: str
    operator: str
    value: str

    def __str__(self) -> str:
        return self.name + self.operator + self.value


def check(requirements: tuple[str, ...], facts: Facts) -> None:
    """Raises RequestError, with upstream's text, unless every requirement holds."""
    for requirement in [_parsed(text) for text in requirements if text.strip()]:
        _check(requirement, facts)


def _parsed(text: str) -> tuple[tuple[_Factor, ...], ...]:
    terms = (tuple(_factors(term)) for term in text.split(" "))
    return tuple(term for term in terms if term)


def _factors(term: str) -> "Iterator[_Factor]":
    for text in term.split(","):
        if not text.strip():
            continue
        found = re.search("[<>=!]", text)
        if not found:
            raise RequestError(f"invalid constraint: {text}", source="requirements not met", hint=HINT)
        name, rest = text[: found.start()], text[found.start() :]
        operator = next((operator for operator in OPERATORS if rest.startswith(operator)), "")
        value = rest[len(operator) :]
        if name in VERSIONS and version_of(value) is None:
            raise RequestError(f"invailid value {value}; expected a valid version string", source=text, hint=HINT)
        if name in (*VERSIONS, *STRINGS):
            yield _Factor(name=name, operator=operator, value=value)


def _check(terms: tuple[tuple[_Factor, ...], ...], facts: Facts) -> None:
    if len(terms) == 1:
        for factor in terms[0]:
            if not _holds(factor, facts):
                actual = getattr(facts, factor.name)
                raise RequestError(f"unsatisfied condition: {factor} ({factor.name}={actual})", hint=SKIP)
    elif terms and not any(all(_holds(factor, facts) for factor in term) for term in terms):
        text = "||".join("&&".join(map(str, term)) for term in terms)
        raise RequestError(f"{text} not met", hint=SKIP)


def _holds(factor: _Factor, facts: Facts) -> bool:
    key = _text_key if factor.name in STRINGS else _version_key
    left, right = key(getattr(facts, factor.name)), key(factor.value)
    answers = {
        "=": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }
    if factor.operator not in answers:
        raise RequestError(f"invalid operator {factor.operator}", source=str(factor), hint=HINT)
    return answers[factor.operator]


def _text_key(text: str) -> "tuple[Any, ...]":
    return (text.encode(errors="surrogateescape"),)


def _version_key(text: str) -> "tuple[Any, ...]":
    return version_of(text) or NONE


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any
