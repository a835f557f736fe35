"""The words of `expect:`.  Each is one parser and one check; a level that cannot see a word says so.

A step without `exit` expects 0.  `but:` holds words that take another value in one mode, level or engine, or in some
versions of an engine or of the toolkit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from nvsim.errors import NvsimError
from scenarios import versions, words
from scenarios.fields import Fields, describe, mapping_of, nearest
from scenarios.outcome import NOT_STARTED, Outcome


class Word(NamedTuple):
    """One word of `expect:`: its parser, and its check, which gives the difference or "", None if it cannot be seen."""

    parse: Callable[[object, str], Any]
    differs: Callable[[Any, Outcome], str | None]


WORDS: dict[str, Word] = {
    "exit": Word(words.parse_exit, words.exit_differs),
    "stdout": Word(words.parse_text, words.stdout_differs),
    "stderr": Word(words.parse_text, words.stderr_differs),
    "gpus": Word(words.parse_gpus, words.gpus_differ),
    "cuda": Word(words.parse_gpus, words.cuda_differ),
    "devices": Word(words.parse_devices, words.devices_differ),
    "mounts": Word(words.parse_mounts, words.mounts_differ),
    "links": Word(words.parse_texts, words.links_differ),
    "files": Word(words.parse_files, words.files_differ),
    "environment": Word(words.parse_texts, words.environment_differs),
    "libraries": Word(words.parse_texts, words.libraries_differ),
    "hooks": Word(words.parse_hooks, words.hooks_differ),
    "spec": Word(words.parse_spec, words.spec_differs),
    "host": Word(words.parse_host, words.host_differs),
    "log": Word(words.parse_text, words.log_differs),
}
ENGINES = ("spec", "runc", "crun", "podman", "podman-rootless", "docker", "containerd", "cri")
PLACES = ("legacy", "cdi", "jit-cdi", "csv", "auto", "container", "engine", *ENGINES)
VERSIONED = ("toolkit", *ENGINES[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """The words of one step, parsed; `but` maps a mode, level, engine or condition on a version to the words that
    differ there."""

    words: dict[str, Any] = field(default_factory=dict)
    but: dict[str, dict[str, Any]] = field(default_factory=dict)

    def at(self, *places: str, known: Mapping[str, str] | None = None) -> "Expect":
        """The words that hold at a mode, level and engine, later places win; then those of the versions in `known` (of
        engine and "toolkit"), as the case has them one after the other."""
        found = dict(self.words)
        for place in places:
            found |= self.but.get(place, {})
        for place, other in self.but.items():
            condition = versions.condition(place)
            if condition and condition.holds((known or {}).get(condition.name, "")):
                found |= other
        return replace(self, words=found, but={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`differences` as (word, text), and the words that this level could not see."""

    differences: tuple[tuple[str, str], ...] = ()
    unseen: tuple[str, ...] = ()


def parse(value: object, source: str) -> Expect:
    """`expect:` of a step.  Raises NvsimError with the key and the nearest known word."""
    if value is None:
        return Expect(words={"exit": words.parse_exit(0, source)})
    fields = Fields(value, source, (*WORDS, "but"))
    found = {name: word.parse(fields.any(name), fields.at(name)) for name, word in WORDS.items() if name in fields}
    found.setdefault("exit", words.parse_exit(0, source))
    but = {}
    if "but" in fields:
        for place, inner in mapping_of(fields.any("but"), fields.at("but")).items():
            at = f"{fields.at('but')}.{place}"
            condition = versions.condition(place)
            if place not in PLACES and (not condition or condition.name not in VERSIONED):
                raise NvsimError(f"unknown key {describe(place)}", source=fields.at("but"),
                                 hint=f"{nearest(place, PLACES)} or a version: 'docker >=25', 'toolkit <1.18.1'")
            own = Fields(inner, at, WORDS)
            but[place] = {name: word.parse(own.any(name), own.at(name)) for name, word in WORDS.items() if name in own}
    return Expect(words=found, but=but)


def judge(expect: Expect, outcome: Outcome) -> Verdict:
    """Compares what was expected with what was seen.

    When the container unexpectedly did not start, that is the one difference: everything else would follow from it."""
    if not outcome.started and not words.allows(expect.words["exit"], NOT_STARTED):
        return Verdict(differences=(("exit", f"the container did not start\n{(outcome.stderr or '').strip()}"),))
    differences, unseen = [], []
    for name, value in expect.words.items():
        text = WORDS[name].differs(value, outcome)
        if text is None:
            unseen.append(name)
        elif text:
            differences.append((name, text))
    differences += [("host", f"{path}: this mount was left behind") for path in outcome.left]
    return Verdict(differences=tuple(differences), unseen=tuple(unseen))


def wanted(expect: Expect) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What a probe has to look at: paths in the container, libraries, paths on the host."""
    files = [*expect.words.get("files", {}), *expect.words.get("links", {})]
    libraries = list(expect.words.get("libraries", {}))
    return tuple(files), tuple(libraries), tuple(expect.words.get("host", {}))
