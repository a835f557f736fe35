"""`nvsim diff`: one case through two toolkits, and what a user of one sees that a user of the other does not."""

import argparse
import dataclasses
import os
import re
from typing import Any

from nvsim.errors import NvsimError
from scenarios import model, runner
from scenarios.engines import table
from scenarios.engines.session import NotRun
from scenarios.model import Case
from scenarios.outcome import Outcome
from scenarios.words import changes

OURS = "ours"
# What belongs to one run alone: its folder, the ids of its containers, times.
_OF_A_RUN = re.compile(r"/[^\s\"':,=]*/run-\w{8}(?:/\d{4})?|(?<=nvidia-ctk-hook)[0-9a-f-]{36}"
                       r"|nvsim-\d+-\d+-\d{4}-\d+|nvsim-\d{4}-\d+|\b[0-9a-f]{64}\b"
                       r"|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)?")
FACETS = ("started", "exit", "stdout", "stderr", "gpus", "cuda", "devices", "mounts", "files", "environment",
          "libraries", "hooks", "spec", "log", "left")
_CHATTER = ("info: ", "debug: ")  # of no consequence for a user


def main(argv: list[str]) -> int:
    """`nvsim diff`: 0 if both toolkits lead to the same, 1 if not.  Raises NvsimError if the case cannot be run."""
    parser = argparse.ArgumentParser(
        prog="nvsim diff", allow_abbrev=False,
        description="Runs a case with two toolkits and shows where they part, whatever the case expects.")
    parser.add_argument("case", metavar="CASE", help="as for nvsim run; with @MODE where a case has several modes")
    parser.add_argument("--toolkit", action="append", metavar="DIR", default=[],
                        help=f"given twice; {OURS!r} is the one that comes with nvsim; once: it and {OURS!r}")
    parser.add_argument("--complete", action="store_true", help="programs that a folder lacks are ours")
    parser.add_argument("--engine", default="runc", choices=tuple(table.ENGINES)[1:])
    options = parser.parse_args(argv)
    if not 1 <= len(options.toolkit) <= 2:
        raise NvsimError("give two toolkits", source="nvsim diff --toolkit", hint=f"--toolkit {OURS} --toolkit DIR")
    sides = [OURS, *options.toolkit][-2:]
    cases = model.select((options.case,))
    if len(cases) > 1:
        raise NvsimError("this names several cases", source=options.case, hint=", ".join(case.name for case in cases))
    found = [outcomes(cases[0], options.engine, side, complete=options.complete) for side in sides]
    lines = parted(cases[0], *found)
    print("\n".join(lines) if lines else "both toolkits lead to the same")
    return 1 if lines else 0


def outcomes(case: Case, engine: str, toolkit: str, *, complete: bool) -> list[Outcome]:
    """What each step of a case led to with one toolkit; a step that cannot be carried out any more ends the list."""
    reason = table.ENGINES[engine].unavailable()
    if reason:
        raise NvsimError(reason, source=f"nvsim diff --engine {engine}")
    found: list[Outcome] = []
    with runner.session("" if toolkit == OURS else toolkit, complete=complete) as tools:
        job, folder = runner.Job(case, table.ENGINES[engine]), f"{tools.folder}/0000"
        os.mkdir(folder)
        try:
            with job.engine.open(case, folder, tools) as opened:
                for step in case.steps:
                    expect = step.expect.at(*runner.places(job), known=runner.known(job, tools))
                    found.append(opened.do(step, expect))
        except (NvsimError, NotRun) as e:
            found.append(Outcome(level=job.engine.level, started=False, stderr=str(e)))
        return [_plain(outcome, tools.toolkit) for outcome in found]


def _plain(outcome: Outcome, toolkit: str) -> Outcome:
    """An outcome without what belongs to one run alone, and with the toolkit's folder under one name."""
    def plain(value: Any) -> Any:
        if isinstance(value, str):
            return _OF_A_RUN.sub("…", value.replace(toolkit, "TOOLKIT"))
        if isinstance(value, dict):
            return {plain(key): plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return plain(dataclasses.asdict(value)) if dataclasses.is_dataclass(value) and not isinstance(value, type) \
            else value

    return dataclasses.replace(outcome, **{facet: plain(getattr(outcome, facet)) for facet in FACETS})


def parted(case: Case, one: list[Outcome], other: list[Outcome]) -> list[str]:
    """The differences between two toolkits, by step, as lines: `-` the first toolkit's, `+` the second's."""
    lines: list[str] = []
    for number, step in enumerate(case.steps):
        if number >= max(len(one), len(other)):
            break
        if number >= min(len(one), len(other)):
            return [*lines, f"step {number + 1}: {step.line}: only one toolkit comes so far"]
        said = [line for facet in FACETS
                for line in _facet(facet, getattr(one[number], facet), getattr(other[number], facet))]
        lines += [f"step {number + 1}: {step.line}", *said] if said else []
    return lines


def _facet(facet: str, old: Any, new: Any) -> list[str]:
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return [f"  {facet}: {line.replace('expected', '-').replace(', got', '; +')}" for line in changes(old, new, "")]
    if isinstance(old, str) and isinstance(new, str):
        before, after = ([line for line in text.splitlines() if not line.startswith(_CHATTER)] for text in (old, new))
        return [f"  {facet}: - {line}" for line in before if line not in after] + \
            [f"  {facet}: + {line}" for line in after if line not in before]
    return [f"  {facet}: - {old!r}; + {new!r}"]
