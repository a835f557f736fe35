"""Lists what libdxcore.so says, as JSON: `python dxcore_client.py [LIBRARY] [D3DKMTEnumAdapters2|3]`.

An independent client of its ABI, which asks in the order in which container toolkits do."""

import ctypes
import json
import sys

U32, U64, S32, WCHAR = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32, ctypes.c_wchar
DRIVER_VERSION, REGISTRY, DRIVER_STORE_PATH = 13, 48, 2


class AdapterInfo(ctypes.Structure):
    _fields_ = (("handle", U32), ("low", U32), ("high", S32), ("sources", U32), ("moves", U32))


class Enum2(ctypes.Structure):
    _fields_ = (("count", U32), ("adapters", ctypes.POINTER(AdapterInfo)))


class Enum3(ctypes.Structure):
    _fields_ = (("filter", U64), ("count", U32), ("adapters", ctypes.POINTER(AdapterInfo)))


class Query(ctypes.Structure):
    _fields_ = (("handle", U32), ("type", U32), ("data", ctypes.c_void_p), ("size", U32))


class Registry(ctypes.Structure):
    _fields_ = (("type", U32), ("flags", U32), ("name", WCHAR * 260), ("value_type", U32), ("adapter", U32),
                ("size", U32), ("status", U32), ("value", U64))


def enumerate_adapters(dxcore, function="D3DKMTEnumAdapters3", room=None):
    """Status, number and array of the adapters; `room` is how many the array holds, as many as there are by default."""
    kind = Enum3 if function.endswith("3") else Enum2
    asked = kind(**({"filter": 1} if kind is Enum3 else {}))
    status = getattr(dxcore, function)(ctypes.byref(asked))
    if status or room is None and not asked.count:
        return status, asked.count, []
    array = (AdapterInfo * (asked.count if room is None else room))()
    asked.count, asked.adapters = len(array), array
    status = getattr(dxcore, function)(ctypes.byref(asked))
    return status, asked.count, list(array)


def query(dxcore, handle, kind, data, size):
    return dxcore.D3DKMTQueryAdapterInfo(ctypes.byref(Query(handle, kind, ctypes.addressof(data), size)))


def wddm(dxcore, handle):
    version = U32()
    assert query(dxcore, handle, DRIVER_VERSION, version, 4) == 0
    return version.value


def driver_store(dxcore, handle):
    """The path, by two calls: first its size, then itself."""
    head = Registry(type=DRIVER_STORE_PATH)
    assert query(dxcore, handle, REGISTRY, head, ctypes.sizeof(head)) == 0
    assert head.status == 1
    assert 0 < head.size <= 260 * 4
    data = ctypes.create_string_buffer(ctypes.sizeof(head) + head.size)
    full = Registry.from_buffer(data)
    full.type, full.size = DRIVER_STORE_PATH, head.size
    assert query(dxcore, handle, REGISTRY, full, len(data)) == 0
    assert full.status == 0
    return ctypes.wstring_at(ctypes.addressof(full) + Registry.value.offset)


def main(library="libdxcore.so", function="D3DKMTEnumAdapters3"):
    dxcore = ctypes.CDLL(library)
    status, _, adapters = enumerate_adapters(dxcore, function)
    print(json.dumps({"status": status & 0xFFFFFFFF, "adapters": [
        {"wddm": wddm(dxcore, a.handle), "store": driver_store(dxcore, a.handle), "luid": a.high << 32 | a.low}
        for a in adapters]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
