"""Calls that change a GPU: what they accept, what queries show afterwards, and which boards have them."""

import ctypes
import os
import struct

import pytest
from nvml_host import A100, Host, handle, number

from nvsim import board
from nvsim.models import cpu_words

MODELS = (A100, "RTX 4060 Ti", "T4", "B200", "ORIN-IGPU")
A100_AT, GEFORCE, T4, B200, ORIN = range(5)
TDP, UNLIMITED = 0xFFFFFF01, 0xFFFFFF02


@pytest.fixture
def machine(tmp_path, requires):
    requires("root")
    return Host(tmp_path, MODELS)


@pytest.fixture
def lib(machine):
    lib = machine.library()
    assert lib.nvmlInit_v2() == 0
    yield lib
    lib.nvmlShutdown()


def answers(lib, function, *arguments):
    """What a call answers for each of MODELS."""
    return [getattr(lib, function)(handle(lib, i), *arguments) for i in range(len(MODELS))]


def pair(lib, function, device, kind=ctypes.c_uint):
    first, second = kind(), kind()
    code = getattr(lib, function)(device, ctypes.byref(first), ctypes.byref(second))
    return (first.value, second.value) if code == 0 else -code


# Power

def test_a_power_limit_is_kept_within_its_constraints(lib):
    device = handle(lib)
    assert pair(lib, "nvmlDeviceGetPowerManagementLimitConstraints", device) == (100000, 400000)
    assert [lib.nvmlDeviceSetPowerManagementLimit(device, mw) for mw in (99999, 400001, 250000)] == [2, 2, 0]
    assert [number(lib, f"nvmlDeviceGet{name}", device) for name in
            ("PowerManagementLimit", "EnforcedPowerLimit", "PowerManagementDefaultLimit")] == [250000, 250000, 400000]
    assert lib.nvmlDeviceSetPowerManagementLimit(handle(lib, ORIN), 10000) == 3


@pytest.mark.parametrize(("version", "scope", "code"), [(0x0200000C, 0, 0), (0x0200000C, 1, 3), (0x0200000C, 9, 2),
                                                        (0x0100000C, 0, 25)])
def test_the_second_version_names_what_the_limit_is_for(lib, version, scope, code):
    value = ctypes.create_string_buffer(struct.pack("<IB3xI", version, scope, 300000), 12)
    assert lib.nvmlDeviceSetPowerManagementLimit_v2(handle(lib), value) == code
    assert number(lib, "nvmlDeviceGetPowerManagementLimit", handle(lib)) == (300000 if code == 0 else 400000)


# Modes

def test_persistence_and_compute_mode_are_what_was_set(lib):
    device = handle(lib)
    assert (lib.nvmlDeviceSetPersistenceMode(device, 0), lib.nvmlDeviceSetComputeMode(device, 2)) == (0, 0)
    assert [number(lib, f"nvmlDeviceGet{name}Mode", device) for name in ("Persistence", "Compute")] == [0, 2]
    assert (lib.nvmlDeviceSetPersistenceMode(device, 2), lib.nvmlDeviceSetComputeMode(device, 4)) == (2, 2)
    assert lib.nvmlDeviceSetComputeMode(device, 1) == 3


def test_ecc_changes_at_the_next_reboot(lib):
    assert lib.nvmlDeviceSetEccMode(handle(lib), 0) == 0
    assert pair(lib, "nvmlDeviceGetEccMode", handle(lib)) == (1, 0)
    assert answers(lib, "nvmlDeviceSetEccMode", 1) == [0, 3, 0, 0, 3]
    assert pair(lib, "nvmlDeviceGetEccMode", handle(lib)) == (1, 1)


def test_error_counts_are_cleared_by_their_life_time(machine, lib):
    board.update(machine.path, 0, ecc_volatile_uncorrected_sram=3, ecc_aggregate_uncorrected_sram=5)

    def total(lifetime):
        value = ctypes.c_ulonglong()
        assert lib.nvmlDeviceGetTotalEccErrors(handle(lib), 1, lifetime, ctypes.byref(value)) == 0
        return value.value

    assert (total(0), total(1)) == (3, 5)
    assert lib.nvmlDeviceClearEccErrorCounts(handle(lib), 0) == 0
    assert (total(0), total(1)) == (0, 5)
    assert lib.nvmlDeviceClearEccErrorCounts(handle(lib), 1) == 0
    assert (total(0), total(1)) == (0, 0)
    assert answers(lib, "nvmlDeviceClearEccErrorCounts", 0) == [0, 3, 0, 0, 3]
    assert lib.nvmlDeviceClearEccErrorCounts(handle(lib), 2) == 2


@pytest.mark.parametrize(("function", "arguments"), [
    ("SetAutoBoostedClocksEnabled", (1,)), ("SetDefaultAutoBoostedClocksEnabled", (1, 0)), ("SetDriverModel", (0, 0)),
    ("SetGpuOperationMode", (0,)), ("SetVirtualizationMode", (0,))])
def test_what_no_board_on_linux_or_without_vgpu_can_do_is_not_supported(lib, function, arguments):
    assert answers(lib, f"nvmlDevice{function}", *arguments) == [3] * 5


# Clocks

def clocks(lib, index=0):
    """Graphics, SM and memory clock now."""
    return [number(lib, "nvmlDeviceGetClockInfo", handle(lib, index), kind) for kind in (0, 1, 2)]


def test_locked_graphics_clocks_hold_the_clock_between_their_ends(machine, lib):
    board.update(machine.path, 0, clock_graphics=210, clock_sm=210)
    assert lib.nvmlDeviceSetGpuLockedClocks(handle(lib), 600, 1200) == 0
    assert clocks(lib) == [600, 600, 1215]
    assert number(lib, "nvmlDeviceGetClock", handle(lib), 0, 0) == 600
    board.update(machine.path, 0, clock_graphics=1410, clock_sm=1410)
    assert clocks(lib) == [1200, 1200, 1215]
    assert lib.nvmlDeviceResetGpuLockedClocks(handle(lib)) == 0
    assert clocks(lib) == [1410, 1410, 1215]


@pytest.mark.parametrize(("low", "high", "code", "held"), [
    (1000, 1000, 0, 990), (1, 1, 0, 210), (9000, 9000, 0, 1410), (1000, 900, 2, 1275), (TDP, TDP, 0, 1095),
    (UNLIMITED, UNLIMITED, 0, 1275), (UNLIMITED, TDP, 0, 1095), (TDP, UNLIMITED, 0, 1275), (TDP, 1000, 2, 1275),
    (0xFFFFFF00, TDP, 2, 1275), (0xFFFFFFFF, TDP, 2, 1275)])
def test_locked_clocks_are_supported_ones_or_named_limits(machine, lib, low, high, code, held):
    board.update(machine.path, 0, clock_graphics=1275, clock_sm=1275)
    assert lib.nvmlDeviceSetGpuLockedClocks(handle(lib), low, high) == code
    assert clocks(lib)[0] == held


def test_locked_memory_clocks_hold_the_memory(lib):
    assert lib.nvmlDeviceSetMemoryLockedClocks(handle(lib, GEFORCE), 810, 5001) == 0
    assert clocks(lib, GEFORCE)[2] == 810
    assert lib.nvmlDeviceSetMemoryLockedClocks(handle(lib, GEFORCE), 810, 405) == 2
    assert lib.nvmlDeviceResetMemoryLockedClocks(handle(lib, GEFORCE)) == 0
    assert clocks(lib, GEFORCE)[2] == 405


def test_boards_lock_the_clocks_that_their_generation_can_lock(lib):
    assert answers(lib, "nvmlDeviceSetGpuLockedClocks", 900, 900) == [0, 0, 0, 0, 3]
    assert answers(lib, "nvmlDeviceResetGpuLockedClocks") == [0, 0, 0, 0, 3]
    assert answers(lib, "nvmlDeviceSetMemoryLockedClocks", 400, 400) == [0, 0, 3, 0, 3]
    assert answers(lib, "nvmlDeviceResetMemoryLockedClocks") == [0, 0, 3, 0, 3]


def test_applications_clocks_are_a_supported_pair_and_a_limit(machine, lib):
    device = handle(lib)
    board.update(machine.path, 0, clock_graphics=1275, clock_sm=1275)
    pairs = ((1215, 1001), (877, 1005), (1215, 705))
    assert [lib.nvmlDeviceSetApplicationsClocks(device, *pair) for pair in pairs] == [2, 2, 0]
    assert [number(lib, "nvmlDeviceGetApplicationsClock", device, kind) for kind in (0, 2)] == [705, 1215]
    assert clocks(lib)[0] == 705
    assert lib.nvmlDeviceResetApplicationsClocks(device) == 0
    assert number(lib, "nvmlDeviceGetApplicationsClock", device, 0) == 1095
    assert clocks(lib)[0] == 1275
    assert answers(lib, "nvmlDeviceResetApplicationsClocks") == [0, 3, 0, 0, 3]


def test_offsets_of_clocks_are_for_boards_that_people_play_on(lib):
    assert answers(lib, "nvmlDeviceSetGpcClkVfOffset", 100) == [3, 0, 3, 3, 3]
    device = handle(lib, GEFORCE)
    low, high = pair(lib, "nvmlDeviceGetMemClkMinMaxVfOffset", device, ctypes.c_int)
    assert [lib.nvmlDeviceSetMemClkVfOffset(device, mhz) for mhz in (low - 1, high + 1, low)] == [2, 2, 0]
    assert (number(lib, "nvmlDeviceGetGpcClkVfOffset", device), low < 0 < high) == (100, True)
    assert ctypes.c_int(number(lib, "nvmlDeviceGetMemClkVfOffset", device)).value == low


def test_the_newer_offset_calls_see_the_same_values(lib):
    device = handle(lib, GEFORCE)
    info = ctypes.create_string_buffer(struct.pack("<IIIi8x", 0x01000018, 0, 0, -150), 24)
    assert lib.nvmlDeviceSetClockOffsets(device, info) == 0
    info = ctypes.create_string_buffer(struct.pack("<III12x", 0x01000018, 0, 0), 24)
    assert lib.nvmlDeviceGetClockOffsets(device, info) == 0
    assert struct.unpack_from("<iii", info, 12) == (-150, -1000, 1000)
    for kind, state, code in ((9, 0, 2), (0, 16, 2), (3, 0, 3), (0, 8, 3)):
        info = ctypes.create_string_buffer(struct.pack("<III12x", 0x01000018, kind, state), 24)
        assert lib.nvmlDeviceGetClockOffsets(device, info) == code


# Temperature and fans

def test_the_target_temperature_is_kept_between_its_ends(lib):
    device = handle(lib, GEFORCE)
    temperatures = [ctypes.byref(ctypes.c_int(celsius)) for celsius in (64, 89, 70)]
    assert [lib.nvmlDeviceSetTemperatureThreshold(device, 5, t) for t in temperatures] == [2, 2, 0]
    assert number(lib, "nvmlDeviceGetTemperatureThreshold", device, 5) == 70
    assert lib.nvmlDeviceSetTemperatureThreshold(device, 0, ctypes.byref(ctypes.c_int(70))) == 3
    assert lib.nvmlDeviceSetTemperatureThreshold(handle(lib), 5, ctypes.byref(ctypes.c_int(70))) == 3


def test_a_fan_stays_at_the_speed_that_was_set_until_it_follows_the_temperature_again(machine, lib):
    device = handle(lib, GEFORCE)
    board.update(machine.path, GEFORCE, fan_speed=35)

    def state():
        return [number(lib, f"nvmlDeviceGet{name}", device, 0) for name in ("FanSpeed_v2", "FanControlPolicy_v2")]

    assert state() == [35, 0]
    assert [lib.nvmlDeviceSetFanSpeed_v2(device, *bad) for bad in ((0, 29), (0, 101), (7, 50))] == [2, 2, 2]
    assert lib.nvmlDeviceSetFanSpeed_v2(device, 0, 80) == 0
    assert (state(), number(lib, "nvmlDeviceGetFanSpeed", device)) == ([80, 1], 80)
    assert lib.nvmlDeviceSetDefaultFanSpeed_v2(device, 0) == 0
    assert state() == [35, 0]
    assert [lib.nvmlDeviceSetFanControlPolicy(device, 0, policy) for policy in (2, 1)] == [2, 0]
    board.update(machine.path, GEFORCE, fan_speed=60)
    assert state() == [35, 1], "it went on at the speed that it had"
    assert lib.nvmlDeviceSetFanSpeed_v2(handle(lib), 0, 80) == 3


# Who may

def asked_without_the_capability(lib, function, *arguments):
    """What a call answers in a child that has given up CAP_SYS_ADMIN."""
    libc = ctypes.CDLL(None, use_errno=True)
    pid = os.fork()
    if not pid:
        header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        done = libc.syscall(125, header, sets) == 0
        sets[0] &= ~(1 << 21)
        done = done and libc.syscall(126, header, sets) == 0
        os._exit(getattr(lib, function)(handle(lib), *arguments) if done else 100)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(("function", "arguments"), [
    ("SetPowerManagementLimit", (200000,)), ("SetPersistenceMode", (0,)), ("SetComputeMode", (3,)),
    ("SetEccMode", (0,)), ("ClearEccErrorCounts", (0,)), ("SetApplicationsClocks", (1215, 705)),
    ("ResetApplicationsClocks", ()), ("SetGpuLockedClocks", (900, 900)), ("ResetGpuLockedClocks", ()),
    ("SetMemoryLockedClocks", (900, 900)), ("SetAPIRestriction", (0, 0)), ("SetAccountingMode", (1,)),
    ("ClearAccountingPids", ()), ("SetDriverModel", (0, 0)), ("SetGpuOperationMode", (0,)),
    ("SetVirtualizationMode", (0,)), ("GetClkMonStatus", (ctypes.create_string_buffer(264),))])
def test_only_an_administrator_may_change_a_gpu(machine, lib, function, arguments):
    before = board.read(machine.path)
    assert asked_without_the_capability(lib, f"nvmlDevice{function}", *arguments) == 4
    assert board.read(machine.path) == before


def test_an_administrator_can_open_applications_clocks_to_everybody(lib):
    device = handle(lib)
    assert number(lib, "nvmlDeviceGetAPIRestriction", device, 0) == 1
    assert lib.nvmlDeviceSetAPIRestriction(device, 0, 0) == 0
    assert number(lib, "nvmlDeviceGetAPIRestriction", device, 0) == 0
    assert asked_without_the_capability(lib, "nvmlDeviceSetApplicationsClocks", 1215, 705) == 0
    assert number(lib, "nvmlDeviceGetApplicationsClock", device, 0) == 705
    assert asked_without_the_capability(lib, "nvmlDeviceSetGpuLockedClocks", 900, 900) == 4
    assert lib.nvmlDeviceSetAPIRestriction(device, 0, 1) == 0
    assert asked_without_the_capability(lib, "nvmlDeviceResetApplicationsClocks") == 4
    assert answers(lib, "nvmlDeviceSetAPIRestriction", 0, 1) == [0, 3, 0, 0, 3]
    assert answers(lib, "nvmlDeviceSetAPIRestriction", 1, 1) == [3] * 5
    assert lib.nvmlDeviceSetAPIRestriction(device, 2, 1) == 2


# Out of service

def address(gpu):
    return ctypes.create_string_buffer(struct.pack("<16xIII40x", gpu.pci_domain, gpu.pci_bus, gpu.pci_device), 68)


def count(lib):
    value = ctypes.c_uint()
    assert lib.nvmlDeviceGetCount_v2(ctypes.byref(value)) == 0
    return value.value


def seen_by_a_new_session(lib):
    assert (lib.nvmlShutdown(), lib.nvmlInit_v2()) == (0, 0)
    return count(lib)


def test_a_drained_gpu_is_not_seen_by_new_sessions(machine, lib):
    where, state = address(machine.board.gpus[0]), ctypes.c_uint(9)
    assert lib.nvmlDeviceModifyDrainState(where, 1) == 19, "persistence mode holds it"
    assert lib.nvmlDeviceSetPersistenceMode(handle(lib), 0) == 0
    assert lib.nvmlDeviceModifyDrainState(where, 1) == 0
    assert count(lib) == 5
    assert seen_by_a_new_session(lib) == 4
    assert (lib.nvmlDeviceQueryDrainState(where, ctypes.byref(state)), state.value) == (0, 1)
    assert lib.nvmlDeviceModifyDrainState(where, 0) == 0
    assert seen_by_a_new_session(lib) == 5
    assert lib.nvmlDeviceQueryDrainState(ctypes.create_string_buffer(68), ctypes.byref(state)) == 2


def test_a_gpu_that_was_removed_comes_back_when_the_bus_is_scanned(machine, lib):
    where, device = address(machine.board.gpus[GEFORCE]), handle(lib, GEFORCE)
    board.edit(machine.path, GEFORCE, lambda _: {"process_pid": (4001,)})
    assert lib.nvmlDeviceRemoveGpu_v2(where, 1, 0) == 19
    board.edit(machine.path, GEFORCE, lambda _: {"process_pid": ()})
    assert lib.nvmlDeviceRemoveGpu_v2(where, 1, 0) == 0
    assert number(lib, "nvmlDeviceGetTemperature", device, 0) == -15
    assert seen_by_a_new_session(lib) == 4
    assert lib.nvmlDeviceDiscoverGpus(where) == 0
    assert seen_by_a_new_session(lib) == 5
    assert number(lib, "nvmlDeviceGetTemperature", handle(lib, GEFORCE), 0) > 0
    assert lib.nvmlDeviceRemoveGpu(ctypes.create_string_buffer(68)) == 2


# The thread of the caller

def test_a_thread_is_bound_to_the_cpus_near_the_gpu_and_let_go(machine, lib):
    cpus = os.sched_getaffinity(0)
    near = min(cpus)
    board.edit(machine.path, 0, lambda _: {"cpu_affinity": cpu_words(str(near))})
    try:
        assert lib.nvmlDeviceSetCpuAffinity(handle(lib)) == 0
        assert os.sched_getaffinity(0) == {near}
        board.edit(machine.path, 0, lambda _: {"cpu_affinity": (0,) * 15 + (1 << 63,)})
        assert lib.nvmlDeviceSetCpuAffinity(handle(lib)) == 0
        assert os.sched_getaffinity(0) == {near}, "no such CPU"
        assert lib.nvmlDeviceClearCpuAffinity(handle(lib)) == 0
        assert os.sched_getaffinity(0) >= cpus
    finally:
        os.sched_setaffinity(0, cpus)


# Small settings

def test_a_board_with_a_desktop_takes_a_hint_for_performance(lib):
    def modes(index, mode=0):
        buffer = ctypes.create_string_buffer(struct.pack("<III", 9, mode, 0), 12)
        return buffer, handle(lib, index)

    buffer, device = modes(GEFORCE, 1)
    assert lib.nvmlDeviceSetPowerMizerMode_v1(device, buffer) == 0
    assert lib.nvmlDeviceGetPowerMizerMode_v1(device, buffer) == 0
    assert struct.unpack_from("<III", buffer) == (1, 1, 0b1111)
    assert lib.nvmlDeviceSetPowerMizerMode_v1(device, modes(GEFORCE, 4)[0]) == 2
    assert lib.nvmlDeviceSetPowerMizerMode_v1(handle(lib), buffer) == 3


def test_a_gpu_keeps_the_name_of_its_host(lib):
    name = ctypes.create_string_buffer(b"node-7", 64)
    assert answers(lib, "nvmlDeviceSetHostname_v1", name) == [3, 3, 3, 0, 3]
    found = ctypes.create_string_buffer(64)
    assert (lib.nvmlDeviceGetHostname_v1(handle(lib, B200), found), found.value) == (0, b"node-7")
    assert lib.nvmlDeviceSetHostname_v1(handle(lib, B200), ctypes.create_string_buffer(b"x" * 64, 64)) == 2


def test_clock_domains_at_fault_are_listed(machine, lib):
    board.update(machine.path, 0, clock_faults=0b101)
    status = ctypes.create_string_buffer(264)
    assert lib.nvmlDeviceGetClkMonStatus(handle(lib), status) == 0
    assert struct.unpack_from("<IIIIII", status) == (1, 2, 1, 1, 4, 1)
    assert lib.nvmlDeviceGetClkMonStatus(handle(lib, GEFORCE), status) == 0
    assert struct.unpack_from("<II", status) == (0, 0)
    assert lib.nvmlDeviceGetClkMonStatus(handle(lib, T4), status) == 3


# Blackwell

def test_workload_power_profiles_are_requested_and_the_first_of_two_that_exclude_each_other_wins(lib):
    device = handle(lib, B200)

    def change(function, *profiles):
        mask = sum(1 << profile for profile in profiles)
        request = ctypes.create_string_buffer(struct.pack("<IQ24x", 0x01000024, mask), 36)
        return getattr(lib, f"nvmlDeviceWorkloadPowerProfile{function}")(device, request)

    def current():
        buffer = ctypes.create_string_buffer(struct.pack("<I", 0x01000064), 100)
        assert lib.nvmlDeviceWorkloadPowerProfileGetCurrentProfiles(device, buffer) == 0
        return [struct.unpack_from("<Q", buffer, 4 + 32 * part)[0] for part in range(3)]

    assert change("SetRequestedProfiles", 0, 1, 3) == 0
    assert current() == [0xFF, 0b1011, 0b1001]
    assert change("ClearRequestedProfiles", 0) == 0
    assert current() == [0xFF, 0b1010, 0b1010]
    assert change("SetRequestedProfiles", 60) == 2
    update = ctypes.create_string_buffer(struct.pack("<IQ24x", 2, 1 << 5), 36)
    assert lib.nvmlDeviceWorkloadPowerProfileUpdateProfiles_v1(device, update) == 0
    assert current() == [0xFF, 1 << 5, 1 << 5]
    everything = ctypes.create_string_buffer(struct.pack("<I", 0x01002BF8), 0x2BF8)
    assert lib.nvmlDeviceWorkloadPowerProfileGetProfilesInfo(device, everything) == 0
    assert struct.unpack_from("<IIIQ", everything, 36 + 44) == (0x0100002C, 1, 1, 1)
    assert answers(lib, "nvmlDeviceWorkloadPowerProfileGetProfilesInfo", everything) == [3, 3, 3, 0, 3]


def test_power_smoothing_profiles_take_parameters_in_range(machine, lib):
    def profile(number, parameter, value):
        return ctypes.create_string_buffer(struct.pack("<IIIxxxxd", 0x01000018, number, parameter, value), 24)

    device, update = handle(lib, B200), lib.nvmlDevicePowerSmoothingUpdatePresetProfileParam
    bad = [profile(5, 0, 1), profile(0, 8, 1), profile(0, 0, 101), profile(0, 0, -1), profile(0, 1, float("nan"))]
    assert [update(device, p) for p in bad] == [2] * 5
    assert update(device, profile(1, 2, 750)) == 0
    assert lib.nvmlDevicePowerSmoothingActivatePresetProfile(device, profile(1, 0, 0)) == 0
    state = ctypes.create_string_buffer(struct.pack("<II", 0x01000008, 1), 8)
    assert answers(lib, "nvmlDevicePowerSmoothingSetState", state) == [3, 3, 3, 0, 3]
    gpu = board.read(machine.path).gpus[B200]
    assert (gpu.power_smoothing, gpu.power_smoothing_profile, gpu.power_smoothing_values[10]) == (1, 1, 750)
