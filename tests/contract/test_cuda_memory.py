"""Memory of libcuda.so.1: what is allocated, copied and set, and what is refused."""

import ctypes

import pytest
from cuda_client import Host

from nvsim import board

A100 = "A100-SXM4-40GB"
GIB = 1 << 30
U64, UINT, SIZE, POINTER = ctypes.c_uint64, ctypes.c_uint, ctypes.c_size_t, ctypes.c_void_p


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return lambda *models, **changes: Host(tmp_path, *models, **changes)


@pytest.fixture
def cuda(host):
    return host(A100, A100).cuda().start()


def info(cuda):
    """Free and total bytes."""
    return cuda("cuMemGetInfo_v2", SIZE, SIZE)


def free(cuda, address):
    return cuda.code("cuMemFree_v2", U64(address))


# Allocation

def test_what_is_written_is_read_back(cuda):
    address = cuda.allocate(1000)
    cuda.write(address + 10, b"hello")
    assert cuda.read(address + 8, 9) == b"\0\0hello\0\0"


def test_free_memory_follows_allocations(cuda):
    before, total = info(cuda)
    assert before == total == cuda("cuDeviceTotalMem_v2", SIZE, 0)
    address = cuda.allocate(30 * GIB)
    assert info(cuda) == (before - 30 * GIB, total)
    assert (free(cuda, address), info(cuda)[0]) == (0, before)


def test_more_than_the_device_has_is_out_of_memory(cuda):
    first = cuda.allocate(30 * GIB)
    assert cuda.code("cuMemAlloc_v2", U64, SIZE(10 * GIB)) == 2
    assert cuda.code("cuMemAlloc_v2", U64, SIZE(2**64 - 1)) == 2
    free(cuda, first)
    assert cuda.code("cuMemAlloc_v2", U64, SIZE(31 * GIB)) == 0


def test_memory_that_others_use_cannot_be_had(host):
    machine = host(A100)
    cuda = machine.cuda().start()
    board.update(machine.path, 0, memory_used=35 * GIB)
    assert cuda.code("cuMemAlloc_v2", U64, SIZE(5 * GIB)) == 2
    assert cuda.code("cuMemAlloc_v2", U64, SIZE(4 * GIB)) == 0


def test_gaps_between_allocations_do_not_matter(cuda):
    pieces = [cuda.allocate(GIB) for _ in range(38)]
    for piece in pieces[::2]:
        free(cuda, piece)
    assert cuda.code("cuMemAlloc_v2", U64, SIZE(19 * GIB)) == 0


def test_addresses_are_used_again_when_the_range_is_at_its_end(cuda):
    for _ in range(200):
        assert free(cuda, cuda.allocate(GIB)) == 0


@pytest.mark.parametrize("size", [1, 511, 513, 4097, 1 << 21])
def test_allocations_are_aligned_and_do_not_touch(cuda, size):
    first, second = cuda.allocate(size), cuda.allocate(size)
    assert (first % 512, second % 512) == (0, 0)
    cuda.write(first, b"a" * size)
    cuda.write(second, b"b" * size)
    assert cuda.read(first, size) == b"a" * size


def test_an_allocation_needs_a_context_a_size_and_a_place(host):
    cuda = host(A100).cuda()
    cuda("cuInit", 0)
    assert cuda.code("cuMemAlloc_v2", U64, SIZE(1)) == 201
    cuda("cuCtxCreate_v2", POINTER, 0, 0)
    assert [cuda.code("cuMemAlloc_v2", U64, SIZE(0)), cuda.code("cuMemAlloc_v2", None, SIZE(1))] == [1, 1]


def test_only_the_start_of_an_allocation_is_freed_and_only_once(cuda):
    address = cuda.allocate(1024)
    assert [free(cuda, a) for a in (address + 512, address, address, 0, 12345)] == [1, 0, 1, 0, 1]


def test_memory_of_a_destroyed_context_is_free_again(cuda):
    before = info(cuda)
    context = cuda("cuCtxCreate_v2", POINTER, 0, 0)
    cuda.allocate(GIB)
    cuda("cuCtxDestroy_v2", POINTER(context))
    assert info(cuda) == before


def test_an_address_range_is_found_from_inside(cuda):
    address = cuda.allocate(5000)
    assert cuda("cuMemGetAddressRange_v2", U64, SIZE, U64(address + 4999)) == (address, 5000)
    assert cuda.code("cuMemGetAddressRange_v2", U64, SIZE, U64(address + 5000)) == 500


def test_a_pitched_allocation_has_rows_of_512_bytes(cuda):
    address, pitch = cuda("cuMemAllocPitch_v2", U64, SIZE, SIZE(1000), SIZE(10), 4)
    assert pitch == 1024
    assert cuda("cuMemGetAddressRange_v2", U64, SIZE, U64(address)) == (address, 10240)
    assert cuda.code("cuMemAllocPitch_v2", U64, SIZE, SIZE(1000), SIZE(10), 3) == 1


def test_a_program_that_follows_a_device_address_itself_faults(host):
    stdout, _ = host(A100).run(
        "import os\ncuda('cuCtxCreate_v2', ctypes.c_void_p, 0, 0)\naddress = cuda.allocate(4096)\n"
        "child = os.fork()\nif not child: ctypes.string_at(address, 1); os._exit(0)\n"
        "print(os.WTERMSIG(os.waitpid(child, 0)[1]))")
    assert stdout == "11\n"


# Host and managed memory

def test_pinned_memory_has_one_address_on_both_sides(cuda):
    pinned = cuda("cuMemHostAlloc", POINTER, SIZE(4096), 3)
    ctypes.memmove(pinned, b"pinned", 6)
    assert cuda("cuMemHostGetDevicePointer_v2", U64, POINTER(pinned), 0) == pinned
    assert cuda("cuMemHostGetFlags", UINT, POINTER(pinned)) == 3
    assert cuda.read(pinned, 6) == b"pinned"
    assert [cuda.code("cuMemFreeHost", POINTER(pinned)) for _ in range(2)] == [0, 1]


def test_registered_memory_is_known_until_it_is_unregistered(cuda):
    own = ctypes.create_string_buffer(b"own", 10000)
    where = POINTER(ctypes.addressof(own))
    codes = [cuda.code("cuMemHostRegister_v2", where, SIZE(10000), 0) for _ in range(2)]
    assert codes + [cuda.code("cuMemHostUnregister", where) for _ in range(2)] == [0, 712, 0, 713]


def test_managed_memory_is_used_by_both_sides(cuda):
    managed = cuda("cuMemAllocManaged", U64, SIZE(4096), 1)
    ctypes.memmove(managed, b"managed", 7)
    assert cuda.read(managed, 7) == b"managed"
    assert cuda.code("cuMemPrefetchAsync", U64(managed), SIZE(4096), 1, None) == 0
    assert cuda.code("cuMemPrefetchAsync", U64(managed), SIZE(4096), 7, None) == 101
    assert cuda.code("cuMemAdvise", U64(managed), SIZE(4096), 1, 0) == 0
    assert (free(cuda, managed), cuda.code("cuMemAllocManaged", U64, SIZE(4096), 3)) == (0, 1)


# Copies

def test_every_way_to_copy_copies(cuda):
    a, b, size = cuda.allocate(64), cuda.allocate(64), SIZE(16)
    cuda.write(a, b"sixteen bytes...")
    for copy in (("cuMemcpyDtoD_v2", U64(b), U64(a), size), ("cuMemcpy", U64(b), U64(a), size),
                 ("cuMemcpyDtoDAsync_v2", U64(b), U64(a), size, None), ("cuMemcpyAsync", U64(b), U64(a), size, None),
                 ("cuMemcpyDtoDAsync_v2_ptsz", U64(b), U64(a), size, None), ("cuMemcpy_ptds", U64(b), U64(a), size)):
        cuda("cuMemsetD8_v2", U64(b), 0, SIZE(64))
        cuda(*copy)
        assert cuda.read(b, 16) == b"sixteen bytes...", copy[0]


def test_copies_between_devices_work_with_their_contexts(cuda):
    first = cuda("cuCtxGetCurrent", POINTER)
    a = cuda.allocate(16)
    cuda.write(a, b"from device zero")
    second = cuda("cuCtxCreate_v2", POINTER, 0, 1)
    b = cuda.allocate(16)
    cuda("cuMemcpyPeer", U64(b), POINTER(second), U64(a), POINTER(first), SIZE(16))
    assert cuda.read(b, 16) == b"from device zero"
    assert cuda.code("cuMemcpyPeer", U64(b), None, U64(a), POINTER(first), SIZE(16)) == 201


def test_a_copy_that_leaves_its_allocation_is_refused(cuda):
    address, buffer = cuda.allocate(100), ctypes.create_string_buffer(1000)
    assert [cuda.code("cuMemcpyHtoD_v2", U64(address + at), buffer, SIZE(size))
            for at, size in ((0, 100), (0, 101), (50, 51), (99, 1), (100, 1), (0, 2**63), (100, 0))] \
        == [0, 1, 1, 0, 1, 1, 0]
    assert cuda.code("cuMemcpyDtoH_v2", buffer, U64(ctypes.addressof(buffer)), SIZE(4)) == 1
    free(cuda, address)
    assert cuda.code("cuMemcpyHtoD_v2", U64(address), buffer, SIZE(1)) == 1


class Copy2D(ctypes.Structure):
    _fields_ = [(f"{side}{name}", type_) for side in ("src", "dst") for name, type_ in (
        ("XInBytes", SIZE), ("Y", SIZE), ("MemoryType", ctypes.c_int), ("Host", POINTER), ("Device", U64),
        ("Array", POINTER), ("Pitch", SIZE))] + [("WidthInBytes", SIZE), ("Height", SIZE)]


HOST, DEVICE, ARRAY = 1, 2, 3


def test_a_rectangle_is_copied_with_its_pitch(cuda):
    image = ctypes.create_string_buffer(b"".join(bytes([65 + row]) * 8 for row in range(4)), 32)
    address = cuda.allocate(4096)
    cuda("cuMemsetD8_v2", U64(address), ord("."), SIZE(4096))
    copy = Copy2D(srcMemoryType=HOST, srcHost=ctypes.addressof(image), srcPitch=8, srcXInBytes=6, srcY=1,
                  dstMemoryType=DEVICE, dstDevice=address, dstPitch=5, dstXInBytes=1, dstY=1, WidthInBytes=2, Height=3)
    cuda("cuMemcpy2D_v2", ctypes.byref(copy))
    assert cuda.read(address, 21) == b"......BB...CC...DD..."
    copy.srcPitch = 7
    assert cuda.code("cuMemcpy2D_v2", ctypes.byref(copy)) == 1, "rows of 7 bytes have no 2 at 6"


def test_the_last_row_of_a_rectangle_must_lie_in_the_allocation(cuda):
    address, buffer = cuda.allocate(100), ctypes.create_string_buffer(400)
    copy = Copy2D(srcMemoryType=HOST, srcHost=ctypes.addressof(buffer), srcPitch=10, dstMemoryType=DEVICE,
                  dstDevice=address, dstPitch=30, WidthInBytes=10, Height=4)
    assert cuda.code("cuMemcpy2D_v2", ctypes.byref(copy)) == 0
    copy.dstXInBytes = 1
    assert cuda.code("cuMemcpy2D_v2", ctypes.byref(copy)) == 1


# Setting

@pytest.mark.parametrize(("function", "value", "bytes_"), [
    ("cuMemsetD8_v2", 0x41, b"A" * 6), ("cuMemsetD16_v2", 0x4241, b"AB" * 6),
    ("cuMemsetD32_v2", 0x44434241, b"ABCD" * 6)])
def test_memory_is_set_by_elements(cuda, function, value, bytes_):
    address = cuda.allocate(64)
    cuda("cuMemsetD8_v2", U64(address), 0, SIZE(64))
    cuda(function, U64(address + 4), value, SIZE(6))
    assert cuda.read(address, 64) == bytes(4) + bytes_ + bytes(60 - len(bytes_))


def test_an_area_is_set_row_by_row_and_alignment_is_checked(cuda):
    address = cuda.allocate(24)
    cuda("cuMemsetD8_v2", U64(address), ord("."), SIZE(24))
    cuda("cuMemsetD2D16_v2", U64(address), SIZE(8), 0x4241, SIZE(2), SIZE(3))
    assert cuda.read(address, 24) == b"ABAB...." * 3
    assert cuda.code("cuMemsetD16_v2", U64(address + 1), 0, SIZE(1)) == 1
    assert cuda.code("cuMemsetD2D16_v2", U64(address), SIZE(8), 0, SIZE(2), SIZE(4)) == 1


def test_setting_memory_to_zero_takes_none_of_this_machine(cuda):
    address, size = cuda.allocate(30 * GIB), 30 * GIB
    for at in (0, 5000, size - 1):
        cuda.write(address + at, b"x")
    cuda("cuMemsetD8_v2", U64(address + 1), 0, SIZE(size - 2))
    assert [cuda.read(address + at, 1) for at in (0, 5000, size - 2, size - 1)] == [b"x", b"\0", b"\0", b"x"]
    with open("/proc/self/statm") as f:
        assert int(f.read().split()[1]) * 4096 < GIB


# Pools

def test_memory_in_the_order_of_a_stream_comes_from_the_devices_pool(cuda):
    pool = cuda("cuDeviceGetDefaultMemPool", POINTER, 0)
    assert cuda("cuDeviceGetMemPool", POINTER, 0) == pool
    address = cuda("cuMemAllocAsync", U64, SIZE(1 << 20), None)
    used, high = 7, 8
    assert cuda("cuMemPoolGetAttribute", POINTER(pool), used, U64) == 1 << 20
    assert cuda("cuPointerGetAttribute", POINTER, 17, U64(address)) == pool
    cuda("cuMemFreeAsync", U64(address), None)
    assert [cuda("cuMemPoolGetAttribute", POINTER(pool), a, U64) for a in (used, high)] == [0, 1 << 20]


def test_a_pools_ceiling_holds(cuda):
    class Properties(ctypes.Structure):
        _fields_ = [("type", UINT), ("handles", UINT), ("location", UINT), ("id", UINT), ("attributes", POINTER),
                    ("most", SIZE), ("rest", ctypes.c_ubyte * 56)]

    pool = cuda("cuMemPoolCreate", POINTER, ctypes.byref(Properties(type=1, location=1, id=1, most=1 << 20)))
    assert cuda.code("cuMemAllocFromPoolAsync", U64, SIZE(1 << 21), POINTER(pool), None) == 2
    assert cuda.code("cuMemAllocFromPoolAsync", U64, SIZE(1 << 20), POINTER(pool), None) == 0
    assert [cuda.code("cuMemPoolDestroy", POINTER(pool)) for _ in range(2)] == [0, 1]


def test_access_to_a_pool_is_given_to_other_devices_and_taken(cuda):
    class Access(ctypes.Structure):
        _fields_ = [("type", UINT), ("device", ctypes.c_int), ("flags", UINT)]

    pool = POINTER(cuda("cuDeviceGetDefaultMemPool", POINTER, 0))

    def change(device, flags):
        return cuda.code("cuMemPoolSetAccess", pool, ctypes.byref(Access(1, device, flags)), SIZE(1))

    def given():
        return [cuda("cuMemPoolGetAccess", UINT, pool, ctypes.byref(Access(1, device))) for device in (0, 1)]

    assert given() == [3, 0]
    assert (change(1, 3), given()) == (0, [3, 3])
    assert (change(1, 0), given()) == (0, [3, 0])
    assert [change(0, 0), change(2, 3), change(1, 2)] == [1, 1, 1]


# What an address is

def test_an_address_is_described(cuda):
    context, address = cuda("cuCtxGetCurrent", POINTER), cuda.allocate(1000)
    ask = {1: POINTER, 2: UINT, 3: U64, 8: UINT, 9: ctypes.c_int, 11: U64, 12: SIZE}
    assert {a: cuda("cuPointerGetAttribute", t, a, U64(address + 8)) for a, t in ask.items()} == {
        1: context, 2: DEVICE, 3: address + 8, 8: 0, 9: 0, 11: address, 12: 1000}
    assert cuda.code("cuPointerGetAttribute", UINT, 2, U64(12345)) == 1


def test_several_attributes_can_be_asked_of_an_unknown_address(cuda):
    kind, device = UINT(9), ctypes.c_int(9)
    codes = (ctypes.c_int * 2)(2, 9)
    places = (POINTER * 2)(ctypes.addressof(kind), ctypes.addressof(device))
    assert cuda.code("cuPointerGetAttributes", 2, codes, places, U64(12345)) == 0
    assert (kind.value, device.value) == (0, -2)
