"""`nvsim ctl daemon-reload`: the device rules of running containers, applied again as systemd does it.

The wrapper of the low-level runtimes (nvsim/lowlevel.py) notes each container in a folder that only the machine itself
shows, so this works there and not from outside.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nvsim import device_rules
from nvsim.ctl.words import Words
from nvsim.errors import NvsimError

CONTAINERS = ".nvsim/scratch/containers"  # nvsim.lowlevel.CONTAINERS, below the built root


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonReload:
    """Containers lose the rights that something other than their engine gave them."""

    def apply(self, root: str) -> list[str]:
        """A line per container.  Raises NvsimError outside the machine, and for rules that the kernel refuses."""
        folder = f"{root}/{CONTAINERS}"
        if not os.path.isdir(os.path.dirname(folder)) or not os.path.exists(f"{os.path.dirname(folder)}/lowlevel"):
            raise NvsimError("containers are known only on the machine that they run on", source="ctl daemon-reload",
                             hint="run it in nvsim shell or nvsim exec")
        said = [_reload(noted, pid) for noted, pid in _running(folder)]
        return said or ["no container runs on this machine"]


def parse(words: Words) -> DaemonReload:
    """No words."""
    words.no_bare()
    return DaemonReload()


def _running(folder: str) -> Iterator[tuple[dict[str, Any], int]]:
    """The containers that run, with their process 1.  What was noted of others is removed."""
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        with contextlib.suppress(FileNotFoundError):  # another daemon-reload was faster
            with open(f"{folder}/{name}", encoding="utf-8") as f:
                noted = json.load(f)
            pid = _pid(noted)
            if pid:
                yield noted, pid
            else:
                os.unlink(f"{folder}/{name}")


def _pid(noted: dict[str, Any]) -> int:
    """Process 1 of a container as `state` has it, 0 if it does not run.  Fact: OCI runtime specification, State."""
    root = ["--root", noted["root"]] if noted["root"] else []
    done = subprocess.run([noted["program"], *root, "state", noted["id"]], capture_output=True, text=True, check=False)
    if done.returncode:
        return 0
    state = json.loads(done.stdout)
    return int(state.get("pid", 0)) if state.get("status") in ("created", "running", "paused") else 0


def _reload(noted: dict[str, Any], pid: int) -> str:
    with open(f"{noted['bundle']}/config.json", encoding="utf-8") as f:
        rules = device_rules.of_spec(json.load(f))
    device_rules.apply_again(_cgroup(pid), rules)
    return f"container {noted['id']}: {len(rules)} device rules"


def _cgroup(pid: int) -> str:
    """The control group of a process, in the v1 hierarchy of devices where there is one.  Fact: cgroups(7)."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as f:
        lines = [line.rstrip("\n").split(":", 2) for line in f]
    paths = {controllers: path for _, controllers, path in lines}
    v1 = next((path for controllers, path in paths.items() if "devices" in controllers.split(",")), None)
    return (v1 or paths.get("", "")).lstrip("/")
