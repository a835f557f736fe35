"""Field values: which ids a board answers, in which scope, with which type, and what clearing them does."""

import ctypes
import os
from dataclasses import replace

import pytest
from nvml_host import A100, UUID, Host, handle

from nvsim import board
from nvsim.models import board_gpu

H100, GB200, V100 = "H100-SXM5-80GB", "GB200", "V100-SXM2-16GB"
UINT, WIDE, INT = 1, 3, 5
ALL = 0xFFFFFFFF
LINK_COUNT, THROUGHPUT_TX, CRC_FLIT_L1, CRC_FLIT_TOTAL, DL_REPLAY = 91, 138, 33, 38, 161


class Field(ctypes.Structure):
    _fields_ = (("id", ctypes.c_uint), ("scope", ctypes.c_uint), ("timestamp", ctypes.c_longlong),
                ("latency", ctypes.c_longlong), ("type", ctypes.c_uint), ("code", ctypes.c_uint),
                ("value", ctypes.c_ulonglong))

    @property
    def answer(self):
        """The value by its type, or the negative return code."""
        if self.code:
            return -self.code
        kind = {UINT: ctypes.c_uint, WIDE: ctypes.c_ulonglong, INT: ctypes.c_int}[self.type]
        return kind.from_buffer(self, Field.value.offset).value


def fields(lib, device, *wanted, function="nvmlDeviceGetFieldValues"):
    """(code of the call, entries) for ids, or pairs of id and scope."""
    pairs = [w if isinstance(w, tuple) else (w, 0) for w in wanted]
    entries = (Field * len(pairs))(*(Field(id=i, scope=scope, value=2**64 - 1) for i, scope in pairs))
    return getattr(lib, function)(device, len(pairs), entries), entries


def answers(lib, device, *wanted):
    return [entry.answer for entry in fields(lib, device, *wanted)[1]]


def gpu(model, **values):
    return replace(board_gpu(model, index=0, minor=0, uuid=UUID.format(0), bus_id="0000:01:00.0"), **values)


@pytest.fixture
def started(tmp_path):
    def start(*models, **changes):
        lib = Host(tmp_path, models, **changes).library()
        lib.nvmlInit_v2()
        return lib
    return start


def test_the_call_succeeds_if_one_entry_could_be_read(started):
    lib = started(A100)
    code, (known, unknown) = fields(lib, handle(lib), LINK_COUNT, 9999)
    assert (code, known.answer, unknown.answer) == (0, 12, -3)
    assert fields(lib, handle(lib), 9999, 9998)[0] == 3


def test_an_entry_says_when_it_was_read_and_of_which_type_it_is(started):
    lib = started(H100)
    _, (count, energy, margin) = fields(lib, handle(lib), LINK_COUNT, 83, 193)
    assert [entry.type for entry in (count, energy, margin)] == [UINT, WIDE, INT]
    assert count.timestamp == energy.timestamp > 1_600_000_000_000_000
    assert margin.answer == -8


def test_power_is_told_by_scope(started):
    lib = started("T4", H100, GB200)
    power = {"average": 185, "instant": 186, "min": 187, "max": 188, "default": 189, "current": 190, "requested": 192}
    asked = {name: [answers(lib, handle(lib, i), *((number, scope) for scope in range(3))) for i in range(3)]
             for name, number in power.items()}
    assert asked["average"] == [[-3, -3, -3], [69290, -3, 32980], [166670, 467170, 30260]]
    assert asked["instant"] == [[33510, -3, -3], [69290, -3, -3], [166670, 467680, -3]]
    assert asked["min"] == [[60000, -3, -3], [200000, -3, -3], [200000, 500000, -3]]
    assert asked["requested"] == asked["current"] == asked["default"] == asked["max"] == [
        [70000, -3, -3], [700000, -3, -3], [1200000, 2500000, -3]]
    assert answers(lib, handle(lib), (185, 9)) == [-2]


def test_ecc_fields_are_the_counters_by_place(started):
    lib = started(gpus=(gpu(V100, ecc_units=(0, 3, 0, 5), ecc_volatile_corrected_dram=2),))
    volatile_corrected = {"total": 3, "l1": 7, "l2": 9, "dev": 11, "reg": 13, "tex": 15}
    assert answers(lib, handle(lib), *volatile_corrected.values()) == [10, 0, 3, 2, 5, 0]
    assert answers(lib, handle(lib), 4, 17, 28) == [0, 0, 0]


def test_boards_that_count_sram_as_one_do_not_tell_its_units(started):
    lib = started("T4")
    assert answers(lib, handle(lib), 3, 7, 11, 13) == [0, -3, 0, -3]


def test_time_below_the_highest_clocks_is_told_by_reason(started):
    lib = started(gpus=(gpu(A100, violation=tuple(range(10, 22)), slowdown_software=5, slowdown_brake=7),))
    assert answers(lib, handle(lib), 74, 75, 76, 79, 80, 81) == [10, 11, 12, 15, 20, 21]
    assert answers(lib, handle(lib), 269, 270, 271) == [5, 0, 7]


def test_pcie_fields_count_traffic_and_errors(started):
    lib = started(gpus=(gpu("B200", pcie_errors=tuple(range(1, 12)), pcie_sent=2**40, pcie_rollovers=4),))
    assert answers(lib, handle(lib), 173, 183, 197, 198, 95, 169) == [1, 11, 2**40, 0, 4, 0]
    assert answers(lib, handle(lib), 228, 229) == [0x3F, 0x3F]


def test_links_are_numbered_by_id_or_by_scope(started):
    errors = [0] * 180
    errors[1 * 5 + 2], errors[11 * 5 + 2], errors[3 * 5 + 0] = 7, 5, 9  # flits of links 1 and 11, replays of link 3
    sent = (100, 20) + (0,) * 34
    lib = started(gpus=(gpu(A100, nvlink_errors=tuple(errors), nvlink_sent=sent),))
    device = handle(lib)
    assert answers(lib, device, CRC_FLIT_L1, 101, CRC_FLIT_TOTAL) == [7, 5, 12]
    assert answers(lib, device, (THROUGHPUT_TX, 0), (THROUGHPUT_TX, 1), (THROUGHPUT_TX, ALL)) == [100, 20, 120]
    assert answers(lib, device, (DL_REPLAY, 3), (DL_REPLAY, 4), (DL_REPLAY, 12), (163, 1)) == [9, 0, -2, 7]
    assert answers(lib, device, 84, 137, (164, 2), (165, 2), (166, 2)) == [25000, 25000, 25000, 1, 4]


def test_boards_without_links_count_none_of_them(started):
    lib = started("T4")
    assert answers(lib, handle(lib), LINK_COUNT, CRC_FLIT_L1, THROUGHPUT_TX, 147) == [0, -3, -3, -3]


def test_links_sleep_since_hopper_and_count_packets_since_blackwell(started):
    lib = started(A100, H100, "B200")
    asked = [answers(lib, handle(lib, i), 225, 167, 223, 200, 202, 250) for i in range(3)]
    assert asked == [[0, -3, -3, -3, -3, -3], [1, 0, 1, 8191, -3, -3], [1, 0, 1, 8191, 0, 0]]


def test_chip_to_chip_links_are_those_of_coherent_boards(started):
    lib = started(H100, "GH200-96GB")
    asked = [answers(lib, handle(lib, i), 170, (171, 9), (171, 10), (172, 0)) for i in range(2)]
    assert asked == [[0, -3, -3, -3], [10, 1, -3, 44712]]


@pytest.mark.parametrize(("driver", "expected"), [("550.54.15", [1, 0]), ("570.148.08", [-26, -26])])
def test_the_reset_fields_are_deprecated_since_570(started, driver, expected):
    lib = started(gpus=(gpu(A100, recovery_action=1),), driver_version=driver)
    assert answers(lib, handle(lib), 226, 227, 230) == [*expected, 1]


def test_power_smoothing_is_shown_to_administrators_alone(started):
    lib = started("B200", H100)
    as_root = [answers(lib, handle(lib, i), 251, 259) for i in range(2)]
    pid = os.fork()
    if not pid:
        os.seteuid(65534)
        os._exit(-answers(lib, handle(lib), LINK_COUNT, 251)[1])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
    assert as_root == [[0, 5], [-3, -3]]


def test_only_link_counters_can_be_cleared(tmp_path):
    errors = tuple(range(1, 181))
    machine = Host(tmp_path, (), gpus=(gpu(A100, nvlink_errors=errors, nvlink_sent=(100, 20)),))
    lib = machine.library()
    lib.nvmlInit_v2()
    code, entries = fields(lib, handle(lib), (THROUGHPUT_TX, 1), (DL_REPLAY, ALL), CRC_FLIT_L1, 83,
                           function="nvmlDeviceClearFieldValues")
    assert (code, [entry.code for entry in entries]) == (0, [0, 0, 0, 3])
    left = board.read(machine.path).gpus[0]
    assert left.nvlink_sent[:2] == (100, 0)
    assert left.nvlink_errors[:10] == (0, 2, 3, 4, 5, 0, 7, 0, 9, 10)
    assert answers(lib, handle(lib), CRC_FLIT_L1, (DL_REPLAY, ALL)) == [0, 0]
    assert fields(lib, handle(lib), 83, function="nvmlDeviceClearFieldValues")[0] == 3


def test_clearing_needs_the_right_to_administer(started):
    lib = started(A100)
    pid = os.fork()
    if not pid:
        os.seteuid(65534)
        os._exit(fields(lib, handle(lib), THROUGHPUT_TX, function="nvmlDeviceClearFieldValues")[0])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
