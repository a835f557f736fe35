"""NVIDIA_REQUIRE_* as the runtime itself evaluates them, in csv mode.  Source: toolkit v1.20, internal/requirements.

    requirement := term { " " term }      terms are alternatives
    term        := factor { "," factor }  factors hold together
    factor      := property operator value

nvidia-container-cli has a language of its own for the same strings: `toolkit.plan.requirements`.
"""

import re
from typing import Any, NamedTuple

from toolkit.errors import RequestError
from toolkit.plan.semver import NONE, version_of

OPERATORS = ("!=", "<=", ">=", "=", "<", ">")  # in the order in which they are tried
VERSIONS = ("cuda", "arch", "driver")
HINT = "NVIDIA_DISABLE_REQUIRE=1 runs the image all the same"


class Facts(NamedTuple):
    """What is compared with; "" where it is not known.  Upstream never learns `driver` and `brand`."""

    cuda: str = ""
    arch: str = ""
    driver: str = ""
    brand: str = ""


class Factor(NamedTuple):
    property: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.property}{self.operator}{self.value}"


def check(requirements: tuple[str, ...], facts: Facts) -> tuple[str, ...]:
    """Notes on what was passed over.  Raises RequestError "unsatisfied condition: …" or "… not met"."""
    notes: list[str] = []
    for requirement in requirements:
        terms = [_term(text, notes) for text in requirement.split(" ")]
        terms = [term for term in terms if term]
        if terms:
            _check(terms, facts)
    return tuple(notes)


def _check(terms: list[tuple[Factor, ...]], facts: Facts) -> None:
    """One requirement: one of the terms has to hold."""
    failures = []
    for term in terms:
        failed = next((factor for factor in term if not _holds(factor, facts)), None)
        if failed is None:
            return
        failures.append(failed)
    if len(failures) == 1:
        name = failures[0].property
        raise RequestError(f"unsatisfied condition: {failures[0]} ({name}={getattr(facts, name)})", hint=HINT)
    shown = "||".join("&&".join(map(str, term)) for term in terms)
    raise RequestError(f"{shown} not met", hint=HINT)


def _term(text: str, notes: list[str]) -> tuple[Factor, ...]:
    factors = (_factor(part, notes) for part in text.split(",") if part.strip())
    return tuple(factor for factor in factors if factor)


def _factor(text: str, notes: list[str]) -> Factor | None:
    """A factor; None for a property that nobody knows."""
    found = re.search("[<>=!]", text)
    if not found:
        raise RequestError(f"invalid constraint: {text}", hint="write PROPERTY OPERATOR VALUE, as in cuda>=12.0")
    name, rest = text[: found.start()], text[found.start() :]
    operator = next((known for known in OPERATORS if rest.startswith(known)), "")
    value = rest[len(operator) :]
    if name not in (*VERSIONS, "brand"):
        notes.append(f"Skipping unsupported constraint: {text}")
        return None
    if name in VERSIONS and version_of(value) is None:
        raise RequestError(f"invailid value {value}; expected a valid version string", hint="write a version, as 12.0")
    return Factor(name, operator, value)


def _holds(factor: Factor, facts: Facts) -> bool:
    actual = getattr(facts, factor.property)
    if not factor.operator:
        raise RequestError("invalid operator ", hint=f"write one of {' '.join(OPERATORS)}")
    left: Any = actual
    right: Any = factor.value
    if factor.property != "brand":
        left, right = version_of(actual) or NONE, version_of(factor.value) or NONE
    return bool({"!=": left != right, "<=": left <= right, ">=": left >= right, "=": left == right,
                 "<": left < right, ">": left > right}[factor.operator])
