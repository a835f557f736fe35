"""What implementers of an emulated driver get wrong, as far as no other file tests it."""

import ctypes
import math
import re
from fractions import Fraction

import pynvml
import pytest
from nvml_host import Host, handle

from nvsim import build, models, profile

GIB = 1024
MIG_MODELS = [name for name, model in models.models().items() if model["mig"] and model["memory_mib"]]
# What a client appends to the size, by the profile's index: NVML_GPU_INSTANCE_PROFILE_*.
ATTRIBUTES = {7: "+me", 8: "+me", 10: "+gfx", 11: "+gfx", 12: "+gfx", 17: "+gfx", 13: "-me", 14: "-me",
              15: "+me.all", 16: "+me.all"}


@pytest.fixture
def built(tmp_path):
    """`built("a100x8")` is the folder of a host."""

    def make(name):
        root = tmp_path / name
        build.build(profile.load(name), str(root), nodes=False, dev_root=str(root))
        return root

    return make


def mig_profiles(lib, device):
    """Index → NVML's description of every MIG profile of a board."""
    for index in range(pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        info = pynvml.c_nvmlGpuInstanceProfileInfo_v2_t()
        info.version = pynvml.nvmlGpuInstanceProfileInfo_v2
        if lib.nvmlDeviceGetGpuInstanceProfileInfoV(device, index, ctypes.byref(info)) == 0:
            yield index, info


def total_mib(lib, device):
    memory = pynvml.c_nvmlMemory_t()
    assert lib.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) == 0
    return memory.total >> 20


@pytest.mark.parametrize("model", MIG_MODELS)
def test_the_name_that_clients_compute_of_a_mig_profile_is_nvmls(tmp_path, model):
    lib = Host(tmp_path, [model], driver_version="610.43.02").library()
    lib.nvmlInit_v2()
    device, seen = handle(lib), []
    total = total_mib(lib, device)
    for index, info in mig_profiles(lib, device):
        eighths = Fraction(math.ceil(Fraction(info.memorySizeMB, total) * 8), 8)
        gib = math.floor(eighths * math.ceil(Fraction(total, GIB)) + Fraction(1, 2))  # half away from zero
        computed = f"MIG {info.sliceCount}g.{gib}gb{ATTRIBUTES.get(index, '')}"
        assert info.name == computed
        seen.append((index, info.id))
    assert seen
    assert any(index != id_ for index, id_ in seen), "a profile's index is not its id"
    assert len({id_ for _, id_ in seen}) == len(seen)


def test_mig_minors_are_the_same_whatever_instances_there_are_and_capabilities_are_not(built):
    without, with_mig = (built(name) / "proc/driver" for name in ("a100x8", "a100x8-mig"))
    minors = "nvidia-caps/mig-minors"
    assert (without / minors).read_text() == (with_mig / minors).read_text()
    instances = "nvidia/capabilities/gpu*/mig/gi*/access"
    assert (len(list(without.glob(instances))), len(list(with_mig.glob(instances)))) == (0, 4)


@pytest.mark.parametrize(("name", "frontend"), [("t4x1-470", True), ("a100x8-535", True), ("a100x8", False),
                                                ("h100x8-570", False)])
def test_the_first_devices_are_called_frontend_up_to_535(built, name, frontend):
    devices = (built(name) / "proc/devices").read_text()
    assert bool(re.search(r"^195 nvidia-frontend$", devices, re.M)) == frontend
    assert bool(re.search(r"^195 nvidiactl$", devices, re.M)) != frontend


@pytest.mark.parametrize("name", [name for name in profile.names()
                                  if (said := profile.load(name)).kernel_driver and not said.wsl
                                  and not said.tegra and said.boot == "complete"])
def test_uuids_are_hexadecimal(built, name):
    wanted = [gpu.uuid for gpu in profile.load(name).gpus]
    shown = [re.search(r"^GPU UUID:\s+(\S+)$", path.read_text(), re.M)[1]
             for path in built(name).glob("proc/driver/nvidia/gpus/*/information")]
    assert sorted(shown) == sorted(wanted)
    assert all(re.fullmatch(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid) for uuid in shown)
