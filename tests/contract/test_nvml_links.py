"""NVLink settings and counters, the fabric, and the rack."""

import ctypes
import os
from dataclasses import replace

import pytest
from nvml_host import A100, UUID, Host, handle, number

from nvsim import board
from nvsim.models import board_gpu

H100, V100 = "H100-SXM5-80GB", "V100-SXM2-16GB"
ERRORS = tuple(range(100, 280))


@pytest.fixture
def machine(tmp_path):
    def make(*models, driver="550.54.15", **values):
        gpus = tuple(replace(board_gpu(model, index=i, minor=i, uuid=UUID.format(i), bus_id=f"0000:0{i + 1}:00.0"),
                             **values) for i, model in enumerate(models))
        made = Host(tmp_path, (), gpus=gpus, driver_version=driver)
        made.lib = made.library()
        made.lib.nvmlInit_v2()
        return made
    return make


def wide(lib, function, *arguments):
    value = ctypes.c_ulonglong()
    code = getattr(lib, function)(handle(lib), *arguments, ctypes.byref(value))
    return -code if code else value.value


def as_nobody(call):
    """The code of a call in a process without rights."""
    pid = os.fork()
    if not pid:
        os.seteuid(65534)
        os._exit(call())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_link_counts_five_kinds_of_errors_until_they_are_reset(machine):
    lib = machine(A100, nvlink_errors=ERRORS).lib
    asked = [wide(lib, "nvmlDeviceGetNvLinkErrorCounter", 11, kind) for kind in range(6)]
    assert asked == [155, 156, 157, 158, 159, -2]
    assert lib.nvmlDeviceResetNvLinkErrorCounters(handle(lib), 11) == 0
    assert [wide(lib, "nvmlDeviceGetNvLinkErrorCounter", link, 0) for link in (10, 11, 12)] == [150, 0, -2]
    assert lib.nvmlDeviceResetNvLinkErrorCounters(handle(lib), 12) == 2
    assert as_nobody(lambda: lib.nvmlDeviceResetNvLinkErrorCounters(handle(lib), 1)) == 4


def test_bandwidth_modes_are_those_of_hopper_and_later(machine):
    host = machine(H100, A100)
    lib, mode = host.lib, ctypes.create_string_buffer(12)
    ctypes.c_uint.from_buffer(mode).value = 0x100000C
    assert [lib.nvmlDeviceGetNvlinkBwMode(handle(lib, i), mode) for i in range(2)] == [0, 3]
    assert (mode.raw[4], mode.raw[8]) == (1, 0)
    supported = ctypes.create_string_buffer(28)
    ctypes.c_uint.from_buffer(supported).value = 0x100001C
    assert lib.nvmlDeviceGetNvlinkSupportedBwModes(handle(lib), supported) == 0
    assert (supported.raw[27], list(supported.raw[4:9])) == (5, [0, 1, 2, 3, 4])
    ctypes.c_uint.from_buffer(mode, 4).value = 0
    for wanted, code in ((3, 0), (5, 2)):
        mode[8] = wanted
        assert lib.nvmlDeviceSetNvlinkBwMode(handle(lib), mode) == code
    assert board.read(host.path).gpus[0].nvlink_bandwidth_mode == 3
    assert as_nobody(lambda: lib.nvmlSystemSetNvlinkBwMode(0)) == 4
    assert [lib.nvmlSystemSetNvlinkBwMode(2), lib.nvmlSystemSetNvlinkBwMode(9)] == [0, 2]
    said = ctypes.c_uint()
    assert (lib.nvmlSystemGetNvlinkBwMode(ctypes.byref(said)), said.value) == (0, 2)


def test_the_threshold_of_sleep_can_be_set_and_reset(machine):
    host = machine(H100, A100)
    lib, threshold = host.lib, ctypes.c_uint(500)
    ask = lib.nvmlDeviceSetNvLinkDeviceLowPowerThreshold
    assert [ask(handle(lib, i), ctypes.byref(threshold)) for i in range(2)] == [0, 3]
    assert board.read(host.path).gpus[0].nvlink_low_power == 500
    threshold.value = 8192
    assert ask(handle(lib), ctypes.byref(threshold)) == 2
    threshold.value = 0xFFFFFFFF
    assert ask(handle(lib), ctypes.byref(threshold)) == 0
    assert board.read(host.path).gpus[0].nvlink_low_power == 100


def test_utilisation_counters_are_those_of_volta(machine):
    lib = machine(V100, A100, nvlink_sent=(4, 0, 1), nvlink_received=(8, 0, 2)).lib
    received, sent, control = ctypes.c_ulonglong(), ctypes.c_ulonglong(), (ctypes.c_uint * 2)(2, 255)
    count = (ctypes.byref(received), ctypes.byref(sent))
    assert lib.nvmlDeviceGetNvLinkUtilizationCounter(handle(lib, 1), 0, 0, *count) == 3
    assert lib.nvmlDeviceGetNvLinkUtilizationCounter(handle(lib), 0, 1, *count) == 0
    assert (received.value, sent.value) == (8192, 4096)
    assert lib.nvmlDeviceSetNvLinkUtilizationControl(handle(lib), 2, 1, control, 1) == 0
    assert lib.nvmlDeviceFreezeNvLinkUtilizationCounter(handle(lib), 2, 1, 1) == 0
    control[:] = (0, 0)
    assert lib.nvmlDeviceGetNvLinkUtilizationControl(handle(lib), 2, 1, control) == 0
    assert list(control) == [2, 255]
    assert lib.nvmlDeviceGetNvLinkUtilizationCounter(handle(lib), 2, 0, *count) == 0
    assert (received.value, sent.value) == (0, 0)
    assert lib.nvmlDeviceResetNvLinkUtilizationCounter(handle(lib), 0, 0) == 0
    assert lib.nvmlDeviceGetNvLinkUtilizationCounter(handle(lib), 0, 0, *count) == 0
    assert (received.value, sent.value) == (0, 0)
    assert lib.nvmlDeviceResetNvLinkUtilizationCounter(handle(lib), 9, 0) == 2


def test_link_information_came_with_nvlink_5(machine):
    lib = machine("B200", H100).lib
    info = (ctypes.c_uint * 403)(0x1000008)
    assert [lib.nvmlDeviceGetNvLinkInfo(handle(lib, i), info) for i in range(2)] == [0, 3]
    info[0] = 0x3000008
    assert lib.nvmlDeviceGetNvLinkInfo(handle(lib), info) == 25


@pytest.mark.parametrize(("function", "version", "clique", "state"), [
    ("nvmlDeviceGetGpuFabricInfo", 0, 20, 24), ("nvmlDeviceGetGpuFabricInfoV", 0x2000024, 24, 28),
    ("nvmlDeviceGetGpuFabricInfoV", 0x3000028, 24, 28)])
def test_each_version_of_fabric_information_says_the_same(machine, function, version, clique, state):
    lib = machine("GB200", A100, driver="580.105.08", fabric_clique=7).lib
    info = ctypes.create_string_buffer(64)
    ctypes.c_uint.from_buffer(info).value = version
    assert getattr(lib, function)(handle(lib), info) == 0
    assert (info.raw[clique], info.raw[state]) == (7, 3)
    if version:
        assert ctypes.c_uint.from_buffer(info, 32).value == 0xAA
    assert info.raw[36] == (version == 0x3000028)
    assert getattr(lib, function)(handle(lib, 1), info) == 3


def test_the_newest_fabric_information_lists_cliques(machine):
    lib = machine("GB200", fabric_clique=7).lib
    info = ctypes.create_string_buffer(1024)
    assert lib.nvmlDeviceGetGpuFabricInfo_v4(handle(lib), info) == 0
    assert (ctypes.c_uint.from_buffer(info, 24).value, ctypes.c_uint.from_buffer(info, 20 + 64 * 8).value) == (7, 1)


def test_a_link_that_a_board_does_not_have_leads_nowhere(machine):
    lib, pci = machine(A100, "T4").lib, ctypes.create_string_buffer(68)
    asked = [lib.nvmlDeviceGetNvLinkRemotePciInfo_v2(handle(lib, gpu), link, pci)
             for gpu, link in ((0, 11), (0, 12), (0, 35), (0, 36), (1, 0))]
    assert asked == [0, 3, 3, 2, 3]
    assert lib.nvmlDeviceGetNvLinkRemotePciInfo_v2(handle(lib), 12, None) == 2


def test_links_of_a_board_without_any_are_not_supported(machine):
    lib = machine("T4").lib
    assert number(lib, "nvmlDeviceGetNvLinkState", handle(lib), 0) == -3
    assert lib.nvmlDeviceResetNvLinkErrorCounters(handle(lib), 0) == 3
    assert wide(lib, "nvmlDeviceGetNvLinkErrorCounter", 0, 0) == -3
