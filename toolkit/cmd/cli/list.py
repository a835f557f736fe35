"""nvidia-container-cli list: the paths of devices and driver files, one per line, as a container would see them."""

import os
from collections.abc import Iterator

from toolkit.cmd.cli import driver, options
from toolkit.cmd.cli.debuglog import DebugLog
from toolkit.gather import legacy
from toolkit.model.native import CAPABILITIES_DIR, Gpu, Host
from toolkit.plan import selection

_CAPS_DIR = "/dev/nvidia-caps"
_EVERYTHING = tuple((name, "all" if name == "device" else "") for name in (
    "device", "libraries", "binaries", "ipcs", "firmwares", "compat32"))


def _with_defaults(command: options.Parsed, words: list[str]) -> options.Parsed:
    """Without any word, or with --imex-channel=N as the only one, everything is listed."""
    if not words or (len(words) == 1 and command.has("imex-channel")):
        return command._replace(values=command.values + _EVERYTHING)
    return command


def _device_paths(chosen: selection.Selection, host: Host) -> Iterator[str]:
    yield from (node.path for node in host.driver.devices)
    if not host.driver.store:  # GPUs of WSL 2 have no nodes
        yield from (gpu.node for gpu in chosen.gpus)
    for mig in chosen.mig_access:
        yield from mig.access_files
        if host.caps_major >= 0:
            yield from (path for file in mig.access_files for path in _cap_device(file, host))


def _cap_device(file: str, host: Host) -> tuple[str, ...]:
    """The device of a capability file; nothing where its minor cannot be read."""
    minor = host.cap_minor(file)
    return (f"{_CAPS_DIR}/nvidia-cap{minor}",) if minor >= 0 and host.caps_major >= 0 else ()


def _right_paths(name: str, gpus: tuple[Gpu, ...], host: Host) -> Iterator[str]:
    """What --mig-config=all or --mig-monitor=all adds."""
    if not gpus:
        return
    file = f"{CAPABILITIES_DIR}/mig/{name}"
    yield file
    yield from _cap_device(file, host)
    for gpu in gpus:
        yield f"{CAPABILITIES_DIR}/gpu{gpu.minor}"
        if host.caps_major >= 0:
            yield _CAPS_DIR
            yield from (f"{_CAPS_DIR}/nvidia-cap{minor}" for owner, minor in host.gpu_caps if owner == gpu.minor)


def paths(command: options.Parsed, channels: tuple[int, ...], host: Host) -> tuple[str, ...]:
    """What `list` prints, in its order.  Raises RequestError for a selection that does not fit the host."""
    chosen = selection.select(command.joined("device"), command.joined("mig-config"), command.joined("mig-monitor"),
                              host.gpus)
    found: list[str] = []
    if command.has("device"):
        found += _device_paths(chosen, host)
    found += [f"/dev/nvidia-caps-imex-channels/channel{channel}" for channel in channels]
    found += _right_paths("config", chosen.mig_config, host)
    found += _right_paths("monitor", chosen.mig_monitor, host)
    if command.has("binaries"):
        found += host.driver.binaries
    if command.has("libraries"):
        found += host.driver.libraries
        if command.has("compat32"):
            found += host.driver.libraries32
    if command.has("ipcs"):
        found += host.driver.ipcs
    if command.has("firmwares"):
        found += host.driver.firmware
    return tuple(found)


def run(given: options.Parsed, words: list[str], log: DebugLog) -> str:
    """The command; its output.  Raises ToolkitError."""
    chosen = driver.settings(given, unprivileged_default=True)
    command = _with_defaults(options.parse(options.LIST, words), words)
    if command.operands:
        raise options.too_many_arguments(options.LIST)
    driver.limit(log, always=False)
    channels = selection.imex_channels(command.joined("imex-channel"))
    machine = driver.start(chosen, log, imex_channels=channels)
    nvml = machine.nvml
    found = driver.read_driver(chosen, machine, command, log, os.environ)
    driver.log_gpus(machine, log)
    with driver.opened_root(chosen.root) as root:
        host = legacy.read_host(root, found, nvml.gpus, imex_channels=channels,
                                all_caps=command.has("mig-config") or command.has("mig-monitor"))
    return "".join(f"{path}\n" for path in paths(command, channels, host))
