"""Semantic versions as Go's golang.org/x/mod/semver orders them; minor and patch may be missing."""

import re
from typing import NamedTuple

_VERSION = re.compile(
    r"v?(0|[1-9]\d*)(?:\.(0|[1-9]\d*)(?:\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
    r"(?:\+[0-9A-Za-z.-]+)?)?)?", re.ASCII)
_LONGEST = 18  # digits of a number


class Version(NamedTuple):
    """Sorts as its version does: a pre-release, whose `release` is 0, below its release.

    The parts of a pre-release compare as numbers or as text, numbers first.
    """

    major: int
    minor: int
    patch: int
    release: int
    pre: tuple[tuple[int, int, str], ...]


NONE = Version(-1, 0, 0, 0, ())
"""Below every version: what a text that is none compares as."""


def version_of(text: str) -> Version | None:
    """The version that a text is, with or without a leading "v"; None if it is none."""
    found = _VERSION.fullmatch(text)
    if not found or any(len(part or "") > _LONGEST for part in found.groups()[:3]):
        return None
    major, minor, patch = (int(part or 0) for part in found.groups()[:3])
    if found[4] is None:
        return Version(major, minor, patch, 1, ())
    parts = tuple((0, int(part[:_LONGEST]), "") if part.isdecimal() else (1, 0, part) for part in found[4].split("."))
    return Version(major, minor, patch, 0, parts)
