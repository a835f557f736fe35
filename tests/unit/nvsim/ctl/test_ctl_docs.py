"""docs/live.md: what it shows is what `nvsim ctl` understands."""

import re
import shlex
from pathlib import Path

import pytest

from nvsim import xids
from nvsim.ctl import verbs

DOCS = (Path(__file__).resolve().parents[4] / "docs/live.md").read_text()
TYPED = [re.sub(r"--host \S+ ", "", line) for line in re.findall(r"^nvsim ctl (.+?)(?:  .*)?$", DOCS, re.M)]
TABLE = [line for row in re.findall(r"^\| (`[^|]+) \|", DOCS, re.M) for line in re.findall(r"`([^`]+)`", row)
         if line.split()[0] in verbs.VERBS]


@pytest.mark.parametrize("line", [*TYPED, *TABLE])
def test_every_line_of_the_documentation_is_understood(line):
    assert verbs.parse(shlex.split(line))


def test_the_documentation_has_every_verb():
    assert set(verbs.VERBS) - {line.split()[0] for line in [*TYPED, *TABLE]} == set()


def test_the_documentation_says_of_every_xid_that_has_consequences_what_they_are():
    table = DOCS.partition("| codes |")[2].partition("others of the list")[0]
    named = {int(code) for code in re.findall(r"\b\d+\b", re.sub(r"\| [^|]*\|$", "|", table, flags=re.M))}
    named |= {code for first, last in re.findall(r"(\d+)–(\d+)", table) for code in range(int(first), int(last) + 1)}
    harmful = {code for code, one in xids.xids().items()
               if one.gpu or one.ends or one.memory or one.link or one.corrected}
    assert harmful - named == set()
