"""Every function of nvidia-ml-py, and the monitors that people run, unmodified, on every profile with a driver."""

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nvsim import build, models, profile
from nvsim.native.compile import HERE
from nvsim.profile_extras import Extras

SWEEP = Path(__file__).with_name("nvml_sweep.py")
# What a function that no chapter of the library defines may say.
REFUSALS = {"NVMLError_NotSupported", "NVMLError_InvalidArgument", "NVMLError_NoPermission",
            "NVMLError_ArgumentVersionMismatch", "NVMLError_FunctionNotFound", "NVMLError_GpuIsLost"}
# Whether a model of the catalogue has what a function asks for.
HAS = {
    "nvmlDeviceGetEccMode": lambda model: model["ecc"][0],
    "nvmlDeviceGetFanSpeed": lambda model: model["fans"],
    "nvmlDeviceGetMemoryInfo": lambda model: model["memory_mib"],
    "nvmlDeviceGetMigMode": lambda model: model["mig"],
    "nvmlDeviceGetNumFans": lambda model: model["fans"],
    "nvmlDeviceGetNvLinkState": lambda model: model["nvlink"]["links"],
    "nvmlDeviceGetPowerManagementLimit": lambda model: model["power_w"],
    "nvmlDeviceGetRemappedRows": lambda model: "row_remap_banks" in model,
    "nvmlDeviceGetSerial": lambda model: model["serial"],
}
BASE = "a100x8"  # recorded in full; of the other profiles, what differs from it
# Those whose driver answers.  What is beside the GPUs, or the GPU Operator's, is nothing that NVML tells of.
PROFILES = [name for name in profile.names() if (said := profile.load(name)).driver and not said.operator
            and said.boot == "complete" and not said.leftover.driver and (said.wsl or said.driver == said.kernel_driver)
            and not (said.tegra or said.absent or said.vfio or said.extras != Extras())]


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    """`on("a100x8", "-m", "gpustat")` runs Python on a host that is built in place: its stdout."""

    @functools.cache
    def environment(name):
        root = str(tmp_path_factory.mktemp(name) / "root")
        machine = build.build(profile.load(name), root, nodes=False, dev_root=root)
        library = next(path for path in machine.boards if "libnvidia-ml" in path)
        return {**os.environ, "LD_LIBRARY_PATH": os.path.dirname(root + library), "PYTHONWARNINGS": "ignore",
                "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "dumb", "COLUMNS": "120"}

    @functools.cache
    def run(name, *arguments):
        done = subprocess.run([sys.executable, *map(str, arguments)], env=environment(name), capture_output=True,
                              text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("name", PROFILES)
def test_every_function_of_pynvml_answers_as_recorded(on, golden, name):
    known = set(on(BASE, SWEEP).splitlines()) if name != BASE else set()
    golden(f"nvml-sweep/{name}.txt", "".join(f"{line}\n" for line in on(name, SWEEP).splitlines() if line not in known))


@pytest.mark.parametrize("name", PROFILES)
def test_a_function_that_the_library_leaves_out_never_answers(on, name):
    undefined = set(re.findall(r"^UNSUPPORTED\((\w+),", (HERE / "nvml" / "unsupported.inc").read_text(), re.M))
    said = dict(line.split(": ", 1) for line in on(name, SWEEP).splitlines() if not line.startswith("MIG device"))
    answers = {f: said[f] for f in undefined & said.keys() if not said[f].startswith("in pynvml")}
    assert answers
    assert {f: answer for f, answer in answers.items() if answer not in REFUSALS} == {}


@pytest.mark.parametrize("name", PROFILES)
def test_the_catalogue_says_what_a_gpu_supports(on, name):
    model = models.model(profile.load(name).gpus[0].model)
    said = dict(line.split(": ", 1) for line in on(name, SWEEP).splitlines())
    known = {function: has for function, has in HAS.items() if said[function] != "NVMLError_FunctionNotFound"}
    assert len(known) >= len(HAS) - 1, "an old driver lacks nvmlDeviceGetNumFans"
    answered = {function: said[function] != "NVMLError_NotSupported" for function in known}
    assert answered == {function: bool(has(model)) for function, has in known.items()}


@pytest.mark.parametrize("name", PROFILES)
def test_nvitop_shows_every_gpu(on, name):
    wanted, shown = profile.load(name), on(name, "-m", "nvitop", "--once", "--ascii")
    assert f"Driver Version: {wanted.kernel_driver}" in shown
    assert len(re.findall(r"^\|\s+\d+ .*[0-9A-F]{8}:", shown, re.M)) == len(wanted.gpus), shown


@pytest.mark.parametrize("name", PROFILES)
def test_gpustat_reads_every_gpu(on, name):
    wanted, read = profile.load(name), json.loads(on(name, "-m", "gpustat", "--json"))
    assert read["driver_version"] == wanted.kernel_driver
    assert [gpu["uuid"] for gpu in read["gpus"]] == [gpu.uuid for gpu in wanted.gpus]
    assert [gpu["index"] for gpu in read["gpus"]] == list(range(len(wanted.gpus)))
