"""What clients of libnvidia-ml.so.1 get, asked through ctypes, pynvml and programs of their own process."""

import ctypes
import errno
import os
import subprocess
import sys
import threading

import pytest
from nvml_host import A100, UUID, Host, handle, number, text

from nvsim import board
from nvsim.board_gpu import COPIES
from nvsim.models import MIB, board_gpu
from nvsim.native import generate
from nvsim.native.compile import HERE

WITHOUT_INIT = {"nvmlErrorString", "nvmlInternalGetExportTable", "nvmlSystemGetNVMLVersion", "nvmlShutdown", "nvmlInit",
                "nvmlInit_v2", "nvmlInitWithFlags"}


@pytest.fixture
def host(tmp_path):
    return lambda *models, **changes: Host(tmp_path, models, **changes)


def count(lib):
    value = ctypes.c_uint(99)
    return value.value if lib.nvmlDeviceGetCount_v2(ctypes.byref(value)) == 0 else None


# Life cycle

def test_before_init_every_query_says_so_even_with_null_pointers(host):
    lib = host(A100).library()
    nulls = [ctypes.c_void_p()] * 8
    answers = {name: getattr(lib, name)(*nulls) for name in generate.exports() if name not in WITHOUT_INIT}
    assert {name for name, code in answers.items() if code != 1} == set()


def test_shutdown_before_init_succeeds_and_a_second_init_is_counted(host):
    lib = host(A100).library()
    assert [lib.nvmlShutdown(), lib.nvmlInit_v2(), lib.nvmlInit(), lib.nvmlShutdown()] == [0, 0, 0, 0]
    assert count(lib) == 1
    assert (lib.nvmlShutdown(), count(lib)) == (0, None)


def test_init_without_gpus_gives_none(host):
    lib = host(A100).library()
    assert (lib.nvmlInitWithFlags(1), count(lib)) == (0, 0)


def test_a_handle_is_stable_and_dies_with_its_session(host):
    lib = host(A100, A100).library()
    lib.nvmlInit_v2()
    old = handle(lib, 1)
    assert (handle(lib, 1).value, number(lib, "nvmlDeviceGetIndex", old)) == (old.value, 1)
    lib.nvmlShutdown()
    assert number(lib, "nvmlDeviceGetIndex", old) == -1
    lib.nvmlInit_v2()
    assert number(lib, "nvmlDeviceGetIndex", old) == -2


def test_error_texts_are_those_of_the_driver(host):
    lib = host().library()
    lib.nvmlErrorString.restype = ctypes.c_char_p
    said = {code: lib.nvmlErrorString(code).decode() for code in (0, 9, 18, 25, 29, 30, 999, -1)}
    assert said == {0: "Success", 9: "Driver Not Loaded", 18: "Driver/library version mismatch",
                    25: "Argument version mismatch", 30: "Unknown Error", 999: "Unknown Error", -1: "Unknown Error",
                    29: "Resource not in correct state to perform requested operation"}


# Arguments

def arguments(function, device):
    """Harmless arguments of a function, by their types: a real device, large zeroed buffers, zeros."""
    buffers = []
    for type_, _ in generate._params(function.params):
        if type_ == "nvmlDevice_t":
            yield device
        elif type_.endswith("*"):
            buffers.append(ctypes.create_string_buffer(65536))
            yield buffers[-1]
        else:
            yield ctypes.c_void_p()


@pytest.fixture
def functions():
    return [f for f in generate.functions() if f.name in set(generate.exports()) - WITHOUT_INIT]


def test_an_invalid_handle_is_refused_by_every_function_that_takes_one(host, functions):
    lib = host(A100).library()
    lib.nvmlInit_v2()
    for bad in (None, 0xDEADBEEF0, 1 << 40):
        answers = {f.name: getattr(lib, f.name)(*arguments(f, ctypes.c_void_p(bad))) for f in functions
                   if f.params.startswith(("nvmlDevice_t", "nvmlGpuInstance_t", "nvmlUnit_t"))}
        assert {name for name, code in answers.items() if code != 2} == set()


def test_a_null_pointer_is_refused_by_every_function_that_answers_through_one(host, functions):
    lib = host(A100).library()
    lib.nvmlInit_v2()
    device = handle(lib)
    lists = {"nvmlSystemGetHicVersion"}
    for f in functions:
        params = generate._params(f.params)
        if any(type_.endswith("*") for type_, _ in params) and f.name not in lists:
            given = [device if type_ == "nvmlDevice_t" else ctypes.c_void_p() for type_, _ in params]
            assert getattr(lib, f.name)(*given) == 2, f.name


@pytest.mark.parametrize("model", [A100, "T4", "RTX 4060 Ti", "H100 80GB HBM3", "ORIN-IGPU"])
def test_no_function_fails_in_a_way_that_nvml_does_not_know(host, functions, model):
    lib = host(model).library()
    lib.nvmlInit_v2()
    device = handle(lib)
    for f in functions:
        code = getattr(lib, f.name)(*arguments(f, device))
        assert code in (0, 2, 3, 6, 7, 10, 25), (f.name, code)


def test_a_lost_gpu_answers_so_to_everything_and_the_others_go_on(host):
    machine = host(A100, A100)
    lib = machine.library()
    lib.nvmlInit_v2()
    first, second = handle(lib, 0), handle(lib, 1)
    board.update(machine.path, 0, fault=15)
    assert number(lib, "nvmlDeviceGetMinorNumber", first) == text(lib, "nvmlDeviceGetName", first) == -15
    assert lib.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(ctypes.c_void_p())) == 15
    assert number(lib, "nvmlDeviceGetMinorNumber", second) == 1


def test_a_fault_whose_number_nvml_does_not_have_is_an_unknown_error(host):
    machine = host(A100)
    lib = machine.library()
    lib.nvmlInit_v2()
    device = handle(lib)
    board.update(machine.path, 0, fault=0xF0000000)
    assert number(lib, "nvmlDeviceGetMinorNumber", device) == -999
    assert lib.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(ctypes.c_void_p())) == 999


def test_the_version_of_a_struct_is_judged_before_its_fields(host):
    lib = host(A100).library()
    lib.nvmlInit_v2()
    assert lib.nvmlDeviceGetFanSpeedRPM(handle(lib), (ctypes.c_uint * 3)(0x7F00000C, 0xFFFFFFFF)) == 25


def test_a_buffer_that_is_too_small_is_left_alone(host):
    lib = host(A100).library()
    lib.nvmlInit_v2()
    buffer = ctypes.create_string_buffer(b"untouched", 40)
    assert lib.nvmlDeviceGetUUID(handle(lib), buffer, 40) == 7
    assert buffer.value == b"untouched"
    assert text(lib, "nvmlDeviceGetUUID", handle(lib), size=41) == UUID.format(0)


def test_a_struct_of_an_unknown_version_is_refused(host):
    lib = host(A100).library()
    lib.nvmlInit_v2()
    memory = (ctypes.c_ulonglong * 5)(0x03000028)
    assert lib.nvmlDeviceGetMemoryInfo_v2(handle(lib), memory) == 25
    memory[0] = 0x02000028
    assert lib.nvmlDeviceGetMemoryInfo_v2(handle(lib), memory) == 0
    assert memory[1] == memory[2] + memory[3] + memory[4] == 40960 * MIB


def test_the_oldest_pci_call_writes_no_more_than_its_callers_have(host):
    lib = host(A100).library()
    lib.nvmlInit_v2()
    pci = ctypes.create_string_buffer(b"\xAA" * 68, 68)
    assert lib.nvmlDeviceGetPciInfo(handle(lib), pci) == 0
    assert (pci.raw[:13], pci.raw[32:]) == (b"0000:01:00.0\0", b"\xAA" * 36)


# Visibility

def test_gpus_without_a_node_are_not_counted_and_the_others_are_renumbered(host):
    lib = host(*[A100] * 8).without("nvidia0", "nvidia3").library()
    lib.nvmlInit_v2()
    assert count(lib) == 6
    assert [number(lib, "nvmlDeviceGetMinorNumber", handle(lib, i)) for i in range(6)] == [1, 2, 4, 5, 6, 7]


def test_gpus_are_numbered_in_pci_bus_order_whatever_their_minors(host):
    gpus = [board_gpu("T4", index=i, minor=m, uuid=UUID.format(m), bus_id=b)
            for i, (m, b) in enumerate([(0, "0001:01:00.0"), (1, "0000:81:00.0"), (2, "0000:05:00.0")])]
    lib = host(gpus=tuple(gpus)).library()
    lib.nvmlInit_v2()
    assert [number(lib, "nvmlDeviceGetMinorNumber", handle(lib, i)) for i in range(3)] == [2, 1, 0]


@pytest.mark.parametrize(("changes", "missing", "code"), [
    ({}, ("nvidiactl",), 9), ({"driver_loaded": False}, (), 9), ({"kernel_version": "535.104.05"}, (), 18),
    ({}, ("nvidia0",), 0)])
def test_init_says_what_is_wrong_with_the_driver(host, changes, missing, code):
    assert host(A100, **changes).without(*missing).library().nvmlInit_v2() == code


@pytest.fixture(scope="module")
def denier(tmp_path_factory):
    """A library to preload whose open fails for one file, as a device cgroup, a mode or an absent driver makes it."""
    folder = tmp_path_factory.mktemp("deny")
    (folder / "deny.c").write_text("""
        #include <errno.h>
        #include <fcntl.h>
        #include <stdarg.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        #include <sys/syscall.h>
        int open(const char *path, int flags, ...) {
            const char *denied = getenv("DENIED"), *name = strrchr(path, '/');
            va_list rest;
            va_start(rest, flags);
            int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
            va_end(rest);
            if (denied && name && !strcmp(name + 1, denied)) { errno = atoi(getenv("DENIED_ERRNO")); return -1; }
            return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
        }""")
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu.2.17", "-shared", "-fPIC",
                    str(folder / "deny.c"), "-o", str(folder / "deny.so")], check=True)
    return str(folder / "deny.so")


COUNT = """import ctypes, sys
lib = ctypes.CDLL("libnvidia-ml.so.1")
n = ctypes.c_uint()
print(lib.nvmlInit_v2(), lib.nvmlDeviceGetCount_v2(ctypes.byref(n)), n.value)"""


@pytest.mark.parametrize(("denied", "number", "said"), [
    ("nvidiactl", errno.EPERM, "999 1 0"), ("nvidiactl", errno.EACCES, "4 1 0"), ("nvidiactl", errno.ENXIO, "0 0 2"),
    ("nvidia1", errno.EPERM, "0 0 1"), ("nvidia1", errno.EACCES, "0 0 1"), ("nvidia1", errno.ENXIO, "0 0 2")])
def test_what_a_process_may_open_decides_what_it_sees(host, denier, denied, number, said):
    answer = host(A100, A100).run(COUNT, LD_PRELOAD=denier, DENIED=denied, DENIED_ERRNO=str(number))
    assert answer.strip() == said


def test_a_process_that_is_initialised_goes_on_when_its_nodes_are_taken_away(host):
    machine = host(A100)
    lib = machine.library()
    lib.nvmlInit_v2()
    machine.without("nvidiactl", "nvidia0")
    assert (count(lib), number(lib, "nvmlDeviceGetTemperature", handle(lib), 0)) == (1, 33)
    lib.nvmlShutdown()
    assert lib.nvmlInit_v2() == 9


# Live changes

def test_a_running_process_sees_changes_at_its_next_call(host):
    machine = host(A100)
    watcher = subprocess.Popen([sys.executable, "-c", """import ctypes, sys
lib, device, value = ctypes.CDLL(sys.argv[1]), ctypes.c_void_p(), ctypes.c_uint()
lib.nvmlInit_v2()
lib.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device))
for _ in sys.stdin:
    lib.nvmlDeviceGetTemperature(device, 0, ctypes.byref(value))
    print(value.value, flush=True)
""", machine.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask():
        watcher.stdin.write("\n")
        watcher.stdin.flush()
        return int(watcher.stdout.readline())

    with watcher:
        before = ask()
        board.update(machine.path, 0, temperature=85)
        assert (before, ask()) == (33, 85)
        watcher.stdin.close()


def test_readers_never_see_half_of_a_change(host):
    machine = host(A100)
    lib = machine.library()
    lib.nvmlInit_v2()
    device, torn = handle(lib), []
    done = threading.Event()

    def read():
        info = (ctypes.c_uint * 2)()
        while not done.is_set():
            lib.nvmlDeviceGetUtilizationRates(device, info)
            if info[0] != info[1]:
                torn.append(tuple(info))

    reader = threading.Thread(target=read)
    reader.start()
    for value in range(300):
        board.update(machine.path, 0, utilization_gpu=value, utilization_memory=value)
    done.set()
    reader.join()
    assert torn == []


def test_a_writer_that_died_does_not_disturb_readers(host):
    machine = host(A100)
    with open(machine.path, "r+b") as f, board._opened(machine.path) as (_, start):
        f.seek(start + board.HEADER.size + COPIES + board.RECORD.size)
        f.write(b"\xff" * (board.RECORD.size // 2))
    lib = machine.library()
    lib.nvmlInit_v2()
    assert number(lib, "nvmlDeviceGetTemperature", handle(lib), 0) == 33
    board.update(machine.path, 0, utilization_gpu=7)
    assert number(lib, "nvmlDeviceGetTemperature", handle(lib), 0) == 33


# Events

def wait(lib, events, timeout):
    data = (ctypes.c_ulonglong * 4)()
    code = lib.nvmlEventSetWait_v2(events, data, timeout)
    return (data[1], data[2], data[3]) if code == 0 else -code


def test_an_xid_wakes_who_waits_for_it_and_nobody_else(host):
    machine = host(A100, A100)
    lib = machine.library()
    lib.nvmlInit_v2()
    events = ctypes.c_void_p()
    assert lib.nvmlEventSetCreate(ctypes.byref(events)) == 0
    board.push_event(machine.path, 0, 8, 13)
    for index in range(2):
        assert lib.nvmlDeviceRegisterEvents(handle(lib, index), ctypes.c_ulonglong(8), events) == 0
    assert wait(lib, events, 0) == -10, "from before it was registered"
    board.push_event(machine.path, 1, 4, 0)
    threading.Timer(0.05, board.push_event, (machine.path, 1, 8, 79)).start()
    assert wait(lib, events, 5000) == (8, 79, 0xFFFFFFFFFFFFFFFF)
    assert wait(lib, events, 20) == -10
    board.update(machine.path, 1, fault=15)
    assert wait(lib, events, 5000) == -15
    assert [lib.nvmlEventSetFree(events), lib.nvmlEventSetFree(events)] == [0, 2]


def test_an_event_type_that_the_board_lacks_cannot_be_registered(host):
    lib = host("RTX 4060 Ti").library()
    lib.nvmlInit_v2()
    events, types = ctypes.c_void_p(), ctypes.c_ulonglong()
    lib.nvmlEventSetCreate(ctypes.byref(events))
    lib.nvmlDeviceGetSupportedEventTypes(handle(lib), ctypes.byref(types))
    assert types.value == 4 | 8 | 16
    assert lib.nvmlDeviceRegisterEvents(handle(lib), ctypes.c_ulonglong(2), events) == 3


# Models

def test_what_a_board_does_not_have_is_not_supported(host):
    lib = host(A100, "T4", "RTX 4060 Ti", "H100 80GB HBM3", "ORIN-IGPU").library()
    lib.nvmlInit_v2()
    asked = {name: [number(lib, f"nvmlDeviceGet{name}", handle(lib, i)) for i in range(5)]
             for name in ("FanSpeed", "NumFans", "DefaultEccMode", "RetiredPagesPendingStatus", "PowerUsage",
                          "MaxMigDeviceCount", "Brand")}
    assert asked == {"FanSpeed": [-3, -3, 0, -3, -3], "NumFans": [-3, -3, 1, -3, -3],
                     "DefaultEccMode": [1, 1, -3, 1, -3], "RetiredPagesPendingStatus": [-3, 0, -3, -3, -3],
                     "PowerUsage": [49680, 33880, 18517, 70030, -3], "MaxMigDeviceCount": [7, 0, 0, 7, -3],
                     "Brand": [14, 14, 5, 14, -3]}
    serials = [text(lib, "nvmlDeviceGetSerial", handle(lib, i)) for i in range(3)]
    assert serials == ["1650000000000", "1650000000001", -3]


def test_gpus_are_found_by_uuid_address_and_serial_number(host):
    lib = host(A100, A100).library()
    lib.nvmlInit_v2()
    device, second = ctypes.c_void_p(), handle(lib, 1).value
    for function, key in [("UUID", UUID.format(1)), ("UUID", UUID.format(1).upper()), ("PciBusId", "0000:02:00.0"),
                          ("PciBusId_v2", "00000000:02:00.0"), ("PciBusId_v2", "02:00.0"), ("Serial", "1650000000001")]:
        device.value = None
        assert getattr(lib, f"nvmlDeviceGetHandleBy{function}")(key.encode(), ctypes.byref(device)) == 0, key
        assert device.value == second, key
    assert lib.nvmlDeviceGetHandleByUUID(UUID.format(9).encode(), ctypes.byref(device)) == 6
    assert lib.nvmlDeviceGetHandleByPciBusId_v2(b"0000:77:00.0", ctypes.byref(device)) == 6
    assert lib.nvmlDeviceGetHandleByPciBusId_v2(b"nonsense", ctypes.byref(device)) == 2


def test_topology_follows_sockets_and_switches(host):
    gpus = [board_gpu(A100, index=i, minor=i, uuid=UUID.format(i), bus_id=f"0000:0{i + 1}:00.0", numa_node=node,
                      pcie_switch=switch, host_bridge=bridge)
            for i, (node, switch, bridge) in enumerate([(0, 1, 0), (0, 1, 0), (0, 2, 0), (0, 0, 1), (1, 0, 2)])]
    lib = host(gpus=tuple(gpus)).library()
    lib.nvmlInit_v2()
    levels = [number(lib, "nvmlDeviceGetTopologyCommonAncestor", handle(lib, 0), handle(lib, i)) for i in range(5)]
    assert levels == [0, 10, 30, 40, 50]


def test_arrays_say_how_much_room_they_need(host):
    lib = host(A100).library()
    lib.nvmlInit_v2()
    needed, clocks = ctypes.c_uint(0), (ctypes.c_uint * 200)()
    device = handle(lib)
    assert lib.nvmlDeviceGetSupportedGraphicsClocks(device, 1215, ctypes.byref(needed), None) == 7
    assert needed.value == (1410 - 210) // 15 + 1
    assert lib.nvmlDeviceGetSupportedGraphicsClocks(device, 1215, ctypes.byref(needed), clocks) == 0
    assert (clocks[0], clocks[needed.value - 1]) == (1410, 210)
    assert lib.nvmlDeviceGetSupportedGraphicsClocks(device, 999, ctypes.byref(needed), clocks) == 6
    assert lib.nvmlDeviceGetComputeRunningProcesses_v3(device, ctypes.byref(needed), None) == 0
    assert needed.value == 0


def test_changing_a_gpu_needs_root(host):
    lib = host(A100).library()
    lib.nvmlInit_v2()
    pid = os.fork()
    if not pid:
        if os.geteuid() == 0:
            os.seteuid(65534)
        os._exit(lib.nvmlDeviceSetPersistenceMode(handle(lib), 1))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4


# Clients

PYNVML = """from pynvml import *
nvmlInit()
print(nvmlSystemGetDriverVersion(), nvmlSystemGetNVMLVersion(), nvmlSystemGetCudaDriverVersion())
for i in range(nvmlDeviceGetCount()):
    d = nvmlDeviceGetHandleByIndex(i)
    m = nvmlDeviceGetMemoryInfo(d, version=nvmlMemory_v2)
    fields = nvmlDeviceGetFieldValues(d, [NVML_FI_DEV_MEMORY_TEMP, NVML_FI_DEV_POWER_INSTANT, 9999])
    print(nvmlDeviceGetIndex(d), nvmlDeviceGetName(d), nvmlDeviceGetUUID(d), nvmlDeviceGetPciInfo(d).busId,
          m.total >> 20, m.used, nvmlDeviceGetTemperature(d, NVML_TEMPERATURE_GPU), nvmlDeviceGetTemperatureV(d, 0),
          nvmlDeviceGetMigMode(d), nvmlDeviceGetEccMode(d), nvmlDeviceGetComputeRunningProcesses(d),
          nvmlDeviceGetCudaComputeCapability(d), [(f.nvmlReturn, f.value.siVal) for f in fields])
    assert nvmlDeviceGetIndex(nvmlDeviceGetHandleByUUID(nvmlDeviceGetUUID(d))) == i
nvmlShutdown()
"""


def test_pynvml_sees_the_host(host):
    assert host(A100, A100).run(PYNVML).splitlines() == [
        "550.54.15 12.550.54.15 12040",
        f"0 NVIDIA A100-SXM4-40GB {UUID.format(0)} 00000000:01:00.0 40960 0 33 33 [0, 0] [1, 1] [] (8, 0) "
        "[(0, 34), (0, 49680), (3, 0)]",
        f"1 NVIDIA A100-SXM4-40GB {UUID.format(1)} 00000000:02:00.0 40960 0 36 36 [0, 0] [1, 1] [] (8, 0) "
        "[(0, 37), (0, 50050), (3, 0)]"]


def test_a_compiled_client_finds_everything_that_the_header_declares(host, tmp_path):
    (tmp_path / "client.c").write_text("""
        #include <stdio.h>
        #include "nvml_api.h"
        int main(void) {
            nvmlDevice_t device;
            nvmlPciInfo_t pci;
            unsigned count = 0;
            int code = nvmlInit_v2() | nvmlDeviceGetCount_v2(&count) | nvmlDeviceGetHandleByIndex_v2(1, &device)
                | nvmlDeviceGetPciInfo_v3(device, &pci);
            printf("%d %u %s %s\\n", code, count, pci.busId, nvmlErrorString(nvmlShutdown()));
            return 0;
        }""")
    machine = host("T4", "T4")
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu.2.17", "-I", str(HERE),
                    str(tmp_path / "client.c"), machine.path, "-o", str(tmp_path / "client")], check=True)
    said = subprocess.run([str(tmp_path / "client")], env={"LD_LIBRARY_PATH": machine.root}, check=True,
                          capture_output=True, text=True).stdout
    assert said == "0 2 00000000:02:00.0 Success\n"


def test_init_and_shutdown_from_many_threads_keep_the_count(host):
    lib = host(A100).library()

    def work():
        for _ in range(200):
            assert lib.nvmlInit_v2() == 0
            assert count(lib) == 1
            lib.nvmlShutdown()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(lib) is None


def test_a_forked_child_goes_on_and_ends_its_own_session(host):
    lib = host(A100).library()
    lib.nvmlInit_v2()
    device = handle(lib)
    pid = os.fork()
    if not pid:
        good = number(lib, "nvmlDeviceGetTemperature", device, 0) == 33 and lib.nvmlInit_v2() == 0
        lib.nvmlShutdown()
        lib.nvmlShutdown()
        os._exit(0 if good and count(lib) is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert number(lib, "nvmlDeviceGetTemperature", device, 0) == 33


def test_the_table_that_nvidia_smi_asks_for_is_there_before_init(host):
    lib = host(A100).library()
    table = ctypes.POINTER(ctypes.c_void_p)()
    guid = bytes.fromhex("c4fe3e6cc98f6c4ea327ee696e12f7c4")
    assert lib.nvmlInternalGetExportTable(ctypes.byref(table), guid) == 0
    assert lib.nvmlInternalGetExportTable(ctypes.byref(table), b"\0" * 16) == 2
    assert all(table[i] for i in range(table[0] // 8))
    lib.nvmlInit_v2()
    buffer = ctypes.create_string_buffer(34)
    assert ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_char_p, ctypes.c_uint)(table[81])(0, buffer, 34) == 0
    assert buffer.value == b"00000000:01:00.0"
