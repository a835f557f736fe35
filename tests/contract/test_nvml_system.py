"""Calls about the whole system: confidential computing, units, system events; and sensors and performance states."""

import ctypes
import os
import threading

import pytest
from nvml_host import A100, Host, handle

from nvsim import board

H100, GEFORCE = "H100-SXM5-80GB", "RTX 4060 Ti"
UNBIND, BIND = 1, 2


@pytest.fixture
def machine(tmp_path):
    def make(*models, **changes):
        made = Host(tmp_path, models, **changes)
        made.lib = made.library()
        made.lib.nvmlInit_v2()
        return made
    return make


# Confidential computing

def test_a_host_whose_gpus_can_do_confidential_computing_has_it_off(machine):
    lib = machine(A100, H100, driver_version="615.36.02").lib
    pair, three, settings = (ctypes.c_uint * 2)(9, 9), (ctypes.c_uint * 3)(9, 9, 9), (ctypes.c_uint * 6)(*[9] * 6)
    assert lib.nvmlSystemGetConfComputeCapabilities(pair) == 0
    assert list(pair) == [0, 1]
    assert lib.nvmlSystemGetConfComputeState(three) == 0
    assert list(three) == [0, 0, 0]
    settings[0] = 0x1000014
    assert lib.nvmlSystemGetConfComputeSettings(settings) == 0
    assert list(settings) == [0x1000014, 0, 0, 0, 0, 9]
    settings[0] = 0x2000018
    assert lib.nvmlSystemGetConfComputeSettings_v2(settings) == 0
    assert settings[5] == 0
    ready = ctypes.c_uint(9)
    assert (lib.nvmlSystemGetConfComputeGpusReadyState(ctypes.byref(ready)), ready.value) == (0, 0)


def test_without_such_a_gpu_its_calls_are_not_supported(machine):
    lib = machine(A100, "T4").lib
    three, settings = (ctypes.c_uint * 3)(), (ctypes.c_uint * 6)(0x1000014)
    assert lib.nvmlSystemGetConfComputeState(three) == lib.nvmlSystemGetConfComputeCapabilities(three) == 3
    assert lib.nvmlSystemGetConfComputeSettings(settings) == 3
    settings[0] = 1
    assert lib.nvmlSystemGetConfComputeSettings(settings) == 25
    assert [lib.nvmlSystemSetConfComputeGpusReadyState(state) for state in (1, 2)] == [3, 2]


# Units and excluded devices

def test_there_are_no_units(machine):
    lib = machine(A100).lib
    many, unit = ctypes.c_uint(9), ctypes.c_void_p()
    assert (lib.nvmlUnitGetCount(ctypes.byref(many)), many.value) == (0, 0)
    assert lib.nvmlUnitGetHandleByIndex(0, ctypes.byref(unit)) == 2
    assert lib.nvmlUnitGetUnitInfo(unit, ctypes.create_string_buffer(400)) == 2


# System events

class Event(ctypes.Structure):
    _fields_ = (("type", ctypes.c_ulonglong), ("gpu", ctypes.c_uint))


class Wait(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint), ("timeout", ctypes.c_uint), ("set", ctypes.c_void_p),
                ("data", ctypes.POINTER(Event)), ("size", ctypes.c_uint), ("count", ctypes.c_uint))


class Register(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint), ("types", ctypes.c_ulonglong), ("set", ctypes.c_void_p))


class Set(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint), ("set", ctypes.c_void_p))


def registered(lib, types):
    made = Set(version=0x1000010)
    assert lib.nvmlSystemEventSetCreate(ctypes.byref(made)) == 0
    assert lib.nvmlSystemRegisterEvents(ctypes.byref(Register(version=0x1000018, types=types, set=made.set))) == 0
    return made


def waited(lib, made, timeout):
    found = (Event * 8)()
    request = Wait(version=0x1000020, timeout=timeout, set=made.set, data=found, size=8)
    code = lib.nvmlSystemEventSetWait(ctypes.byref(request))
    return code, [(event.type, event.gpu) for event in found[:request.count]]


def test_unloading_the_driver_gives_up_every_gpu(machine):
    host = machine(A100, A100)
    made, other = registered(host.lib, UNBIND), registered(host.lib, BIND)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(waited(host.lib, made, 30_000)))
    thread.start()
    board.update_header(host.path, driver_loaded=0)
    thread.join()
    assert answers == [(0, [(UNBIND, gpu.board_id) for gpu in host.board.gpus])]
    assert waited(host.lib, made, 0) == (10, [])
    assert waited(host.lib, other, 0) == (10, [])


def test_an_event_set_is_used_as_long_as_it_lives(machine):
    lib = machine(A100).lib
    made = registered(lib, BIND)
    assert [lib.nvmlSystemEventSetFree(ctypes.byref(made)) for _ in range(2)] == [0, 2]
    assert waited(lib, made, 0)[0] == 2
    assert lib.nvmlSystemEventSetCreate(ctypes.byref(Set(version=1))) == 25
    again = registered(lib, 0)
    assert lib.nvmlSystemRegisterEvents(ctypes.byref(Register(version=0x1000018, types=8, set=again.set))) == 3


# Sensors and performance states

def test_the_sensor_of_a_gpu_is_the_gpu(machine):
    lib = machine(A100).lib
    settings = (ctypes.c_int * 16)()
    ask = lib.nvmlDeviceGetThermalSettings
    assert [ask(handle(lib), sensor, settings) for sensor in (0, 15, 1)] == [0, 0, 2]
    assert list(settings)[:6] == [1, 1, 0, 92, 33, 1]  # count, controller, lowest, highest, now, target


def test_the_load_that_decides_about_performance_states_is_the_utilisation(machine):
    host = machine(A100)
    board.update(host.path, 0, utilization_gpu=70, utilization_memory=30, utilization_decoder=20)
    info = (ctypes.c_uint * 33)()
    assert host.lib.nvmlDeviceGetDynamicPstatesInfo(handle(host.lib), info) == 0
    domains = [list(info)[1 + 4 * i:3 + 4 * i] for i in range(8)]
    assert domains == [[1, 70], [1, 30], [1, 20], [1, 0], *[[0, 0]] * 4]


def test_clocks_are_told_as_text_too(machine):
    host = machine(GEFORCE, "ORIN-IGPU")
    said = ctypes.create_string_buffer(2052)
    ctypes.c_uint.from_buffer(said).value = 0x1000804
    assert host.lib.nvmlDeviceGetPerformanceModes(handle(host.lib), said) == 0
    assert said.raw[4:].startswith(b"perf=0, nvclock=3105, nvclockmin=210, nvclockmax=3105, nvclockeditable=0, ")
    assert host.lib.nvmlDeviceGetCurrentClockFreqs(handle(host.lib), said) == 0
    assert b"nvclock=210, " in said.raw
    assert b"memTransferRate=810," in said.raw
    assert host.lib.nvmlDeviceGetPerformanceModes(handle(host.lib, 1), said) == 3


def test_the_power_source_is_the_boards(machine):
    host = machine(GEFORCE)
    board.update(host.path, 0, power_source=1)
    source = ctypes.c_uint()
    assert host.lib.nvmlDeviceGetPowerSource(handle(host.lib), ctypes.byref(source)) == 0
    assert source.value == 1


def test_only_administrators_make_gpus_ready(machine):
    lib = machine(H100).lib
    pid = os.fork()
    if not pid:
        os.seteuid(65534)
        os._exit(lib.nvmlSystemSetConfComputeGpusReadyState(1))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
