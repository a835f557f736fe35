"""`nvidia-ctk cdi generate` on entered machines: hosts and flags, each against its golden file.

A golden of a host holds its whole specification, a line for each thing a container gets.  One of flags holds what they
change of that, lines that go ("-") and come ("+"), or what there is instead.  Expectations: toolkit v1.20, pkg/nvcdi;
NVIDIA's own nvidia-ctk says the same on these machines.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit.launchers import install

pytestmark = pytest.mark.host

HOSTS = (
    "a100x2-debian12",
    "a100x4-talos",
    "a100x8",
    "a100x8-mig",
    "gb200x4",
    "gh200x1",
    "h100x8-570",
    "h100x8-gpudirect",
    "igx-orin-rtxa6000",
    "jetson-agx-orin",
    "jetson-agx-orin-jp5",
    "jetson-agx-thor",
    "jetson-agx-xavier",
    "jetson-thor-rtxpro6000",
    "l4x1-bottlerocket",
    "rtx4060ti",
    "rtx4090-nixos",
    "t4x1-rhel9",
    "wsl2-rtx4060-hybrid",
    "wsl2-rtx4090",
)
CSV = "/etc/nvidia-container-runtime/host-files-for-container.d"
OPERATOR = ("--driver-root", "/run/nvidia/driver")
MIG = {
    "uuid": ("--device-name-strategy", "uuid"),
    "type-index": ("--device-name-strategy=type-index", "--device-name-strategy", "index"),
    "some": ("--device-id", "1,0:0", "--device-id", "7"),
    "mig-gpu-by-index": ("--device-id", "0"),
    "none": ("--device-id", "none"),
    "unknown-id": ("--device-id", "99"),
    "unknown-mig": ("--device-id", "0:6"),
    "no-all": ("--no-all-device",),
    "vendor-class": ("--vendor", "management.nvidia.com", "--class", "x.gpu"),
    "without-hooks": ("--disable-hook", "all"),
    "one-hook": ("--disable-hook", "all", "--enable-hook", "update-ldcache"),
    "two-hooks-less": ("--disable-hook", "create-symlinks", "--disable-hook=enable-cuda-compat"),
    "chmod": ("--enable-hook", "chmod"),
    "combined-hooks": ("--feature-flag", "combine-hooks", "--device-name-strategy", "index"),
    "ldconfig": ("--ldconfig-path", "/sbin/ldconfig.real"),
    "ctk-as-hook": ("--nvidia-cdi-hook-path", "/opt/nvidia-ctk"),
    "no-gids-no-sockets": (
        "--feature-flag", "no-additional-gids-for-device-nodes", "--feature-flags", "disable-ipc-discoverer"),
    "explicit-libraries": ("--feature-flag", "enable-explicit-driver-libraries"),
    "library-path": ("--library-search-path", "/nowhere"),
    "config-path": ("--config-search-path", "/usr/share"),
    "management": ("--mode", "management"),
    "nvswitch": ("--mode", "nvswitch"),
    "gds-without": ("--mode", "gds"),
    "csv-without": ("--mode", "csv"),
}  # fmt: skip
FLAGS: dict[str, dict[str, tuple[str, ...]]] = {
    "a100x8-mig": MIG,
    "h100x8-gpudirect": {mode: ("--mode", mode) for mode in ("gds", "mofed", "gdrcopy", "nvswitch")},
    "gb200x4": {
        "imex": ("--mode", "imex"),
        "imex-some": ("--mode", "imex", "--device-id", "channel0"),
        "imex-unknown": ("--mode", "imex", "--device-id", "1048576"),
        "coherent": ("--feature-flag", "enable-coherent-annotations"),
    },
    "h100x8-570": {
        "other-dev-root": ("--dev-root", "/run/nvidia/driver", "--device-id", "0"),
        "other-dev-root-by-nvml": (
            "--dev-root", "/run/nvidia/driver", "--device-id", "0", "--feature-flag", "disable-nvsandboxutils"),
    },
    "jetson-agx-orin": {
        "ignored-links": ("--csv.ignore-pattern", "**/*.json", "--csv.ignore-pattern", "/usr/lib/*/nvidia/libcuda*"),
        "one-file": ("--csv.file", f"{CSV}/devices.csv", "--csv.file", "/nowhere.csv"),
        "compat-root": ("--csv.compat-container-root", "/opt/compat"),
        "unknown-id": ("--device-id", "1"),
        "uuid": ("--device-name-strategy", "uuid"),
        "nvml": ("--mode", "nvml"),
    },
    "jetson-thor-rtxpro6000": {
        "discrete": ("--device-id", "1"),
        "mig": ("--device-id", "0:0"),
        "one-device": ("--feature-flag", "disable-multiple-csv-devices"),
        "coherent": ("--feature-flag", "enable-coherent-annotations"),
    },
    "wsl2-rtx4060-hybrid": {"nvml": ("--mode", "nvml"), "ids": ("--device-id", "7")},
    "a100x8-operator": {"driver-root": OPERATOR, "driver-root-own-dev": (*OPERATOR, "--dev-root", "/"), "auto": ()},
    "a100x8-operator-dev-root": {"both-roots": (*OPERATOR, "--dev-root", "/run/nvidia/driver")},
}  # fmt: skip
CASES = [(host, name) for host in FLAGS for name in FLAGS[host]]
Run = Callable[[str, tuple[str, ...]], str]


@pytest.fixture(scope="module")
def generate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """`generate(host, flags)` is what the command says there, in lines."""
    from conftest import requires

    requires("root")
    work = tmp_path_factory.mktemp("cdi")
    install(str(work / "bin"))
    entered: dict[str, Machine] = {}
    said: dict[tuple[str, tuple[str, ...]], str] = {}

    def run(host: str, flags: tuple[str, ...]) -> str:
        if host not in entered:
            build.build(profile.load(host), str(work / host))
            entered[host] = Machine(str(work / host)).__enter__()
        if (host, flags) not in said:
            program = [str(work / "bin" / "nvidia-ctk"), "cdi", "generate", "--format=json"]
            done = entered[host].run([*program, "--nvidia-cdi-hook-path=/usr/bin/nvidia-cdi-hook", *flags])
            said[host, flags] = _documents(done.stdout) if done.returncode == 0 else _error(done.stderr)
        return said[host, flags]

    yield run
    for machine in entered.values():
        machine.__exit__(None, None, None)


def _error(stderr: str) -> str:
    return "".join(f"error {text}\n" for text in re.findall(r'level=error msg="(.*)"', stderr))


def _documents(text: str) -> str:
    decoder, lines = json.JSONDecoder(), list[str]()
    while text:
        document, end = decoder.raw_decode(text)
        lines += _lines(document)
        text = text[end:]
    return "".join(line + "\n" for line in lines)


def _lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{document['kind']} {document['cdiVersion']}"
    for device in document["devices"]:
        yield from (f"{device['name']}: {line}" for line in _edits(device["containerEdits"]))
    yield from (f"common: {line}" for line in _edits(document["containerEdits"]))


def _edits(edits: dict[str, Any]) -> Iterator[str]:
    for node in edits.get("deviceNodes", ()):
        where = f" from {node['hostPath']}" if "hostPath" in node else ""
        number = f" {node['major']}:{node.get('minor', 0)} {node['fileMode']:o}" if "major" in node else ""
        yield f"node {node['path']}{where}{number} gid {node.get('gid', 0)} {node.get('permissions', '')}".rstrip()
    for mount in edits.get("mounts", ()):
        where = f" from {mount['hostPath']}" if mount["hostPath"] != mount["containerPath"] else ""
        how = "" if mount["options"] == ["ro", "nosuid", "nodev", "rbind", "rprivate"] else f" {mount['options']}"
        yield f"mount {mount['containerPath']}{where}{how}"
    for hook in edits.get("hooks", ()):
        assert (hook["hookName"], hook["env"]) == ("createContainer", ["NVIDIA_CTK_DEBUG=false"])
        program = "" if hook["path"] == "/usr/bin/nvidia-cdi-hook" else f"{hook['path']} "
        yield f"hook {program}{' '.join(hook['args'])}"
    yield from (f"env {item}" for item in edits.get("env", ()))
    if gids := edits.get("additionalGids"):
        yield f"gids {gids}"


@pytest.mark.parametrize("host", HOSTS)
def test_the_specification_of_a_host(generate: Run, golden: Callable[[str, str], None], host: str) -> None:
    golden(f"cdi/{host}.txt", generate(host, ()))


@pytest.mark.parametrize(("host", "name"), CASES)
def test_what_flags_change(generate: Run, golden: Callable[[str, str], None], host: str, name: str) -> None:
    import difflib

    flags = FLAGS[host][name]
    before = generate(host, ()).splitlines() if flags and host in HOSTS else []
    after = generate(host, flags).splitlines()
    changed = [line for line in difflib.ndiff(before, after) if line[:2] in ("- ", "+ ")]
    text = "\n".join(changed if len(changed) < len(after) else after)
    golden(f"cdi/{host}/{name}.txt", f"{' '.join(flags)}\n{text}\n")
