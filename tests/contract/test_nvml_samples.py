"""Samples of the last seconds, and metrics between two samples of GPM."""

import ctypes
import os
from dataclasses import replace

import pytest
from nvml_host import A100, UUID, Host, handle

from nvsim import board
from nvsim.models import board_gpu

H100 = "H100-SXM5-80GB"
POWER, GPU_LOAD, SM_CLOCK, MODULE_POWER = 0, 1, 5, 7


class Sample(ctypes.Structure):
    _fields_ = (("stamp", ctypes.c_ulonglong), ("value", ctypes.c_uint), ("unused", ctypes.c_uint))


class Metric(ctypes.Structure):
    _fields_ = (("id", ctypes.c_uint), ("code", ctypes.c_uint), ("value", ctypes.c_double),
                ("short", ctypes.c_char_p), ("long", ctypes.c_char_p), ("unit", ctypes.c_char_p))


class Metrics(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint), ("count", ctypes.c_uint), ("first", ctypes.c_void_p),
                ("second", ctypes.c_void_p), ("metrics", Metric * 477))


@pytest.fixture
def machine(tmp_path):
    def make(*models, **values):
        gpus = tuple(replace(board_gpu(model, index=i, minor=i, uuid=UUID.format(i), bus_id=f"0000:0{i + 1}:00.0"),
                             **values) for i, model in enumerate(models))
        made = Host(tmp_path, (), gpus=gpus)
        made.lib = made.library()
        made.lib.nvmlInit_v2()
        return made
    return make


def samples(lib, kind, since=0, room=200, device=0):
    """(code, samples) of a kind newer than a time stamp."""
    found, kept, type_ = (Sample * room)(), ctypes.c_uint(room), ctypes.c_uint()
    code = lib.nvmlDeviceGetSamples(handle(lib, device), kind, ctypes.c_ulonglong(since), ctypes.byref(type_),
                                    ctypes.byref(kept), found)
    return code, [(s.stamp, s.value) for s in found[:kept.value]] if code == 0 else []


def test_the_driver_keeps_some_seconds_of_samples_at_equal_distances(machine):
    lib = machine(A100, power_usage=100_000, utilization_gpu=50).lib
    for kind, kept, period in [(POWER, 119, 20_000), (GPU_LOAD, 99, 167_000), (SM_CLOCK, 100, 20_000)]:
        most = ctypes.c_uint()
        assert lib.nvmlDeviceGetSamples(handle(lib), kind, ctypes.c_ulonglong(0), ctypes.byref(ctypes.c_uint()),
                                        ctypes.byref(most), None) == 0
        _, found = samples(lib, kind)
        assert most.value == len(found) == kept
        assert {after[0] - before[0] for before, after in zip(found, found[1:], strict=False)} == {period}


def test_values_vary_by_a_hundredth_and_an_idle_gpu_is_still(machine):
    lib = machine(A100, power_usage=100_000, utilization_gpu=100, clock_sm=1410, utilization_memory=0).lib
    assert {value for _, value in samples(lib, POWER)[1]} == {99_000, 100_000, 101_000}
    assert {value for _, value in samples(lib, GPU_LOAD)[1]} == {99, 100}
    assert {value for _, value in samples(lib, SM_CLOCK)[1]} == {1410}
    assert {value for _, value in samples(lib, 2)[1]} == {0}


def test_everybody_sees_the_same_past(machine):
    host = machine(A100, power_usage=100_000)
    mine = dict(samples(host.lib, POWER)[1])
    code = ("from pynvml import *; nvmlInit(); d = nvmlDeviceGetHandleByIndex(0)\n"
            "for s in nvmlDeviceGetSamples(d, 0, 0)[1]: print(s.timeStamp, s.sampleValue.uiVal)")
    theirs = dict(map(int, line.split()) for line in host.run(code).splitlines())
    shared = mine.keys() & theirs.keys()
    assert shared
    assert {stamp: mine[stamp] for stamp in shared} == {stamp: theirs[stamp] for stamp in shared}


def test_only_newer_samples_are_given_and_the_newest_if_room_is_short(machine):
    lib = machine(A100).lib
    _, found = samples(lib, GPU_LOAD)
    assert samples(lib, GPU_LOAD, since=found[-1][0] + 10**9) == (6, [])
    middle = found[50][0]
    assert min(stamp for stamp, _ in samples(lib, GPU_LOAD, since=middle)[1]) > middle
    _, few = samples(lib, GPU_LOAD, room=3)
    assert len(few) == 3
    assert few[0][0] >= found[-3][0]


def test_what_a_board_does_not_measure_has_no_samples(machine):
    host = machine(A100, "GB200")
    assert samples(host.lib, MODULE_POWER)[0] == 3
    assert samples(host.lib, MODULE_POWER, device=1)[0] == 0
    board.update(host.path, 0, mig_mode=1)
    assert (samples(host.lib, GPU_LOAD)[0], samples(host.lib, POWER)[0]) == (3, 0)


# GPM

def allocated(lib):
    sample = ctypes.c_void_p()
    assert lib.nvmlGpmSampleAlloc(ctypes.byref(sample)) == 0
    return sample


def measured(lib, first, second, *ids):
    """(code, values or negative codes) of metrics between two samples."""
    asked = Metrics(version=1, count=len(ids), first=first.value, second=second.value)
    for metric, number in zip(asked.metrics, ids, strict=False):
        metric.id = number
    code = lib.nvmlGpmMetricsGet(ctypes.byref(asked))
    return code, [-m.code if m.code else m.value for m in asked.metrics[:len(ids)]] if code == 0 else []


def test_gpm_came_with_hopper(machine):
    lib = machine(A100, H100).lib
    support = (ctypes.c_uint * 2)(1)
    said = []
    for i in range(2):
        assert lib.nvmlGpmQueryDeviceSupport(handle(lib, i), support) == 0
        said.append(support[1])
    assert said == [0, 1]
    assert [lib.nvmlGpmSampleGet(handle(lib, i), allocated(lib)) for i in range(2)] == [3, 0]
    support[0] = 9
    assert lib.nvmlGpmQueryDeviceSupport(handle(lib), support) == 25


def test_metrics_agree_with_utilisation_and_counters(machine):
    sent = (1024 * 1024, 2048 * 1024)
    host = machine(H100, utilization_gpu=80, utilization_memory=40, utilization_decoder=10, pcie_tx=2048)
    lib, first, second = host.lib, allocated(host.lib), allocated(host.lib)
    assert lib.nvmlGpmSampleGet(handle(lib), first) == 0
    gpu = replace(host.board.gpus[0], utilization_gpu=100, nvlink_sent=sent)
    board.write(host.path, replace(host.board, gpus=(gpu,)))
    assert lib.nvmlGpmSampleGet(handle(lib), second) == 0
    code, (sm, dram, pcie, decoder, unknown) = measured(lib, first, second, 2, 10, 20, 30, 300)
    assert (code, sm, dram, pcie, decoder, unknown) == (0, 90, 40, 2, 10, -3)
    _, (total, link0, link1, link2, received) = measured(lib, first, second, 61, 63, 65, 67, 60)
    assert total > 0
    assert (link0 + link1, link1, link2, received) == pytest.approx((total, 2 * link0, 0, 0))


def test_a_metric_has_a_name_and_a_unit(machine):
    lib = machine(H100).lib
    first, second = allocated(lib), allocated(lib)
    for sample in (first, second):
        lib.nvmlGpmSampleGet(handle(lib), sample)
    asked = Metrics(version=1, count=1, first=first.value, second=second.value)
    asked.metrics[0].id = 20
    assert lib.nvmlGpmMetricsGet(ctypes.byref(asked)) == 0
    assert (asked.metrics[0].long, asked.metrics[0].unit) == (b"PCIe TX", b"MiB/s")


def test_samples_of_different_gpus_or_without_values_cannot_be_compared(machine):
    lib = machine(H100, H100).lib
    first, second, empty = allocated(lib), allocated(lib), allocated(lib)
    lib.nvmlGpmSampleGet(handle(lib, 0), first)
    lib.nvmlGpmSampleGet(handle(lib, 1), second)
    assert measured(lib, first, second, 2)[0] == measured(lib, first, empty, 2)[0] == 2
    assert measured(lib, first, first, 2)[0] == 0


def test_a_sample_is_freed_once(machine):
    lib = machine(H100).lib
    sample = allocated(lib)
    assert [lib.nvmlGpmSampleFree(sample), lib.nvmlGpmSampleFree(sample)] == [0, 2]
    assert lib.nvmlGpmSampleGet(handle(lib), sample) == 2


def test_streaming_is_switched_by_administrators(machine):
    lib = machine(H100, A100).lib
    state = ctypes.c_uint()
    assert [lib.nvmlGpmSetStreamingEnabled(handle(lib, i), 1) for i in range(2)] == [0, 3]
    assert (lib.nvmlGpmQueryIfStreamingEnabled(handle(lib), ctypes.byref(state)), state.value) == (0, 1)
    pid = os.fork()
    if not pid:
        os.seteuid(65534)
        os._exit(lib.nvmlGpmSetStreamingEnabled(handle(lib), 0))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4


def test_pynvml_reads_metrics(machine):
    host = machine(H100, utilization_gpu=60)
    assert host.run("""from pynvml import *
nvmlInit()
d = nvmlDeviceGetHandleByIndex(0)
first, second = nvmlGpmSampleAlloc(), nvmlGpmSampleAlloc()
nvmlGpmSampleGet(d, first)
nvmlGpmSampleGet(d, second)
asked = c_nvmlGpmMetricsGet_t(version=NVML_GPM_METRICS_GET_VERSION, numMetrics=1, sample1=first, sample2=second)
asked.metrics[0].metricId = NVML_GPM_METRIC_SM_UTIL
nvmlGpmMetricsGet(asked)
print(asked.metrics[0].value, nvmlGpmQueryDeviceSupport(d).isSupportedDevice)
""") == "60.0 1\n"
