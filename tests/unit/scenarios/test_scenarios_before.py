"""scenarios/engines/before.py: a specification is generated once for machines that are alike, and only for those."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scenarios import model
from scenarios.engines import before
from scenarios.engines.session import Tools
from scenarios.images import Store
from scenarios.outcome import Outcome

LINE = "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
CASE = model.parse(f"about: x\nhost: t4x1\nmode: cdi\nbefore: [{LINE}]\nsteps: [{{run: docker run debian}}]\n",
                   "c.yaml")[0]


class OneMachine:
    """A machine whose /etc is a folder; its shell writes what it was told and counts."""

    def __init__(self, root: Path, case: model.Case = CASE) -> None:
        self.case, self.level, self.ran, self._root = case, "container", 0, root

    def shell(self, line: str) -> Outcome:
        self.ran += 1
        self.write("/etc/cdi/nvidia.yaml", f"made by {self._root.name}")
        return Outcome(level="container", exit=0)

    def outside(self, path: str) -> str:
        return f"{self._root}{path}"

    def write(self, path: str, text: str) -> None:
        os.makedirs(os.path.dirname(self.outside(path)), exist_ok=True)
        Path(self.outside(path)).write_text(text)

    def read(self, path: str) -> str:
        return Path(self.outside(path)).read_text()


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(folder=str(tmp_path), images=Store(str(tmp_path / "images")), toolkit="/opt/a", probe="")


def second(tmp_path: Path, tools: Tools, other: Tools, case: model.Case = CASE) -> Any:
    """Another machine, after one that was first."""
    first, later = OneMachine(tmp_path / "first"), OneMachine(tmp_path / "later", case)
    assert before.done(first, 0, tools).exit == 0 and first.ran == 1  # type: ignore[arg-type]
    assert before.done(later, 0, other).exit == 0  # type: ignore[arg-type]
    return later


def test_a_machine_like_an_earlier_one_gets_its_file(tmp_path: Path, tools: Tools) -> None:
    later = second(tmp_path, tools, tools)
    assert (later.ran, later.read("/etc/cdi/nvidia.yaml")) == (0, "made by first")


def test_another_toolkit_generates_its_own(tmp_path: Path, tools: Tools) -> None:
    assert second(tmp_path, tools, replace(tools, toolkit="/opt/b")).ran == 1


def test_another_configuration_generates_its_own(tmp_path: Path, tools: Tools) -> None:
    assert second(tmp_path, tools, tools, replace(CASE, config={"nvidia-ctk": {"path": "/x"}})).ran == 1


@pytest.mark.parametrize("line", [
    "nvidia-ctk cdi list", "nvidia-ctk cdi generate", f"{LINE} > /dev/null", f"X=1 {LINE}",
    f"{LINE} --output=/etc/other.yaml", "nvidia-ctk cdi generate --output=here.yaml"])
def test_any_other_command_is_run(line: str) -> None:
    assert before.output_of(line) == ""
    assert before.output_of(LINE) == "/etc/cdi/nvidia.yaml"
