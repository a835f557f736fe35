"""nvidia-container-cli info: the driver's versions and the GPUs, as text or as comma-separated values."""

import os

from toolkit.cmd.cli import driver, options
from toolkit.cmd.cli.debuglog import DebugLog
from toolkit.gather.legacy_nvml import Nvml
from toolkit.model.native import Gpu

_WIDTH = 15  # of a key
_VERSIONS = ("NVRM version", "CUDA version")
_KEYS = ("Device Index", "Device Minor", "Model", "Brand", "GPU UUID", "Bus Location", "Architecture")


def _plain(text: str) -> str:
    """NVML's text without what would end a line: a product name cannot forge another GPU."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _values(gpu: Gpu) -> tuple[str, ...]:
    return tuple(map(_plain, (str(gpu.index), str(gpu.minor), gpu.name, gpu.brand, gpu.uuid, gpu.bus_id,
                              gpu.architecture)))


def text_of(nvml: Nvml, *, csv: bool) -> str:
    """What `info` prints."""
    versions = (_plain(nvml.version), _plain(nvml.cuda_version))
    if csv:
        rows = [_VERSIONS, versions, (), _KEYS, *map(_values, nvml.gpus)]
        return "".join(",".join(row) + "\n" for row in rows)
    blocks = [zip(_VERSIONS, versions, strict=True), *(zip(_KEYS, _values(gpu), strict=True) for gpu in nvml.gpus)]
    return "\n".join("".join(f"{key + ':':{_WIDTH}} {value}\n" for key, value in block) for block in blocks)


def run(given: options.Parsed, words: list[str], log: DebugLog) -> str:
    """The command; its output.  Raises ToolkitError."""
    chosen = driver.settings(given, unprivileged_default=True)
    command = options.parse(options.INFO, words)
    if command.operands:
        raise options.too_many_arguments(options.INFO)
    driver.limit(log, always=False)
    machine = driver.start(chosen, log)
    driver.read_driver(chosen, machine, command, log, os.environ)  # whatever is wrong with its files is told here too
    driver.log_gpus(machine, log)
    return text_of(machine.nvml, csv=command.has("csv"))
