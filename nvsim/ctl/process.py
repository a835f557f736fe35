"""`nvsim ctl process`: processes that come to a GPU and leave it."""

import contextlib
import os
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nvsim.board_events import NOT_MIG
from nvsim.board_gpu import PROCESSES, Gpu
from nvsim.ctl import processes
from nvsim.ctl.targets import Target, targets
from nvsim.ctl.words import Words, chosen
from nvsim.errors import NvsimError

KINDS = {"C": 1, "G": 2, "C+G": 3, "M": 4, "M+C": 4}  # as nvidia-smi prints them; an MPS client computes, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """A process on a GPU; `entry` is its row of the table.  `follow`: it stays as long as the process of that number
    on this machine lives, and so does the command."""

    gpu: str
    entry: dict[str, Any]
    follow: bool = False

    @property
    def endless(self) -> bool:
        return self.follow

    def apply(self, root: str) -> list[str]:
        """What happened, a line per GPU.  Raises NvsimError if it does not fit or is there already; then nothing has
        changed."""
        found = targets(root, self.gpu)
        pid = self.entry["pid"]
        with contextlib.ExitStack() as stack:
            alive = stack.enter_context(_opened(pid)) if self.follow else -1
            for one in found:
                _check(one, self.entry)
            for one in found:
                one.edit(self._added)
            if self.follow:
                _wait(alive)
                _remove(found, pid)
        return [f"{one.name}: process {pid} {'came and left' if self.follow else 'added'}" for one in found]

    def _added(self, gpu: Gpu) -> dict[str, Any]:
        return processes.table([*processes.rows(gpu), {**self.entry, "started": time.time_ns() // 1000}])


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """A process leaves a GPU; `pid` 0: all of them."""

    gpu: str
    pid: int

    def apply(self, root: str) -> list[str]:
        """What happened, a line per GPU.  Raises NvsimError if no GPU has the process."""
        found = targets(root, self.gpu)
        having = [one for one in found if any(self.pid in (0, row["pid"]) for row in processes.rows(one.gpu))]
        if self.pid and not having:
            raise NvsimError(f"no process {self.pid} is on it", source=f"gpu={self.gpu}")
        _remove(having, self.pid)
        return [f"{one.name}: {f'process {self.pid}' if self.pid else 'every process'} removed" for one in having]


def parse(words: Words) -> Add | Remove:
    """`add gpu=0 pid=4711 name=python memory=2GiB`, `remove gpu=0 pid=4711`, `remove gpu=all pid=all`."""
    what = chosen(words.bare[0] if words.bare else "", ("add", "remove"), "ctl process")
    if len(words.bare) != 1:
        raise NvsimError("expected NAME=VALUE", source=words.where(words.bare[1]),
                         hint="nvsim ctl process --help shows examples")
    if what == "remove":
        every = words.text("pid") == "all"
        return Remove(gpu=words.text("gpu"), pid=0 if every else words.number("pid", least=1, most=2**22))
    kind = KINDS[words.choice("type", tuple(KINDS), "C")]
    percents = {column: words.number(key, 0, most=100) for column, key in
                (("sm", "sm"), ("memory_utilization", "mem"), ("encoder", "enc"), ("decoder", "dec"))}
    name = words.text("name", "python")
    if len(name.encode()) > 63:
        raise NvsimError("a name has at most 63 bytes", source="ctl process: name")
    entry = {**dict.fromkeys((column.removeprefix("process_") for column in processes.COLUMNS), 0),
             "pid": words.number("pid", least=1, most=2**22), "kind": kind, "name": name,
             "memory": words.number("memory", 0, most=2**48),
             "gpu_instance": words.number("gi", NOT_MIG, most=14),
             "compute_instance": words.number("ci", NOT_MIG, most=7), **percents}
    follow = "until" in words.named and words.choice("until", ("exit",)) == "exit"
    return Add(gpu=words.text("gpu"), entry=entry, follow=follow)


def _check(one: Target, entry: dict[str, Any]) -> None:
    there = processes.rows(one.gpu)
    if any(row["pid"] == entry["pid"] for row in there):
        raise NvsimError(f"process {entry['pid']} is on it already", source=one.name)
    if len(there) == PROCESSES:
        raise NvsimError(f"a GPU has at most {PROCESSES} processes here", source=one.name)
    free = (one.gpu.memory_total or 0) - one.gpu.memory_reserved - one.gpu.memory_used
    if one.gpu.memory_total is not None and entry["memory"] > free:
        raise NvsimError(f"memory={entry['memory'] >> 20}MiB does not fit", source=one.name,
                         hint=f"{free >> 20}MiB are free")


def _remove(found: list[Target], pid: int) -> None:
    for one in found:
        one.edit(lambda gpu: processes.without(gpu, lambda row: pid in (0, row["pid"])))


@contextlib.contextmanager
def _opened(pid: int) -> Iterator[int]:
    """A descriptor of a living process.  Raises NvsimError if there is none of this number."""
    try:
        fd = os.pidfd_open(pid)
    except OSError as e:
        raise NvsimError(f"no such process here: {e.strerror}", source=f"ctl process: pid={pid}",
                         hint="leave until= away, or run it where the process runs") from e
    try:
        yield fd
    finally:
        os.close(fd)


def _wait(fd: int) -> None:
    """Until the process ends, or the command is interrupted."""
    with contextlib.suppress(KeyboardInterrupt):
        select.select([fd], [], [])
