"""`nvsim run` on this machine: real containers, and nothing of them afterwards."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import REPOSITORY, STAYS, command, leftovers, run

pytestmark = pytest.mark.host

GOOD = """
about: one GPU of one
host: t4x1
mode: jit-cdi
steps:
  - run: docker run --rm --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=all debian
    expect: {gpus: [0], devices: {/dev/nvidia0: rw}}
"""


@pytest.mark.parametrize("engine", ["runc", "crun"])
def test_a_case_passes_in_a_real_container(engine: str, tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("root", engine)
    (tmp_path / "good.yaml").write_text(GOOD)
    done = run(tmp_path / "state", str(tmp_path / "good.yaml"), "--engine", engine)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout and leftovers(tmp_path / "state") == []


def test_a_broken_expectation_fails_with_the_difference_and_the_line_that_reopens_it(
        tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("root", "runc")
    (tmp_path / "bad.yaml").write_text(GOOD.replace("gpus: [0]", "gpus: []"))
    done = run(tmp_path / "state", str(tmp_path / "bad.yaml"), "--engine", "runc")
    assert done.returncode == 1
    assert "gpus: got GPU 0 (GPU-" in done.stdout
    assert f"again: nvsim keep {tmp_path}/bad.yaml --engine runc --step 1" in done.stdout


def test_level_spec_needs_no_engine(tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("root")
    (tmp_path / "good.yaml").write_text(GOOD)
    done = run(tmp_path / "state", str(tmp_path / "good.yaml"), "--level", "spec")
    assert done.returncode == 0 and "spec" in done.stdout, done.stdout + done.stderr


def hears_interrupts() -> None:
    """A shell starts what runs in the background deaf to SIGINT, and so would be what that starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(tmp_path: Path) -> "subprocess.Popen[bytes]":
    """A run whose container is up, and that waits."""
    marker = tmp_path / "marker"
    (tmp_path / "sleeps.yaml").write_text(STAYS.format(marker=marker))
    process = subprocess.Popen(command(tmp_path / "state", str(tmp_path / "sleeps.yaml"), "--engine", "runc"),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=REPOSITORY,
                               preexec_fn=hears_interrupts)
    deadline = time.monotonic() + 60
    while not marker.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_takes_everything_down_itself(number: signal.Signals, tmp_path: Path,
                                                         requires: Callable[..., None]) -> None:
    requires("root", "runc")
    process = started(tmp_path)
    process.send_signal(number)
    assert process.wait(30) == 130
    assert leftovers(tmp_path / "state") == []


def test_what_a_killed_run_left_is_gone_after_the_next(tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("root", "runc")
    process = started(tmp_path)
    process.kill()
    process.wait()
    (tmp_path / "good.yaml").write_text(GOOD)
    assert run(tmp_path / "state", str(tmp_path / "good.yaml"), "--engine", "runc").returncode == 0
    assert leftovers(tmp_path / "state") == []


def test_every_case_holds_at_level_spec_or_says_why_it_is_not_run_there(tmp_path: Path) -> None:
    outside_ci = {name: value for name, value in os.environ.items() if name != "CI"}  # there, not run is a failure
    done = subprocess.run(command(tmp_path / "state", "--level", "spec"), capture_output=True, text=True, check=False,
                          cwd=REPOSITORY, env=outside_ci)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed, " in done.stdout
