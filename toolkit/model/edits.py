"""What a container gets: CDI's container edits, as immutable values.

Names are CDI's (specification 1.1).  OCI's own words occur only in `plan/oci.py`.
"""

from typing import NamedTuple


class DeviceNode(NamedTuple):
    """A device that the container may open.

    `path` is its place in the container and `host_path` on the host ("" where equal).  `type` is one of "", "b", "c",
    "u", "p".  `major` 0 means: ask the host when the edits are applied.  `file_mode` holds permission bits; None, like
    `uid` and `gid` None, means that the engine or the host decides.
    """

    path: str
    host_path: str = ""
    type: str = ""
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None


class Mount(NamedTuple):
    """A file or directory of the host, seen at `container_path`."""

    host_path: str
    container_path: str
    options: tuple[str, ...] = ()
    type: str = ""


class Hook(NamedTuple):
    """A program that the low-level runtime runs.  `name` is an OCI stage, e.g. "createContainer"."""

    name: str
    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None


class NetDevice(NamedTuple):
    """A network interface that moves into the container (CDI 1.1)."""

    host_interface_name: str
    name: str


class IntelRdt(NamedTuple):
    """Cache and memory bandwidth classes.  `schemata` and `enable_monitoring` need CDI 1.1."""

    clos_id: str = ""
    l3_cache_schema: str = ""
    mem_bw_schema: str = ""
    schemata: tuple[str, ...] = ()
    enable_monitoring: bool = False


class Edits(NamedTuple):
    """All that one CDI device, or one specification, adds to a container.  Order is kept within each list."""

    env: tuple[str, ...] = ()
    device_nodes: tuple[DeviceNode, ...] = ()
    net_devices: tuple[NetDevice, ...] = ()
    hooks: tuple[Hook, ...] = ()
    mounts: tuple[Mount, ...] = ()
    intel_rdt: IntelRdt | None = None
    additional_gids: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return self != Edits()


def merged(*several: Edits) -> Edits:
    """One set of edits out of several, lists joined in the order given; the last `intel_rdt` wins."""
    return Edits(
        env=tuple(e for edits in several for e in edits.env),
        device_nodes=tuple(d for edits in several for d in edits.device_nodes),
        net_devices=tuple(n for edits in several for n in edits.net_devices),
        hooks=tuple(h for edits in several for h in edits.hooks),
        mounts=tuple(m for edits in several for m in edits.mounts),
        intel_rdt=next((edits.intel_rdt for edits in reversed(several) if edits.intel_rdt), None),
        additional_gids=tuple(g for edits in several for g in edits.additional_gids),
    )
