"""Public reports and the cases that replay them: nothing known is without a case or a reason."""

import re
from pathlib import Path

import pytest

from scenarios import model
from scenarios.draft import known

DOC = Path(__file__).resolve().parents[3] / "docs" / "not-reproduced.md"
FAMILIES = ("legacy-hook", "ldcache", "device-nodes-cgroups", "rootless", "compat-requirements", "security",
            "configure", "imex-nvswitch")


@pytest.fixture(scope="module")
def replayed() -> set[str]:
    """The reports that cases are about."""
    return {case.report for case in model.cases()}


@pytest.fixture(scope="module")
def refused() -> set[str]:
    """The reports that docs/not-reproduced.md gives a reason for."""
    return set(re.findall(r"^\| (.+?) \|", DOC.read_text(), re.MULTILINE)) - {"report"}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_report_whose_error_is_known_has_a_case_or_a_reason(
        family: str, replayed: set[str], refused: set[str]) -> None:
    reports = {entry.report for entry in known.catalogue() if entry.family == family}
    assert reports - replayed - refused == set()


def test_no_report_has_both_a_case_and_a_reason_against_one(replayed: set[str], refused: set[str]) -> None:
    assert "CVE-2026-24260" in refused
    assert replayed & refused == set()
