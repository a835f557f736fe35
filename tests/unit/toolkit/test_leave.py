"""How a program that a launcher started ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = "import sys; sys.path.insert(0, sys.argv[1]); from toolkit.leave import leave; print('said'); leave({})"
HOME = str(Path(__file__).resolve().parents[3])


def ended(code: int, stdout: int = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-IS", "-c", CODE.format(code), HOME], stdout=stdout, stderr=subprocess.PIPE,
                          text=True, check=False)


@pytest.mark.parametrize("code", [0, 3])
def test_what_was_said_is_written_before_the_end(code: int) -> None:
    done = ended(code)
    assert (done.returncode, done.stdout, done.stderr) == (code, "said\n", "")


@pytest.mark.parametrize(("code", "then"), [(0, 1), (3, 3)])
def test_output_that_cannot_be_written_is_a_failure_with_its_cause(code: int, then: int) -> None:
    with open("/dev/full", "w") as full:
        done = ended(code, full.fileno())
    assert (done.returncode, done.stderr) == (then, "cannot write the output: No space left on device\n")


def test_a_reader_that_has_gone_is_told_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    done = ended(0, write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
