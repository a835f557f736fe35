"""`kill -9` of `nvsim run` at any moment: after the next run nothing of it is left."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.host
MOMENTS = 20


def leftovers(state):
    """Mounts, processes, control groups and files that belong to runs in the state folder, or to any run at all."""
    found = [name for name in os.listdir(state) if name != ".gate"]
    with open("/proc/self/mountinfo") as f:
        found += [line for line in f if state in line]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                command = f.read()
        except OSError:
            continue
        if state.encode() in command:
            found.append(f"process {pid}: {command!r}")
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found += [f"{folder}/{name}" for name in names if name.startswith("nvsim-")]
    return found


def test_a_killed_run_leaves_nothing_after_the_next_one(tmp_path, requires):
    requires("root", "runc", "crun", "busybox")
    state = str(tmp_path / "state")
    environment = {**os.environ, "NVSIM_STATE": state}
    command = [sys.executable, "-m", "nvsim", "run", "-j", "2", "--level", "container"]
    chance = random.Random(20)
    for _ in range(MOMENTS):
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            time.sleep(chance.uniform(0.05, 3.0))
            run.send_signal(signal.SIGKILL)
    last = subprocess.run([*command, "--family", "selection"], env=environment, capture_output=True, text=True)
    assert last.returncode == 0, last.stdout + last.stderr
    deadline = time.monotonic() + 10  # the kernel takes down a dead machine's namespaces in its own time
    while leftovers(state) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert leftovers(state) == []
