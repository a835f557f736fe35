"""nvidia-container-cli configure in real containers, with each of its system calls made to fail, and killed at each.

`faults.py` refuses the N-th call of all processes of the command; `sweep.py`, a prestart hook, compares container and
host before and after.  Calls that each mount makes are refused at some of their places, any other call at each.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from legacy_runc import Host

pytestmark = pytest.mark.host
HERE = Path(__file__).resolve().parent
REQUEST = ("configure", "--ldconfig=@/sbin/ldconfig", "--utility", "--graphics", "--device=0:1")
STRIDES = {"openat2": 20, "open_tree": 7, "move_mount": 7, "mount_setattr": 7, "mkdirat": 3, "openat": 4, "capset": 2}
EIO, ENOSPC = 5, 28
STEMS = ("initialization error: ", "permission error: ", "detection error: ", "container error: ", "mount error: ",
         "ldcache error: ")
# ldconfig only warns; rights that a finished command did not give up; a look whether an earlier run was here; a program
# is loaded once more, for the verifier's log.
OPTIONAL = {"symlink", "mkdir", "capset", "openat2", "bpf"}


@pytest.fixture(scope="module", params=["v1", "v2"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    from conftest import requires

    requires("root", "runc", "busybox", "zig")
    if request.param == "v1" and not Path("/sys/fs/cgroup/devices").exists():
        pytest.skip("the devices controller of cgroup v1 is not mounted")
    with Host(tmp_path_factory.mktemp("faults"), "a100x8-mig", cgroup=request.param) as machine:
        yield machine


def sweep(host: Host, at: list[int], *, errno: int = EIO, kill: bool = False) -> list[dict[str, Any]]:
    """What happened at each of the calls, in as many containers as it takes."""
    found: list[dict[str, Any]] = []
    while len(found) < len(at):
        bundle = host.bundle("", "true")
        root = str(bundle / "rootfs")
        options = {"repository": str(HERE.parents[1]), "rootfs": root, "at": at[len(found):], "errno": errno,
                   "kill": kill, "version": 2 if host.cgroup == "v2" else 1,
                   "command": [host.cli, *REQUEST, "--pid={PID}", root]}
        (bundle / "OPTIONS.json").write_text(json.dumps(options))
        (bundle / "hook").write_text(f"#!/bin/sh\nexec {sys.executable} -IS {HERE}/sweep.py {bundle}\n")
        outcome = host.run(bundle)
        assert outcome.returncode == 0, outcome.stderr
        found += json.loads((bundle / "results.json").read_text())
    return found


@pytest.fixture(scope="module")
def whole(host: Host) -> dict[str, Any]:
    """A configure without a fault."""
    (one,) = sweep(host, [0])
    assert one["exit"] == 0 and one["ended"] and one["difference"], one
    return one


def places(calls: list[str], version: str) -> list[int]:
    """Which calls to refuse.  On cgroup v2 those that it has of its own: the others are as on v1."""
    if version == "v2" and Path("/sys/fs/cgroup/devices").exists():
        return [number for number, name in enumerate(calls, 1) if name == "bpf"]
    seen: Counter[str] = Counter()
    chosen = []
    for number, name in enumerate(calls, 1):
        if seen[name] % STRIDES.get(name, 1) == 0:
            chosen.append(number)
        seen[name] += 1
    return chosen


def test_each_call_that_fails_leaves_container_and_host_as_they_were(host: Host, whole: dict[str, Any]) -> None:
    wrong = []
    for one in sweep(host, places(whole["calls"], host.cgroup)):
        said = one["stderr"].removeprefix("nvidia-container-cli: ")
        if one["exit"] == 0:
            complete = (one["points"], one["difference"]["rules"]) == (whole["points"], whole["difference"]["rules"])
            good = complete and one["what"].split()[0] in OPTIONAL
        else:
            good = one["exit"] == 1 and not one["difference"] and said != one["stderr"] and said.startswith(STEMS)
        if not good or not one["ended"] or "OSError" in said or "Traceback" in said:
            wrong.append(f"{one['call']} {one['what']}: exit {one['exit']}, {said!r}, {one['difference'] or ''}")
    assert wrong == []


def test_a_full_disk_is_named_and_leaves_nothing(host: Host, whole: dict[str, Any]) -> None:
    first = whole["calls"].index("mkdirat") + 1
    (one,) = sweep(host, [first], errno=ENOSPC)
    assert one["exit"] == 1 and "no space left on device" in one["stderr"] and not one["difference"], one


def test_killed_at_a_call_it_leaves_nothing_on_the_host_and_a_second_run_completes(
    host: Host, whole: dict[str, Any]
) -> None:
    """What a killed command did to the container stays, as nobody is there to undo it; the next run completes it."""
    wrong = []
    for one in sweep(host, places(whole["calls"], host.cgroup)[3::9], kill=True):
        clean = one["exit"] == 137 and one["ended"] and not [key for key in one["difference"] if key.startswith("host")]
        if not clean or (one["again"]["exit"], one["again"]["stderr"]) != (0, "") or one["points"] != whole["points"]:
            again = one["again"]
            missing = [point for point in whole["points"] if point not in one["points"]]
            stacked = [point for point in one["points"] if point not in whole["points"]]
            wrong.append(f"{one['call']} {one['what']}: exit {one['exit']}, then {again['exit']} {again['stderr']!r}, "
                         f"missing {missing}, too many {stacked}, left {one['ended']} {one['difference']}")
    assert wrong == []
