"""The course of a GPU that works: repeatable, and within what its board can do."""

import dataclasses
import itertools

import pytest

from nvsim import models, workload
from nvsim.models import board_gpu

UUID = "GPU-00000000-0000-0000-0000-00000000000{}"


def gpu(model="A100-SXM4-40GB", index=0):
    uuid = UUID.format(index)
    if models.model(model).get("integrated") == "nvgpu":  # whose UUIDs have no prefix
        uuid = uuid.removeprefix("GPU-")
    return board_gpu(model, index=index, minor=index, uuid=uuid, bus_id=f"0000:0{index + 1}:00.0")


def course(pattern, seconds=300, seed=1, rest=None):
    return list(itertools.islice(workload.moments(rest or gpu(), pattern, seed), seconds))


@pytest.mark.parametrize("pattern", workload.PATTERNS)
def test_the_same_seed_gives_the_same_course_and_another_seed_another(pattern):
    assert course(pattern) == course(pattern)
    assert course(pattern) != course(pattern, seed=2)


def test_each_gpu_has_a_course_of_its_own():
    assert course("training") != course("training", rest=gpu(index=1))


@pytest.mark.parametrize("model", models.names())
@pytest.mark.parametrize("pattern", workload.PATTERNS)
def test_no_value_leaves_the_limits_of_the_board(model, pattern):
    rest = gpu(model)
    for values in course(pattern, 200, rest=rest):
        assert 0 <= values["utilization_gpu"] <= 100 and 0 <= values["utilization_memory"] <= 100
        assert values.get("power_usage", 0) <= (rest.power_limit or 0)
        assert "temperature" not in values if rest.temperature is None else (
            rest.temperature <= values["temperature"] < rest.threshold_slowdown)
        assert rest.memory_used <= values["memory_used"] <= max(0, (rest.memory_total or 0) - rest.memory_reserved)
        assert values["clock_sm"] <= (rest.clock_max_sm or rest.clock_sm)


@pytest.mark.parametrize("model", ["T4", "A100-SXM4-40GB", "RTX-4060-Ti-8GB", "H100-SXM5-80GB", "ORIN-IGPU"])
def test_a_board_shows_nothing_that_it_does_not_have(model):
    rest = gpu(model)
    assert [name for name in course("steady", 1, rest=rest)[0] if getattr(rest, name) is None] == []


def test_work_makes_a_gpu_warm_slowly_and_draws_power_at_once():
    values = course("steady")
    rest = gpu()
    assert values[3]["power_usage"] > 5 * rest.power_usage
    assert rest.temperature < values[5]["temperature"] < values[60]["temperature"] - 10
    assert values[299]["temperature"] - values[200]["temperature"] <= 1


def test_energy_is_what_power_adds_up_to():
    values = course("inference")
    used = values[-1]["energy"] - values[0]["energy"]
    assert used == pytest.approx(sum(v["power_usage"] for v in values[1:]), abs=200)


def test_a_lower_power_limit_caps_power_and_clocks_and_says_so():
    rest = dataclasses.replace(gpu(), power_limit_enforced=200_000)
    free, capped = course("steady")[100], course("steady", rest=rest)[100]
    assert capped["power_usage"] <= 200_000 < free["power_usage"]
    assert capped["clock_sm"] < free["clock_sm"]
    assert (free["clocks_event_reasons"], capped["clocks_event_reasons"]) == (0, workload.POWER_CAP)


def test_locked_clocks_stay_below_their_lock():
    rest = dataclasses.replace(gpu(), lock_graphics_max=900)
    assert max(values["clock_sm"] for values in course("steady", rest=rest)) <= 900


def test_between_bursts_clocks_are_those_of_rest():
    rest = gpu()
    idle = [values for values in course("spiky") if not values["utilization_gpu"]]
    assert {(v["clock_sm"], v["clocks_event_reasons"]) for v in idle} == {(rest.clock_sm, workload.IDLE)}
    assert 0 < len(idle) < 300
