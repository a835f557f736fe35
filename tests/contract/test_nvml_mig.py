"""MIG through NVML: every profile of every model, at every legal place and at no other, and what its devices answer."""

import ctypes
import dataclasses
import random
import shutil
import uuid

import pytest

from nvsim import board, mig, models
from nvsim.errors import NvsimError
from nvsim.models import MIB, board_gpu
from nvsim.native.compile import compile_all

OK, INVALID, UNSUPPORTED, PERMISSION, NOT_FOUND, SHORT, IN_USE, NO_ROOM = 0, 2, 3, 4, 6, 7, 19, 23
DRIVER = "610.43.03"
A100, H100 = "A100-SXM4-40GB", "H100-SXM5-80GB"
CAPABLE = tuple(key for key in models.names()
                if models.model(key)["mig"] and mig.table(models.model(key)["mig"], int(DRIVER[:3])))


class Placement(ctypes.Structure):
    _fields_ = (("start", ctypes.c_uint), ("size", ctypes.c_uint))


class Info(ctypes.Structure):
    _fields_ = (("device", ctypes.c_void_p), ("id", ctypes.c_uint), ("profile", ctypes.c_uint),
                ("placement", Placement))


class ComputeInfo(ctypes.Structure):
    _fields_ = (("device", ctypes.c_void_p), ("instance", ctypes.c_void_p), ("id", ctypes.c_uint),
                ("profile", ctypes.c_uint), ("placement", Placement))


class ProfileInfo(ctypes.Structure):
    names = ("version", "id", "p2p", "slices", "most", "sm", "copy_engines", "decoders", "encoders", "jpeg", "ofa")
    _fields_ = (*((name, ctypes.c_uint) for name in names), ("memory", ctypes.c_ulonglong),
                ("name", ctypes.c_char * 96))


class Attributes(ctypes.Structure):
    names = ("sm", "copy_engines", "decoders", "encoders", "jpeg", "ofa", "gpu_slices", "compute_slices")
    _fields_ = (*((name, ctypes.c_uint) for name in names), ("memory", ctypes.c_ulonglong))


class Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class Nvml:
    """A library in this process, and the board that it carries."""

    def __init__(self, folder, names, *, driver=DRIVER, mig_mode=1, **changes):
        self.path = f"{folder}/libnvidia-ml.so.1"
        shutil.copy(compile_all("libnvidia-ml.so")[0], self.path)
        made = [board_gpu(name, index=i, minor=i, uuid=f"GPU-00000000-0000-0000-0000-{i:012x}",
                          bus_id=f"{i >> 4:04x}:{i % 16 + 1:02x}:00.0", driver_branch=int(driver[:3]))
                for i, name in enumerate(names)]
        gpus = tuple(dataclasses.replace(gpu, mig_mode=mig_mode, mig_pending=mig_mode, **changes) for gpu in made)
        board.write(self.path, board.Board(driver_version=driver, cuda_version="12.4", gpus=gpus,
                                           dev_root=str(folder)))
        (folder / "dev").mkdir()
        for name in ("nvidiactl", *(f"nvidia{i}" for i in range(len(gpus)))):
            (folder / "dev" / name).touch()
        self.lib = ctypes.CDLL(self.path)
        assert self.lib.nvmlInit_v2() == OK

    def call(self, function, *arguments):
        return getattr(self.lib, f"nvml{function}")(*arguments)

    def handle(self, function, *arguments):
        """A handle, or the negative return code."""
        found = ctypes.c_void_p()
        code = self.call(function, *arguments, ctypes.byref(found))
        return found if code == OK else -code

    def number(self, function, *arguments):
        found = ctypes.c_uint()
        code = self.call(function, *arguments, ctypes.byref(found))
        return found.value if code == OK else -code

    def text(self, function, device):
        buffer = ctypes.create_string_buffer(96)
        code = self.call(function, device, buffer, 96)
        return buffer.value.decode() if code == OK else -code

    def struct(self, kind, function, *arguments):
        found = kind()
        code = self.call(function, *arguments, ctypes.byref(found))
        return found if code == OK else -code

    def gpu(self, index=0):
        return self.handle("DeviceGetHandleByIndex_v2", index)

    def at(self, device, profile, start, size=None):
        """Creates an instance at a place: its handle, or the negative return code."""
        place = Placement(start, profile.size if size is None else size)
        return self.handle("DeviceCreateGpuInstanceWithPlacement", device, profile.id, ctypes.byref(place))

    def left(self, device, profile):
        return self.number("DeviceGetGpuInstanceRemainingCapacity", device, profile.id)

    def record(self, index=0):
        return board.read(self.path).gpus[index]


@pytest.fixture
def nvml(tmp_path, requires):
    requires("root")
    opened = []

    def make(*names, **changes):
        opened.append(Nvml(tmp_path, names, **changes))
        return opened[-1]

    yield make
    for one in opened:
        one.lib.nvmlShutdown()


def table(name, branch=int(DRIVER[:3])):
    return mig.table(models.model(name)["mig"], branch)


def test_every_profile_fits_at_every_legal_place_of_every_model_and_nowhere_else(nvml):
    host = nvml(*CAPABLE)
    assert len(CAPABLE) > 15
    for index, name in enumerate(CAPABLE):
        device, known = host.gpu(index), table(name)
        units = max(start + p.size for p in known.profiles for start in p.starts)
        for profile in known.profiles:
            assert host.left(device, profile) == profile.most, (name, profile.name)
            for start in range(units + 1):
                made = host.at(device, profile, start)
                if start not in profile.starts:
                    assert made == -INVALID, (name, profile.name, start)
                    continue
                info = host.struct(Info, "GpuInstanceGetInfo", made)
                assert (info.profile, info.placement.start, info.placement.size, info.device) == (
                    profile.id, start, profile.size, device.value)
                assert info.id == profile.gi_ids[profile.starts.index(start)]
                assert host.at(device, profile, start) == -NO_ROOM
                assert host.call("GpuInstanceDestroy", made) == OK
                assert host.call("GpuInstanceDestroy", made) == INVALID
            assert host.at(device, profile, profile.starts[0], profile.size + 1) == -INVALID
            assert host.left(device, profile) == profile.most


def test_every_compute_instance_profile_fits_as_often_as_the_tables_say(nvml):
    host = nvml(*CAPABLE)
    for index, name in enumerate(CAPABLE):
        device = host.gpu(index)
        for profile in table(name).profiles:
            instance = host.handle("DeviceCreateGpuInstance", device, profile.id)
            known = {compute.id: compute for compute in profile.compute}
            for number in range(9):
                left = host.number("GpuInstanceGetComputeInstanceRemainingCapacity", instance, number)
                if number not in known:
                    assert left == -INVALID
                    continue
                assert left == known[number].most, (name, profile.name, number)
                made = [host.handle("GpuInstanceCreateComputeInstance", instance, number) for _ in range(left)]
                assert host.handle("GpuInstanceCreateComputeInstance", instance, number) == -NO_ROOM
                infos = [host.struct(ComputeInfo, "ComputeInstanceGetInfo_v2", one) for one in made]
                assert [(i.id, i.placement.start, i.placement.size) for i in infos] == [
                    (n, n * known[number].slices, known[number].slices) for n in range(left)]
                assert host.call("GpuInstanceDestroy", instance) == IN_USE
                assert [host.call("ComputeInstanceDestroy", one) for one in made] == [OK] * left
            assert host.call("GpuInstanceDestroy", instance) == OK


@pytest.mark.parametrize("name", [A100, H100, "A30", "RTX-PRO-6000-SE", "B200"])
def test_library_and_planner_agree_on_what_fits_after_any_history(nvml, name):
    host, known = nvml(name), table(name)
    device, gpu, chance = host.gpu(), host.record(), random.Random(name)
    for _ in range(120):
        there = mig.instances(gpu, known)
        assert [host.left(device, p) for p in known.profiles] == [mig.capacity(known, there, p) for p in known.profiles]
        if there and chance.random() < 0.4:
            gone = chance.choice(there)
            assert host.call("GpuInstanceDestroy", host.handle("DeviceGetGpuInstanceById", device, gone.id)) == OK
            gpu = dataclasses.replace(gpu, **mig.destroy(gpu, DRIVER, gone.id))
            continue
        profile = chance.choice(known.profiles)
        made = host.handle("DeviceCreateGpuInstance", device, profile.id)
        if made == -NO_ROOM:
            with pytest.raises(NvsimError, match="Insufficient Resources"):
                mig.create(gpu, DRIVER, profile.name)
            continue
        fields, instance_id = mig.create(gpu, DRIVER, profile.name)
        gpu = dataclasses.replace(gpu, **fields)
        assert host.struct(Info, "GpuInstanceGetInfo", made).id == instance_id
    written = host.record()
    assert {f: getattr(written, f) for f in ("gi_id", "gi_start", "gi_size", "gi_profile")} == {
        f: getattr(gpu, f) for f in ("gi_id", "gi_start", "gi_size", "gi_profile")}


@pytest.mark.parametrize(("name", "profiles", "ids"), [
    (A100, (19, 19, 14, 9), [13, 11, 3, -NO_ROOM]), (A100, (9, 19, 14, 19), [2, 7, 4, 8]),
    (A100, (14, 19, 19, 19, 19, 19), [5, 13, 7, 8, 9, 10]), ("RTX-PRO-6000-SE", (14, 14, 14, 14), [3, 4, 5, 6]),
    ("RTX-PRO-6000-SE", (5, 14, 14), [1, 5, 6])])
def test_instances_go_where_real_boards_were_seen_to_put_them(nvml, name, profiles, ids):
    host = nvml(name)
    made = [host.handle("DeviceCreateGpuInstance", host.gpu(), profile) for profile in profiles]
    assert [m if isinstance(m, int) else host.struct(Info, "GpuInstanceGetInfo", m).id for m in made] == ids


def test_a_profile_is_described_in_every_version_of_the_struct(nvml):
    host = nvml(A100)
    info = ProfileInfo(version=0x02000098)
    assert host.call("DeviceGetGpuInstanceProfileInfoV", host.gpu(), 7, ctypes.byref(info)) == OK
    assert (info.name, info.id, info.slices, info.most, info.sm, info.decoders, info.jpeg, info.ofa, info.memory) == (
        b"MIG 1g.5gb+me", 20, 1, 1, 14, 1, 1, 1, 4864)
    third = ctypes.create_string_buffer(0x98)
    ctypes.c_uint.from_buffer(third).value = 0x03000098
    assert host.call("DeviceGetGpuInstanceProfileInfoV", host.gpu(), 4, third) == OK
    assert third.raw[4 * 12:].startswith(b"MIG 7g.40gb\0")
    bad = ProfileInfo(version=0x04000098)
    assert host.call("DeviceGetGpuInstanceProfileInfoV", host.gpu(), 0, ctypes.byref(bad)) == 25


@pytest.mark.parametrize(("driver", "count"), [("470.256.02", 8), ("550.54.15", 10), ("580.105.08", 17)])
def test_a_driver_knows_as_many_profile_indexes_as_its_header(nvml, driver, count):
    host = nvml(A100, driver=driver)
    codes = [host.call("DeviceGetGpuInstanceProfileInfo", host.gpu(), i, ctypes.create_string_buffer(64))
             for i in range(20)]
    assert codes.index(INVALID) == count
    assert {i for i, code in enumerate(codes) if code == OK} == {p.index for p in table(A100, int(driver[:3])).profiles}


def test_a_mig_device_answers_for_itself_and_knows_its_parent(nvml):
    host = nvml(A100)
    gpu = host.gpu()
    parent = host.handle("DeviceCreateGpuInstance", gpu, 9)
    host.handle("GpuInstanceCreateComputeInstance", parent, 0)
    device = host.handle("DeviceGetMigDeviceHandleByIndex", gpu, 0)
    assert host.text("DeviceGetName", device) == "NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb"
    space = uuid.UUID("00000000-0000-0000-0000-000000000000")
    assert host.text("DeviceGetUUID", device) == f"MIG-{uuid.uuid5(space, '2/0/9/0')}"
    assert host.handle("DeviceGetHandleByUUID", host.text("DeviceGetUUID", device).encode()).value == device.value
    assert host.number("DeviceIsMigDeviceHandle", device) == 1
    assert host.number("DeviceIsMigDeviceHandle", gpu) == 0
    assert host.handle("DeviceGetDeviceHandleFromMigDeviceHandle", device).value == gpu.value
    assert host.handle("DeviceGetDeviceHandleFromMigDeviceHandle", gpu) == -INVALID
    assert (host.number("DeviceGetGpuInstanceId", device), host.number("DeviceGetComputeInstanceId", device)) == (2, 0)
    assert host.number("DeviceGetMaxMigDeviceCount", device) == 0
    attributes = host.struct(Attributes, "DeviceGetAttributes_v2", device)
    assert (attributes.sm, attributes.decoders, attributes.gpu_slices, attributes.compute_slices,
            attributes.memory) == (14, 2, 3, 1, 19968)
    assert host.struct(Attributes, "DeviceGetAttributes_v2", gpu) == -UNSUPPORTED
    assert host.struct(Memory, "DeviceGetMemoryInfo", device).total == 19968 * MIB


def test_planner_and_library_give_an_instance_the_same_uuid(nvml):
    host = nvml(A100)
    fields, instance = mig.create(host.record(), DRIVER, "2g.10gb")
    gpu = dataclasses.replace(host.record(), **fields)
    planned = mig.create_compute(gpu, DRIVER, instance)[0]["ci_uuid"][0]
    host.handle("GpuInstanceCreateComputeInstance", host.handle("DeviceCreateGpuInstance", host.gpu(), 14), 1)
    assert host.record().ci_uuid[0] == planned


def test_devices_are_numbered_by_instance_ids_and_old_handles_die(nvml):
    host = nvml(A100)
    gpu = host.gpu()
    instances = [host.handle("DeviceCreateGpuInstance", gpu, 19) for _ in range(3)]
    made = [host.handle("GpuInstanceCreateComputeInstance", one, 0) for one in instances]
    devices = [host.handle("DeviceGetMigDeviceHandleByIndex", gpu, i) for i in range(3)]
    assert [host.number("DeviceGetGpuInstanceId", d) for d in devices] == [11, 12, 13]
    assert [host.number("DeviceGetIndex", d) for d in devices] == [0, 1, 2]
    assert host.handle("DeviceGetMigDeviceHandleByIndex", gpu, 3) == -NOT_FOUND
    assert host.handle("DeviceGetMigDeviceHandleByIndex", gpu, 7) == -INVALID
    assert host.call("ComputeInstanceDestroy", made[0]) == OK  # that of instance 13
    assert host.text("DeviceGetName", devices[2]) == -INVALID
    again = host.handle("GpuInstanceCreateComputeInstance", instances[0], 0)
    assert host.text("DeviceGetName", devices[2]) == -INVALID
    assert host.text("DeviceGetName", host.handle("DeviceGetMigDeviceHandleByIndex", gpu, 2)).endswith("MIG 1g.5gb")
    host.lib.nvmlShutdown()
    host.lib.nvmlInit_v2()
    assert host.call("ComputeInstanceDestroy", again) == INVALID
    assert host.text("DeviceGetName", devices[0]) == -INVALID


@pytest.mark.parametrize(("name", "code", "current", "pending", "status"),
                         [(A100, OK, 0, 1, IN_USE), (H100, IN_USE, 0, 0, OK)])
def test_a_gpu_in_use_keeps_its_mode_until_a_reset_if_its_generation_needs_one(nvml, name, code, current, pending,
                                                                                 status):
    host = nvml(name, mig_mode=0, process_pid=(4711,), process_kind=(1,))
    activation = ctypes.c_uint()
    assert host.call("DeviceSetMigMode", host.gpu(), 1, ctypes.byref(activation)) == code
    assert (activation.value, host.record().mig_mode, host.record().mig_pending) == (status, current, pending)


def test_mig_mode_is_off_only_once_the_instances_are_gone(nvml):
    host = nvml(A100, mig_mode=0)
    activation, gpu = ctypes.c_uint(99), host.gpu()
    assert host.handle("DeviceCreateGpuInstance", gpu, 19) == -UNSUPPORTED
    assert host.call("DeviceSetMigMode", gpu, 1, ctypes.byref(activation)) == OK and activation.value == 0
    made = host.handle("DeviceCreateGpuInstance", gpu, 19)
    assert host.call("DeviceSetMigMode", gpu, 0, ctypes.byref(activation)) == IN_USE
    assert host.call("GpuInstanceDestroy", made) == OK
    assert host.call("DeviceSetMigMode", gpu, 0, ctypes.byref(activation)) == OK
    assert (host.record().mig_mode, host.record().event_type[:4]) == (0, (256,) * 4)


def test_a_board_without_mig_says_so(nvml):
    host = nvml("T4", mig_mode=None)
    gpu, activation = host.gpu(), ctypes.c_uint()
    assert host.call("DeviceSetMigMode", gpu, 1, ctypes.byref(activation)) == UNSUPPORTED
    assert host.number("DeviceGetMaxMigDeviceCount", gpu) == 0
    assert host.handle("DeviceGetMigDeviceHandleByIndex", gpu, 0) == -UNSUPPORTED
    assert host.struct(ProfileInfo, "DeviceGetGpuInstanceProfileInfo", gpu, 0) == -UNSUPPORTED
    assert host.handle("DeviceCreateGpuInstance", gpu, 19) == -UNSUPPORTED


def test_an_instance_in_use_by_a_process_is_not_destroyed(nvml):
    host = nvml(A100)
    parent = host.handle("DeviceCreateGpuInstance", host.gpu(), 19)
    made = host.handle("GpuInstanceCreateComputeInstance", parent, 0)
    busy = dataclasses.replace(host.record(), process_pid=(4711,), process_gpu_instance=(13,))
    board.write(host.path, dataclasses.replace(board.read(host.path), gpus=(busy,)))
    assert host.call("ComputeInstanceDestroy", made) == IN_USE
    idle = dataclasses.replace(host.record(), process_pid=())
    board.write(host.path, dataclasses.replace(board.read(host.path), gpus=(idle,)))
    assert host.call("ComputeInstanceDestroy", made) == OK


def test_sixty_four_gpus_hold_seven_devices_each(nvml):
    host = nvml(*[A100] * 64)
    seen = set()
    for index in range(64):
        gpu = host.gpu(index)
        for _ in range(7):
            host.handle("GpuInstanceCreateComputeInstance", host.handle("DeviceCreateGpuInstance", gpu, 19), 0)
        devices = [host.handle("DeviceGetMigDeviceHandleByIndex", gpu, i) for i in range(7)]
        seen |= {host.text("DeviceGetUUID", device) for device in devices}
        assert host.left(gpu, table(A100).profile("1g.5gb")) == 0
    assert len(seen) == 448


class Process(ctypes.Structure):
    _fields_ = (("pid", ctypes.c_uint), ("memory", ctypes.c_ulonglong), ("instance", ctypes.c_uint),
                ("compute", ctypes.c_uint))


def pids(host, device):
    found, size = (Process * 8)(), ctypes.c_uint(8)
    assert host.call("DeviceGetComputeRunningProcesses_v3", device, ctypes.byref(size), found) == OK
    return [entry.pid for entry in found[:size.value]]


def test_a_mig_device_lists_its_own_processes_and_counts_their_memory(nvml):
    host = nvml(A100, process_pid=(10, 11, 12), process_kind=(1, 1, 1), process_gpu_instance=(13, 13, 11),
                process_compute_instance=(0, 1, 0), process_memory=(MIB, 2 * MIB, 4 * MIB))
    gpu = host.gpu()
    for _ in range(2):
        host.handle("GpuInstanceCreateComputeInstance", host.handle("DeviceCreateGpuInstance", gpu, 19), 0)
    devices = [host.handle("DeviceGetMigDeviceHandleByIndex", gpu, i) for i in range(2)]
    assert [pids(host, one) for one in (gpu, *devices)] == [[10, 11, 12], [12], [10]]
    assert [host.struct(Memory, "DeviceGetMemoryInfo", one).used for one in devices] == [4 * MIB, 3 * MIB]


def test_what_only_a_whole_gpu_has_a_mig_device_does_not_support(nvml):
    host = nvml(A100)
    gpu = host.gpu()
    host.handle("GpuInstanceCreateComputeInstance", host.handle("DeviceCreateGpuInstance", gpu, 19), 0)
    device = host.handle("DeviceGetMigDeviceHandleByIndex", gpu, 0)
    two = ctypes.create_string_buffer(8)
    assert [host.call("DeviceGetUtilizationRates", one, two) for one in (gpu, device)] == [UNSUPPORTED] * 2
    for function, *arguments in (("DeviceGetTemperature", 0), ("DeviceGetMinorNumber",), ("DeviceGetPowerUsage",)):
        assert host.number(function, gpu, *arguments) >= 0
        assert host.number(function, device, *arguments) == -UNSUPPORTED
    events = host.handle("EventSetCreate")
    assert host.call("DeviceRegisterEvents", gpu, ctypes.c_ulonglong(256), events) == OK
    assert host.call("DeviceRegisterEvents", device, ctypes.c_ulonglong(256), events) == UNSUPPORTED
    host.call("EventSetFree", events)
    errors = ctypes.c_ulonglong()
    counters = {(kind, life, place): host.call("DeviceGetMemoryErrorCounter", device, kind, life, place,
                                               ctypes.byref(errors))
                for kind in (0, 1) for life in (0, 1) for place in (2, 7)}
    assert [key for key, code in counters.items() if code == OK] == [(1, 0, 7)]


def test_a_device_is_found_by_the_bytes_of_its_uuid_too(nvml):
    class ByBytes(ctypes.Structure):
        _fields_ = (("version", ctypes.c_uint), ("type", ctypes.c_uint), ("value", ctypes.c_ubyte * 44))

    host = nvml(A100)
    host.handle("GpuInstanceCreateComputeInstance", host.handle("DeviceCreateGpuInstance", host.gpu(), 19), 0)
    device = host.handle("DeviceGetMigDeviceHandleByIndex", host.gpu(), 0)
    number = uuid.UUID(host.text("DeviceGetUUID", device).removeprefix("MIG-")).bytes
    asked = ByBytes(version=ctypes.sizeof(ByBytes) | 1 << 24, type=2, value=(ctypes.c_ubyte * 44)(*number))
    assert host.handle("DeviceGetHandleByUUIDV", ctypes.byref(asked)).value == device.value
