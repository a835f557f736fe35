"""Control groups of containers: their names tell whose they are, so that a later run finds those of dead runs."""

import contextlib
import os
import re

MOUNT = "/sys/fs/cgroup"
_NAME = re.compile(r"nvsim-(\d+)-(\d+)-.*")


def name(label: str) -> str:
    """A control group's name for a container of this process: nvsim-PID-START-LABEL.

    START is when the process began, in clock ticks since boot: a later process may get the same PID."""
    return f"nvsim-{os.getpid()}-{_started(os.getpid())}-{label}"


def sweep() -> list[str]:
    """Removes the control groups of processes that are gone; their paths.  None can hold processes any more: those died
    with their machine."""
    removed = []
    for hierarchy in (MOUNT, *_folders(MOUNT)):
        for path in _folders(hierarchy):
            found = _NAME.fullmatch(os.path.basename(path))
            if found and _started(int(found[1])) != int(found[2]):
                remove(path)
                removed.append(path)
    return removed


def remove_own(label: str) -> None:
    """Removes what is left of one control group of this process."""
    for hierarchy in (MOUNT, *_folders(MOUNT)):
        remove(f"{hierarchy}/{name(label)}")


def remove(path: str) -> None:
    """Removes a control group and those below it; one that is still in use stays."""
    for inner in _folders(path):
        remove(inner)
    with contextlib.suppress(OSError):
        os.rmdir(path)


def _folders(path: str) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _started(pid: int) -> int:
    """When a process began, -1 if there is none.  Fact: proc_pid_stat(5), field 22; the name may hold blanks."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return int(f.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return -1
