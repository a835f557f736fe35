"""The public reports whose error texts are nearest to a reporter's.  known_errors.yaml is the catalogue."""

import functools
import math
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from scenarios import model
from scenarios.fields import Fields, load

CATALOGUE = Path(__file__).resolve().parent.parent / "known_errors.yaml"
NEAR = 0.55  # share of a known text that must be found
MOST = 3
# What differs between two reports of one bug: UUIDs, the program's two names, and numbers, which are no words.
_VARIES = re.compile(r"(?:MIG-|GPU-)*(?:…|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|\.real\b")
_WORD = re.compile(r"[A-Za-z][A-Za-z_.-]{2,}")


class Known(NamedTuple):
    """One report: tracker and number, family, and the text that programs print there."""

    report: str
    family: str
    error: str


class Near(NamedTuple):
    """A known report, how much of its text was found (0 to 1), and the case that replays it, "" if none does."""

    known: Known
    score: float
    case: str


@functools.cache
def catalogue() -> tuple[Known, ...]:
    """Every entry of known_errors.yaml.  Raises NvsimError for a key that is missing or unknown."""
    items = Fields({"known": load(CATALOGUE.read_bytes(), CATALOGUE.name)}, CATALOGUE.name, ("known",)).items("known")
    found = []
    for item, at in items:
        fields = Fields(item, at, Known._fields)
        found.append(Known(*(fields.text(key) for key in Known._fields)))
    return tuple(found)


@functools.cache
def _weights() -> dict[str, float]:
    """Rare words tell more."""
    counts = Counter(word for known in catalogue() for word in set(_words(known.error)))
    return {word: math.log(1 + len(catalogue()) / count) for word, count in counts.items()}


def _words(text: str) -> list[str]:
    return [word.lower().rstrip(".") for word in _WORD.findall(_VARIES.sub(" ", text))]


def nearest(error: str) -> tuple[Near, ...]:
    """The reports that say most of the same, the nearest first; a report appears once."""
    given, weights = set(_words(error)), _weights()
    best: dict[str, tuple[float, Known]] = {}
    for known in catalogue():
        words = set(_words(known.error)) | given & set(weights)
        whole = sum(weights[word] for word in words)
        score = sum(weights[word] for word in set(_words(known.error)) & given) / whole if whole else 0.0
        if score >= NEAR and score > best.get(known.report, (0.0, known))[0]:
            best[known.report] = (score, known)
    ordered = sorted(best.values(), key=lambda pair: (-pair[0], pair[1].report))[:MOST]
    return tuple(Near(known, score, _replays().get(known.report, "")) for score, known in ordered)


@functools.cache
def _replays() -> dict[str, str]:
    """Report → the first case that replays it."""
    return {case.report: case.name.partition("@")[0] for case in reversed(model.cases())}
