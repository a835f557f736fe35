"""MIG devices through libcuda.so.1: which one a process gets, and what it is."""

import ctypes
import os

import pytest
from cuda_client import Cuda

from nvsim import board, build, profile
from nvsim.native.compile import compile_all

INT, SIZE, UINT64 = ctypes.c_int, ctypes.c_size_t, ctypes.c_uint64


class Machine:
    """The profile a100x8-mig, built in place: GPU 0 holds 3g.20gb, 2g.10gb and 1g.5gb, GPU 1 7g.40gb."""

    def __init__(self, root):
        compile_all()
        self.root = root
        made = build.build(profile.load("a100x8-mig"), root, nodes=False, dev_root=root)
        self.path = root + next(path for path in made.boards if "libcuda" in path)

    def gpus(self):
        return board.read(self.path).gpus

    def migs(self, gpu):
        """UUIDs of its MIG devices, in the order of the profile file."""
        record = self.gpus()[gpu]
        return [uuid for uuid, size in zip(record.ci_uuid, record.ci_size, strict=True) if size]

    def start(self):
        cuda = Cuda(self.path)
        cuda("cuInit", 0)
        return cuda

    def only(self, *gpus):
        """Takes away the nodes of all other GPUs."""
        for i in set(range(8)) - set(gpus):
            os.unlink(f"{self.root}/dev/nvidia{i}")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    return Machine(str(tmp_path / "host"))


def raw(uuid):
    return uuid.removeprefix("MIG-").removeprefix("GPU-").replace("-", "")


def test_a_process_gets_one_mig_device_and_no_gpu_beside_it(machine):
    cuda = machine.start()
    assert cuda("cuDeviceGetCount", INT) == 1
    assert cuda.names()[0].startswith("NVIDIA A100-SXM4-40GB MIG ")
    assert cuda.uuid() in [raw(uuid) for uuid in machine.migs(0)]


def test_without_mig_devices_in_sight_gpus_are_enumerated(machine):
    machine.only(2, 3)
    assert machine.start().names() == ["NVIDIA A100-SXM4-40GB"] * 2


@pytest.mark.parametrize(("place", "name", "sm", "memory"), [
    (0, "3g.20gb", 42, 19968), (1, "2g.10gb", 28, 9856), (2, "1g.5gb", 14, 4864)])
def test_a_mig_device_is_chosen_by_its_uuid_and_is_what_its_profile_says(machine, monkeypatch, place, name, sm, memory):
    uuid = machine.migs(0)[place]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", uuid)
    cuda = machine.start()
    assert cuda.names() == [f"NVIDIA A100-SXM4-40GB MIG {name}"]
    assert (cuda.uuid(), cuda.uuid(function="cuDeviceGetUuid")) == (raw(uuid), raw(machine.gpus()[0].uuid))
    assert (cuda.attribute(16), cuda("cuDeviceTotalMem_v2", SIZE, 0)) == (sm, memory << 20)
    assert cuda.text("cuDeviceGetPCIBusId", 0) == "0000:07:00.0"


def test_a_mig_device_is_chosen_as_drivers_before_470_did(machine, monkeypatch):
    gpu = machine.gpus()[1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"MIG-{gpu.uuid}/{gpu.ci_gpu_instance[0]}/{gpu.ci_id[0]}")
    assert machine.start().names() == ["NVIDIA A100-SXM4-40GB MIG 7g.40gb"]


def test_a_gpu_can_be_chosen_where_others_are_in_mig_mode(machine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{machine.gpus()[5].uuid},4")
    cuda = machine.start()
    assert [cuda.uuid(i) for i in range(2)] == [raw(machine.gpus()[i].uuid) for i in (5, 4)]


@pytest.mark.parametrize("words", ["MIG-00000000-0000-0000-0000-000000000000", "MIG-", "MIG"])
def test_a_mig_device_that_is_not_there_is_none(machine, monkeypatch, words):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", words)
    assert Cuda(machine.path).code("cuInit", 0) == 100


def test_the_access_nodes_decide_which_mig_device_a_process_gets(machine):
    record = machine.gpus()[0]
    ids = sorted((gi, ci, uuid) for gi, ci, uuid, size in zip(
        record.ci_gpu_instance, record.ci_id, record.ci_uuid, record.ci_size, strict=True) if size)
    (gi, ci, _), (_, _, second) = ids[:2]
    os.unlink(f"{machine.root}/dev/nvidia-caps/nvidia-cap{3 + gi * 9 + 1 + ci}")
    assert machine.start().uuid() == raw(second)


def test_memory_of_a_mig_device_is_the_limit(machine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", machine.migs(0)[2])
    cuda = machine.start()
    cuda("cuCtxCreate_v2", ctypes.c_void_p, 0, 0)
    assert cuda.code("cuMemAlloc_v2", UINT64, SIZE(4 << 30)) == 0
    assert cuda.code("cuMemAlloc_v2", UINT64, SIZE(1 << 30)) == 2


def test_a_mig_device_that_is_destroyed_fails_its_users(machine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", machine.migs(1)[0])
    cuda = machine.start()
    cuda("cuCtxCreate_v2", ctypes.c_void_p, 0, 0)
    assert cuda.code("cuCtxSynchronize") == 0
    board.edit(machine.path, 1, lambda gpu: {"ci_size": (0,) * len(gpu.ci_size)})
    assert cuda.code("cuCtxSynchronize") == 999
