"""The device cgroup under runc and crun, on versions 1 and 2: a container may open exactly the devices it was given.

Runtime, hook and command line run as an engine starts them.  The container makes every node of the host itself; opening
one that is allowed gives ENXIO on a machine without the driver, any other EPERM.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import combinations
import pytest

from scenarios import runner
from scenarios.engines.session import Tools

pytestmark = pytest.mark.host
HERE = Path(__file__).resolve().parent
MATRIX = [(runtime, version) for runtime in ("runc", "crun") for version in ("v1", "v2")]
NODES = {**{f"/dev/nvidia{n}": (195, n) for n in range(8)}, "/dev/nvidiactl": (195, 255),
         "/dev/nvidia-modeset": (195, 254), "/dev/nvidia-uvm": (510, 0), "/dev/nvidia-uvm-tools": (510, 1),
         **{f"/dev/nvidia-caps/nvidia-cap{n}": (237, n) for n in (1, 2, 21, 22, 30, 31, 84, 85, 138, 139)}}
CONTROL = {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"}
MODESET = {"/dev/nvidia-modeset"}  # of the modes with CDI, whatever the capabilities
REQUESTS = {
    "2": {"/dev/nvidia2"},
    "0:1": {"/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap30", "/dev/nvidia-caps/nvidia-cap31"},
    "none": set(),
}


def not_offered(version: str) -> str:
    """Why this machine cannot show a version of control groups, "" if it can."""
    if version == "v1":
        return "" if os.path.isdir("/sys/fs/cgroup/devices") else "no hierarchy of the devices controller is mounted"
    folders = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    return "" if any(os.path.exists(f"{folder}/cgroup.controllers") for folder in folders) else "no cgroup2 is mounted"


@pytest.fixture(scope="module")
def tools() -> Iterator[Tools]:
    from conftest import requires

    requires("root", "runc", "crun", "busybox", "zig")
    with runner.session("") as found:
        yield found


@pytest.fixture(scope="module")
def crun(tmp_path_factory: pytest.TempPathFactory) -> str:
    """crun, without the limit that it may not raise here."""
    folder = tmp_path_factory.mktemp("crun")
    library, program = folder / "clamp.so", folder / "crun-clamped"
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-target", f"{os.uname().machine}-linux-gnu.2.17", "-shared",
                    "-fPIC", "-o", str(library), str(HERE / "clamp_rlimit.c"), "-ldl"], check=True)
    program.write_text(f'#!/bin/sh\nLD_PRELOAD={library} exec crun "$@"\n')
    folder.chmod(0o755)
    program.chmod(0o755)
    return str(program)


@pytest.fixture(scope="module", params=MATRIX, ids="-".join)
def place(request: pytest.FixtureRequest, tools: Tools, crun: str) -> Iterator[Callable[[str, str], dict[str, str]]]:
    """`place(mode, devices)` gives what the container heard when it opened each node."""
    runtime, version = request.param
    if reason := not_offered(version):
        pytest.skip(f"{runtime} on cgroup {version}: {reason}")
    folder = f"{tools.folder}/{runtime}-{version}"
    os.mkdir(folder)
    with combinations.on_emulated("a100x8-mig", folder, tools, runtime, version) as found:

        def answers(mode: str, devices: str) -> dict[str, str]:
            script = "mkdir -p /dev/nvidia-caps; " + "; ".join(
                f"[ -e {path} ] || mknod -m 666 {path} c {major} {minor}; (: < {path}) 2>&1"
                for path, (major, minor) in NODES.items())
            row = combinations.Row(
                name="", shows="", host="", config={"nvidia-container-runtime": {"mode": mode}},
                run=f"docker run --rm --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES={devices} debian sh -c '{script}'")
            outcome = found.outcome(row, crun if runtime == "crun" else "runc")
            assert outcome.started and outcome.left == (), outcome.stderr
            lines = (outcome.stdout or "").splitlines()
            return {path: next(line.rpartition(": ")[2] for line in lines if f"{path}:" in line) for path in NODES}

        yield answers


@pytest.mark.parametrize("devices", REQUESTS)
@pytest.mark.parametrize("mode", ["legacy", "jit-cdi"])
def test_exactly_the_devices_asked_for_may_be_opened(
    place: Callable[[str, str], dict[str, str]], mode: str, devices: str
) -> None:
    allowed = REQUESTS[devices] | CONTROL | (MODESET if mode == "jit-cdi" else set())
    answers = place(mode, devices)
    assert {path for path, said in answers.items() if said == "No such device or address"} == allowed
    assert {said for path, said in answers.items() if path not in allowed} == {"Operation not permitted"}
