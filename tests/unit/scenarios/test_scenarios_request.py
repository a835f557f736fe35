"""`docker run` and `docker exec` lines as requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim.errors import NvsimError
from scenarios import request
from scenarios.request import Bind, Run


def run(line: str) -> Run:
    return request.parse_run(line, "step")


def test_flags_stop_at_the_image_and_the_rest_is_the_command() -> None:
    parsed = run("docker run --rm -it debian:12 nvidia-smi --list-gpus -e X=1")
    assert (parsed.image, parsed.command, parsed.env) == ("debian", ("nvidia-smi", "--list-gpus", "-e", "X=1"), ())


def test_gpus_of_podman_are_cdi_devices() -> None:
    parsed = run("podman run --gpus 0,2 --device nvidia.com/gpu=5 debian")
    assert parsed.cdi == ("nvidia.com/gpu=5", "nvidia.com/gpu=0", "nvidia.com/gpu=2") and not parsed.gpus


@pytest.mark.parametrize(("value", "gpus", "capabilities"), [
    ("all", "all", ()),
    ("2", "0,1", ()),
    ("device=1", "1", ()),
    ('\'"device=0,2"\'', "0,2", ()),
    ("device=GPU-abc", "GPU-abc", ()),
    ("count=1,capabilities=utility", "0", ("utility",)),
    ("count=-1", "all", ()),
    ("'all,capabilities=utility'", "", None),
])
def test_gpus_says_what_the_hook_reads(value: str, gpus: str, capabilities: tuple[str, ...] | None) -> None:
    line = f"docker run --gpus {value} debian"
    if capabilities is None:
        with pytest.raises(NvsimError):
            run(line)
        return
    parsed = run(line)
    assert (parsed.gpus, parsed.gpu_capabilities) == (gpus, capabilities)


@pytest.mark.parametrize(("name", "program"), [
    ("nvidia", "nvidia-container-runtime"), ("nvidia-cdi", "nvidia-container-runtime.cdi"), ("runc", ""),
    ("nvidia-legacy", "nvidia-container-runtime.legacy"),
    ("/usr/bin/nvidia-container-runtime", "nvidia-container-runtime"),
])
def test_runtime_names_the_program(name: str, program: str) -> None:
    assert run(f"docker run --runtime={name} debian").runtime == program


def test_devices_are_cdi_names() -> None:
    assert run("podman run --device nvidia.com/gpu=0 --device=nvidia.com/gpu=1:0 debian").cdi == (
        "nvidia.com/gpu=0", "nvidia.com/gpu=1:0")
    with pytest.raises(NvsimError, match="not a CDI name"):
        run("docker run --device /dev/nvidia0 debian")


def test_volumes_and_mounts_become_binds() -> None:
    parsed = run("docker run -v /a:/b:ro --mount type=bind,src=/c,dst=/d,bind-propagation=shared debian")
    assert parsed.binds == (Bind(source="/a", target="/b", read_only=True),
                            Bind(source="/c", target="/d", propagation="shared"))


def test_capabilities_get_their_prefix() -> None:
    assert run("docker run --cap-add SYS_ADMIN --cap-add=cap_bpf --cap-add all debian").cap_add == (
        "CAP_SYS_ADMIN", "CAP_BPF", "ALL")


@pytest.mark.parametrize(("reference", "name"), [
    ("debian", "debian"), ("nvidia/cuda:12.4.1-base-ubuntu22.04", "cuda"), ("docker.io/library/debian:12", "debian"),
    ("localhost:5000/a/b@sha256:0123", "b"),
])
def test_an_image_is_known_by_its_last_name(reference: str, name: str) -> None:
    assert request.image_name(reference) == name


def test_an_unknown_flag_is_an_error_with_the_nearest_one() -> None:
    with pytest.raises(NvsimError) as caught:
        run("docker run --runtim=nvidia debian")
    assert (caught.value.message, caught.value.hint) == ("unknown flag '--runtim'", "did you mean '--runtime'?")


def test_exec_names_a_container_and_a_command() -> None:
    parsed = request.parse_exec("docker exec -e A=1 gpu nvidia-smi -L", "step")
    assert (parsed.name, parsed.command, parsed.env) == ("gpu", ("nvidia-smi", "-L"), (("A", "1"),))


@pytest.mark.parametrize("line", ["docker exec gpu", "docker exec --privileged gpu ls", "docker run gpu ls"])
def test_what_is_no_exec_is_an_error(line: str) -> None:
    with pytest.raises(NvsimError):
        request.parse_exec(line, "step")


WORDS = st.text(max_size=6) | st.sampled_from([
    *request.SWITCHES, *request.VALUES, "all", "device=0", "A=1", "/a:/b", "type=bind", "debian", "'", "--gpus=",
    "count=²", "--user=٣", "\0", "--", "nvidia.com/gpu=0"])


@given(st.lists(WORDS, max_size=8))
def test_any_line_gives_a_request_or_an_error(words: list[str]) -> None:
    for parse, verb in ((request.parse_run, "run"), (request.parse_exec, "exec")):
        try:
            parse(f"docker {verb} " + " ".join(words), "step")
        except NvsimError as e:
            assert e.source.startswith("step")
