"""A machine whose driver comes or goes while it runs: what its tree has now is shown in its mount namespace.

Runs in the child of process 1 that nvsim/kernel.py starts, so whatever is mounted here, every process of the machine
sees.  Containers share /proc/driver, /proc/devices and /proc/modules with the machine, as they would share its kernel;
they have a /dev and a /sys of their own and keep those.

Kept free of heavy imports, like nvsim/enter.py.
"""

import contextlib
import os

from nvsim import enter_mounts, phase
from nvsim import syscalls as sc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvsim.enter_layers import Layers

_OTHERS = ("/dev/", "/proc/", "/sys/")  # what is not simply there or not


class Appearing:
    """The parts of the driver that a machine shows, and how it comes to show others."""

    def __init__(self, layers: "Layers") -> None:
        self._layers, self._root = layers, layers.root
        self._there = {part: not phase.is_away(self._root, part) for part in phase.PARTS}

    def show(self) -> None:
        """Brings the machine in step with its tree."""
        for part in reversed(phase.PARTS):
            there = not phase.is_away(self._root, part)
            if there != self._there[part]:
                self._there[part] = there
                self._files() if part == "files" else self._modules(there)

    def _files(self) -> None:
        """The driver's packages are installed here, or the driver container has mounted its root."""
        layers = self._layers
        if layers.host["driver_root"] != "/":
            os.makedirs(layers.host["driver_root"], exist_ok=True)
            layers.lay_driver_root()
        else:
            layers.lay_trees()
        layers.ldconfig()

    def _modules(self, there: bool) -> None:
        layers = self._layers
        layers.show_texts()
        for path, make in layers.nodes():
            if there and not os.path.lexists(path):
                make()
            elif not there and phase.hidden(self._root, path):
                _remove(path)
        for path in phase.facts(self._root)["modules"]["paths"]:
            inside = layers.host["driver_root"] != "/" and path.startswith(f"{layers.host['driver_root']}/")
            if path.startswith(_OTHERS) or inside:
                continue
            layers.shadow_for(path)
            if there and not os.path.lexists(path):  # it may lie in a folder that is the tree's own
                os.makedirs(os.path.dirname(path), exist_ok=True)
                enter_mounts.bind(self._root + path, path)
            elif not there:
                _remove(path)
        layers.lay_sys(again=True)


def _remove(path: str) -> None:
    """A node, file or folder that was made or bound here; empty folders above it go too, up to /dev and /run."""
    if os.path.ismount(path):
        sc.umount(path)
    with contextlib.suppress(OSError):  # it lay in a folder that is the tree's own, and went with it
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)
    folder = os.path.dirname(path)
    while folder.count("/") > 1:
        try:
            os.rmdir(folder)
        except OSError:
            return
        folder = os.path.dirname(folder)
