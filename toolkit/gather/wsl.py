"""The driver of a WSL 2 machine: the folder of Windows' driver store that belongs to an NVIDIA GPU, and its files.

Source: toolkit v1.20, pkg/nvcdi/driver-wsl.go.  The driver store is found by its absolute path on the machine whatever
the driver root is, for Windows puts it there.
"""

from posixpath import basename, dirname

from toolkit.errors import HostError
from toolkit.gather.dxcore import LIBRARY, read_adapters
from toolkit.gather.locate import Locator, located, not_found
from toolkit.model.host import File, Wsl

DXCORE_FOLDER = "/usr/lib/wsl/lib"
CUDA = "libcuda.so.1.1"  # what makes a driver store one of NVIDIA
STORE_FILES = (
    CUDA,
    "libcuda_loader.so",
    "libnvidia-ptxjitcompiler.so.1",
    "libnvidia-ml.so.1",
    "libnvidia-ml_loader.so",
    "libnvdxgdmal.so.1",
    "nvcubins.bin",
    "nvidia-smi",
)
MORE = ("*.so*", "*.bin", "*.dll")  # newer drivers need more than the list above: NVIDIA/nvidia-container-toolkit#1864


def read_wsl(locator: Locator) -> Wsl:
    """The driver's files; `error` says why there are none.  What is missing of them is a note of the locator."""
    try:
        store = _driver_store(locator)
    except HostError as e:
        return Wsl(error=e.message)

    def files(names: tuple[str, ...], folder: str) -> tuple[File, ...]:
        paths = located(locator, names, lambda name: locator.files(name, (folder,))[:1])
        return tuple(File(host_path=path, path=locator.inside(path)) for path in paths)

    found = dict.fromkeys(path for pattern in MORE for path in locator.files(pattern, (store,)))
    more = [path for path in found if basename(path) not in STORE_FILES]
    below_root = located(locator, more, lambda path: locator.files(path, (locator.root,)))
    return Wsl(
        dxcore=files((LIBRARY,), DXCORE_FOLDER),
        store=files(STORE_FILES, store),
        more=tuple(File(host_path=path, path=locator.inside(path)) for path in below_root),
    )


def _driver_store(locator: Locator) -> str:
    """The first driver store with NVIDIA's CUDA library.  Raises HostError, with upstream's texts, if there is none."""
    stores = tuple(dict.fromkeys(adapter.store for adapter in _adapters(locator)))
    if not stores:
        raise HostError("no driver store paths found")
    if len(stores) > 1:
        locator.notes.append(f"Found multiple driver store paths: [{' '.join(stores)}]")
    found = locator.files(CUDA, stores)
    if not found:
        raise HostError(
            f"failed to find NVIDIA driver store path: failed to locate {CUDA} at WSL driver store paths: "
            f"{not_found(CUDA, 1)}"
        )
    return dirname(found[0])


def _adapters(locator: Locator) -> "tuple[Adapter, ...]":
    path = LIBRARY
    if locator.tree.real("/") != "/":  # a machine mounted somewhere: this one's loader knows nothing of it
        found = locator.files(LIBRARY, (DXCORE_FOLDER,)) or locator.libraries(LIBRARY)
        path = locator.tree.real(locator.tree.resolve(found[0])) if found else f"{DXCORE_FOLDER}/{LIBRARY}"
    try:
        return read_adapters(path)
    except HostError:
        raise HostError("failed to initialize dxcore: failed to initialize dxcore context") from None


TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.gather.dxcore import Adapter
