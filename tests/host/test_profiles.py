"""Every profile of this package: all who ask the machine get the answer that the profile and the catalogue give.

One entry of a machine for all tools.  A new profile joins by itself; what must be found is reckoned in reckoned.py."""

import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import machine_tools
import pytest
import reached
import reckoned

from nvsim import board, build, catalogue, profile, record, record_check
from nvsim.machine import Machine
from nvsim.profile import Profile
from toolkit.launchers import install

pytestmark = pytest.mark.host
# The files that libcuda and NVML are in the loader's cache.
CACHED = r"/sbin/ldconfig -p | sed -n 's/^\tlib\(cuda\|nvidia-ml\)\.so\.1 .*=> //p' | xargs -r readlink -f"
Answer = dict[str, Any]  # of a tool: code, out, err
NO_KEY_FOR = {field for field in Profile.__dataclass_fields__ if field not in (*record.KEYS, "extras", "name")}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the toolkit's commands."""
    folder = str(tmp_path_factory.mktemp("toolkit"))
    install(folder)
    return folder


@pytest.fixture
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    said = profile.load(request.param)
    build.build(said, str(tmp_path / "root"), elf=said.arch)
    with Machine(str(tmp_path / "root")) as machine:
        yield machine


def out(machine: Machine, *argv: str) -> str:
    wanted = profile.load(build.describe(machine.root).profile)
    done = machine.run(argv, env=reached.environment(machine.root, wanted))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("name", "host"), [(name, name) for name in profile.names()], indirect=["host"],
                         ids=profile.names())
def test_every_tool_finds_what_the_machine_of_a_profile_has(name: str, host: Machine, prefix: str,
                                                                requires: Callable[..., None]) -> None:
    requires("ldconfig", "readelf", "file")
    said = profile.load(name)
    done = host.run([sys.executable, machine_tools.__file__, json.dumps(tools(said, prefix))],
                    env=reached.environment(host.root, said))
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    wanted = {
        "ldconfig -p": reckoned.cached(said, "/"),
        "ldconfig -p, driver root": reckoned.cached(said, said.driver_root) if said.driver_root != "/" else set(),
        "ldd": set(), "readelf": reckoned.libraries(said), "file": programs(said), "pynvml": reckoned.pynvml(said),
        "nvidia-smi": reckoned.smi(said), "nvidia-container-cli": reckoned.container_cli(said),
        "nvidia-ctk cdi generate": reckoned.cdi(said), "nvsim record": []} if not said.tegra else reckoned.jetson(said)
    found = {
        "ldconfig -p": set(answers["ldconfig"]["out"].split()),
        "ldconfig -p, driver root": set(answers["ldconfig in the driver root"]["out"].split()),
        "ldd": unresolved(answers["ldd"]), "readelf": headers(host.root, reckoned.libraries(said)),
        "file": kinds(host.root, programs(said)), "pynvml": json.loads(answers["pynvml"]["out"]),
        "nvidia-smi": listed(answers["nvidia-smi"]),
        "nvidia-container-cli": cli_findings(answers["info"], answers["list"], wanted.get("nvidia-container-cli", {})),
        "nvidia-ctk cdi generate": cdi_findings(answers["cdi"]), "nvsim record": recorded(answers["record"], said)}
    if said.tegra:  # its nodes, and what is mounted of its manifests: test_jetson_machine.py
        found["nvidia-ctk cdi generate"] = sorted(set(found["nvidia-ctk cdi generate"] or ()) - {"libcuda"})
        seen = found["pynvml"]
        found["pynvml"] = seen.get("error") or [gpu["uuid"] for gpu in seen["gpus"]]
    assert {tool: found[tool] for tool in wanted} == wanted


def tools(said: Profile, prefix: str) -> dict[str, dict[str, Any]]:
    """What machine_tools runs: name → command and environment."""
    root = said.driver_root
    inside = [] if root == "/" else ["chroot", root]
    folders = reckoned.folders(said)
    native = folders.get(said.arch, "")
    own = sysconfig.get_config_var("LIBDIR")  # of a Python that is a library: the driver root has another one
    path = {"LD_LIBRARY_PATH": f"{own}:{root}{native}"} if root != "/" and native else {}
    libraries = [f"{native}/{name}" for name in ("libcuda.so.1", "libnvidia-ml.so.1", "libnvidia-encode.so.1")]
    commands: dict[str, tuple[list[str], dict[str, str]]] = {
        "ldconfig": (["sh", "-c", CACHED], {}),
        "ldconfig in the driver root": ([*inside, "sh", "-c", CACHED] if inside else ["true"], {}),
        "ldd": ([*inside, "ldd", *libraries] if native else ["true"], {}),
        "pynvml": ([sys.executable, "-c", machine_tools.NVML_CLIENT], path),
        "nvidia-smi": ([*inside, "nvidia-smi", "-L"], {}),
        "info": ([f"{prefix}/nvidia-container-cli", f"--root={root}", "info"], {}),
        "list": ([f"{prefix}/nvidia-container-cli", f"--root={root}", "list"], {}),
        "cdi": ([f"{prefix}/nvidia-ctk", "cdi", "generate", "--format=json", f"--driver-root={root}",
                 *reached.search_options(said)], {}),
        "record": ([sys.executable, "-m", "nvsim", "record"], {})}
    return {name: {"command": command, "env": env} for name, (command, env) in commands.items()}


def unresolved(answer: Answer) -> set[str]:
    """Libraries of NVIDIA's that the loader does not find for others, and files that are not there."""
    missing = set(re.findall(r"^\s*(lib(?:nv|cuda)\S*) => not found", answer["out"], re.MULTILINE))
    return missing | {line for line in answer["err"].splitlines() if "No such file" in line}


def headers(root: str, paths: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Architecture and SONAME of files by path, as readelf of binutils prints them."""
    if not paths:
        return {}
    done = subprocess.run(["readelf", "-W", "-h", "-d", *(root + path for path in paths)], check=False,
                          capture_output=True, text=True)
    found = {}
    for part in done.stdout.split("\nFile: ")[1:]:
        machine, soname = re.search(r"Machine: +(.+)", part), re.search(r"\(SONAME\).*\[(.+)\]", part)
        found[part.split("\n")[0].removeprefix(root)] = (machine[1] if machine else "", soname[1] if soname else "")
    return found


def programs(said: Profile) -> dict[str, str]:
    """The path of nvidia-smi and its kind in the words of file(1)."""
    if not reckoned.has_files(said):
        return {}
    bindir = catalogue.layout(said.layout, arch=said.arch).path("<bindir>", said.driver)
    folder = reckoned.WSL_LIB if said.wsl else said.driver_root.rstrip("/") + bindir
    return {f"{folder}/nvidia-smi": {"x86_64": "x86-64", "aarch64": "ARM aarch64"}[said.arch]}


def kinds(root: str, paths: dict[str, str]) -> dict[str, str]:
    """The architecture of programs by path, as file(1) names it."""
    said = {path: subprocess.run(["file", "-b", root + path], check=True, capture_output=True, text=True).stdout
            for path in paths}
    return {path: text.split(", ")[1] if text.startswith("ELF 64-bit LSB") else text for path, text in said.items()}


def listed(answer: Answer) -> dict[str, Any]:
    """The exit code of `nvidia-smi -L`, GPUs and their MIG devices."""
    gpus: dict[str, list[str]] = {}
    for line in answer["out"].splitlines():
        if line.startswith("GPU "):
            gpus[line] = []
        elif gpus and line.split()[:1] == ["MIG"]:
            gpus[list(gpus)[-1]].append(line.split()[1])
    return {"code": answer["code"], "gpus": {line: sorted(parts) for line, parts in gpus.items()}}


def cli_findings(info: Answer, files: Answer, wanted: dict[str, Any]) -> dict[str, Any]:
    """What `nvidia-container-cli` found; of an error the stem, if both commands end with it."""
    if info["code"] or files["code"]:
        stem = wanted.get("error", "")
        both = stem and stem in info["err"] and stem in files["err"]
        return {"error": stem if both else info["err"] + files["err"]}
    nodes = re.findall(r"^/dev/(?:nvidia\d+|nvidiactl|nvidia-uvm|dxg)$", files["out"], re.MULTILINE)
    version = re.search(r"^NVRM version: +(\S+)", info["out"], re.MULTILINE)
    return {"uuids": re.findall(r"^GPU UUID: +(\S+)", info["out"], re.MULTILINE), "nodes": sorted(nodes),
            "nvrm": version[1] if version else ""}


def cdi_findings(answer: Answer) -> dict[str, list[str]] | None:
    """Device name → kinds of nodes; None for an error.  MIG devices by UUID are those by index once more."""
    if answer["code"]:
        return None
    spec = json.loads(answer["out"])
    mounts = [mount["containerPath"] for mount in spec["containerEdits"]["mounts"]]
    folders = {path.rpartition("/")[0] for path in mounts if re.search(r"/libcuda\.so\.\d+\.[\d.]+$", path)}
    found = {"libcuda": sorted(folders)}
    for device in spec["devices"]:
        nodes = [node["path"] for node in device["containerEdits"]["deviceNodes"] if "/dri/" not in node["path"]]
        if device["name"] == "all":
            nodes = [node for node in nodes if "/nvidia-caps/" not in node]
        if not device["name"].startswith("MIG-"):
            found[device["name"]] = sorted((re.sub(r"^/dev/nvidia-caps/.*", "cap", node) for node in nodes),
                                           key=lambda node: (node == "cap", node))
    return found


def recorded(answer: Answer, said: Profile) -> list[str]:
    """Where the recording of the machine is another machine than the profile's, unless that says what none can say."""
    if any(getattr(said, key) != getattr(Profile(name=""), key) for key in NO_KEY_FOR):
        return []
    if answer["code"]:
        return [answer["err"]]
    assert len(answer["out"].splitlines()) <= 30
    return record_check.differences(profile.parse(answer["out"], f"{said.name}.yaml"), said, record.Kept())


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
