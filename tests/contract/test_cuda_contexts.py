"""Contexts, streams and events of libcuda.so.1, and what threads and forks may do."""

import ctypes
import os
import subprocess
import sys
import threading
import time

import pytest
from cuda_client import Host

from nvsim import board

A100 = "A100-SXM4-40GB"
INT, UINT, U64, SIZE, POINTER, FLOAT = (ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p,
                                        ctypes.c_float)


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return lambda *models, **changes: Host(tmp_path, *models, **changes)


@pytest.fixture
def cuda(host):
    cuda = host(A100, A100).cuda()
    cuda("cuInit", 0)
    return cuda


def create(cuda, device=0, flags=0):
    return cuda("cuCtxCreate_v2", POINTER, flags, device)


def current(cuda):
    return cuda("cuCtxGetCurrent", POINTER)


# The stack

def test_without_a_context_there_is_none_to_ask(cuda):
    assert current(cuda) is None
    assert [cuda.code(f, POINTER) for f in ("cuCtxGetDevice", "cuCtxPopCurrent_v2", "cuEventCreate")] == [201] * 3
    assert cuda.code("cuCtxSynchronize") == 201


def test_contexts_are_a_stack(cuda):
    first, second = create(cuda, 0), create(cuda, 1)
    assert (current(cuda), cuda("cuCtxGetDevice", INT)) == (second, 1)
    assert (cuda("cuCtxPopCurrent_v2", POINTER), current(cuda)) == (second, first)
    cuda("cuCtxPushCurrent_v2", POINTER(second))
    assert current(cuda) == second
    assert [cuda("cuCtxPopCurrent_v2", POINTER) for _ in range(2)] == [second, first]
    assert current(cuda) is None


def test_set_current_takes_the_place_of_the_top(cuda):
    first, second = create(cuda, 0), create(cuda, 1)
    cuda("cuCtxSetCurrent", POINTER(first))
    assert [cuda("cuCtxPopCurrent_v2", POINTER) for _ in range(2)] == [first, first]
    cuda("cuCtxSetCurrent", POINTER(second))
    cuda("cuCtxSetCurrent", None)
    assert current(cuda) is None


def test_a_destroyed_context_is_gone_for_good(cuda):
    context = create(cuda)
    assert [cuda.code("cuCtxDestroy_v2", POINTER(context)) for _ in range(2)] == [0, 201]
    assert (current(cuda), cuda.code("cuCtxSetCurrent", POINTER(context))) == (None, 201)


def test_a_context_that_was_destroyed_under_another_one_is_noticed(cuda):
    first = create(cuda)
    create(cuda)
    cuda("cuCtxDestroy_v2", POINTER(first))
    cuda("cuCtxPopCurrent_v2", POINTER)
    assert cuda.code("cuCtxSynchronize") == 709


@pytest.mark.parametrize(("flags", "device", "code"), [(0, 2, 101), (0, -1, 101), (3, 0, 1), (0x100, 0, 1), (4, 0, 0)])
def test_a_context_is_checked_when_it_is_made(cuda, flags, device, code):
    assert cuda.code("cuCtxCreate_v2", POINTER, flags, device) == code


@pytest.mark.parametrize(("change", "code"), [
    ({"compute_mode": 2}, 46), ({"fault": 15}, 999), ({"compute_mode": 3}, 0)])
def test_a_device_may_take_no_context(host, change, code):
    machine = host(A100)
    cuda = machine.cuda()
    cuda("cuInit", 0)
    board.update(machine.path, 0, **change)
    assert cuda.code("cuCtxCreate_v2", POINTER, 0, 0) == code
    assert cuda.code("cuDevicePrimaryCtxRetain", POINTER, 0) == code


def test_a_gpu_that_is_lost_fails_what_runs_on_it(host):
    machine = host(A100)
    cuda = machine.cuda().start()
    board.update(machine.path, 0, fault=15)
    assert [cuda.code("cuCtxSynchronize"), cuda.code("cuMemAlloc_v2", U64, SIZE(1))] == [999, 999]


def test_a_context_remembers_its_flags_limits_and_peers(cuda):
    context = create(cuda, 0, 4)
    assert (cuda("cuCtxGetFlags", UINT), cuda("cuCtxGetApiVersion", POINTER(context), UINT)) == (4, 3020)
    assert cuda("cuCtxGetLimit", SIZE, 0) == 1024
    cuda("cuCtxSetLimit", 0, SIZE(4096))
    assert (cuda("cuCtxGetLimit", SIZE, 0), cuda.code("cuCtxGetLimit", SIZE, 99)) == (4096, 1)
    assert cuda("cuCtxGetStreamPriorityRange", INT, INT) == (0, -5)
    peer = create(cuda, 1)
    cuda("cuCtxSetCurrent", POINTER(context))
    assert [cuda.code("cuCtxEnablePeerAccess", POINTER(peer), 0) for _ in range(2)] == [0, 704]
    assert [cuda.code("cuCtxDisablePeerAccess", POINTER(peer)) for _ in range(2)] == [0, 705]


# Primary contexts

def test_the_primary_context_is_shared_and_counted(cuda):
    first = cuda("cuDevicePrimaryCtxRetain", POINTER, 0)
    assert cuda("cuDevicePrimaryCtxRetain", POINTER, 0) == first
    assert (cuda("cuDevicePrimaryCtxGetState", 0, UINT, INT), current(cuda)) == ((0, 1), None)
    codes = [cuda.code("cuDevicePrimaryCtxRelease_v2", 0) for _ in range(3)]
    assert (codes, cuda("cuDevicePrimaryCtxGetState", 0, UINT, INT)) == ([0, 0, 201], (0, 0))
    assert cuda("cuDevicePrimaryCtxRetain", POINTER, 0) == first


def test_the_primary_context_is_not_destroyed_by_hand_and_is_reset_with_what_is_in_it(cuda):
    context = cuda("cuDevicePrimaryCtxRetain", POINTER, 0)
    assert cuda.code("cuCtxDestroy_v2", POINTER(context)) == 201
    cuda("cuCtxSetCurrent", POINTER(context))
    event = cuda("cuEventCreate", POINTER, 0)
    cuda("cuDevicePrimaryCtxReset_v2", 0)
    assert (cuda.code("cuEventQuery", POINTER(event)), cuda.code("cuCtxSynchronize")) == (400, 709)


def test_flags_of_a_primary_context_hold_from_its_start(cuda):
    cuda("cuDevicePrimaryCtxSetFlags_v2", 0, 4)
    assert cuda("cuDevicePrimaryCtxGetState", 0, UINT, INT) == (4, 0)
    cuda("cuCtxSetCurrent", POINTER(cuda("cuDevicePrimaryCtxRetain", POINTER, 0)))
    assert (cuda("cuCtxGetFlags", UINT), cuda.code("cuDevicePrimaryCtxSetFlags", 0, 1)) == (4, 708)


# Streams and events

def test_streams_know_what_they_were_made_with(cuda):
    context = create(cuda)
    stream = POINTER(cuda("cuStreamCreateWithPriority", POINTER, 1, -9))
    assert (cuda("cuStreamGetFlags", stream, UINT), cuda("cuStreamGetPriority", stream, INT)) == (1, -5)
    assert cuda("cuStreamGetCtx", stream, POINTER) == context
    assert [cuda.code(f, stream) for f in ("cuStreamQuery", "cuStreamSynchronize", "cuStreamDestroy_v2")] == [0] * 3
    assert (cuda.code("cuStreamQuery", stream), cuda.code("cuStreamCreate", POINTER, 2)) == (400, 1)


def test_default_streams_are_told_apart(cuda):
    create(cuda)
    ids = {cuda("cuStreamGetId", POINTER(s), U64) for s in (0, 1, 2)}
    assert len(ids) == 2
    assert cuda("cuStreamGetId_ptsz", None, U64) == cuda("cuStreamGetId", POINTER(2), U64)


def test_the_time_between_events_is_that_of_the_clock(cuda):
    create(cuda)
    start, end = (POINTER(cuda("cuEventCreate", POINTER, 0)) for _ in range(2))
    assert cuda.code("cuEventElapsedTime", FLOAT, start, end) == 400
    cuda("cuEventRecord", start, None)
    time.sleep(0.01)
    cuda("cuEventRecord", end, None)
    assert cuda("cuEventElapsedTime", FLOAT, start, end) >= 10
    assert cuda("cuEventElapsedTime_v2", FLOAT, end, start) <= -10


def test_an_event_without_timing_has_none_and_is_of_its_context(cuda):
    create(cuda)
    event = POINTER(cuda("cuEventCreate", POINTER, 2))
    cuda("cuEventRecord", event, None)
    assert cuda.code("cuEventElapsedTime", FLOAT, event, event) == 400
    create(cuda, 1)
    assert cuda.code("cuEventRecord", event, None) == 400
    assert [cuda.code("cuEventDestroy_v2", event) for _ in range(2)] == [0, 400]


def test_a_function_of_the_program_is_called_in_its_turn(cuda):
    create(cuda)
    seen = []
    call = ctypes.CFUNCTYPE(None, POINTER)(seen.append)
    cuda("cuLaunchHostFunc", None, call, POINTER(42))
    assert seen == [42]


# Threads and forks

def test_each_thread_has_a_stack_of_its_own(cuda):
    create(cuda)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(current(cuda)))
    thread.start()
    thread.join()
    assert seen == [None]


def test_a_child_of_fork_is_not_initialised_and_cannot_be(host):
    stdout, _ = host(A100).run(
        "import os\ncuda('cuCtxCreate_v2', ctypes.c_void_p, 0, 0)\ncuda.allocate(100)\nchild = os.fork()\n"
        "codes = [cuda.code('cuDeviceGetCount', ctypes.c_int), cuda.code('cuMemAlloc_v2', ctypes.c_uint64, 8),\n"
        "         cuda.code('cuInit', 0)]\n"
        "if not child: print(codes, flush=True); os._exit(0)\nos.waitpid(child, 0)\nprint(codes)")
    assert stdout.splitlines() == ["[3, 3, 3]", "[0, 0, 0]"]


def test_a_fork_while_threads_allocate_leaves_a_child_that_is_told_so_and_not_stuck(host):
    stdout, _ = host(A100).run(
        "import os, threading\ncontext = cuda('cuDevicePrimaryCtxRetain', ctypes.c_void_p, 0)\n"
        "def work():\n"
        "    cuda('cuCtxSetCurrent', ctypes.c_void_p(context))\n"
        "    while not done: cuda('cuMemFree_v2', ctypes.c_uint64(cuda.allocate(64)))\n"
        "done, threads = [], [threading.Thread(target=work) for _ in range(4)]\n"
        "for thread in threads: thread.start()\n"
        "for _ in range(50):\n"
        "    child = os.fork()\n"
        "    if not child: os._exit(cuda.code('cuInit', 0))\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "done.append(True)")
    assert stdout.split() == ["3"] * 50


def test_a_child_that_was_forked_before_init_can_start(host):
    machine = host(A100)
    cuda = machine.cuda()
    child = os.fork()
    if not child:
        os._exit(cuda.code("cuInit", 0))
    assert (os.waitpid(child, 0)[1], cuda.code("cuInit", 0)) == (0, 0)


THREADS = r"""
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
int cuInit(unsigned), cuDevicePrimaryCtxRetain(void **, int), cuCtxSetCurrent(void *), cuMemFree_v2(uint64_t);
int cuMemAlloc_v2(uint64_t *, size_t), cuMemcpyHtoD_v2(uint64_t, const void *, size_t);
int cuMemcpyDtoH_v2(void *, uint64_t, size_t), cuEventCreate(void **, unsigned), cuEventDestroy_v2(void *);
int cuMemGetInfo_v2(size_t *, size_t *), cuEventRecord(void *, void *);
static pthread_barrier_t start;
static void *work(void *number)
{
    intptr_t wrong = 0, own = (intptr_t)number;
    void *context, *event;
    char out[4096], in[4096];
    pthread_barrier_wait(&start);
    wrong += cuInit(0) || cuDevicePrimaryCtxRetain(&context, (int)own % 2) || cuCtxSetCurrent(context);
    for (int i = 0; i < 2000; i++) {
        uint64_t at = 0;
        size_t size = 1 + (size_t)(i * 37 + own) % sizeof out;
        memset(out, (int)own, size);
        wrong += cuMemAlloc_v2(&at, size) || cuEventCreate(&event, 0) || cuMemcpyHtoD_v2(at, out, size) ||
                 cuEventRecord(event, 0) || cuMemcpyDtoH_v2(in, at, size) || memcmp(in, out, size) ||
                 cuMemFree_v2(at) || cuEventDestroy_v2(event);
    }
    return (void *)wrong;
}
int main(void)
{
    pthread_t threads[16];
    intptr_t wrong = 0;
    size_t free_bytes = 1, total = 0;
    void *context;
    pthread_barrier_init(&start, 0, 16);
    for (intptr_t i = 0; i < 16; i++)
        pthread_create(&threads[i], 0, work, (void *)i);
    for (int i = 0; i < 16; i++) {
        void *found;
        pthread_join(threads[i], &found);
        wrong += (intptr_t)found;
    }
    cuDevicePrimaryCtxRetain(&context, 0);
    cuCtxSetCurrent(context);
    cuMemGetInfo_v2(&free_bytes, &total);
    printf("%ld wrong, %s\n", (long)wrong, free_bytes == total ? "all free" : "memory lost");
    return 0;
}
"""


def test_sixteen_threads_of_a_c_program_allocate_copy_and_free_at_once(host, tmp_path):
    machine = host(A100, A100)
    (tmp_path / "threads.c").write_text(THREADS)
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu.2.17", "-O1", "-o",
                    str(tmp_path / "threads"), str(tmp_path / "threads.c"), machine.path, "-lpthread",
                    f"-Wl,-rpath,{machine.root}"], check=True)
    done = subprocess.run([str(tmp_path / "threads")], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "0 wrong, all free\n"
