"""What the toolkit's programs logged: `nvidia-container-cli -k -d /dev/tty info`, and lines of the runtime."""

import re
from dataclasses import replace

from scenarios.draft.facts import Facts, Gpu, bus_id_of

_ROW = re.compile(r"\s*(NVRM version|Device Index|Device Minor|Model|GPU UUID|Bus Location):\s+(\S.*\S|\S)")
_VERSION = re.compile(r"\d{3}\.\d{2,3}(?:\.\d{2})?")
_UUID = re.compile(r"GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BUS = re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\.0")
_LIBRARY = re.compile(r"(?:initializing library context \(version=|cli-version: |lib-version: |"
                      r"NVIDIA Container (?:Toolkit|Runtime)(?: Hook| CLI)? version:? |"
                      r"nvidia-ctk version |toolkit version:? )(\d+\.\d+\.\d+)", re.IGNORECASE)
_ROOT = re.compile(r"\] using root (/\S*)")
_MODE = re.compile(r"(?:Auto-detected mode as|Using requested mode) '([a-z-]+)'")


def read(text: str) -> Facts:
    """The GPUs, versions and paths of such logs."""
    gpus: list[Gpu] = []
    facts = Facts()
    for line in text.splitlines():
        row = _ROW.fullmatch(line.rstrip())
        if row:
            facts, gpus = _with_row(facts, gpus, row[1], row[2])
            continue
        facts = _with_line(facts, line)
    if gpus:
        facts = replace(facts, found=("nvidia-container-cli info",))
    return replace(facts, gpus=tuple(gpus))


def _with_row(facts: Facts, gpus: list[Gpu], name: str, value: str) -> tuple[Facts, list[Gpu]]:
    if name == "NVRM version":
        return (replace(facts, kernel_driver=value) if _VERSION.fullmatch(value) else facts), gpus
    if name == "Device Index":
        return facts, [*gpus, Gpu(index=len(gpus))]
    if not gpus:
        return facts, gpus
    last = gpus[-1]
    if name == "Model":
        last = replace(last, name=value)
    elif name == "Device Minor" and value.isdecimal():
        last = replace(last, minor=int(value))
    elif name == "GPU UUID" and _UUID.fullmatch(value):
        last = replace(last, uuid=value)
    elif name == "Bus Location" and _BUS.fullmatch(value):
        last = replace(last, bus_id=bus_id_of(value))
    return facts, [*gpus[:-1], last]


def _with_line(facts: Facts, line: str) -> Facts:
    version, root, mode = _LIBRARY.search(line), _ROOT.search(line), _MODE.search(line)
    if version and not facts.toolkit:
        facts = replace(facts, toolkit=version[1], found=(*facts.found, "the toolkit's version"))
    if root and not facts.driver_root:
        facts = replace(facts, driver_root=root[1].rstrip("/") or "/")
    if mode and not facts.mode:
        facts = replace(facts, mode=mode[1], found=(*facts.found, "the runtime's log"))
    if "missing ipc path" in line and "nvidia-persistenced" in line:
        facts = replace(facts, persistenced="false")
    selected = re.search(r"selecting \S*/libnvidia-ml\.so\.(\d{3}\.\d{2,3}(?:\.\d{2})?)", line)
    if selected and not facts.driver:
        facts = replace(facts, driver=selected[1], found=(*facts.found, "the log of nvidia-container-cli"))
    return facts
