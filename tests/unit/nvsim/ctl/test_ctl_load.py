"""Loads in the foreground, as of a moment, and what is left afterwards."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from nvsim.ctl import load, verbs
from nvsim.errors import NvsimError

A100, T4 = "A100-SXM4-40GB", "T4"


def test_a_moment_is_set_at_once_and_the_same_each_time(host):
    one = host(A100)
    rest = one.gpu()
    [said] = one.ctl("load training seed=7 at=5m")
    busy = one.gpu()
    assert busy.utilization_gpu > 30 and busy.power_usage > 3 * rest.power_usage
    assert f"training at 300 s: utilization_gpu={busy.utilization_gpu} memory_used={busy.memory_used}" in said
    one.ctl("load spiky at=10s")
    one.ctl("load gpu=0 pattern=training seed=7 at=300s")
    assert one.gpu() == busy
    assert one.ctl("load idle") == ["GPU 0 (0000:01:00.0): at rest"]
    assert one.values("memory_used", "clock_sm", "power_usage", "temperature") == (
        rest.memory_used, rest.clock_sm, rest.power_usage, rest.temperature)
    assert one.ctl("load idle") == ["GPU 0 (0000:01:00.0): was at rest"]


def test_a_load_for_a_time_ends_at_rest_but_has_used_energy(host):
    two = host(A100, A100)
    before = two.gpu(1)
    assert two.ctl("load gpu=1 steady for=0s") == ["GPU 1 (0000:02:00.0): steady ended, at rest"]
    assert two.gpu(1).energy > before.energy
    assert two.values("utilization_gpu", "power_usage", "temperature", index=1) == (
        0, before.power_usage, before.temperature)


def test_an_interrupted_load_ends_at_rest(host):
    one = host(A100)
    code = (f"import sys; from nvsim.cli import main; "
            f"sys.exit(main(['ctl', '--host', {one.root!r}, 'load', 'steady']))")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          cwd=os.getcwd()) as program:
        working = threading.Event()
        while not working.is_set():
            assert program.poll() is None
            if one.gpu().utilization_gpu:
                working.set()
        program.send_signal(signal.SIGTERM)
        out, err = program.communicate(timeout=60)
    assert (program.returncode, err) == (0, "nvsim: until Ctrl-C\n")
    assert out == "GPU 0 (0000:01:00.0): steady ended, at rest\n"
    assert one.values("utilization_gpu", "clocks_event_reasons") == (0, 1)


def test_what_was_at_rest_survives_a_load_that_was_killed(host):
    one = host(A100)
    rest = one.gpu()
    one.ctl("load training at=60s")  # as if its process had been killed then
    one.ctl("load spiky for=0s")
    assert one.values("temperature", "memory_used") == (rest.temperature, rest.memory_used)


def test_memory_at_rest_follows_processes_that_came_during_a_load(host):
    one = host(A100)
    one.ctl("process add gpu=0 pid=1 memory=1GiB")
    one.ctl("load steady at=5s")
    one.ctl("process add gpu=0 pid=2 memory=2GiB")
    one.ctl("process remove gpu=0 pid=1")
    one.ctl("load idle")
    assert one.gpu().memory_used == 2 << 30


@pytest.mark.parametrize("line", ["load steady at=60s", "throttle gpu=0 reason=thermal"])
def test_a_reset_ends_what_a_moment_or_a_throttle_set(host, line):
    one = host(A100)
    rest = one.gpu()
    one.ctl(line)
    one.ctl("reset gpu=0")
    assert one.values("temperature", "clock_sm", "clocks_event_reasons", "memory_used") == (
        rest.temperature, rest.clock_sm, 1, rest.memory_used)


def test_only_a_load_without_an_end_is_endless():
    assert [verbs.endless(verbs.parse(line.split())) for line in
            ("load steady", "load steady for=5s", "load steady at=5s", "load idle")] == [True, False, False, False]


@pytest.mark.parametrize(("line", "said"), [
    ("load", "expected one pattern"), ("load stedy", "'stedy' is not known"),
    ("load steady pattern=idle", "one pattern"), ("load steady for=soon", "expected a time"),
    ("load steady for=1s at=1s", "for a time, or"), ("load steady at=25h", "first day")])
def test_a_load_that_makes_no_sense_is_an_error(line, said):
    with pytest.raises(NvsimError, match=said):
        verbs.parse(line.split())


def test_a_lost_gpu_does_not_work(host):
    one = host(T4)
    one.ctl("lose gpu=0")
    with pytest.raises(NvsimError, match="does not work") as caught:
        one.ctl("load steady at=1s")
    assert caught.value.hint == "nvsim ctl recover gpu=0"


def test_patterns_are_listed():
    assert load.PATTERNS == ("steady", "training", "inference", "spiky", "idle")
