"""Processes and accounting: what the board's table becomes in each call that lists them."""

import ctypes
import os
import struct
import time

import pytest
from nvml_host import A100, Host, handle, text

from nvsim import board
from nvsim.models import MIB

NONE = 0xFFFFFFFF
TABLE = {"process_pid": (4001, 0, 4002, 4003), "process_kind": (1, 0, 2, 4),
         "process_memory": (100 * MIB, 0, 20 * MIB, 2**64 - 1), "process_gpu_instance": (NONE,) * 4,
         "process_compute_instance": (NONE,) * 4, "process_sm": (70, 0, 5, 20),
         "process_memory_utilization": (30, 0, 1, 2), "process_encoder": (0, 0, 9, 0), "process_decoder": (0, 0, 8, 0),
         "process_jpeg": (0, 0, 7, 0), "process_ofa": (0, 0, 6, 0),
         "process_name": ("python3", "", "/usr/lib/xorg/Xorg", "train")}


@pytest.fixture
def machine(tmp_path):
    return Host(tmp_path, [A100, A100])


@pytest.fixture
def lib(machine):
    lib = machine.library()
    assert lib.nvmlInit_v2() == 0
    yield lib
    lib.nvmlShutdown()


def change(machine, **values):
    board.edit(machine.path, 0, lambda _: values)


def entries(lib, function, form, room=8):
    """Code, count and entries of a list call; `form` is the struct's format."""
    size = struct.calcsize(form)
    count, buffer = ctypes.c_uint(room), ctypes.create_string_buffer(b"\xAA" * size * (room + 1), size * (room + 1))
    code = getattr(lib, function)(handle(lib), ctypes.byref(count), buffer)
    assert buffer.raw[size * room:] == b"\xAA" * size, "written behind the end"
    found = [struct.unpack_from(form, buffer, i * size) for i in range(min(count.value, room))] if code == 0 else []
    return code, count.value, found


@pytest.mark.parametrize(("version", "form", "tail"), [("", "<I4xQ", ()), ("_v2", "<I4xQII", (NONE, NONE)),
                                                       ("_v3", "<I4xQII", (NONE, NONE))])
def test_each_version_lists_the_processes_of_a_kind_in_its_own_layout(machine, lib, version, form, tail):
    change(machine, **TABLE)
    name = "nvmlDeviceGet{}RunningProcesses" + version
    assert entries(lib, name.format("Compute"), form) == (0, 2, [(4001, 100 * MIB, *tail), (4003, 2**64 - 1, *tail)])
    assert entries(lib, name.format("Graphics"), form) == (0, 1, [(4002, 20 * MIB, *tail)])
    assert entries(lib, name.format("MPSCompute"), form) == (0, 1, [(4003, 2**64 - 1, *tail)])


def test_a_list_that_does_not_fit_says_how_much_room_it_needs(machine, lib):
    change(machine, **TABLE)
    assert entries(lib, "nvmlDeviceGetComputeRunningProcesses_v3", "<I4xQII", room=1) == (7, 2, [])
    count = ctypes.c_uint(0)
    assert lib.nvmlDeviceGetComputeRunningProcesses_v3(handle(lib), ctypes.byref(count), None) == 7
    assert count.value == 2
    assert lib.nvmlDeviceGetComputeRunningProcesses_v3(handle(lib, 1), ctypes.byref(count), None) == 0
    assert count.value == 0


@pytest.mark.parametrize(("mode", "pids"), [(0, [4001, 4003]), (1, [4002]), (2, [4003]), (3, [4001, 4002, 4003])])
def test_the_detail_list_names_the_processes_of_a_mode(machine, lib, mode, pids):
    change(machine, **TABLE)
    array = ctypes.create_string_buffer(32 * 4)
    request = ctypes.create_string_buffer(struct.pack("<IIIxxxxQ", 0x01000018, mode, 4, ctypes.addressof(array)), 24)
    assert lib.nvmlDeviceGetRunningProcessDetailList(handle(lib), request) == 0
    count = struct.unpack_from("<I", request, 8)[0]
    found = [struct.unpack_from("<I4xQIIQ", array, 32 * i) for i in range(count)]
    assert [entry[0] for entry in found] == pids
    assert {entry[2:] for entry in found} == {(NONE, NONE, 0)}


def test_a_mode_or_version_that_the_detail_list_does_not_know_is_refused(lib):
    for version, mode, code in ((0x01000018, 4, 2), (0x02000018, 0, 25)):
        request = ctypes.create_string_buffer(struct.pack("<IIIxxxxQ", version, mode, 0, 0), 24)
        assert lib.nvmlDeviceGetRunningProcessDetailList(handle(lib), request) == code


def test_utilisation_of_processes_is_a_sample_each(machine, lib):
    change(machine, **TABLE)
    before, count = time.time_ns() // 1000, ctypes.c_uint(0)
    device, samples = handle(lib), ctypes.create_string_buffer(32 * 4)
    assert lib.nvmlDeviceGetProcessUtilization(device, None, ctypes.byref(count), ctypes.c_ulonglong(0)) == 7
    assert lib.nvmlDeviceGetProcessUtilization(device, samples, ctypes.byref(count), ctypes.c_ulonglong(0)) == 0
    found = [struct.unpack_from("<I4xQIIII", samples, 32 * i) for i in range(count.value)]
    assert [(pid, *rest) for pid, _, *rest in found] == [(4001, 70, 30, 0, 0), (4002, 5, 1, 9, 8), (4003, 20, 2, 0, 0)]
    assert all(before <= stamp <= time.time_ns() // 1000 for _, stamp, *_ in found)
    later = ctypes.c_ulonglong(found[0][1] + 10**9)
    assert lib.nvmlDeviceGetProcessUtilization(device, samples, ctypes.byref(count), later) == 6


def test_the_newer_utilisation_call_knows_two_engines_more(machine, lib):
    change(machine, **TABLE)
    array = ctypes.create_string_buffer(40 * 4)
    request = ctypes.create_string_buffer(struct.pack("<IIQQ", 0x01000018, 4, 0, ctypes.addressof(array)), 24)
    assert lib.nvmlDeviceGetProcessesUtilizationInfo(handle(lib), request) == 0
    assert struct.unpack_from("<I", request, 4) == (3,)
    assert struct.unpack_from("<Q7I", array, 40)[1:] == (4002, 5, 1, 9, 8, 7, 6)


def test_a_gpu_in_mig_mode_does_not_say_how_busy_processes_keep_it(machine, lib):
    change(machine, **TABLE)
    board.update(machine.path, 0, mig_mode=1)
    count, since = ctypes.c_uint(), ctypes.c_ulonglong()
    assert lib.nvmlDeviceGetProcessUtilization(handle(lib), None, ctypes.byref(count), since) == 3


def test_the_table_of_nvidia_smi_has_the_same_lists_with_names(machine, lib):
    change(machine, **TABLE)
    table = ctypes.POINTER(ctypes.c_void_p)()
    lib.nvmlInternalGetExportTable(ctypes.byref(table), bytes.fromhex("c4fe3e6cc98f6c4ea327ee696e12f7c4"))
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    said = {}
    for slot in (213, 214, 215):
        count, array = ctypes.c_uint(500), ctypes.create_string_buffer(4128 * 500)
        assert call(table[slot])(handle(lib), ctypes.addressof(count), ctypes.addressof(array)) == 0
        said[slot] = [(struct.unpack_from("<I", array, 4128 * i)[0], array[4128 * i + 32:4128 * i + 64].rstrip(b"\0"))
                      for i in range(count.value)]
    assert said == {213: [(4001, b"python3"), (4003, b"train")], 214: [(4003, b"train")],
                    215: [(4002, b"/usr/lib/xorg/Xorg")]}


@pytest.mark.parametrize(("variant", "version", "engines"), [("535", "535.261.03", 4), ("550", "550.163.01", 6)])
def test_the_samples_of_pmon_have_the_load_of_each_process_as_their_mean(tmp_path, variant, version, engines):
    machine = Host(tmp_path, [A100], variant, driver_version=version)
    lib, table = machine.library(), ctypes.POINTER(ctypes.c_void_p)()
    lib.nvmlInit_v2()
    change(machine, **TABLE)
    lib.nvmlInternalGetExportTable(ctypes.byref(table), bytes.fromhex("c4fe3e6cc98f6c4ea327ee696e12f7c4"))
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_ulonglong, *[ctypes.c_void_p] * 3)(table[145])
    count, size = ctypes.c_uint(100), 8 + 80 * engines
    samples = ctypes.create_string_buffer(b"\xAA" * size * 4, size * 4)
    assert call(handle(lib), 0, None, ctypes.addressof(count), ctypes.addressof(samples)) == 0
    assert samples.raw[3 * size:] == b"\xAA" * size
    means = {}
    for sample in range(count.value):
        for engine in range(engines):
            load, pid = struct.unpack_from("<I4xI", samples, sample * size + 8 + 80 * engine)
            means.setdefault(pid, []).append(load / count.value)
    wanted = {4001: [70, 30, 0, 0, 0, 0], 4002: [5, 1, 9, 8, 7, 6], 4003: [20, 2, 0, 0, 0, 0]}
    assert means == {pid: loads[:engines] for pid, loads in wanted.items()}
    change(machine, process_pid=())
    assert call(handle(lib), 0, None, ctypes.addressof(count), ctypes.addressof(samples)) == 6


def test_a_process_has_the_boards_name_or_that_of_its_command_line(machine, lib):
    change(machine, **TABLE)
    assert text(lib, "nvmlSystemGetProcessName", 4002) == "/usr/lib/xorg/Xorg"
    assert text(lib, "nvmlSystemGetProcessName", 4002, size=5) == "/usr"
    with open("/proc/self/cmdline", encoding="utf-8") as f:
        assert text(lib, "nvmlSystemGetProcessName", os.getpid(), size=4096) == f.read().split("\0")[0]
    assert text(lib, "nvmlSystemGetProcessName", 2**31 - 2) == -6


def test_memory_in_use_follows_the_processes(machine, lib):
    def used():
        memory = (ctypes.c_ulonglong * 5)(0x02000028)
        assert lib.nvmlDeviceGetMemoryInfo_v2(handle(lib), memory) == 0
        return memory[4] // MIB

    board.update(machine.path, 0, memory_used=7 * MIB)
    change(machine, **TABLE)
    assert used() == 127
    change(machine, process_pid=(4001, 0, 0, 0))
    assert used() == 107
    change(machine, process_pid=(0,), memory_used=3 * MIB)
    assert used() == 3


# Accounting

def stats(lib, pid):
    """gpu, memory, most bytes, ms, start, running; or the negative code."""
    buffer = ctypes.create_string_buffer(56)
    code = lib.nvmlDeviceGetAccountingStats(handle(lib), pid, buffer)
    return struct.unpack_from("<IIQQQI", buffer) if code == 0 else -code


def accounted(lib):
    count, pids = ctypes.c_uint(200), (ctypes.c_uint * 200)()
    code = lib.nvmlDeviceGetAccountingPids(handle(lib), ctypes.byref(count), pids)
    return list(pids[:count.value]) if code == 0 else -code


def test_accounting_keeps_what_a_process_used_after_it_ended(machine, lib):
    now = time.time_ns() // 1000
    board.update(machine.path, 0, accounting_mode=1)
    change(machine, **TABLE, process_started=(now - 5_000_000, 0, now - 1_000_000, now))
    assert stats(lib, 4001) == (70, 30, 100 * MIB, 0, now - 5_000_000, 1)
    change(machine, process_pid=(0, 0, 4002, 4003))
    gpu, memory, most, life, started, running = stats(lib, 4001)
    assert (gpu, memory, most, started, running) == (70, 30, 100 * MIB, now - 5_000_000, 0)
    assert 5000 <= life < 60_000
    assert sorted(accounted(lib)) == [4001, 4002, 4003]
    assert stats(lib, 999) == -6


def test_the_second_version_of_the_stats_sums_up_samples(machine, lib):
    board.update(machine.path, 0, accounting_mode=1)
    change(machine, **TABLE, process_started=(time.time_ns() // 1000 - 5_000_000, 0, 0, 0))
    buffer = ctypes.create_string_buffer(struct.pack("<I", 4001), 64)
    assert lib.nvmlDeviceGetAccountingStats_v2(handle(lib), buffer) == 0
    pid, running, gpu, memory, _, samples, gpus, memories, life, _ = struct.unpack("<IIIIQI4xQQQQ", buffer)
    assert (pid, running, gpu, memory, life, gpus, memories) == (4001, 1, 70, 30, 0, 70 * samples, 30 * samples)
    assert samples >= 6


def test_accounting_counts_who_came_after_it_was_turned_on(machine, lib, requires):
    requires("root")
    change(machine, **TABLE, process_started=(time.time_ns() // 1000 - 1, 0, 0, 0))
    assert (accounted(lib), stats(lib, 4001)) == (-3, -3)
    assert lib.nvmlDeviceSetAccountingMode(handle(lib), 1) == 0
    assert accounted(lib) == []
    change(machine, process_pid=(4004,), process_started=(time.time_ns() // 1000,))
    assert accounted(lib) == [4004]
    change(machine, process_pid=(4005,))
    change(machine, process_pid=(4006,))
    assert accounted(lib) == [4006, 4005, 4004]
    assert lib.nvmlDeviceClearAccountingPids(handle(lib)) == 0
    assert accounted(lib) == [4006]
    assert lib.nvmlDeviceSetAccountingMode(handle(lib), 0) == 0
    assert accounted(lib) == -3


def test_the_ring_of_ended_processes_forgets_the_oldest(machine, lib):
    board.update(machine.path, 0, accounting_mode=1)
    for pid in range(1, 72):
        change(machine, process_pid=(pid,))
    assert accounted(lib) == [71, *range(70, 6, -1)]


def test_accounting_cannot_be_turned_on_while_mig_is(machine, lib, requires):
    requires("root")
    board.update(machine.path, 0, mig_mode=1)
    assert lib.nvmlDeviceSetAccountingMode(handle(lib), 1) == 3
