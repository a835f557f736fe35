"""Processes that come to a GPU and leave it."""

import subprocess
import sys

import pytest

from nvsim.ctl import processes, verbs
from nvsim.errors import NvsimError

A100, T4 = "A100-SXM4-40GB", "T4"
GIB = 1 << 30


def table(host, index=0):
    return [(row["pid"], row["name"], row["memory"]) for row in processes.rows(host.gpu(index))]


def test_a_process_takes_its_memory_and_gives_it_back(host):
    two = host(T4, T4)
    two.ctl("process add gpu=0 pid=4711 name=train.py memory=2GiB sm=80")
    two.ctl("process add gpu=0 pid=4712 memory=1GiB type=G")
    assert table(two) == [(4711, "train.py", 2 * GIB), (4712, "python", GIB)]
    assert (two.gpu().memory_used, two.gpu().process_kind[:2], two.gpu().process_sm[0]) == (3 * GIB, (1, 2), 80)
    assert two.gpu().process_started[0] > 0
    assert table(two, 1) == []
    two.ctl("process remove gpu=all pid=4711")
    assert (table(two), two.gpu().memory_used) == ([(4712, "python", GIB)], GIB)
    two.ctl("process remove gpu=all pid=all")
    assert (table(two), two.gpu().memory_used) == ([], 0)


def test_a_process_on_a_mig_device_names_its_instances(host):
    one = host(A100)
    one.ctl("process add gpu=0 pid=1 gi=3 ci=0")
    one.ctl("process add gpu=0 pid=2")
    assert one.gpu().process_gpu_instance[:2] == (3, 0xFFFFFFFF)


@pytest.mark.parametrize(("line", "said"), [
    ("process add gpu=0 pid=1", "is on it already"), ("process add gpu=0 pid=2 memory=16GiB", "does not fit"),
    ("process remove gpu=0 pid=9", "no process 9"), ("process add gpu=0", "pid= is missing"),
    ("process gpu=0 pid=3", "'' is not known"), ("process add gpu=0 pid=0", "expected 1 to"),
    ("process add gpu=0 pid=5 type=X", "'X' is not known"), ("process add gpu=0 pid=5 until=noon", "'noon'"),
    (f"process add gpu=0 pid=5 name={'x' * 64}", "at most 63"),
    ("process add gpu=0 pid=5 sm=101", "expected 0 to 100")])
def test_what_cannot_be_changes_nothing(host, line, said):
    one = host(T4)
    one.ctl("process add gpu=0 pid=1 memory=1GiB")
    before = one.gpu()
    with pytest.raises(NvsimError, match=said):
        one.ctl(line)
    assert one.gpu() == before


def test_a_gpu_is_full_after_as_many_processes_as_its_table_holds(host):
    one = host(T4)
    for pid in range(1, 33):
        one.ctl(f"process add gpu=0 pid={pid}")
    with pytest.raises(NvsimError, match="at most 32"):
        one.ctl("process add gpu=0 pid=33")


def test_a_process_that_is_followed_leaves_when_it_ends(host):
    one = host(T4)
    with subprocess.Popen(["sleep", "1000"]) as program:
        code = (f"from nvsim.cli import main; main(['ctl', '--host', {one.root!r}, 'process', 'add', 'gpu=0', "
                f"'pid={program.pid}', 'until=exit'])")
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True) as follower:
            while not table(one):
                assert follower.poll() is None
            program.kill()
            assert follower.communicate(timeout=60)[0].endswith(f"process {program.pid} came and left\n")
    assert table(one) == []


def test_a_process_that_does_not_live_here_cannot_be_followed(host):
    with subprocess.Popen(["true"]) as program:
        program.wait()
    one = host(T4)
    with pytest.raises(NvsimError, match="no such process"):
        one.ctl(f"process add gpu=0 pid={program.pid} until=exit")
    assert table(one) == []
    assert verbs.endless(verbs.parse(["process", "add", "gpu=0", "pid=1", "until=exit"]))
