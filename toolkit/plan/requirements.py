"""The --require expression language.  Source: libnvidia-container 1.20, `cli`.

    requirement := or-list                          term     := property operator value
    or-list     := and-list { ' ' and-list }        property := 'cuda' | 'driver' | 'arch' | 'brand'   (any case)
    and-list    := term { ',' term }                operator := '=' | '!=' | '<' | '<=' | '>' | '>='
"""

import re
from typing import NamedTuple

from toolkit.errors import RequestError
from toolkit.model.native import Gpu
from toolkit.plan.selection import Selection

_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
_TERM = re.compile(r"([^<>=!]+)([<>=!]+)([^<>=!].*)", re.DOTALL)
_DIGITS = 20  # of the largest number that fits 64 bits
_LONGEST_FALSE_TERM = 125  # characters; a longer one is reported as invalid
LIMIT = 32  # --require options per command


class Facts(NamedTuple):
    """What expressions are compared with.  `arch` and `brand` are "" where no device is under test."""

    cuda: str
    driver: str
    arch: str = ""
    brand: str = ""
    device: bool = False


def _invalid() -> RequestError:
    return RequestError("invalid expression", source="requirement error",
                        hint="write terms like cuda>=12.0,driver>=535 with spaces between alternatives")


def _components(version: str) -> list[int]:
    """The numbers of a version.  Several dots count as one, a trailing one is accepted, a leading one is not."""
    if not re.fullmatch(r"[0-9][0-9.]*", version, re.ASCII):
        raise _invalid()
    parts = [part.lstrip("0") or "0" for part in version.split(".") if part]
    if any(len(part) > _DIGITS or int(part) >> 64 for part in parts):
        raise _invalid()
    return [int(part) for part in parts]


def compare_versions(a: str, b: str) -> int:
    """-1, 0 or 1.  Component by component; 11 = 11.0 = 11.0.0 and 11.05 > 11.  Raises RequestError on other text."""
    left, right = _components(a), _components(b)
    length = max(len(left), len(right))
    left += [0] * (length - len(left))
    right += [0] * (length - len(right))
    return (left > right) - (left < right)


def _holds(term: str, facts: Facts) -> bool:
    match = _TERM.fullmatch(term)
    if not match:
        raise _invalid()
    name, operator, value = match[1].lower(), match[2], match[3]
    # The operator is looked up by as many characters as were written, so a lone "!" means "!=".
    operator = next((known for known in _OPERATORS if known.startswith(operator)), "")
    if not operator:
        raise _invalid()
    if name == "brand":
        if operator not in ("=", "!="):
            raise _invalid()
        return not facts.device or (facts.brand.lower() == value.lower()) == (operator == "=")
    if name not in ("cuda", "driver", "arch"):
        raise _invalid()
    if name == "arch" and not facts.device:
        return True
    order = compare_versions(getattr(facts, name), value)
    return {"=": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[
        operator]


def _checked(term: str, facts: Facts) -> bool:
    holds = _holds(term, facts)
    if not holds and len(term) > _LONGEST_FALSE_TERM:
        raise _invalid()
    return holds


def satisfied(requirement: str, facts: Facts) -> bool:
    """Whether one expression holds.  What follows the first true alternative is not read, not even for its syntax."""
    alternatives = [part for part in requirement.split(" ") if part]
    if not alternatives:
        return True
    return any(all(_checked(term, facts) for term in part.split(",") if term) for part in alternatives)


def _contexts(selection: Selection, gpus: tuple[Gpu, ...], cuda: str, driver: str) -> list[Facts]:
    """One evaluation per GPU, then one per MIG device with its parent's values; without any, one without a device."""
    parents = {gpu.index: gpu for gpu in gpus}
    under_test = [*selection.gpus, *(parents[mig.gpu_index] for mig in selection.migs)]
    facts = [Facts(cuda=cuda, driver=driver, arch=g.architecture, brand=g.brand, device=True) for g in under_test]
    return facts or [Facts(cuda=cuda, driver=driver)]


def check(
    requirements: tuple[str, ...], selection: Selection, gpus: tuple[Gpu, ...], *, cuda: str, driver: str
) -> None:
    """Raises RequestError unless every requirement holds for every selected device.

    The text names the first alternative of the failed requirement, whichever term was false."""
    for facts in _contexts(selection, gpus, cuda, driver):
        for requirement in requirements:
            if satisfied(requirement, facts):
                continue
            first = requirement.split(" ")[0]
            advice = ", please update your driver to a newer version, or use an earlier cuda container"
            raise RequestError(f"unsatisfied condition: {first}{advice if first.startswith('cuda>=') else ''}",
                               source="requirement error",
                               hint=f"this host has driver {driver} with CUDA {cuda}; "
                                    "NVIDIA_DISABLE_REQUIRE=1 skips the check")
