"""`nvsim run` as tests start it, and what such a run must not leave."""

import glob
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# A case with a container that stays, until somebody ends the run: {marker} is written when the container is up.
STAYS = """
about: a container that stays
host: t4x1
mode: jit-cdi
steps:
  - run: docker run -d --name stays --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=all debian sleep 1000
  - host: echo reached > {marker}; sleep 1000
"""


def command(state: Path, *words: str) -> list[str]:
    """The command line of a run with a state folder of its own."""
    return ["env", f"NVSIM_STATE={state}", sys.executable, "-m", "nvsim", "run", *words]


def run(state: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(state, *words), capture_output=True, text=True, check=False, cwd=REPOSITORY,
                          timeout=300)


def leftovers(state: Path) -> list[str]:
    """Mounts, control groups, processes and files that an ended run with this state folder may have left.

    A control group has its run's process in its name: those of runs that still go on are none."""
    found = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(state) in line]
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            found += [path] if os.fsencode(state) in Path(path).read_bytes() else []
        except OSError:
            continue
    groups = glob.glob("/sys/fs/cgroup/nvsim-*") + glob.glob("/sys/fs/cgroup/*/nvsim-*")
    ended = [group for group in groups if not os.path.exists(f"/proc/{os.path.basename(group).split('-')[1]}")]
    return [*found, *ended, *glob.glob(f"{state}/run-*")]
