"""docs/for-nvml-authors.md does what it says: its files are written, its tests and its commands run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = "pytester"
pytestmark = pytest.mark.host
DOC = (Path(__file__).parents[2] / "docs" / "for-nvml-authors.md").read_text()
FILES = {match[2]: match[1] for match in re.finditer(r"```python\n(# (\S+\.py)\n.*?)```", DOC, re.DOTALL)}
CONSOLES = [match[1] for match in re.finditer(r"```console\n(.*?)```", DOC, re.DOTALL)]


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


def steps(console: str) -> list[tuple[str, list[str]]]:
    """Commands, each with the lines that the page shows of its output."""
    found: list[tuple[str, list[str]]] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [(command, lines) for command, lines in found if " pip install " not in command]


def expression(lines: list[str]) -> str:
    """What the output must match: … stands for any text, alone in a line for any lines."""
    parts = ["(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in lines]
    return "".join(parts) if lines else "(?:.*\n)*"


@pytest.mark.parametrize("console", CONSOLES, ids=["exec", "in-place"])
def test_the_commands_of_the_page_print_what_it_shows(console: str, project: Path) -> None:
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    for command, lines in steps(console):
        done = subprocess.run(["sh", "-c", command], cwd=project, env={**os.environ, "PATH": path}, text=True,
                              capture_output=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert re.fullmatch(expression(lines), done.stdout), f"{command}\n{done.stdout}"
