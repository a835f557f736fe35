"""Generator modes that need no more than device nodes: gds, mofed, gdrcopy, nvswitch, imex, management.

Source: toolkit v1.20, pkg/nvcdi and internal/discover/{gds,mofed,gdrcopy,nvswitch}.go.
"""

import re
from posixpath import basename

from toolkit.errors import HostError, RequestError
from toolkit.model.cdi import Device
from toolkit.model.edits import DeviceNode, Edits, Mount, merged
from toolkit.model.host import Host
from toolkit.plan.device_nodes import node_edits
from toolkit.plan.driver_files import OPTIONS

PATTERNS = {
    "gds": (r"/dev/nvidia-fs[^/]*",),
    "mofed": (r"/dev/infiniband/uverbs[^/]*", r"/dev/infiniband/rdma_cm"),
    "gdrcopy": (r"/dev/gdrdrv",),
    "nvswitch": (r"/dev/nvidia-nvswitchctl", r"/dev/nvidia-nvswitch[^/]*"),
}
MANAGEMENT = re.compile(
    r"/dev/nvidia(?!-fs|-nvswitch|-nvlink)[^/]*|/dev/nvidia-caps/nvidia-cap[^/]*"
    r"|/dev/nvidia-caps-imex-channels/channel[^/]*"
)
CHANNELS = "/dev/nvidia-caps-imex-channels/"
LAST_CHANNEL = (1 << 20) - 1


def plain_devices(host: Host, mode: str, notes: list[str], *, features: tuple[str, ...] = ()) -> tuple[Device, ...]:
    """The device `all` of a mode that ignores ids; empty if the host has none of its nodes, which is then a note."""
    expressions = [re.compile(pattern) for pattern in PATTERNS[mode]]
    devices = [device for device in host.devices if any(e.fullmatch(device.path) for e in expressions)]
    for expression in expressions:
        if not any(expression.fullmatch(device.path) for device in devices):
            name = expression.pattern.replace("[^/]*", "*")
            notes.append(f"Could not locate {name}: {name}: not found")
    files = host.files if mode == "gds" and devices else ()
    mounts = tuple(Mount(host_path=f.host_path, container_path=f.path, options=OPTIONS) for f in files)
    return (Device(name="all", edits=merged(node_edits(devices, features=features), Edits(mounts=mounts))),)


def management_devices(host: Host, *, features: tuple[str, ...] = ()) -> tuple[Device, ...]:
    """The device `all` with every node of the driver.  Raises HostError if there is none."""
    devices = [
        device
        for device in host.devices
        if MANAGEMENT.fullmatch(device.path)
        and not basename(device.path).startswith(("nvidia-fs", "nvidia-nvswitch", "nvidia-nvlink"))
    ]
    if not devices:
        raise HostError("no NVIDIA device nodes found", hint="`nvidia-modprobe -u -c 0` makes them")
    return (Device(name="all", edits=node_edits(devices, features=features)),)


def imex_devices(host: Host, ids: tuple[str, ...]) -> tuple[Device, ...]:
    """A device for each IMEX channel asked for: "7", "channel7", or "all" of those that exist."""
    known = {device.path: device for device in host.devices if device.path.startswith(CHANNELS + "channel")}
    names = [name for identifier in ids or ("all",) for name in _channels(identifier, tuple(known))]
    prefix = "" if host.driver.dev_root.strip("/") == "" else host.driver.dev_root.rstrip("/")
    devices = []
    for name in dict.fromkeys(names):
        path = f"{CHANNELS}channel{name}"
        if path not in known:
            raise HostError(
                f"IMEX channel {name} not found at {prefix}{path}: stat {prefix}{path}: no such file or directory",
                hint=f"`nvidia-modprobe -i {name}` makes it",
            )
        devices.append(Device(name=name, edits=Edits(device_nodes=(DeviceNode(path=path, host_path=prefix + path),))))
    return tuple(devices)


def _channels(identifier: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The channel numbers, as written, that an id stands for.  Raises RequestError for an id that is none."""
    name = identifier.removeprefix("channel")
    if name == "all":
        return tuple(path.removeprefix(CHANNELS + "channel") for path in known)
    what = "failed to construct device spec generators: invalid channel ID"
    if not (name.isascii() and name.isdigit()):
        raise RequestError(f'{what} {identifier}: strconv.ParseUint: parsing "{name}": invalid syntax')
    if len(name) > 20 or int(name) > LAST_CHANNEL:
        raise RequestError(f"{what} {identifier}: must be in the range [0, {LAST_CHANNEL}]")
    return (name,)
