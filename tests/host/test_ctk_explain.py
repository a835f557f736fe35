"""nvidia-ctk explain on emulated hosts: the way, what is given and left out, as a person and as a program reads it."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit import launchers

pytestmark = pytest.mark.host
Explain = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def explain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explain]:
    """`explain(WORD…)` runs `nvidia-ctk explain WORD…` on a DGX A100."""
    from conftest import requires

    requires("root", "zig")
    folder = tmp_path_factory.mktemp("explain")
    build.build(profile.load("a100x8"), str(folder / "root"))
    launchers.install(str(folder / "bin"))
    programs = folder / "bin"
    with Machine(str(folder / "root")) as machine:

        def run(*words: str, json_too: bool = False, config: str = "") -> "subprocess.CompletedProcess[str]":
            flags = ["--format=json"] if json_too else []
            outer = ["--config", config] if config else []
            return machine.run([str(programs / "nvidia-ctk"), *outer, "explain", *flags, *words],
                               env={"PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin"})

        yield run


def document(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout))


def stops(found: dict[str, Any]) -> dict[str, str]:
    return {stop["stop"]: stop["name"] for stop in found["stops"]}


def devices(found: dict[str, Any]) -> list[str]:
    return sorted(item["what"] for item in found["given"] if item["kind"] == "device")


def test_gpus_go_through_the_hook_to_the_cli(explain: Explain) -> None:
    found = document(explain("--", "docker", "run", "--gpus", '"device=0,2"', "cuda", json_too=True))
    assert stops(found) == {"engine": "docker", "runtime": "docker's own", "request": "0, 2", "mode": "legacy",
                            "outcome": "2 GPUs"}
    assert devices(found) == ["/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia0", "/dev/nvidia2",
                              "/dev/nvidiactl"]
    assert {"kind": "rule", "what": "c 195:2 rw", "origin": ""} in found["given"]
    reasons = {item["what"]: item["why"] for item in found["leftOut"]}
    assert reasons["/dev/nvidia1 (NVIDIA A100-SXM4-40GB)"] == "the request does not name it"
    assert "files for graphics" in reasons and "files for compute" not in reasons
    assert found["starts"] and found["error"] is None


def test_variables_alone_do_nothing_without_nvidias_runtime(explain: Explain) -> None:
    done = explain("--", "docker", "run", "-e", "NVIDIA_VISIBLE_DEVICES=all", "cuda")
    assert done.returncode == 0
    assert "variables alone do nothing" in done.stdout and "the container gets:" not in done.stdout


def test_an_image_says_what_it_wants(explain: Explain, tmp_path: Path) -> None:
    image = tmp_path / "image.json"
    image.write_text(json.dumps([{"Config": {"Env": ["NVIDIA_VISIBLE_DEVICES=3", "A=1"]}}]))
    found = document(explain("--image-config", str(image), json_too=True))
    assert stops(found) == {"runtime": "nvidia-container-runtime", "request": "3", "mode": "jit-cdi",
                            "outcome": "1 GPU"}
    assert "/dev/nvidia3" in devices(found) and "/dev/nvidia0" not in devices(found)
    assert {"kind": "mount", "what": "/usr/bin/nvidia-smi", "origin": "/usr/bin/nvidia-smi"} in found["given"]


def test_a_bundle_and_a_configuration_are_read(explain: Explain, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({
        "ociVersion": "1.0.2", "root": {"path": "rootfs"}, "linux": {},
        "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["NVIDIA_VISIBLE_DEVICES=1"]}}))
    (tmp_path / "rootfs" / "etc").mkdir(parents=True)
    (tmp_path / "rootfs" / "etc" / "debian_version").write_text("12\n")
    config = tmp_path / "config.toml"
    config.write_text('[nvidia-container-runtime]\nmode = "legacy"\n')
    found = document(explain("--bundle", str(tmp_path), json_too=True, config=str(config)))
    assert stops(found)["mode"] == "legacy" and "/dev/nvidia1" in devices(found)
    assert [item for item in found["given"] if item["what"].startswith("/usr/lib/x86_64-linux-gnu/libcuda.so")]
    assert {"key": "nvidia-container-runtime.mode", "value": "legacy", "origin": "file"} in found["settings"]


@pytest.mark.parametrize(("words", "cause"), [
    (("docker", "run", "--runtime=nvidia", "cuda"), "unknown or invalid runtime name: nvidia"),
    (("docker", "run", "--gpus", "device=9", "cuda"), "9: unknown device"),
    (("podman", "run", "--device", "nvidia.com/gpu=0", "cuda"), "unresolvable CDI devices nvidia.com/gpu=0"),
    (("docker", "run", "--gpus", "all", "-e", "NVIDIA_REQUIRE_CUDA=cuda>=99", "cuda"), "unsatisfied condition"),
])
def test_a_container_that_would_not_start_is_told_with_the_error_and_exit_code_2(explain: Explain,
                                                                                 words: tuple[str, ...],
                                                                                 cause: str) -> None:
    done = explain("--", *words)
    assert done.returncode == 2, done.stderr
    assert "the container does not start" in done.stdout and cause in done.stdout


@pytest.mark.parametrize(("words", "cause"), [
    ((), "nothing to explain"), (("--", "ls"), "not a line that starts a container"),
    (("--format=xml", "--", "docker", "run", "x"), "invalid output format: xml"),
    (("--bundle", "/nonexistent"), "open /nonexistent/config.json: no such file or directory"),
    (("--image-config", "/etc/passwd"), "expected NAME=VALUE"),
])
def test_what_cannot_be_explained_is_an_error(explain: Explain, words: tuple[str, ...], cause: str) -> None:
    done = explain(*words)
    assert done.returncode == 1 and cause in done.stderr and done.stdout == ""
