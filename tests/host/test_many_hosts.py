"""Hundreds of hosts, one after the other: nothing of any of them stays."""

import os
from pathlib import Path

import pytest

from nvsim import build, profile
from nvsim.machine import Machine

pytestmark = pytest.mark.host


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


def test_two_hundred_hosts_are_built_and_removed_and_nothing_is_left(tmp_path: Path) -> None:
    small = profile.load("t4x1")
    before, shown = descriptors(), mounts()
    for i in range(200):
        root = str(tmp_path / f"host{i % 7}")
        assert build.build(small, root).gpus
        build.remove(root)
    assert list(tmp_path.iterdir()) == []
    assert (descriptors(), mounts()) == (before, shown)


def test_twenty_hosts_at_once_are_entered_and_left_and_removed(tmp_path: Path) -> None:
    small, shown = profile.load("t4x1"), mounts()
    roots = [str(tmp_path / f"host{i}") for i in range(20)]
    for root in roots:
        build.build(small, root)
    machines = [Machine(root) for root in roots]
    for machine in machines:
        machine.__enter__()
        assert "Tesla T4" in machine.run(["nvidia-smi", "-L"]).stdout
    pids = [machine.pid for machine in machines]
    for machine, root in zip(machines, roots, strict=True):
        machine.close()
        build.remove(root)
    assert list(tmp_path.iterdir()) == []
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    assert mounts() == shown
