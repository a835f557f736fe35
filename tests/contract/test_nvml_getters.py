"""Getters only read: no lock, no allocation, no system call, so that a monitor does not disturb what it watches."""

import re
import subprocess
import sys
from pathlib import Path

from nvml_host import A100, Host

from nvsim.native import generate
from nvsim.native.compile import HERE

CLIENT = Path(__file__).with_name("quiet.c")
GETTER = re.compile(r"nvml\w*(Get|Is|Query|OnSameBoard)\w*")
# Getters that ask the machine, and for what.
ASKS = {
    "nvmlSystemGetProcessName": "/proc, for a process that the board does not have",
    "nvmlDeviceGetClkMonStatus": "the kernel, whether the caller may administer",
    "nvmlInternalGetExportTable": "nothing: it is asked before there are GPUs",
}


def calls():
    """The lines of quiet_calls.inc: each getter once, or once for each version of its struct."""
    types = generate._load("nvml-types.yaml")
    current = set(generate.exports())
    for f in generate.functions():
        if f.name not in current or f.name in ASKS or not GETTER.fullmatch(f.name) or f.returns != "nvmlReturn_t":
            continue
        params = generate._params(f.params)
        structs = [type_.rstrip("* ") for type_, _ in params if type_.endswith("*")]
        versions = [version for struct in structs for version in generate._versions(struct, types)]
        for version in versions or ["0"]:
            yield f"CALL({', '.join((f.name, version, *arguments(params)))})"


def arguments(params):
    for place, (type_, name) in enumerate(params):
        if type_ == "nvmlDevice_t":
            yield "device"
        elif type_.endswith("*"):
            yield f"(void *)buffers[{place}]"
        elif re.search(r"length|size", name, re.I):
            yield "TEXT"
        else:
            yield "0"


def report(folder, lines):
    """What the client says after it ran these lines for each GPU of a host."""
    (folder / "quiet_calls.inc").write_text("\n".join(lines) + "\n")
    host = Host(folder, [A100, "RTX 4060 Ti", "H100 80GB HBM3", "ORIN-IGPU"])
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu.2.17", "-w", "-D_GNU_SOURCE",
                    "-rdynamic", "-I", str(HERE), "-I", str(folder), str(CLIENT), host.path,
                    "-o", str(folder / "quiet")], check=True)
    done = subprocess.run([str(folder / "quiet")], env={"LD_LIBRARY_PATH": host.root}, capture_output=True, text=True,
                          check=True)
    return done.stdout.splitlines()


def test_getters_take_no_lock_allocate_nothing_and_make_no_system_call(tmp_path):
    *found, summary = report(tmp_path, calls())
    assert found == []
    made, answered = map(int, re.findall(r"\d+", summary))
    assert made > 800 and answered > 300


def test_the_filter_and_the_watched_allocator_do_see_what_they_watch(tmp_path):
    said = report(tmp_path, ['current = "pid"; getpid();', 'current = "heap"; malloc(1);', "current = NULL;"])
    assert {"pid makes system call 39", "heap allocates 0"} <= set(said)
