"""The eBPF program that lets devices through, run by a small interpreter of the instructions used."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.apply.cgroup import extended_program, split_program

DENY = bytes((0xB7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0))
ALLOW = bytes((0xB7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0))
CHARACTER, BLOCK = 2, 1
MKNOD, READ, WRITE = 1, 2, 4


def run(code: bytes, kind: int, access: int, major: int, minor: int) -> int:
    """What the kernel would make of a program.  Instructions: linux/bpf.h."""
    context = {0: access << 16 | kind, 4: major, 8: minor}
    registers = [0] * 10
    at = 0
    while True:
        operation, both = code[at], code[at + 1]
        offset = int.from_bytes(code[at + 2 : at + 4], "little", signed=True)
        value = int.from_bytes(code[at + 4 : at + 8], "little", signed=True)
        to, by = both & 15, both >> 4
        at += 8
        match operation:
            case 0x69:
                registers[to] = context[offset] & 0xFFFF
            case 0x61:
                registers[to] = context[offset]
            case 0x77:
                registers[to] >>= value
            case 0xBF:
                registers[to] = registers[by]
            case 0x57:
                registers[to] &= value & (1 << 64) - 1
            case 0xB7:
                registers[to] = value
            case 0x55:
                at += 8 * offset * (registers[to] != value & (1 << 64) - 1)
            case 0x5D:
                at += 8 * offset * (registers[to] != registers[by])
            case 0x95:
                return registers[0]
            case _:
                raise AssertionError(f"operation {operation:#x}")


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ((CHARACTER, READ, 195, 0), 1),
        ((CHARACTER, WRITE, 195, 0), 1),
        ((CHARACTER, READ | WRITE, 195, 0), 1),
        ((CHARACTER, READ, 510, 1), 1),
        ((CHARACTER, MKNOD, 195, 0), 0),
        ((CHARACTER, MKNOD | READ, 195, 0), 0),
        ((BLOCK, READ, 195, 0), 0),
        ((CHARACTER, READ, 195, 1), 0),
        ((CHARACTER, READ, 196, 0), 0),
        ((CHARACTER, READ, 510, 0), 0),
    ],
)
def test_only_reading_and_writing_of_the_devices_is_let_through(
    request_: tuple[int, int, int, int], answer: int
) -> None:
    program = extended_program(DENY, ((195, 0), (510, 1)))
    assert run(program, *request_) == answer
    assert run(extended_program(ALLOW, ((195, 0),)), *request_) == 1


def test_the_size_is_five_instructions_and_eight_a_device() -> None:
    assert len(extended_program(DENY, ((195, 0), (195, 255)))) == len(DENY) + (5 + 2 * 8) * 8


devices = st.lists(st.tuples(st.integers(0, 4095), st.integers(0, (1 << 20) - 1)), min_size=1, max_size=5, unique=True)


@given(devices, devices)
def test_extending_twice_keeps_one_prologue_and_every_device(
    first: list[tuple[int, int]], more: list[tuple[int, int]]
) -> None:
    once = extended_program(DENY, tuple(first))
    assert extended_program(once, tuple(first)) == once
    found, original = split_program(extended_program(once, tuple(more)))
    assert original == DENY
    assert set(found) == {*first, *more} and len(found) == len(set(found))


@given(st.binary(max_size=200))
def test_any_program_is_taken_apart(code: bytes) -> None:
    found, original = split_program(code)
    assert code.endswith(original) and (found or original == code)
