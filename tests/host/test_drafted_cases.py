"""Drafts of bug reports run in real containers and show what the reporter saw."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nvsim import cli

pytestmark = pytest.mark.host
REPORTS = Path(__file__).resolve().parents[1] / "corpus" / "reports"


@pytest.mark.parametrize("report", ["lost-after-reload.md", "mismatch-after-upgrade.md", "stale-cdi-spec.md"])
def test_a_drafted_case_fails_in_a_container_as_the_reporters_did(report: str, tmp_path: Path,
                                                                  requires: Callable[..., None]) -> None:
    requires("root", "runc")
    case = str(tmp_path / "case.yaml")
    assert cli.main(["draft", str(REPORTS / report), "-o", case]) == 0
    assert cli.main(["run", "--engine", "runc", case]) == 0
