"""The PCI configuration of a GPU below /sys: a device that does not answer reads as ones, and lspci says "rev ff"."""

import os

from nvsim.ctl.kernel_files import overwrite
from nvsim.errors import NvsimError

KEPT = ".nvsim/config-space"


def hide(root: str, bus_id: str) -> None:
    """Makes the configuration read as ones; what it was is kept in DIR/.nvsim.  Nothing happens twice.

    A host whose /sys does not show the GPU has nothing to hide.  Raises NvsimError if the file cannot be written."""
    path, kept = _places(root, bus_id)
    try:
        if os.path.exists(path) and not os.path.exists(kept):
            os.makedirs(os.path.dirname(kept), exist_ok=True)
            with open(path, "rb") as f:
                data = f.read()
            _replace(kept, data)
            overwrite(path, b"\xff" * len(data))
    except OSError as e:
        raise NvsimError(f"cannot change the PCI configuration: {e.strerror}", source=path) from e


def show(root: str, bus_id: str) -> None:
    """Puts back what `hide` kept.  Raises NvsimError if the file cannot be written."""
    path, kept = _places(root, bus_id)
    try:
        if os.path.exists(kept):
            with open(kept, "rb") as f:
                overwrite(path, f.read())
            os.unlink(kept)
    except OSError as e:
        raise NvsimError(f"cannot change the PCI configuration: {e.strerror}", source=path) from e


def _places(root: str, bus_id: str) -> tuple[str, str]:
    return f"{root}/sys/bus/pci/devices/{bus_id}/config", f"{root}/{KEPT}/{bus_id}"


def _replace(path: str, data: bytes) -> None:
    with open(f"{path}.new", "wb") as f:
        f.write(data)
    os.rename(f"{path}.new", path)
