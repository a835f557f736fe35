"""What a change of the table of processes brings with it."""

from dataclasses import asdict

from nvsim.board_gpu import Gpu
from nvsim.board_processes import UNKNOWN, consequences

NOW = asdict(Gpu(memory_used=100, process_pid=(1, 2, 0), process_memory=(10, 20, 999), process_started=(50, 60, 0)))


def test_without_a_change_of_processes_nothing_follows():
    assert consequences(NOW, {"temperature": 40, "memory_used": 7}, 0) == {}


def test_memory_follows_processes_unless_the_change_says_it():
    assert consequences(NOW, {"process_pid": (1, 0, 0)}, 0) == {"memory_used": 80}
    assert consequences(NOW, {"process_pid": (1, 0, 0), "memory_used": 3}, 0) == {}
    assert consequences(NOW, {"process_memory": (UNKNOWN, 20, 0)}, 0) == {"memory_used": 90}
    assert consequences(NOW | {"memory_used": 5}, {"process_pid": ()}, 0) == {"memory_used": 0}


def test_a_process_that_ends_is_accounted_if_it_came_after_the_mode_was_turned_on():
    on = NOW | {"accounting_mode": 1, "accounting_since": 55}
    found = consequences(on, {"process_pid": ()}, 9_000_060)
    assert (found["accounted_count"], found["accounted_pid"][:2]) == (1, (2, 0))
    assert (found["accounted_time"][0], found["accounted_memory"][0], found["accounted_started"][0]) == (9000, 20, 60)


def test_a_process_that_moves_in_the_table_has_not_ended():
    assert "accounted_count" not in consequences(NOW | {"accounting_mode": 1}, {"process_pid": (2, 1, 0)}, 0)
