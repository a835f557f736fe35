"""What programs that look for GPUs get from libcuda.so.1: which there are, in which order, and what they are."""

import ctypes
import os

import pytest
from cuda_client import UUID, Cuda, Host

from nvsim import board, models

A100, T4, H100 = "A100-SXM4-40GB", "T4", "H100-SXM5-80GB"
INT, SIZE = ctypes.c_int, ctypes.c_size_t


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    return lambda *models, **changes: Host(tmp_path, *models, **changes)


def started(host) -> Cuda:
    cuda = host.cuda()
    cuda("cuInit", 0)
    return cuda


# Initialization

def test_before_init_a_device_query_says_so_but_version_and_texts_are_there(host):
    cuda = host(A100).cuda()
    assert [cuda.code(f, INT, 0) for f in ("cuDeviceGetCount", "cuDeviceGet")] == [3, 3]
    assert cuda("cuDriverGetVersion", INT) == 12040
    assert cuda("cuGetErrorName", 999, ctypes.c_char_p) == b"CUDA_ERROR_UNKNOWN"


def test_init_takes_no_flags_and_can_be_repeated(host):
    cuda = host(A100).cuda()
    assert [cuda.code("cuInit", flags) for flags in (1, 0, 0)] == [1, 0, 0]


@pytest.mark.parametrize(("absent", "code"), [(["nvidiactl"], 100), (["nvidia0"], 100), (["nvidia-uvm"], 999)])
def test_init_without_a_node_fails_as_the_driver_does(host, absent, code):
    assert host(A100).without(*absent).cuda().code("cuInit", 0) == code


def test_init_without_a_kernel_module_finds_no_device(host):
    assert host(A100, driver_loaded=False).cuda().code("cuInit", 0) == 100


def test_init_beside_another_kernel_module_is_a_mismatch(host):
    assert host(A100, kernel_version="550.90.07").cuda().code("cuInit", 0) == 803


@pytest.mark.parametrize(("state", "code"), [(1, 802), (2, 802), (3, 0), (None, 0)])
def test_init_waits_for_the_fabric_manager(host, state, code):
    assert host(H100, gpu={"fabric_state": state}).cuda().code("cuInit", 0) == code


def test_after_a_failed_init_nothing_is_initialised(host):
    cuda = host(A100).without("nvidia0").cuda()
    assert (cuda.code("cuInit", 0), cuda.code("cuDeviceGetCount", INT)) == (100, 3)


# Enumeration

def test_a_device_without_its_node_is_not_there(host):
    cuda = started(host(A100, A100, A100).without("nvidia1"))
    assert [cuda.uuid(i)[:8] for i in range(cuda("cuDeviceGetCount", INT))] == ["000000a0", "000000a2"]


def test_a_lost_gpu_is_no_device(host):
    machine = host(A100, T4)
    board.update(machine.path, 0, fault=15)
    assert started(machine).names() == ["Tesla T4"]


@pytest.mark.parametrize(("order", "first"), [("", 1), ("FASTEST_FIRST", 1), ("PCI_BUS_ID", 0)])
def test_the_fastest_device_comes_first_unless_the_bus_decides(host, monkeypatch, order, first):
    monkeypatch.setenv("CUDA_DEVICE_ORDER", order)
    names = started(host(T4, H100, T4)).names()
    assert (names.index("NVIDIA H100 80GB HBM3"), names.count("Tesla T4")) == (0 if first else 1, 2)


@pytest.mark.parametrize(("words", "found"), [
    ("0", "0"), ("2,0", "20"), ("3,1,2", "312"), (" 1 , 0", "10"),
    ("", ""), ("-1", ""), ("0,-1,1", "0"), ("4", ""), ("1,4,0", "1"), ("NoDevFiles", ""), ("0,x,1", "0"), ("1x", ""),
    ("1,1,0", "1"),
    ("GPU-000000a2", "2"), (UUID.format(0xA3), "3"), ("gpu-000000A1,GPU-000000a0", "10"), ("GPU-", ""), ("GPU-0", ""),
    ("GPU-b", ""), ("GPU-000000a1,2", "12"), ("MIG-00000000-0000-0000-0000-000000000000", ""),
])
def test_the_environment_chooses_devices(host, monkeypatch, words, found):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", words)
    cuda = host(A100, A100, A100, A100).cuda()
    if not found:
        assert cuda.code("cuInit", 0) == 100
        return
    cuda("cuInit", 0)
    assert "".join(cuda.uuid(i)[7] for i in range(cuda("cuDeviceGetCount", INT))) == found


def test_the_environment_is_read_once(host, monkeypatch):
    cuda = started(host(A100, A100))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert (cuda.code("cuInit", 0), cuda("cuDeviceGetCount", INT)) == (0, 2)


def test_a_gpu_in_mig_mode_without_instances_is_no_device(host):
    assert host(A100, gpu={"mig_mode": 1}).cuda().code("cuInit", 0) == 100


# Description

def test_a_device_is_described_as_nvml_describes_its_gpu(host):
    cuda = started(host(A100))
    assert cuda.names() == ["NVIDIA A100-SXM4-40GB"]
    assert cuda("cuDeviceTotalMem_v2", SIZE, 0) == 42949672960 - models.board_gpu(
        A100, index=0, minor=0, uuid=UUID.format(1), bus_id="0000:01:00.0").memory_reserved
    assert cuda("cuDeviceTotalMem", ctypes.c_uint, 0) == 2**32 - 1, "the old interface has 32 bits"
    assert cuda("cuDeviceComputeCapability", INT, INT, 0) == (8, 0)
    assert cuda.uuid() == cuda.uuid(function="cuDeviceGetUuid") == "000000a0" + "0" * 24
    assert cuda.text("cuDeviceGetPCIBusId", 0, size=13) == "0000:01:00.0"


@pytest.mark.parametrize("bus_id", ["0000:02:00.0", "00000000:02:00.0", "0000:02:00", "02:00.0", "2:0"])
def test_a_device_is_found_by_each_way_to_write_its_address(host, bus_id):
    assert started(host(A100, A100))("cuDeviceGetByPCIBusId", INT, bus_id.encode()) == 1


@pytest.mark.parametrize(("call", "code"), [
    (("cuDeviceGet", INT, 2), 101), (("cuDeviceGet", INT, -1), 101), (("cuDeviceGet", None, 0), 1),
    (("cuDeviceGetCount", None), 1), (("cuDeviceGetByPCIBusId", INT, b"0000:77:00.0"), 101),
    (("cuDeviceGetByPCIBusId", INT, b"nonsense"), 1), (("cuDeviceGetPCIBusId", b" " * 12, 12, 0), 1),
    (("cuDeviceGetAttribute", INT, 0, 0), 1), (("cuDeviceGetAttribute", INT, 9999, 0), 1),
    (("cuDeviceGetAttribute", INT, 1, 2), 101), (("cuDeviceGetLuid", b" " * 8, ctypes.c_uint, 0), 801),
    (("cuDeviceGetP2PAttribute", INT, 2, 0, 0), 101), (("cuDeviceGetP2PAttribute", INT, 99, 0, 1), 1),
])
def test_a_wrong_question_gets_the_drivers_code(host, call, code):
    assert started(host(A100, A100)).code(*call) == code


def test_a_name_is_cut_to_the_buffer(host):
    assert started(host(A100)).text("cuDeviceGetName", 0, size=7) == "NVIDIA"


# The limits of generations, as the programming guide has them, and the figures of the models.
ATTRIBUTES = {
    T4: {1: 1024, 10: 32, 13: 1590000, 16: 40, 33: 1, 34: 0, 50: 0, 36: 5001000, 37: 256, 38: 4 << 20, 39: 1024,
         75: 7, 76: 5, 81: 65536, 97: 65536, 106: 16, 111: 0, 120: 0, 18: 0, 32: 1, 41: 1},
    A100: {13: 1410000, 16: 108, 37: 5120, 38: 40 << 20, 39: 2048, 75: 8, 76: 0, 81: 167936, 97: 166912, 106: 32,
           108: 26214400, 111: 1024, 120: 0},
    H100: {16: 132, 39: 2048, 75: 9, 81: 233472, 97: 232448, 120: 1, 126: 4, 128: 1, 132: 1},
    "RTX-4090": {39: 1536, 75: 8, 76: 9, 81: 102400, 106: 24, 40: 2, 116: 0, 32: 0},
    "GH200-96GB": {86: 1, 88: 1, 100: 1},
    "ORIN-IGPU": {18: 1, 75: 8, 76: 7, 81: 167936},
}


@pytest.mark.parametrize("model", ATTRIBUTES)
def test_attributes_follow_model_and_generation(host, model):
    cuda = started(host(model))
    assert {number: cuda.attribute(number) for number in ATTRIBUTES[model]} == ATTRIBUTES[model]


@pytest.mark.parametrize("model", models.names())
def test_every_model_answers_every_attribute_of_the_newest_driver(host, model):
    cuda = started(host(model, cuda_version="13.5"))
    values = {number: cuda.attribute(number) for number in range(1, 162)}
    assert (values[75], values[76]) == cuda("cuDeviceComputeCapability", INT, INT, 0)
    assert values[16] > 0 and values[97] == values[81] - values[111] and values[1] <= values[39]


def test_an_older_driver_does_not_know_newer_attributes(host):
    cuda = started(host(A100, cuda_version="11.4"))
    assert [cuda.code("cuDeviceGetAttribute", INT, number, 0) for number in (119, 120, 140)] == [0, 1, 1]


def test_what_changes_on_the_board_changes_in_a_running_program(host):
    machine = host(A100)
    cuda = started(machine)
    before = cuda.attribute(20)
    board.update(machine.path, 0, compute_mode=3)
    assert (before, cuda.attribute(20)) == (0, 3)


@pytest.mark.parametrize(("model", "access", "atomics"), [(H100, 1, 1), ("L40S", 1, 0), ("RTX-4090", 0, 0)])
def test_devices_reach_each_other_over_nvlink_or_as_data_centre_boards(host, model, access, atomics):
    cuda = started(host(model, model))
    assert cuda("cuDeviceCanAccessPeer", INT, 0, 1) == access
    assert [cuda("cuDeviceGetP2PAttribute", INT, a, 0, 1) for a in (2, 3)] == [access, atomics]


def test_an_integrated_gpu_has_the_memory_of_the_machine(host):
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert started(host("ORIN-IGPU"))("cuDeviceTotalMem_v2", SIZE, 0) in range(total // 2, total + 1)
