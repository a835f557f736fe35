"""Drafts of bug reports, the texts in the shape of those of public trackers, run in real containers and show what the
reporter saw."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from nvsim import cli

pytestmark = pytest.mark.host
REPORTS = sorted((Path(__file__).resolve().parents[1] / "corpus" / "reports").iterdir())
# The reporter's toolkit was older: this one starts the container, without GPUs, as NVIDIA's does since.
REPAIRED = {"must-gather"}


def test_every_drafted_case_runs_in_containers_and_fails_as_the_reporters_did(tmp_path: Path,
                                                                             requires: Callable[..., None]) -> None:
    requires("root", "runc")
    cases = {path.stem: str(tmp_path / f"{path.stem}.yaml") for path in REPORTS}
    for path in REPORTS:
        assert cli.main(["draft", str(path), "-o", cases[path.stem]]) == 0
    assert cli.main(["run", "--engine", "runc", "--junit", str(tmp_path / "run.xml"), *cases.values()]) == 1
    results = {Path(case.get("name", "").partition(" ")[0].partition("@")[0]).stem: case
               for case in ET.parse(tmp_path / "run.xml").iter("testcase")}
    assert set(results) == set(cases)
    assert len(cases) >= 10
    assert {name for name, case in results.items() if len(case.findall("failure"))} == REPAIRED
    assert [name for name, case in results.items() if case.find("skipped") is not None
            or case.find("error") is not None] == []
