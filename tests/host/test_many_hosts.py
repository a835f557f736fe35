"""Many hosts: each costs the same, and nothing of any of them stays."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nvsim import build, profile
from nvsim.machine import Machine

pytestmark = pytest.mark.host


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


class Events:
    """Counts what CPython audits: files that are opened, made, linked and removed, folders that are read.

    A hook cannot be taken away again, so it counts only in a `with`."""

    def __init__(self) -> None:
        self.count, self._on = 0, False
        sys.addaudithook(self._seen)

    def _seen(self, event: str, _: object) -> None:
        if self._on and (event == "open" or event.startswith("os.")):
            self.count += 1

    def __enter__(self) -> "Events":
        self.count, self._on = 0, True
        return self

    def __exit__(self, *_: object) -> None:
        self._on = False


EVENTS = Events()


def cost(work: Callable[[], object]) -> int:
    with EVENTS:
        work()
    return EVENTS.count


def test_the_thirtieth_host_costs_what_the_first_one_did_and_nothing_is_left(tmp_path: Path) -> None:
    """With all of them there; a thousand of them, by the clock: tox -e bench -- --hosts."""
    small = profile.load("t4x1")
    build.build(small, str(tmp_path / "first"))  # reads the catalogue and the compiled parts
    build.remove(str(tmp_path / "first"))
    before, shown = descriptors(), mounts()
    roots = [str(tmp_path / f"host{i}") for i in range(30)]
    built = {cost(lambda root=root: build.build(small, root)) for root in roots}
    removed = {cost(lambda root=root: build.remove(root)) for root in roots}
    assert len(built) == len(removed) == 1
    assert min(built) > 200
    assert list(tmp_path.iterdir()) == []
    assert (descriptors(), mounts()) == (before, shown)


def test_the_cost_grows_by_the_same_with_each_gpu(tmp_path: Path) -> None:
    def of(gpus: int) -> int:
        wanted = profile.of({"driver": "550.54.15", "gpus": [{"model": "T4", "count": gpus}]}, "gpus")
        return cost(lambda: build.build(wanted, str(tmp_path / f"gpus{gpus}")))

    of(3)
    one, two, four, eight = map(of, (1, 2, 4, 8))
    each = two - one
    assert each > 0
    assert eight <= 1.02 * (four + 4 * each)
    assert four <= 1.02 * (two + 2 * each)


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
