"""Events of the board as clients of nvmlEventSetWait get them, each in a process of its own."""

import ctypes
import subprocess
import sys

import pytest

from nvsim import board, build, profile
from nvsim.ctl import verbs

# Registers for Xids and ECC errors of GPU 0 and 1, says so, and prints what it waits for until a wait fails.
WATCH = """
import ctypes, sys
from pynvml import *
nvmlInit()
events = nvmlEventSetCreate()
wanted = nvmlEventTypeXidCriticalError | nvmlEventTypeDoubleBitEccError | nvmlEventTypeSingleBitEccError
index_of = {}
for index in (0, 1):
    device = nvmlDeviceGetHandleByIndex(index)
    index_of[ctypes.cast(device, ctypes.c_void_p).value] = index
    nvmlDeviceRegisterEvents(device, wanted, events)
print("ready", flush=True)
for _ in range(int(sys.argv[1])):
    try:
        event = nvmlEventSetWait_v2(events, 60000)
        index = index_of[ctypes.cast(event.device, ctypes.c_void_p).value]
        print(index, event.eventType, event.eventData, event.gpuInstanceId, flush=True)
    except NVMLError as e:
        print(type(e).__name__, flush=True)
"""


class Host:
    """A100s that lie in a folder, and the programs that watch them."""

    def __init__(self, root):
        self.root = root
        self.machine = build.build(profile.load("a100x8"), root, nodes=False, dev_root=root)
        self.library = root + next(path for path in self.machine.boards if "nvidia-ml" in path)
        self.folder = self.library.rpartition("/")[0]

    def ctl(self, line):
        verbs.parse(line.split()).apply(self.root)

    def watcher(self, count):
        """A process that waits for `count` events, once it has registered."""
        program = subprocess.Popen([sys.executable, "-c", WATCH, str(count)], text=True, stdout=subprocess.PIPE,
                                   env={"LD_LIBRARY_PATH": self.folder})
        assert program.stdout.readline() == "ready\n"
        return program


@pytest.fixture
def host(tmp_path):
    return Host(str(tmp_path / "host"))


@pytest.fixture
def session(host):
    """The library in this process, an event set, and GPU 0."""
    lib, events, device = ctypes.CDLL(host.library), ctypes.c_void_p(), ctypes.c_void_p()
    assert lib.nvmlInit_v2() == 0
    assert lib.nvmlEventSetCreate(ctypes.byref(events)) == 0
    assert lib.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) == 0
    yield lib, events, device
    assert lib.nvmlShutdown() == 0


def wait(lib, events):
    """Type and data of the next event, or the return code."""
    data = (ctypes.c_uint64 * 4)()
    code = lib.nvmlEventSetWait_v2(events, data, 0)
    return code or (data[1], data[2])


def test_two_processes_get_the_same_xids_in_their_order(host):
    watchers = [host.watcher(3) for _ in range(2)]
    for line in ("xid gpu=1 31", "xid gpu=0 13 gi=2 ci=0", "xid gpu=1 43"):
        host.ctl(line)
    said = [program.communicate(timeout=60)[0].splitlines() for program in watchers]
    assert [sorted(lines) for lines in said] == [["0 8 13 2", "1 8 31 4294967295", "1 8 43 4294967295"]] * 2
    assert [[line for line in lines if line.startswith("1 ")] for lines in said] == [
        ["1 8 31 4294967295", "1 8 43 4294967295"]] * 2


def test_an_uncorrected_error_is_two_events_and_a_lost_gpu_ends_the_wait(host):
    watcher = host.watcher(4)
    host.ctl("xid gpu=0 48")
    host.ctl("xid gpu=1 79")
    assert watcher.communicate(timeout=60)[0].splitlines() == [
        "0 2 0 4294967295", "0 8 48 4294967295", "1 8 79 4294967295", "NVMLError_GpuIsLost"]


def test_a_lost_gpu_hides_no_event_of_another_one(host, session):
    lib, events, device = session
    other = ctypes.c_void_p()
    assert lib.nvmlDeviceGetHandleByIndex_v2(1, ctypes.byref(other)) == 0
    for one in (device, other):
        assert lib.nvmlDeviceRegisterEvents(one, ctypes.c_uint64(8), events) == 0
    host.ctl("lose gpu=0")
    host.ctl("xid gpu=1 31")
    assert [wait(lib, events) for _ in range(2)] == [(8, 31), 15]


def test_an_event_counts_from_the_registration_of_its_type_on(host, session):
    lib, events, device = session
    assert lib.nvmlDeviceRegisterEvents(device, ctypes.c_uint64(2), events) == 0
    host.ctl("xid gpu=0 31")
    assert lib.nvmlDeviceRegisterEvents(device, ctypes.c_uint64(8), events) == 0
    assert wait(lib, events) == 10
    host.ctl("xid gpu=0 43")
    assert (wait(lib, events), wait(lib, events)) == ((8, 43), 10)


def test_of_more_events_than_the_driver_keeps_the_last_are_left(host, session):
    lib, events, device = session
    assert lib.nvmlDeviceRegisterEvents(device, ctypes.c_uint64(8), events) == 0
    for code in range(20):
        board.push_event(host.library, 0, 8, code)
    assert [wait(lib, events) for _ in range(17)] == [(8, code) for code in range(4, 20)] + [10]
