"""vGPU: what bare metal, hosts and guests say of it."""

import ctypes
from dataclasses import replace

import pytest
from nvml_host import A100, UUID, Host, handle, number

from nvsim import board, plan_host, profile
from nvsim.models import board_gpu

BARE, PASSTHROUGH, GUEST, HOST = range(4)
HOST_CALLS = ("nvmlDeviceGetHostVgpuMode", "nvmlDeviceGetActiveVgpus", "nvmlDeviceGetSupportedVgpus",
              "nvmlDeviceGetCreatableVgpus", "nvmlDeviceGetVgpuSchedulerState",
              "nvmlDeviceGetVgpuSchedulerCapabilities")
LICENCE = "nvmlDeviceGetGridLicensableFeatures_v4"


@pytest.fixture
def machine(tmp_path):
    def make(mode, *models):
        gpus = tuple(replace(board_gpu(model, index=i, minor=i, uuid=UUID.format(i), bus_id=f"0000:0{i + 1}:00.0"),
                             virtualization=mode) for i, model in enumerate(models))
        made = Host(tmp_path, (), gpus=gpus)
        made.lib = made.library()
        made.lib.nvmlInit_v2()
        return made
    return make


def codes(lib, *functions):
    return [getattr(lib, name)(handle(lib), *(ctypes.create_string_buffer(4096) for _ in range(2)))
            for name in functions]


@pytest.mark.parametrize(("mode", "host", "licence"), [(BARE, 3, 3), (PASSTHROUGH, 3, 3), (GUEST, 3, 0), (HOST, 0, 3)])
def test_the_mode_decides_which_calls_are_supported(machine, mode, host, licence):
    lib = machine(mode, A100).lib
    assert number(lib, "nvmlDeviceGetVirtualizationMode", handle(lib)) == mode
    assert codes(lib, *HOST_CALLS) == [host] * len(HOST_CALLS)
    assert codes(lib, LICENCE) == [licence]


def test_a_host_shares_by_virtual_functions_since_ampere(machine):
    lib = machine(HOST, A100, "T4").lib
    assert [number(lib, "nvmlDeviceGetHostVgpuMode", handle(lib, i)) for i in range(2)] == [1, 0]


def test_no_guest_runs_on_a_host_and_its_scheduler_is_the_usual_one(machine):
    lib = machine(HOST, A100).lib
    many, state = ctypes.c_uint(9), (ctypes.c_uint * 5)()
    assert lib.nvmlDeviceGetActiveVgpus(handle(lib), ctypes.byref(many), None) == many.value == 0
    assert lib.nvmlDeviceGetVgpuSchedulerState(handle(lib), state) == 0
    assert list(state)[:2] == [1, 0]


def test_a_guest_runs_without_its_licence_until_it_gets_one(machine):
    host = machine(GUEST, A100)
    said = ctypes.create_string_buffer(2048)

    def licensed():
        assert host.lib.nvmlDeviceGetGridLicensableFeatures_v4(handle(host.lib), said) == 0
        words = (ctypes.c_uint * 4).from_buffer(said)
        return list(words)

    assert licensed() == [1, 1, 4, 0]  # supported, features, compute, state
    board.update(host.path, 0, vgpu_licensed=1)
    assert licensed() == [1, 1, 4, 1]
    assert b"NVIDIA Virtual Compute Server\0" in said.raw


def test_a_profile_says_what_its_machine_is():
    wanted = profile.changed("t4x1", {"virtualization": "passthrough"})
    assert [gpu.board.virtualization for gpu in plan_host.host(wanted).gpus] == [PASSTHROUGH]
