"""The GPUs of a built host that a change is for, and the driver libraries that carry them."""

import json
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nvsim import board, kernel, phase
from nvsim.board_gpu import Gpu
from nvsim.errors import NvsimError

Change = Callable[[Gpu], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A GPU: `index` is its number in PCI bus order, `gpu` its record when it was looked up.

    `places` are the driver libraries with its place on the board of each, `driver` is their version."""

    root: str
    index: int
    gpu: Gpu
    driver: str
    places: tuple[tuple[str, int], ...]

    @property
    def name(self) -> str:
        return f"GPU {self.index} ({self.gpu.bus_id})"

    def edit(self, change: Change) -> None:
        """Changes the GPU in every library: programs that have any of them mapped see it at once."""
        for path, place in self.places:
            board.edit(path, place, change)

    def now(self) -> Gpu:
        """The record as it is now."""
        path, place = self.places[0]
        return board.read(path).gpus[place]


def boards(root: str) -> list[str]:
    """The files of a built host that carry a board, from its .nvsim/machine.json; first those that its machines use."""
    source = posixpath.join(root, ".nvsim/machine.json")
    try:
        with open(source, encoding="utf-8") as f:
            host = json.load(f)
        found = [posixpath.join(top, str(path).lstrip("/")) for top in sorted({kernel.live(root, host), root},
                                                                              reverse=True) for path in host["boards"]
                 if not phase.hidden(root, path)]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise NvsimError("not a built host", source=source, hint="build one: nvsim build PROFILE DIR") from e
    if not found:
        raise NvsimError("this host has no driver, so no GPU to change", source=source)
    return found


def targets(root: str, wanted: str) -> list[Target]:
    """The GPUs that are meant: "all", a number in PCI bus order, a UUID, or a PCI address.

    Raises NvsimError if `root` is no built host, or has no such GPU."""
    paths = boards(root)
    first = board.read(paths[0])
    meant = _meant(first.gpus, wanted, paths[0])
    places = {path: {gpu.uuid: place for place, gpu in enumerate(board.read(path).gpus)} for path in paths}
    return [Target(root=root, index=index, gpu=gpu, driver=first.driver_version,
                   places=tuple((path, places[path][gpu.uuid]) for path in paths if gpu.uuid in places[path]))
            for index, gpu in meant]


def target(root: str, wanted: str) -> Target:
    """The only GPU that is meant.  Raises NvsimError if there are several."""
    found = targets(root, wanted)
    if len(found) != 1:
        raise NvsimError("name one GPU", source=f"gpu={wanted}", hint=f"gpu=0 to gpu={len(found) - 1}")
    return found[0]


def _meant(gpus: Sequence[Gpu], wanted: str, path: str) -> list[tuple[int, Gpu]]:
    order = list(enumerate(sorted(gpus, key=lambda gpu: (gpu.pci_domain, gpu.pci_bus, gpu.pci_device))))
    if wanted == "all":
        return order
    if wanted.isascii() and wanted.isdecimal() and int(wanted) < len(order):
        return [order[int(wanted)]]
    found = [(index, gpu) for index, gpu in order if wanted.lower() in (gpu.uuid.lower(), gpu.bus_id)]
    if not found:
        raise NvsimError(f"no GPU {wanted[:60]!r}", source=path,
                         hint=f"all, 0 to {len(gpus) - 1}, a UUID, or a PCI address such as 0000:07:00.0")
    return found
