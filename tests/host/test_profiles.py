"""Every profile of this package: all who ask the machine get the answer that the profile and the catalogue give."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import reached

from nvsim import board, build, catalogue, models, profile
from nvsim.machine import Machine
from toolkit.launchers import install

pytestmark = pytest.mark.host
# Those whose driver answers: library and kernel modules of one version, and nodes.  Others: test_special_hosts.py
WITH_DRIVER = [name for name in profile.names() if (said := profile.load(name)).driver and not said.absent
               and not said.wsl and said.boot == "complete" and said.driver == said.kernel_driver]

# What an NVML program sees, printed by nvidia-ml-py in a process of its own.
CLIENT = """
import json, pynvml as n
def text(value): return value.decode() if isinstance(value, bytes) else value
def of(function, *arguments):
    try: return function(*arguments)
    except (n.NVMLError_NotSupported, n.NVMLError_InvalidArgument): return None
n.nvmlInit()
print(json.dumps({"driver": text(n.nvmlSystemGetDriverVersion()), "cuda": n.nvmlSystemGetCudaDriverVersion(), "gpus": [{
    "uuid": text(n.nvmlDeviceGetUUID(d)), "name": text(n.nvmlDeviceGetName(d)), "minor": n.nvmlDeviceGetMinorNumber(d),
    "bus_id": text(n.nvmlDeviceGetPciInfo(d).busId).lower()[4:], "serial": text(of(n.nvmlDeviceGetSerial, d)),
    "memory": of(lambda d: n.nvmlDeviceGetMemoryInfo(d).total, d),
    "power": of(n.nvmlDeviceGetPowerManagementDefaultLimit, d), "compute": n.nvmlDeviceGetCudaComputeCapability(d),
    "links": [link for link in range(18) if of(n.nvmlDeviceGetNvLinkState, d, link)],
} for d in map(n.nvmlDeviceGetHandleByIndex, range(n.nvmlDeviceGetCount()))]}))
"""


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the toolkit's commands."""
    folder = str(tmp_path_factory.mktemp("toolkit"))
    install(folder)
    return folder


@pytest.fixture
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    build.build(profile.load(request.param), str(tmp_path / "root"))
    with Machine(str(tmp_path / "root")) as machine:
        yield machine


def out(machine: Machine, *argv: str) -> str:
    wanted = profile.load(build.describe(machine.root).profile)
    done = machine.run(argv, env=reached.environment(machine.root, wanted))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("name", "host"), [(name, name) for name in WITH_DRIVER], indirect=["host"], ids=WITH_DRIVER)
def test_every_reader_of_the_machine_sees_what_its_profile_says(name: str, host: Machine, prefix: str) -> None:
    said = profile.load(name)
    facts = [models.model(gpu.model) for gpu in said.gpus]
    uuids = [gpu.uuid for gpu in said.gpus]

    listed: dict[str, list[str]] = {}
    for line in out(host, *_as_driver(said), "nvidia-smi", "-L").splitlines():
        if line.startswith("GPU "):
            listed[line] = []
        else:
            listed[list(listed)[-1]].append(line.split()[1])
    assert {line: sorted(parts) for line, parts in listed.items()} == {
        f"GPU {gpu.index}: {fact['name']} (UUID: {gpu.uuid})": sorted(_mig_devices(gpu))
        for gpu, fact in zip(said.gpus, facts, strict=True)}
    assert f"Driver Version: {said.driver}" in out(host, *_as_driver(said), "nvidia-smi")

    folder = catalogue.layout(said.layout, arch=said.arch).path("<libdir>", said.driver)
    libraries = [f"LD_LIBRARY_PATH={said.driver_root}{folder}"] if said.driver_root != "/" else []
    seen = json.loads(out(host, "env", *libraries, sys.executable, "-c", CLIENT))
    assert seen["driver"] == said.driver
    assert [gpu["uuid"] for gpu in seen["gpus"]] == uuids
    for gpu, wanted, fact in zip(seen["gpus"], said.gpus, facts, strict=True):
        assert _identity(gpu) == {"name": fact["name"], "minor": wanted.minor, "bus_id": wanted.bus_id,
                                  "serial": wanted.serial if fact["serial"] else None,
                                  "memory": fact["memory_mib"] * 2**20, "power": fact["power_w"][1] * 1000,
                                  "compute": [int(n) for n in fact["compute_capability"].split(".")]}
        assert len(gpu["links"]) == _links(said, wanted.index, fact)

    cli = [f"{prefix}/nvidia-container-cli", f"--root={said.driver_root}"]
    info = out(host, *cli, "info")
    assert [line.split()[-1] for line in info.splitlines() if line.startswith("GPU UUID:")] == uuids
    assert f"NVRM version:   {said.kernel_driver}\n" in info
    nodes = {line for line in out(host, *cli, "list").splitlines() if "/dev/nvidia" in line}
    assert nodes >= {f"/dev/nvidia{gpu.minor}" for gpu in said.gpus} | {"/dev/nvidiactl", "/dev/nvidia-uvm"}
    assert len([node for node in nodes if re.fullmatch(r"/dev/nvidia\d+", node)]) == len(said.gpus)

    spec = json.loads(out(host, f"{prefix}/nvidia-ctk", "cdi", "generate", "--format=json",
                          f"--driver-root={said.driver_root}", *reached.search_options(said)))
    devices = {device["name"]: {node["path"] for node in device["containerEdits"]["deviceNodes"]}
               for device in spec["devices"]}
    whole = [gpu for gpu in said.gpus if gpu.mig is None]
    parts = {f"{gpu.index}:{i}": gpu for gpu in said.gpus for i in range(len(_mig_devices(gpu)))}
    assert {name for name in devices if not name.startswith("MIG-")} == {
        "all", *parts, *(str(gpu.index) for gpu in whole), *(gpu.uuid for gpu in whole)}
    assert all(f"/dev/nvidia{gpu.minor}" in devices[str(gpu.index)] & devices[gpu.uuid] for gpu in whole)
    for name, gpu in parts.items():
        kinds = sorted(re.sub(r"\d+$", "", node) for node in devices[name])
        assert kinds == ["/dev/nvidia", "/dev/nvidia-caps/nvidia-cap", "/dev/nvidia-caps/nvidia-cap"]
        assert f"/dev/nvidia{gpu.minor}" in devices[name]
    mounts = {mount["containerPath"] for mount in spec["containerEdits"]["mounts"]}
    assert f"{folder}/libcuda.so.{said.driver}" in mounts


def _as_driver(said: profile.Profile) -> list[str]:
    """The words before a command that runs where the driver's programs are."""
    return [] if said.driver_root == "/" else ["chroot", said.driver_root]


def _mig_devices(gpu: profile.Gpu) -> list[str]:
    """The names of a GPU's MIG devices: 3g.20gb for a whole GPU instance, 1c.3g.20gb for a part of one."""
    return [wanted.profile if slices == int(wanted.profile[0]) else f"{slices}c.{wanted.profile}"
            for wanted in gpu.mig or () for slices in wanted.compute]


def _identity(gpu: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in gpu.items() if key not in ("uuid", "links")}


def _links(said: profile.Profile, index: int, fact: dict[str, Any]) -> int:
    """NVLinks that are up: all where they lead to switches, else those to other GPUs of the machine."""
    if said.nvswitches or fact.get("fabric"):
        return int(fact["nvlink"]["links"])
    return sum(bridge.links for bridge in said.nvlinks if index in (bridge.first, bridge.second))


@pytest.mark.parametrize("host", ["gb200x4"], indirect=True)
def test_a_tray_of_an_nvl72_shows_its_fabric_and_its_imex_channel(host: Machine) -> None:
    said = profile.load("gb200x4")
    gpus = board.read(f"{host.root}/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.{said.driver}").gpus
    assert {(gpu.fabric_state, gpu.fabric_cluster, gpu.fabric_clique) for gpu in gpus} == {
        (3, said.fabric.cluster, said.fabric.clique)}
    assert out(host, "ls", "/dev/nvidia-caps-imex-channels").split() == ["channel0"]
    assert "nvidia-caps-imex-channels" in out(host, "cat", "/proc/devices")
    assert "nodes_config.cfg" in out(host, "cat", "/etc/nvidia-imex/config.cfg")


@pytest.mark.parametrize("host", ["no-driver"], indirect=True)
def test_a_machine_without_a_driver_shows_nothing_of_one(host: Machine, prefix: str) -> None:
    assert host.run(["nvidia-smi", "-L"]).returncode == 127
    assert host.run([f"{prefix}/nvidia-container-cli", "info"]).returncode != 0
    assert host.run(["sh", "-c", "ls /dev/nvidia*"]).returncode != 0
