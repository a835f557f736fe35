"""docs/for-nvml-authors.md does what it says: its files are written, its tests and its commands run."""

import re
from pathlib import Path

import consoles
import pytest

pytest_plugins = "pytester"
pytestmark = pytest.mark.host
DOC = (Path(__file__).parents[2] / "docs" / "for-nvml-authors.md").read_text()
FILES = {match[2]: match[1] for match in re.finditer(r"```python\n(# (\S+\.py)\n.*?)```", DOC, re.DOTALL)}
CONSOLES = [text for _, text in consoles.blocks(DOC, "console")]


@pytest.fixture
def project(pytester: pytest.Pytester) -> Path:
    """The example project of the page."""
    for name, text in FILES.items():
        (pytester.path / name).write_text(text)
    return pytester.path


def test_the_page_has_a_program_tests_and_commands() -> None:
    assert set(FILES) == {"gpu_metrics.py", "test_gpu_metrics.py", "test_in_process.py", "conftest.py"}
    assert len(CONSOLES) == 2


def test_the_tests_of_the_page_pass(project: Path, pytester: pytest.Pytester) -> None:
    done = pytester.runpytest_subprocess("-p", "nvsim.pytest_plugin", "--strict-markers", "-W", "error")
    done.assert_outcomes(passed=13)


def test_the_session_fixture_of_the_page_is_a_host(project: Path, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_dgx(dgx):
            assert dgx.run(["nvidia-smi", "-L"]).stdout.count("H100") == 8
    """)
    pytester.runpytest_subprocess("-p", "nvsim.pytest_plugin", "-k", "dgx").assert_outcomes(passed=1, deselected=13)


@pytest.mark.parametrize("console", CONSOLES, ids=["exec", "in-place"])
def test_the_commands_of_the_page_print_what_it_shows(console: str, project: Path) -> None:
    consoles.check(console, project)
