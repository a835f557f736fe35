"""What a mock of NVML gets wrong first: symbols by branch, short PCI structs, calls before init, nvidia-smi's own."""

import ctypes
import struct
import subprocess
import sys

import pytest
from nvml_host import A100, Host, handle

from nvsim import board
from nvsim.native import branches, generate
from nvsim.native.compile import HERE

GUID = bytes.fromhex("c4fe3e6cc98f6c4ea327ee696e12f7c4")
OLD = [variant for variant in branches.VARIANTS if variant in ("470", "535", "550", "580", branches.NEWEST)]


def driver(variant):
    return f"{branches.branch_of(variant)[0]}.120.01"


@pytest.fixture
def host(tmp_path):
    return lambda variant, *models: Host(tmp_path, models or [A100], variant, driver_version=driver(variant))


# 1: a too complete library hides bugs, a missing symbol ends clients that bind lazily

LAZY = """
#include <stdio.h>
#include <string.h>
#include "nvml_api.h"
int main(int argc, char **argv) {
    nvmlDevice_t device;
    nvmlTemperature_t temperature = {.version = 0x0100000C};
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("%d\\n", nvmlInit_v2() | nvmlDeviceGetHandleByIndex_v2(0, &device));
    printf("%d\\n", nvmlDeviceGetTemperatureV(device, &temperature));
    return 0;
}
"""


@pytest.mark.parametrize(("variant", "status", "said", "complaint"), [
    ("550", 127, "0\n", "symbol lookup error"), ("580", 0, "0\n0\n", "")])
def test_a_client_that_binds_lazily_dies_when_it_calls_what_the_driver_lacks(host, tmp_path, variant, status, said,
                                                                             complaint):
    newest = Host(tmp_path, [A100])
    (tmp_path / "lazy.c").write_text(LAZY)
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu.2.17", "-I", str(HERE),
                    "-Wl,-z,lazy", str(tmp_path / "lazy.c"), newest.path, "-o", str(tmp_path / "lazy")], check=True)
    machine = host(variant)
    done = subprocess.run([str(tmp_path / "lazy")], env={"LD_LIBRARY_PATH": machine.root}, capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stdout) == (status, said), done.stderr
    assert complaint in done.stderr


# 2: libnvidia-container asks the oldest PCI call, whose struct ends before the long bus id

@pytest.mark.parametrize("variant", OLD)
def test_the_unversioned_pci_call_fills_the_short_struct_in_every_branch(host, variant):
    lib = host(variant).library()
    lib.nvmlInit_v2()
    for version, size in (("", 32), ("_v2", 36), ("_v3", 68)):
        pci = ctypes.create_string_buffer(b"\xAA" * 80, 80)
        assert getattr(lib, f"nvmlDeviceGetPciInfo{version}")(handle(lib), pci) == 0
        assert pci.raw[size:] == b"\xAA" * (80 - size), version
        assert (pci.value, struct.unpack_from("<IIII", pci, 16)) == (b"0000:01:00.0", (0, 1, 0, 0x20B010DE))


# 3: before init everything says so, whatever its arguments are, and a shutdown is fine

@pytest.mark.parametrize("variant", branches.VARIANTS)
def test_before_init_every_function_of_every_branch_says_so(host, variant):
    lib, nulls = host(variant).library(), [ctypes.c_void_p()] * 8
    branch, early = branches.branch_of(variant)
    free = {"nvmlErrorString", "nvmlInternalGetExportTable", "nvmlShutdown", "nvmlInit", "nvmlInit_v2",
            "nvmlInitWithFlags", *(("nvmlSystemGetNVMLVersion",) if branch >= 535 else ())}
    names = set(generate.exports(branch, early=early)) - free
    assert {name for name in names if getattr(lib, name)(*nulls) != 1} == set()
    assert lib.nvmlShutdown() == 0


# 4: nvidia-smi does not start without the unnamed functions, and takes addresses and processes from them

def table(lib):
    found = ctypes.POINTER(ctypes.c_void_p)()
    assert lib.nvmlInternalGetExportTable(ctypes.byref(found), GUID) == 0
    return found


@pytest.mark.parametrize("variant", branches.VARIANTS)
def test_every_branch_has_the_table_without_a_hole(host, variant):
    lib = host(variant).library()
    found = table(lib)
    size = found[0] // 8
    assert size > 250 and all(found[slot] for slot in range(size))
    lib.nvmlInit_v2()
    text = ctypes.create_string_buffer(b"\xAA" * 40, 40)
    bus_id = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_char_p, ctypes.c_uint)(found[81])
    assert (bus_id(0, text, 34), text.value, text.raw[34:]) == (0, b"00000000:01:00.0", b"\xAA" * 6)


def test_unused_places_refuse_a_gpu_and_take_anything_else(host):
    lib = host("550").library()
    lib.nvmlInit_v2()
    unused = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(table(lib)[23])
    assert (unused(handle(lib)), unused(None), unused(0x1234)) == (3, 0, 0)


def test_the_lists_of_processes_always_succeed_and_say_how_many_there_are(host):
    machine = host("550")
    lib = machine.library()
    lib.nvmlInit_v2()
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    for pids, said in (((), 0), ((7, 8, 9), 2)):
        board.edit(machine.path, 0, lambda _, pids=pids: {"process_pid": pids, "process_kind": (1,) * len(pids)})
        count, entries = ctypes.c_uint(2), ctypes.create_string_buffer(4128 * 2)
        assert call(table(lib)[213])(handle(lib), ctypes.addressof(count), ctypes.addressof(entries)) == 0
        assert count.value == said
