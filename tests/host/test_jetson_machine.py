"""Jetsons that were entered: what programs find there, and what a toolkit makes of it.

The figures of specifications are those that NVIDIA's nvidia-ctk 1.20.0 gives on the same machines."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile  # type: ignore[import-untyped]

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit.launchers import install

pytestmark = pytest.mark.host
LIB = "/usr/lib/aarch64-linux-gnu"
# What programs of NVML do first, each by its answer or the number of its error.
PYNVML = """
import json, pynvml as n
def of(function, *arguments):
    try: return function(*arguments)
    except n.NVMLError as e: return -e.value
n.nvmlInit()
print(json.dumps([[of(function, d) for function in (n.nvmlDeviceGetName, n.nvmlDeviceGetUUID,
                                                    n.nvmlDeviceGetMinorNumber, n.nvmlDeviceGetCudaComputeCapability)]
                  + [of(lambda: n.nvmlDeviceGetPciInfo(d).busId), of(lambda: n.nvmlDeviceGetMemoryInfo(d).total)]
                  for d in map(n.nvmlDeviceGetHandleByIndex, range(n.nvmlDeviceGetCount()))]))
"""


@pytest.fixture(scope="module")
def ctk(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("toolkit"))
    install(folder)
    return f"{folder}/nvidia-ctk"


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    root = str(tmp_path_factory.mktemp("jetson") / "root")
    build.build(profile.load(request.param), root)
    with Machine(root) as m:
        yield m


def on(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("machine", [name], indirect=True)


def out(machine: Machine, *argv: str) -> str:
    done = machine.run(argv)
    assert done.returncode == 0, done.stderr
    return done.stdout


def found_by_ldconfig(machine: Machine) -> dict[str, str]:
    listed = out(machine, "/sbin/ldconfig", "-p")
    return dict(re.findall(r"^\t(\S+) \(.*?\) => (/\S*aarch64-linux-gnu\S*)$", listed, re.M))


def generated(machine: Machine, ctk: str) -> tuple[dict[str, Any], str]:
    done = machine.run([ctk, "cdi", "generate", "--format=json"])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def nodes(spec: dict[str, Any], name: str) -> set[str]:
    return {node["path"] for device in spec["devices"] if device["name"] == name
            for node in device["containerEdits"]["deviceNodes"]}


@on("jetson-agx-orin")
def test_the_loader_finds_the_drivers_libraries(machine: Machine) -> None:
    found = found_by_ldconfig(machine)
    for folder, name in (("nvidia", "libcuda.so.1"), ("nvidia", "libnvidia-ml.so.1"), ("nvidia", "libnvrm_gpu.so"),
                         ("tegra-egl", "libEGL_nvidia.so.0")):
        assert found[name] == f"{LIB}/{folder}/{name}"


@on("jetson-agx-orin")
def test_pynvml_unmodified_sees_orin(machine: Machine) -> None:
    uuid = profile.load("jetson-agx-orin").gpus[0].uuid
    assert json.loads(out(machine, sys.executable, "-c", PYNVML)) == [["Orin (nvgpu)", uuid, -3, [8, 7], -3, -3]]
    assert out(machine, "nvidia-smi", "-L") == f"GPU 0: Orin (nvgpu) (UUID: {uuid})\n"


@on("jetson-agx-orin")
def test_programs_that_look_for_a_jetson_find_one(machine: Machine) -> None:
    assert out(machine, "cat", "/sys/devices/soc0/family") == "Tegra\n"
    assert out(machine, "cat", "/sys/firmware/devicetree/base/compatible").split("\0")[-2] == "nvidia,tegra234"
    assert out(machine, "cat", "/etc/nv_tegra_release").startswith("# R36 (release), REVISION: 4.3, GCID: 38968081,")
    assert "Linux version 5.15.148-tegra " in out(machine, "cat", "/proc/version")
    assert {"487 nvgpu", "195 nvidia-frontend"} <= set(map(str.strip, out(machine, "cat", "/proc/devices").split("\n")))


@on("jetson-agx-orin")
def test_nodes_are_there_with_the_rights_of_l4ts_rules(machine: Machine) -> None:
    paths = ["/dev/nvhost-gpu", "/dev/nvmap", "/dev/nvgpu/igpu0/ctrl", "/dev/nvidia0", "/dev/v4l2-nvenc"]
    if os.geteuid():
        pytest.skip("an ordinary user makes no nodes")
    assert out(machine, "stat", "-c", "%a %g %t:%T", *paths).split("\n")[:-1] == [
        "660 44 1e7:1", "660 44 a:7c", "660 44 1e7:22", "666 0 c3:0", "666 0 1:3"]


@on("jetson-agx-orin")
def test_a_toolkit_takes_the_manifests_and_gets_what_the_board_has(machine: Machine, ctk: str) -> None:
    spec, said = generated(machine, ctk)
    assert "Could not locate /dev/fb1: " in said
    assert [device["name"] for device in spec["devices"]] == ["0", "all"]
    assert spec["devices"][0]["containerEdits"]["additionalGids"] == [44, 109]
    assert len(nodes(spec, "0")) == 40 and not {"/dev/fb1", "/dev/nvhost-nvsched_ctrl_fifo-gpu"} & nodes(spec, "0")
    mounts = {mount["containerPath"] for mount in spec["containerEdits"]["mounts"]}
    assert len(mounts) == 225 and {f"{LIB}/nvidia/libcuda.so.1.1", "/usr/sbin/nvidia-smi"} <= mounts
    hooks = [hook["args"][1:] for hook in spec["containerEdits"]["hooks"]]
    assert ["enable-cuda-compat", "--host-cuda-version=12.6",
            "--cuda-compat-container-root=/usr/local/cuda/compat_orin"] in hooks


@on("jetson-thor-rtxpro6000")
def test_thor_and_the_gpu_beside_it_are_two_devices(machine: Machine, ctk: str) -> None:
    uuids = [gpu.uuid for gpu in profile.load("jetson-thor-rtxpro6000").gpus]
    seen = json.loads(out(machine, sys.executable, "-c", PYNVML))
    assert [gpu[:5] for gpu in seen] == [
        ["NVIDIA Thor", uuids[0], 0, [11, 0], "00000000:01:00.0"],
        ["NVIDIA RTX PRO 6000 Blackwell Workstation Edition", uuids[1], 1, [12, 0], "00000003:01:00.0"]]
    assert (seen[0][5], seen[1][5]) == (-3, 97887 * 2**20)

    spec, _ = generated(machine, ctk)
    assert [device["name"] for device in spec["devices"]] == ["0", "1", *sorted(uuids), "all"]
    both = {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvmap"}
    assert nodes(spec, "0") & {f"/dev/nvidia{i}" for i in range(4)} == {"/dev/nvidia0", "/dev/nvidia2"}
    assert nodes(spec, "1") & {f"/dev/nvidia{i}" for i in range(4)} == {"/dev/nvidia1"}
    assert both <= nodes(spec, "0") & nodes(spec, "1")
    mounts = {mount["containerPath"] for mount in spec["containerEdits"]["mounts"]}
    assert len(mounts) == 250 and "/var/nvidia/nvcam/settings/imx219.nito" in mounts


@on("jetson-agx-xavier")
def test_xavier_has_no_nvml_and_no_node_of_the_module_nvidia(machine: Machine, ctk: str) -> None:
    assert machine.run(["nvidia-smi"]).returncode == 127
    assert "libnvidia-ml.so.1" not in found_by_ldconfig(machine)
    assert machine.run(["sh", "-c", "ls /dev/nvidia* /proc/driver/nvidia"]).returncode != 0
    spec, said = generated(machine, ctk)
    assert "Could not locate /dev/nvidiactl: " in said
    assert [device["name"] for device in spec["devices"]] == ["0", "all"] and len(nodes(spec, "0")) == 22
    assert "enable-cuda-compat" not in {hook["args"][1] for hook in spec["containerEdits"]["hooks"]}
    mounts = {mount["containerPath"] for mount in spec["containerEdits"]["mounts"]}
    assert f"{LIB}/tegra/libcuda.so.1.1" in mounts and "/usr/local/cuda-10.2" not in mounts  # of another manifest


def test_a_tree_for_others_holds_programs_of_the_board(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    build.build(profile.load("jetson-agx-orin"), root, nodes=False, elf="aarch64")
    with open(f"{root}/usr/sbin/nvidia-smi", "rb") as f:
        assert ELFFile(f).get_section_by_name(".interp").data() == b"/lib/ld-linux-aarch64.so.1\0"
    with open(f"{root}{LIB}/nvidia/libnvrm_gpu.so", "rb") as f:
        assert ELFFile(f)["e_machine"] == "EM_AARCH64"


