"""`nvsim ctl xid`: an error of the driver, with what follows from it."""

import functools
from dataclasses import dataclass
from typing import Any

from nvsim.board_events import NOT_MIG, XID, Event, raised
from nvsim.board_gpu import LINKS, Gpu
from nvsim.ctl import config_space, health, kernel_log, links, memory_errors, processes
from nvsim.ctl.targets import Target, targets
from nvsim.ctl.words import Words
from nvsim.errors import NvsimError
from nvsim.xids import RECOVERY, Xid, xid, xids

RECOVERY_CHANGED = 154
_ACTIONS = ("None", "GPU Reset Required", "Node Reboot Required", "Drain P2P", "Drain and Reset")


@dataclass(frozen=True, slots=True, kw_only=True)
class Happens:
    """An Xid on a GPU.  `pid` and `process` are whom the kernel log names, `link` the NVLink it is about, -1 the first
    that is up; the instances are those of a MIG device."""

    gpu: str
    xid: Xid
    pid: int = 0
    process: str = ""
    link: int = -1
    gpu_instance: int = NOT_MIG
    compute_instance: int = NOT_MIG

    def apply(self, root: str) -> list[str]:
        """What happened: a line per GPU, and the line of the kernel log.

        Raises NvsimError if a GPU cannot have this error; then nothing has changed."""
        found = targets(root, self.gpu)
        for one in found:
            self._check(one)
        return [line for one in found for line in self._on(one)]

    def _check(self, one: Target) -> None:
        if one.gpu.fault == health.LOST:
            raise NvsimError("this GPU is lost, so it has no errors any more", source=one.name,
                             hint="nvsim ctl recover")
        if self.xid.needs == "ecc":
            memory_errors.check(one, f"Xid {self.xid.code}")
        if self.xid.needs == "nvlink":
            links.check(one, self.link)

    def _on(self, one: Target) -> list[str]:
        link = links.first_up(one.gpu) if self.link < 0 else self.link
        recovery = _recovery(one, self.xid)
        one.edit(functools.partial(self._changes, link, bool(recovery)))
        if self.xid.gpu == "lost":
            config_space.hide(one.root, one.gpu.bus_id)
        line = log_line(self.xid, one, self.pid, self.process or _name(one.gpu, self.pid), link)
        return [f"{one.name}: Xid {self.xid.code}, {self.xid.name}",
                *(kernel_log.append(one.root, text) for text in (line, recovery) if text)]

    def _changes(self, link: int, recovery: bool, gpu: Gpu) -> dict[str, Any]:
        """New values of the record.  Events keep the order in which a driver reports them: ECC, the Xid, and that the
        recovery action changed."""
        values: dict[str, Any] = {}
        events: list[Event] = []
        for kind, where, count in (("uncorrected", "dram", self.xid.dram), ("uncorrected", "sram", self.xid.sram),
                                   ("corrected", "dram", self.xid.corrected)):
            if count:
                values |= memory_errors.counted(gpu, kind, where, count)
                events += memory_errors.events(kind, count)
        if self.xid.memory:
            values |= memory_errors.repair(gpu, self.xid.memory, "uncorrected")
        if self.xid.ends:
            everyone = self.xid.ends == "all"
            values |= processes.without(gpu, lambda entry: everyone or entry["pid"] == self.pid)
        if self.xid.link and link >= 0:
            values |= links.failed(gpu, link)
        if self.xid.recovery:
            values["recovery_action"] = RECOVERY[self.xid.recovery]
        if self.xid.gpu:
            values["fault"] = health.LOST if self.xid.gpu == "lost" else health.RESET_REQUIRED
        about = Event(type=XID, data=self.xid.code, gpu_instance=self.gpu_instance,
                      compute_instance=self.compute_instance)
        after = [Event(type=XID, data=RECOVERY_CHANGED)] if recovery else []
        return values | raised(gpu, *events, about, *after)


def parse(words: Words) -> Happens:
    """`gpu=0 79`, with pid=, name=, link=, gi=, ci=."""
    if len(words.bare) != 1 or not words.bare[0].isdecimal() or not words.bare[0].isascii():
        raise NvsimError("expected one Xid number", source="ctl xid", hint="nvsim ctl xid gpu=0 79")
    return Happens(gpu=words.text("gpu"), xid=xid(int(words.bare[0][:9])), pid=words.number("pid", 0, most=2**22),
                   process=words.text("name", "?").strip("?"), link=words.number("link", -1, most=LINKS - 1),
                   gpu_instance=words.number("gi", NOT_MIG, most=14),
                   compute_instance=words.number("ci", NOT_MIG, most=7))


def log_line(what: Xid, one: Target, pid: int, process: str, link: int) -> str:
    """The line of the kernel log, as public reports show it: without a process both its places say <unknown>."""
    who = f"pid={pid}, name={process or '<unknown>'}" if pid else "pid='<unknown>', name=<unknown>"
    text = what.says.replace("{link}", str(max(link, 0))).replace("{gpu}", str(one.index))
    return f"NVRM: Xid (PCI:{_place(one)}): {what.code}, {who}, {text}"


def _recovery(one: Target, what: Xid) -> str:
    """The line in which a driver says that the recovery action changed; "" if it did not, or before branch 570."""
    before, after = one.gpu.recovery_action, RECOVERY.get(what.recovery, one.gpu.recovery_action)
    if before == after or int(one.driver.partition(".")[0]) < 570:
        return ""
    return (f"NVRM: Xid (PCI:{_place(one)}): {RECOVERY_CHANGED}, GPU recovery action changed from "
            f"{before:#x} ({_ACTIONS[before]}) to {after:#x} ({_ACTIONS[after]})")


def _place(one: Target) -> str:
    return one.gpu.bus_id.rpartition(".")[0]


def known() -> list[str]:
    """Every number with its name and what follows from it, for the help."""
    return [f"  {code:<4} {one.name:52} {', '.join(_consequences(one))}".rstrip() for code, one in xids().items()]


def _consequences(what: Xid) -> list[str]:
    """In a few words each."""
    words = {"lost": "the GPU is lost", "reset": "the GPU requires a reset", "process": "its process ends",
             "all": "every process ends", "pending": "a page or row waits for a reset", "failed": "repair failed",
             "down": "the link goes down"}
    counts = [f"{count} {kind}" for count, kind in ((what.dram, "uncorrected in DRAM"),
              (what.sram, "uncorrected in SRAM"), (what.corrected, "corrected in DRAM")) if count]
    return [words[word] for word in (what.gpu, what.ends, what.memory, what.link) if word] + counts


def _name(gpu: Gpu, pid: int) -> str:
    return next((str(entry["name"]) for entry in processes.rows(gpu) if entry["pid"] == pid), "")
