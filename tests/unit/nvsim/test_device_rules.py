"""Device rules: as text for cgroup v1, as a program for cgroup2, and as level `spec` reads them."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim import device_filter, device_rules
from scenarios import bundle, request
from scenarios.engines.spec import allowed

DOCKER = bundle.spec_of(request.parse_run("docker run debian", "x"), env=(), command=("sh",))
RULES = [*DOCKER["linux"]["resources"]["devices"],
         {"allow": True, "type": "c", "major": 195, "minor": 2, "access": "rw"}]


def executed(program: bytes, kind: int, access: int, major: int, minor: int) -> int:
    """What the program returns: an interpreter of the eight instructions that it may hold."""
    context = struct.pack("<III", access << 16 | kind, major, minor)
    registers, at = [0] * 11, 0
    while True:
        opcode, both, offset, value = struct.unpack_from("<BBhi", program, at * 8)
        target, source, at = both & 15, both >> 4, at + 1
        if opcode == 0x61:
            registers[target] = struct.unpack_from("<I", context, offset)[0]
        elif opcode == 0xBF:
            registers[target] = registers[source]
        elif opcode == 0xB7:
            registers[target] = value
        elif opcode == 0x57:
            registers[target] &= value & (2**64 - 1)
        elif opcode == 0x77:
            registers[target] >>= value
        elif opcode == 0x55:
            at += offset if registers[target] != value else 0
        elif opcode == 0x95:
            return registers[0]
        else:
            raise AssertionError(f"unknown instruction {opcode:#x}")


@pytest.mark.parametrize(("kind", "access", "major", "minor", "answer"), [
    (2, 6, 195, 2, 1), (2, 2, 195, 2, 1), (2, 7, 195, 2, 0), (2, 6, 195, 3, 0), (1, 6, 195, 2, 0),
    (2, 1, 195, 3, 1), (1, 1, 8, 0, 1), (2, 6, 1, 3, 1), (2, 7, 136, 9, 1), (2, 6, 1, 4, 0),
])
def test_the_program_allows_what_the_rules_allow(kind: int, access: int, major: int, minor: int, answer: int) -> None:
    assert executed(device_filter.program(RULES), kind, access, major, minor) == answer


RULE = st.fixed_dictionaries({"allow": st.just(True), "access": st.sampled_from(["rwm", "rw", "r", "m"])},
                             optional={"type": st.sampled_from(["c", "b"]), "major": st.integers(0, 3),
                                       "minor": st.integers(0, 3)})


@given(st.lists(RULE, max_size=6), st.integers(0, 3), st.integers(0, 3))
def test_program_and_level_spec_agree_on_reading_and_writing(rules: list[dict[str, Any]], major: int,
                                                             minor: int) -> None:
    whole = [{"allow": False, "access": "rwm"}, *rules]
    assert bool(executed(device_filter.program(whole), 2, 6, major, minor)) == allowed(whole, "c", major, minor)


def test_a_privileged_container_may_open_everything() -> None:
    assert executed(device_filter.program([{"allow": True, "access": "rwm"}]), 1, 7, 9, 9) == 1


def test_a_later_denial_drops_what_was_allowed() -> None:
    assert executed(device_filter.program([*RULES, {"allow": False}]), 2, 6, 195, 2) == 0


@pytest.mark.parametrize(("rule", "line"), [
    ({"allow": True, "type": "c", "major": 195, "minor": 255, "access": "rw"}, "c 195:255 rw"),
    ({"allow": True, "type": "c", "access": "m"}, "c *:* m"),
    ({"allow": False, "access": "rwm"}, "a *:* rwm"),
    ({"allow": True, "type": "c", "major": 136, "access": "rwm"}, "c 136:* rwm"),
])
def test_a_rule_as_cgroup_v1_writes_it(rule: dict[str, Any], line: str) -> None:
    assert device_rules.v1_line(rule) == line


def test_a_group_that_does_not_exist_is_an_error() -> None:
    from nvsim.errors import NvsimError

    with pytest.raises(NvsimError, match="no control group"):
        device_rules.apply_again("nvsim-0-0-none", [])
