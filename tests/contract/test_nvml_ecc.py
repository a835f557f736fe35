"""Memory errors: counters by type, lifetime and place, and what the driver took out of use."""

import ctypes
from dataclasses import replace

import pytest
from nvml_host import A100, UUID, Host, handle, number

from nvsim import board
from nvsim.models import board_gpu

V100 = "V100-SXM2-16GB"
CORRECTED, UNCORRECTED, VOLATILE, AGGREGATE = 0, 1, 0, 1
L1, L2, DRAM, REGISTERS, CBU, SRAM = 0, 1, 2, 3, 6, 7


def gpu(model, **values):
    return replace(board_gpu(model, index=0, minor=0, uuid=UUID.format(0), bus_id="0000:01:00.0"), **values)


@pytest.fixture
def started(tmp_path):
    def start(*gpus):
        lib = Host(tmp_path, (), gpus=gpus).library()
        lib.nvmlInit_v2()
        return lib
    return start


def counter(lib, *arguments):
    value = ctypes.c_ulonglong()
    code = lib.nvmlDeviceGetMemoryErrorCounter(handle(lib), *arguments, ctypes.byref(value))
    return -code if code else value.value


def total(lib, *arguments):
    value = ctypes.c_ulonglong()
    code = lib.nvmlDeviceGetTotalEccErrors(handle(lib), *arguments, ctypes.byref(value))
    return -code if code else value.value


def wide(lib, function, count, version):
    """The 64-bit words of a versioned struct, without the first."""
    words = (ctypes.c_ulonglong * count)(version)
    code = getattr(lib, function)(handle(lib), words)
    return -code if code else list(words)[1:]


def test_turing_and_later_count_dram_and_sram(started):
    lib = started(gpu("T4", ecc_volatile_corrected_dram=2, ecc_volatile_corrected_sram=3,
                      ecc_aggregate_uncorrected_sram=4))
    assert [counter(lib, CORRECTED, VOLATILE, place) for place in range(8)] == [-3, -3, 2, -3, -3, -3, -3, 3]
    assert (total(lib, CORRECTED, VOLATILE), total(lib, UNCORRECTED, AGGREGATE)) == (5, 4)
    assert counter(lib, CORRECTED, VOLATILE, 8) == counter(lib, 2, VOLATILE, DRAM) == counter(lib, 0, 2, DRAM) == -2


def test_volta_counts_by_unit(started):
    units = [0] * 32
    units[8 + CBU], units[8 + REGISTERS], units[16 + L1] = 1, 2, 6  # volatile uncorrected, aggregate corrected
    lib = started(gpu(V100, ecc_units=tuple(units), ecc_volatile_uncorrected_sram=4, ecc_volatile_uncorrected_dram=8))
    assert [counter(lib, UNCORRECTED, VOLATILE, place) for place in range(8)] == [0, 4, 8, 2, 0, 0, 1, -3]
    assert counter(lib, CORRECTED, VOLATILE, CBU) == -3
    assert (total(lib, UNCORRECTED, VOLATILE), total(lib, CORRECTED, AGGREGATE)) == (15, 6)
    counts = (ctypes.c_ulonglong * 4)()
    assert lib.nvmlDeviceGetDetailedEccErrors(handle(lib), UNCORRECTED, VOLATILE, counts) == 0
    assert list(counts) == [0, 4, 8, 2]


def test_nothing_is_counted_while_ecc_is_off(started):
    lib = started(gpu(A100, ecc_mode=0, ecc_volatile_corrected_dram=2))
    assert counter(lib, CORRECTED, VOLATILE, DRAM) == total(lib, CORRECTED, VOLATILE) == -3
    assert wide(lib, "nvmlDeviceGetSramEccErrorStatus", 13, 0x1000068) == -3


def test_sram_errors_are_told_by_how_and_where_they_were_found(started):
    lib = started(gpu(A100, ecc_aggregate_uncorrected_sram=10, ecc_sram_parity_aggregate=4, ecc_sram_sm=1,
                      ecc_sram_pcie=2, ecc_volatile_corrected_sram=9, ecc_sram_threshold=1))
    parity, secded, corrected, *volatile_and_places = wide(lib, "nvmlDeviceGetSramEccErrorStatus", 13, 0x1000068)
    assert (parity, secded, corrected) == (4, 6, 0)
    assert volatile_and_places == [0, 0, 9, 7, 1, 2, 0, 0, 1]  # … L2, SM, PCIe, microcontroller, other, exceeded
    assert wide(lib, "nvmlDeviceGetSramEccErrorStatus", 13, 0x2000068) == -25


def test_unique_sram_errors_are_one_entry_for_each_place(started):
    class Counts(ctypes.Structure):
        _fields_ = (("version", ctypes.c_uint), ("count", ctypes.c_uint), ("entries", ctypes.c_void_p))

    lib = started(gpu(A100, ecc_aggregate_uncorrected_sram=10, ecc_sram_sm=3))
    entries = (ctypes.c_uint * 7 * 4)()
    counts = Counts(0x1000010, 0, None)
    ask = lib.nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts
    assert (ask(handle(lib), ctypes.byref(counts)), counts.count) == (7, 2)
    counts.entries = ctypes.addressof(entries)
    assert ask(handle(lib), ctypes.byref(counts)) == 0
    assert [(entry[0], entry[6]) for entry in entries][:2] == [(0, 7), (1, 3)]


def test_retired_pages_have_addresses_and_times(started):
    lib = started(gpu("T4", retired_pages_sbe=1, retired_pages_dbe=2, retired_address=(0xA0000, 0, 0xC0000),
                      retired_time=(1_700_000_000_000_000, 5)))
    needed, addresses, times = ctypes.c_uint(0), (ctypes.c_ulonglong * 4)(), (ctypes.c_ulonglong * 4)()
    ask = lib.nvmlDeviceGetRetiredPages_v2
    assert (ask(handle(lib), 1, ctypes.byref(needed), None, None), needed.value) == (7, 2)
    assert ask(handle(lib), 1, ctypes.byref(needed), addresses, times) == 0
    assert (list(addresses[:2]), list(times[:2])) == ([0x20000, 0xC0000], [5, 0])
    assert ask(handle(lib), 0, ctypes.byref(needed), addresses, times) == 0
    assert (needed.value, addresses[0], times[0]) == (1, 0xA0000, 1_700_000_000_000_000)


def test_remappings_that_wait_are_told_apart(started):
    lib = started(gpu(A100, remapped_uncorrectable=3, remapped_uncorrectable_inactive=1, remapped_pending=1))
    rows = (ctypes.c_uint * 6)()
    assert lib.nvmlDeviceGetRemappedRows_v2(handle(lib), rows) == 0
    assert list(rows) == [0, 0, 3, 1, 1, 0]


def test_bank_remappings_are_those_of_boards_that_have_them(started):
    status = (ctypes.c_uint * 5)()
    other = replace(gpu(A100), minor=1, uuid=UUID.format(1), pci_bus=2)
    lib = started(gpu(A100, bank_remaps_active=2, bank_spares_max=30), other)
    assert lib.nvmlDeviceGetBankRemapperStatus_v1(handle(lib, 1), status) == 3
    assert lib.nvmlDeviceGetBankRemapperStatus_v1(handle(lib), status) == 0
    assert list(status) == [2, 0, 0, 30, 0]


def test_a_board_says_what_waits_for_repair(started):
    lib = started(gpu(A100, repair_tpc_pending=1))
    status = (ctypes.c_uint * 3)(0x100000C)
    assert lib.nvmlDeviceGetRepairStatus(handle(lib), status) == 0
    assert list(status)[1:] == [0, 1]
    assert number(lib, "nvmlDeviceGetUnrepairableMemoryFlag_v1", handle(lib)) == -3


def test_a_corrupt_inforom_is_found(tmp_path):
    machine = Host(tmp_path, [A100, "RTX 4060 Ti"])
    lib = machine.library()
    lib.nvmlInit_v2()
    assert [lib.nvmlDeviceValidateInforom(handle(lib, i)) for i in range(2)] == [0, 3]
    board.update(machine.path, 0, inforom_corrupt=1)
    assert lib.nvmlDeviceValidateInforom(handle(lib)) == 14


def test_clearing_forgets_one_lifetime_by_every_place(started, requires):
    requires("root")
    lib = started(gpu(V100, ecc_units=tuple(range(1, 33))))
    lifetimes = [(kind, lifetime) for lifetime in (VOLATILE, AGGREGATE) for kind in (CORRECTED, UNCORRECTED)]
    assert [counter(lib, *both, REGISTERS) for both in lifetimes] == [4, 12, 20, 28]
    assert lib.nvmlDeviceClearEccErrorCounts(handle(lib), VOLATILE) == 0
    assert [counter(lib, *both, REGISTERS) for both in lifetimes] == [0, 0, 20, 28]
    assert lib.nvmlDeviceClearEccErrorCounts(handle(lib), AGGREGATE) == 0
    assert [counter(lib, *both, REGISTERS) for both in lifetimes] == [0, 0, 0, 0]
