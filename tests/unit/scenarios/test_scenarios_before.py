"""scenarios/engines/before.py: which commands of `before:` need not be run again, and on which machine."""

import os
from pathlib import Path
from typing import cast

import pytest

from scenarios import model
from scenarios.engines import before
from scenarios.engines.on_machine import OnMachine
from scenarios.engines.session import Tools
from scenarios.images import Store
from scenarios.outcome import Outcome

GENERATE = "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"


class Machine:
    """A machine of a case in a folder, whose shell writes the number of the command into the file."""

    level = "container"
    ran: list[str] = []  # of all machines

    def __init__(self, root: Path, text: str) -> None:
        self.root, self.case = root, model.parse(text, "case.yaml")[0]

    def shell(self, line: str) -> Outcome:
        self.ran.append(line)
        self.write(before.output_of(line) or "/other", f"{len(self.ran)}")
        return Outcome(level="container", exit=0)

    def outside(self, path: str) -> str:
        return f"{self.root}{path}"

    def write(self, path: str, text: str) -> None:
        os.makedirs(os.path.dirname(self.outside(path)), exist_ok=True)
        Path(self.outside(path)).write_text(text)

    def read(self, path: str) -> str:
        return Path(self.outside(path)).read_text()


def test_a_specification_is_written_once_for_machines_that_are_alike(tmp_path: Path) -> None:
    tools = Tools(folder=str(tmp_path), images=Store(str(tmp_path / "images")), toolkit="", probe="")
    Machine.ran.clear()

    def specification(name: str, text: str) -> str:
        machine = Machine(tmp_path / name, text)
        for number in range(len(machine.case.before)):
            assert before.done(cast(OnMachine, machine), number, tools).exit == 0
        return machine.read("/etc/cdi/nvidia.yaml")

    plain = f"about: x\nhost: t4x1\nmode: cdi\nbefore: [{GENERATE}]\nsteps: [{{host: 'true'}}]\n"
    assert specification("first", plain) == "1"
    os.chmod(tmp_path / "first/etc/cdi/nvidia.yaml", 0o600)
    assert specification("second", plain) == "1" and len(Machine.ran) == 1
    assert specification("other-host", plain.replace("t4x1", "a100x8")) == "2"
    assert specification("other-mode", plain.replace("mode: cdi", "mode: jit-cdi")) == "3"
    changed = plain.replace(f"[{GENERATE}]", f"['rm /dev/nvidia0', {GENERATE}]")
    assert [specification("changed", changed), specification("again", changed)] == ["5", "7"]


@pytest.mark.parametrize("line", [
    f"{GENERATE} && true", f"X=1 {GENERATE}", "nvidia-ctk cdi generate", f"{GENERATE} --output=/b", f"{GENERATE} > /a",
    "nvidia-ctk cdi generate --output=a.yaml", "nvidia-ctk cdi list --output=/a", f"{GENERATE}; rm /dev/nvidia0",
    "nvidia-ctk cdi generate --output=$X", f"{GENERATE}\nrm /dev/nvidia0"])
def test_any_other_command_is_run_each_time(line: str) -> None:
    assert before.output_of(line) == ""
    assert before.output_of(f"{GENERATE} --vendor=management.nvidia.com") == "/etc/cdi/nvidia.yaml"
