"""What libdxcore.so tells of a WSL 2 machine's adapters, for `nvsim record`.

ABI: Microsoft's d3dkmthk.h; a structure's names are those of its fields there."""

import ctypes
from dataclasses import dataclass

from nvsim.errors import NvsimError

_DRIVERVERSION, _QUERYREGISTRY = 13, 48  # KMTQUERYADAPTERINFOTYPE
_DRIVERSTOREPATH = 2  # D3DDDI_QUERYREGISTRY_TYPE
_LONGEST = 1024  # characters of a path
_U32, _U64 = ctypes.c_uint32, ctypes.c_uint64


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One adapter: the name of its driver store, and its WDDM version, 3100 for 3.1."""

    store: str
    wddm: int


class _AdapterInfo(ctypes.Structure):
    _fields_ = (("hAdapter", _U32), ("LowPart", _U32), ("HighPart", ctypes.c_int32), ("NumOfSources", _U32),
                ("bPrecisePresentRegionsPreferred", _U32))


class _EnumAdapters2(ctypes.Structure):
    _fields_ = (("NumAdapters", _U32), ("pAdapters", ctypes.POINTER(_AdapterInfo)))


class _QueryAdapterInfo(ctypes.Structure):
    _fields_ = (("hAdapter", _U32), ("Type", _U32), ("pPrivateDriverData", ctypes.c_void_p),
                ("PrivateDriverDataSize", _U32))


class _QueryRegistry(ctypes.Structure):
    _fields_ = (("QueryType", _U32), ("QueryFlags", _U32), ("ValueName", ctypes.c_wchar * 260), ("ValueType", _U32),
                ("PhysicalAdapterIndex", _U32), ("OutputValueSize", _U32), ("Status", _U32),
                ("OutputString", ctypes.c_wchar * _LONGEST))


def adapters(library: str) -> tuple[Adapter, ...]:
    """The adapters in the library's order.  Raises NvsimError where it does not answer."""
    try:
        dxcore = ctypes.CDLL(library)
        asked = _EnumAdapters2()
        _done(dxcore.D3DKMTEnumAdapters2(ctypes.byref(asked)))
        found = (_AdapterInfo * asked.NumAdapters)()
        asked.pAdapters = found
        if asked.NumAdapters:
            _done(dxcore.D3DKMTEnumAdapters2(ctypes.byref(asked)))
        return tuple(_adapter(dxcore, info.hAdapter) for info in found[:asked.NumAdapters])
    except (OSError, AttributeError) as e:
        raise NvsimError(f"cannot ask for the adapters: {e}", source=library) from e


def _adapter(dxcore: ctypes.CDLL, handle: int) -> Adapter:
    version = _U32()
    path = _QueryRegistry(QueryType=_DRIVERSTOREPATH, OutputValueSize=_LONGEST * ctypes.sizeof(ctypes.c_wchar))
    for kind, answer in ((_DRIVERVERSION, version), (_QUERYREGISTRY, path)):
        _done(dxcore.D3DKMTQueryAdapterInfo(ctypes.byref(_QueryAdapterInfo(
            handle, kind, ctypes.addressof(answer), ctypes.sizeof(answer)))))
    if path.Status:
        raise OSError(f"the path of the driver store: status {path.Status}")
    return Adapter(store=path.OutputString.rstrip("/").rpartition("/")[2], wddm=version.value)


def _done(status: int) -> None:
    """Raises OSError for an NTSTATUS that is not success."""
    if status:
        raise OSError(f"NTSTATUS 0x{status & 0xFFFFFFFF:08X}")
