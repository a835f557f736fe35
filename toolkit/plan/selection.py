"""The language of --device, --mig-config, --mig-monitor and --imex-channel.  Source: libnvidia-container 1.20, `cli`.

Comma-separated tokens, left to right; empty tokens are ignored.  Numbers are read as scanf reads them, since images
and scripts rely on it: text after a complete PCI address or MIG pair does not count.
"""

import re
from typing import NamedTuple

from toolkit.errors import RequestError
from toolkit.model.native import Gpu, MigDevice

# scanf "%x:%02x:%02x": hexadecimal with an optional 0x, bus and device of at most two digits.
_PCI = re.compile(r"\s*([+-]?(?:0[xX])?[0-9a-fA-F]+):\s*([0-9a-fA-F]{1,2}):\s*([0-9a-fA-F]{1,2})")
# scanf "%lu:%lu".
_PAIR = re.compile(r"\s*([+-]?[0-9]+):\s*([+-]?[0-9]+)")
_INDEX = re.compile(r"\s*([+-]?[0-9]+)\Z")
IMEX_CHANNELS = 1 << 20
_DIGITS = 20  # of the largest number that C's strtoul keeps


class Selection(NamedTuple):
    """What a request selects of a host's GPUs, in the order asked for, without repetition.

    `by_all` says that the word `all` chose them.  `mig_config` and `mig_monitor` hold the GPUs whose partitions the
    container may change or watch; `config_all` and `monitor_all` say that this was asked for, even with no GPU to
    grant it on.
    """

    gpus: tuple[Gpu, ...] = ()
    migs: tuple[MigDevice, ...] = ()
    by_all: bool = False
    mig_config: tuple[Gpu, ...] = ()
    mig_monitor: tuple[Gpu, ...] = ()
    config_all: bool = False
    monitor_all: bool = False

    @property
    def mig_access(self) -> tuple[MigDevice, ...]:
        """The MIG devices whose access files the container gets: none once it may configure or watch all of them."""
        return () if self.config_all or self.monitor_all else self.migs


def _tokens(text: str) -> list[str]:
    return [token for token in text.split(",") if token]


def _number(text: str) -> int:
    """A decimal number; one that C could not hold is as good as infinite."""
    return int(text) if len(text.lstrip("+-0")) <= _DIGITS else 1 << 64


def _same(a: str, b: str) -> bool:
    return a.lower() == b.lower()


def _gpu(token: str, gpus: tuple[Gpu, ...]) -> Gpu | None:
    """The GPU that a token names by UUID, PCI address or index; the first rule that finds one wins."""
    if token[:4].lower() == "gpu-":
        found = next((gpu for gpu in gpus if _same(gpu.uuid, token)), None)
        if found:
            return found
    address = _PCI.match(token)
    if address:
        domain, bus, device = (int(part, 16) for part in address.groups())
        bus_id = f"{domain & 0xFFFFFFFF:08x}:{bus:02x}:{device:02x}.0"
        found = next((gpu for gpu in gpus if _same(gpu.bus_id, bus_id)), None)
        if found:
            return found
    index = _INDEX.match(token)
    if index and 0 <= _number(index[1]) < len(gpus):
        return gpus[_number(index[1])]
    return None


def _mig(token: str, gpus: tuple[Gpu, ...]) -> tuple[Gpu, MigDevice] | None:
    """The MIG device that a token names by UUID or by `<gpu index>:<position>`, with its parent."""
    if token[:4].lower() == "mig-":
        for gpu in gpus:
            for mig in gpu.migs:
                if _same(mig.uuid, token):
                    return gpu, mig
    pair = _PAIR.match(token)
    if pair:
        parent, position = _number(pair[1]), _number(pair[2])
        if 0 <= parent < len(gpus) and 0 <= position < len(gpus[parent].migs):
            return gpus[parent], gpus[parent].migs[position]
    return None


def select_devices(text: str, gpus: tuple[Gpu, ...]) -> Selection:
    """The GPUs and MIG devices of a --device value.  On a host without GPUs any value selects nothing.

    Raises RequestError "<token>: unknown device"."""
    chosen: dict[int, Gpu] = {}
    migs: dict[tuple[int, int], MigDevice] = {}
    by_all = False
    for token in _tokens(text) if gpus else ():
        if _same(token, "all"):
            by_all = True
            for gpu in gpus:
                chosen.setdefault(gpu.index, gpu)
                for mig in gpu.migs:
                    migs.setdefault((gpu.index, mig.index), mig)
            break
        one = _gpu(token, gpus)
        if one:
            chosen.setdefault(one.index, one)
            continue
        both = _mig(token, gpus)
        if not both:
            raise RequestError(f"{token}: unknown device", source="device error",
                               hint="nvidia-container-cli info lists the indices and UUIDs of this host")
        chosen.setdefault(both[0].index, both[0])
        migs.setdefault((both[0].index, both[1].index), both[1])
    return Selection(gpus=tuple(chosen.values()), migs=tuple(migs.values()), by_all=by_all)


def _rights(text: str, selection: Selection, gpus: tuple[Gpu, ...], name: str) -> tuple[tuple[Gpu, ...], bool]:
    """The GPUs on which a --mig-config or --mig-monitor value grants its right, and whether it asked for any."""
    tokens = _tokens(text)
    if not tokens:
        return (), False
    source = f"{name} error"
    if not _same(tokens[0], "all"):
        raise RequestError(f"{tokens[0]}: only 'all' devices are currently supported", source=source,
                           hint=f"use --{name}=all")
    if selection.migs and not selection.by_all:
        raise RequestError(f"all: cannot enable {name} with specific MIG devices selected", source=source,
                           hint="select whole GPUs, or all of them")
    parents = {mig.gpu_index for mig in selection.migs}
    return tuple(g for g in selection.gpus if g.mig_capable or g.index in parents), True


def select(devices: str, mig_config: str, mig_monitor: str, gpus: tuple[Gpu, ...]) -> Selection:
    """The whole selection of a command.  Raises RequestError, its source naming the option's error class."""
    chosen = select_devices(devices, gpus)
    config, config_all = _rights(mig_config, chosen, gpus, "mig-config")
    monitor, monitor_all = _rights(mig_monitor, chosen, gpus, "mig-monitor")
    return chosen._replace(
        mig_config=config, config_all=config_all, mig_monitor=monitor, monitor_all=monitor_all)


def imex_channels(text: str) -> tuple[int, ...]:
    """The channels of --imex-channel values, in order, repetitions kept.  Each is below 2^20.  Raises RequestError."""
    channels = []
    for token in _tokens(text):
        if not re.fullmatch(r"\s*\+?[0-9]+", token, re.ASCII) or _number(token.strip()) >= IMEX_CHANNELS:
            raise RequestError(f"unsupported IMEX channel value: {token}", source="error parsing IMEX info",
                               hint="name channels by number, for example 0,1")
        channels.append(int(token))
    return tuple(channels)
