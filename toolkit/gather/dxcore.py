"""libdxcore.so through ctypes: the display adapters of Windows below WSL 2, and where each one's driver store lies.

Layouts are those of the D3DKMT interface on x86-64, wchar_t four bytes wide.  Source: toolkit v1.20, internal/dxcore;
libnvidia-container 1.20, src/dxcore.c.
"""

import ctypes
import struct
from typing import NamedTuple

from toolkit.errors import HostError

LIBRARY = "libdxcore.so"
COMPUTE_ONLY = 1  # filter of D3DKMTEnumAdapters3: adapters that drive no display count too
DRIVER_VERSION, QUERY_REGISTRY = 13, 48  # KMTQAITYPE_…
DRIVER_STORE_PATH = 2  # D3DDDI_QUERYREGISTRY_…
DONE, OVERFLOW = 0, 1  # D3DDDI_QUERYREGISTRY_STATUS_…
MIN_WDDM = 2700  # WDDM 2.7: the first with GPUs in WSL
MAX_ADAPTERS = 256  # sanity, not a limit of Windows
WCHAR, MAX_PATH = 4, 260

ADAPTER = struct.Struct("=IIiII")  # handle, LUID low and high, sources, move regions preferred
ENUM2 = struct.Struct("=IxxxxQ")  # count, array
ENUM3 = struct.Struct("=QIxxxxQ")  # filter, count, array
QUERY = struct.Struct("=IIQIxxxx")  # handle, type, data, size
REGISTRY = struct.Struct(f"=II{WCHAR * MAX_PATH}sIIII8s")  # query, flags, name, type, index, size, status, output
OUTPUT = 1064  # offset of the output in it


class Adapter(NamedTuple):
    """A display adapter with a driver that WSL can use.

    `wddm` is the version of its driver model, e.g. 3100.  `store` is the folder of its driver, as the library says it:
    "/usr/lib/wsl/drivers/nv_dispi.inf_amd64_…".  Adapters of other makers are among them: their store tells.
    """

    wddm: int
    store: str
    luid: tuple[int, int] = (0, 0)  # low, high


def read_adapters(path: str = LIBRARY) -> tuple[Adapter, ...]:
    """The adapters in the library's order; () if it knows none or cannot enumerate them.

    One without a driver store, or with a driver model before WDDM 2.7, is left out.  `path` is a file, or the plain
    name for the loader to find.  Raises HostError if the library is not there or is no dxcore.
    """
    try:
        library = ctypes.CDLL(path)
    except OSError as e:
        raise HostError(f"failed to load {LIBRARY}", source=path, hint=f"is this WSL 2? ({e})") from None
    try:
        return tuple(filter(None, (_adapter(library, *entry) for entry in _entries(library))))
    finally:
        _close(library)


def _entries(library: ctypes.CDLL) -> tuple[tuple[int, int, int], ...]:
    """Handle and LUID of each adapter.  Enumeration 3 comes first; a Windows without it answers with an error."""
    modern, older = _function(library, "D3DKMTEnumAdapters3"), _function(library, "D3DKMTEnumAdapters2")
    if modern is None and older is None or _function(library, "D3DKMTQueryAdapterInfo") is None:
        raise HostError(
            "dxcore library is present but the symbols D3DKMTEnumAdapters2 and D3DKMTEnumAdapters3 are missing",
            source=LIBRARY,
            hint="update WSL: `wsl --update`",
        )
    entries = _enumerated(modern, ENUM3, (COMPUTE_ONLY,)) if modern else None
    if entries is None and older:
        entries = _enumerated(older, ENUM2, ())
    return entries or ()


def _enumerated(
    function: "ctypes._NamedFuncPointer", layout: struct.Struct, first: tuple[int, ...]
) -> tuple[tuple[int, int, int], ...] | None:
    """Asks for the count, then for as many; None if either call fails.  The second may find fewer."""
    question = ctypes.create_string_buffer(layout.pack(*first, 0, 0), layout.size)
    if function(question) != 0:
        return None
    count = min(layout.unpack(question.raw)[-2], MAX_ADAPTERS)
    array = ctypes.create_string_buffer(ADAPTER.size * max(count, 1))
    question = ctypes.create_string_buffer(layout.pack(*first, count, ctypes.addressof(array)), layout.size)
    if function(question) != 0:
        return None
    filled = min(layout.unpack(question.raw)[-2], count)
    return tuple(ADAPTER.unpack_from(array, index * ADAPTER.size)[:3] for index in range(filled))


def _adapter(library: ctypes.CDLL, handle: int, luid_low: int, luid_high: int) -> Adapter | None:
    version = ctypes.create_string_buffer(4)
    if not _query(library, handle, DRIVER_VERSION, version):
        return None
    wddm = int.from_bytes(version.raw, "little")
    store = _driver_store(library, handle) if wddm >= MIN_WDDM else ""
    return Adapter(wddm=wddm, store=store, luid=(luid_low, luid_high)) if store else None


def _driver_store(library: ctypes.CDLL, handle: int) -> str:
    """The path of the driver store of an adapter, asked for twice: size in bytes, then text; "" if there is none."""
    answer = _registry(library, handle, 0)
    if answer is None or answer[1] != OVERFLOW or not 0 < answer[0] <= WCHAR * MAX_PATH:
        return ""
    size = answer[0]
    answer = _registry(library, handle, size)
    if answer is None or answer[1] != DONE:
        return ""
    text = answer[2][: size - size % WCHAR].decode("utf-32-le", errors="replace")
    return text.partition("\0")[0]


def _registry(library: ctypes.CDLL, handle: int, size: int) -> tuple[int, int, bytes] | None:
    """The size that the value has, the status, and the `size` bytes of it that were asked for."""
    question = REGISTRY.pack(DRIVER_STORE_PATH, 0, b"", 0, 0, size, 0, b"")
    data = ctypes.create_string_buffer(question, REGISTRY.size + size)
    if not _query(library, handle, QUERY_REGISTRY, data):
        return None
    *_, needed, status, _output = REGISTRY.unpack_from(data)
    return needed, status, data.raw[OUTPUT : OUTPUT + size]


def _query(library: ctypes.CDLL, handle: int, kind: int, data: "ctypes.Array[ctypes.c_char]") -> bool:
    """Whether the library answered a question about an adapter; the answer is in `data`."""
    question = QUERY.pack(handle, kind, ctypes.addressof(data), len(data))
    return int(library.D3DKMTQueryAdapterInfo(ctypes.create_string_buffer(question, QUERY.size))) == 0


def _function(library: ctypes.CDLL, name: str) -> "ctypes._NamedFuncPointer | None":
    return getattr(library, name, None)


def _close(library: ctypes.CDLL) -> None:
    close = ctypes.CDLL(None).dlclose
    close.argtypes = [ctypes.c_void_p]
    close(library._handle)
