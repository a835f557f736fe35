"""WSL 2 as libnvidia-container finds it: the driver stores of the adapters that libdxcore.so knows.

Source: libnvidia-container 1.20 (reference: 02-init, "WSL2 (dxcore) detection").
"""

from typing import NamedTuple

from toolkit.errors import HostError
from toolkit.gather import dxcore
from toolkit.gather.legacy_root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[[str, str], None]

COMPONENTS = (
    "libcuda.so.1.1", "libcuda_loader.so", "libnvidia-ptxjitcompiler.so.1", "libnvidia-ml.so.1",
    "libnvidia-ml_loader.so", "libnvdxgdmal.so.1", "nvidia-smi", "nvcubins.bin",
)
"""What a container needs of a driver store.  A store with none of them is that of another maker's adapter."""


class Store(NamedTuple):
    """The driver store of one adapter: its folder, and the names of the components there."""

    path: str
    files: tuple[str, ...]


def read_stores(say: "Say", *, library: str = dxcore.LIBRARY, machine: str = "/") -> tuple[Store, ...]:
    """The driver stores, in the order of the adapters; none on a machine without WSL 2, which the library tells.

    Stores lie below `machine`, not below the driver root.  Raises HostError with source "initialization error" for WSL
    without an adapter of NVIDIA's."""
    say("I", "attempting to load dxcore to see if we are running under Windows Subsystem for Linux (WSL)")
    try:
        adapters = dxcore.read_adapters(library)
    except HostError:
        say("I", "dxcore initialization failed, continuing assuming a non-WSL environment")
        return ()
    with Root(machine) as root:
        stores = tuple(store for adapter in adapters if (store := _store(root, adapter, say)))
    say("I", "dxcore layer initialized successfully")
    if not stores:
        raise HostError("WSL environment detected but no adapters were found", source="initialization error",
                        hint="install NVIDIA's driver in Windows, not in WSL; `wsl --shutdown` afterwards")
    return stores


def _store(root: Root, adapter: dxcore.Adapter, say: "Say") -> Store | None:
    try:
        path = root.resolve(adapter.store)
    except HostError as e:
        say("E", f"Failed to query driver store path for the WDDM Adapter. Skipping it: {e.message}")
        return None
    names = set(root.listing(path))
    files = tuple(name for name in COMPONENTS if name in names)
    if not files:
        say("E", f"No Nvidia component found in {adapter.store}. Skipping the adapter.")
        return None
    say("I", f"Adding new adapter via dxcore luid:{adapter.luid[1]:x}{adapter.luid[0]:08x} wddm version:{adapter.wddm}")
    return Store(path=adapter.store, files=files)
