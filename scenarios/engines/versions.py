"""Versions as they are compared: numbers, part by part; what follows the numbers does not count."""

import re


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
