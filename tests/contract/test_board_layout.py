"""Python and C share one layout of the board, and nvml_api.h has the layouts of NVML's ABI."""

import functools
import subprocess
import sys

import pytest
import yaml

from nvsim import board
from nvsim.board_gpu import COPIES, SLOT_SIZE
from nvsim.native import generate

PROGRAM = """
#include <stddef.h>
#include <stdio.h>
#include "board.h"
#include "nvml_api.h"
int main(void) {{
{lines}
    return 0;
}}
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What the compiler says: {"expression": number}."""
    expressions = [f"offsetof(struct {struct}, {slot.name})" for struct, layout in RECORDS for slot in layout.slots]
    expressions += [f"sizeof(struct {struct})" for struct, _ in RECORDS]
    expressions += ["offsetof(struct nvsim_board, slots)", "sizeof(struct nvsim_board)",
                    "offsetof(struct nvsim_slot, copies)", "sizeof(struct nvsim_slot)"]
    expressions += [f"sizeof({name})" for name in structs()]
    folder = tmp_path_factory.mktemp("layout")
    (folder / "print.c").write_text(PROGRAM.format(
        lines="\n".join(f'    printf("%zu %s\\n", {e}, "{e}");' for e in expressions)))
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-musl", "-I", str(generate.HERE),
                    str(folder / "print.c"), "-o", str(folder / "print")], check=True)
    printed = subprocess.run([str(folder / "print")], check=True, capture_output=True, text=True).stdout
    return {e: int(number) for number, e in (line.split(" ", 1) for line in printed.splitlines())}


RECORDS = (("nvsim_gpu", board.RECORD), ("nvsim_header", board.HEADER))


@functools.cache
def structs():
    return yaml.load((generate.CATALOG / "nvml-types.yaml").read_text(), yaml.CSafeLoader)["structs"]


@pytest.mark.parametrize(("struct", "layout"), RECORDS)
def test_each_field_is_where_python_writes_it(measured, struct, layout):
    offsets = {slot.name: measured[f"offsetof(struct {struct}, {slot.name})"] for slot in layout.slots}
    assert offsets == {slot.name: slot.offset for slot in layout.slots}
    assert measured[f"sizeof(struct {struct})"] == layout.size


def test_slots_of_two_copies_follow_the_header_without_a_gap(measured):
    assert measured["offsetof(struct nvsim_slot, copies)"] == COPIES
    assert measured["sizeof(struct nvsim_slot)"] == SLOT_SIZE
    assert measured["offsetof(struct nvsim_board, slots)"] == board.HEADER.size
    assert measured["sizeof(struct nvsim_board)"] == board.HEADER.size + board.CAPACITY * SLOT_SIZE


def test_structs_of_nvml_have_the_sizes_of_its_abi(measured):
    assert {name: measured[f"sizeof({name})"] for name in structs()} == {n: s["size"] for n, s in structs().items()}


def test_the_version_of_a_struct_carries_its_size():
    assert {n: s["version"] & 0xFFFFFF for n, s in structs().items() if "version" in s} == {
        n: s["size"] for n, s in structs().items() if "version" in s}


@pytest.mark.parametrize("name", generate.GENERATED)
def test_a_generated_file_is_what_its_generator_writes(name):
    assert (generate.HERE / name).read_text() == generate.GENERATED[name](), "run: python3 -m nvsim.native.generate"
