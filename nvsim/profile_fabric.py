"""What a profile says of NVLink: bridges between its GPUs, and the fabric that spans several machines."""

import re
from dataclasses import dataclass

from nvsim import document
from nvsim.document import Keys
from nvsim.errors import NvsimError

NO_CLUSTER = "00000000-0000-0000-0000-000000000000"  # of a fabric that ends at this machine
MOST_LINKS = 36
IMEX_CHANNELS = 2048  # default of the module parameter ImexChannelCount
_PAIR = re.compile(r"(\d{1,2})-(\d{1,2})")
_CLUSTER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """NVLinks that lead from one GPU of the machine straight to another one; both by index."""

    first: int
    second: int
    links: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """The NVLink domain that the machine is a part of.  GPUs of one cluster and clique reach each other's memory.

    `imex_channels` are the nodes /dev/nvidia-caps-imex-channels/channelN, through which processes of several machines
    share memory."""

    cluster: str = NO_CLUSTER
    clique: int = 0
    imex_channels: int = 0


def bridges(keys: Keys, base: tuple[Bridge, ...], gpus: int) -> tuple[Bridge, ...]:
    """The value of `nvlinks`, such as {0-1: 4}: pairs of GPUs and how many links join them.

    Raises NvsimError for a pair that is none, and for GPUs that are not there."""
    value = keys.raw("nvlinks")
    if value is None:
        return base
    where = keys.where("nvlinks")
    if not isinstance(value, dict):
        raise NvsimError(f"expected pairs of GPUs, got {document.kind(value)}", source=where, hint="such as {0-1: 4}")
    found: dict[tuple[int, int], Bridge] = {}
    for key, links in value.items():
        pair = _PAIR.fullmatch(key) if isinstance(key, str) and key.isascii() else None
        if not pair or int(pair[1]) == int(pair[2]):
            raise NvsimError(f"{str(key)[:60]!r} is not a pair of GPUs", source=where, hint="such as 0-1")
        first, second = sorted((int(pair[1]), int(pair[2])))
        if second >= gpus:
            raise NvsimError(f"there is no GPU {second}", source=where, hint=f"this machine has {gpus} GPUs")
        if (first, second) in found:
            raise NvsimError(f"the GPUs {first} and {second} occur twice", source=where)
        found[first, second] = Bridge(first=first, second=second,
                                      links=document.integer(links, f"{where}: {key}", 1, MOST_LINKS))
    return tuple(found[pair] for pair in sorted(found))


def fabric(keys: Keys, base: Fabric) -> Fabric:
    """The value of `fabric`: cluster, clique and imex_channels, each as in the base where it is not given."""
    if keys.raw("fabric") is None:
        return base
    inner = Keys(keys.raw("fabric"), keys.where("fabric"), ("cluster", "clique", "imex_channels"))
    cluster = inner.text("cluster", base.cluster)
    if not _CLUSTER.fullmatch(cluster):
        raise NvsimError(f"{cluster[:60]!r} is not the UUID of a cluster", source=inner.where("cluster"),
                         hint=f"such as {NO_CLUSTER[:-1]}1")
    return Fabric(cluster=cluster, clique=inner.integer("clique", base.clique, 0, 32766),
                  imex_channels=inner.integer("imex_channels", base.imex_channels, 0, IMEX_CHANNELS))
