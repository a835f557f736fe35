"""`docker run` lines as requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import RequestError, ToolkitError
from toolkit.plan.engine_line import read_line, spec_of


def line(text: str):
    return read_line((text,))


@pytest.mark.parametrize(("flag", "devices", "capabilities"), [
    ("--gpus all", "all", ()),
    ("--gpus=2", "0,1", ()),
    ("--gpus count=-1", "all", ()),
    ("--gpus device=GPU-1", "GPU-1", ()),
    ("""--gpus '"device=0,2"'""", "0,2", ()),
    ("""--gpus 'all,"capabilities=compute,utility"'""", "all", ("compute", "utility")),
    ("""--gpus '"device=1","capabilities=gpu,video"'""", "1", ("video",)),
])
def test_gpus_are_read_as_docker_reads_them(flag: str, devices: str, capabilities: tuple[str, ...]) -> None:
    asked = line(f"docker run {flag} cuda nvidia-smi")
    assert (asked.gpus, asked.gpu_capabilities, asked.image) == (devices, capabilities, "cuda")


def test_short_flags_may_stand_together_and_take_the_rest_of_the_word() -> None:
    asked = line("docker run -it -eA=1 -e B=2 -v /x:/y:ro -itw /tmp img sh -c 'x --gpus all'")
    assert asked.env == (("A", "1"), ("B", "2"))
    assert (asked.mounts, asked.image, asked.gpus) == ((("/x", "/y"),), "img", "")


def test_what_decides_nothing_is_passed_over_with_its_value() -> None:
    asked = line("podman run --rm --name x --ipc=host --ulimit core=0 --tty=true img")
    assert asked.image == "img" and {"--name", "--ipc", "--ulimit"} <= set(asked.passed_over)


def test_devices_are_cdi_names_or_nodes() -> None:
    asked = line("docker run --device nvidia.com/gpu=0 --device /dev/fuse --device=nvidia.com/gpu=all img")
    assert asked.cdi == ("nvidia.com/gpu=0", "nvidia.com/gpu=all")
    assert spec_of(asked, ())["annotations"] == {"cdi.k8s.io/explain": "nvidia.com/gpu=0,nvidia.com/gpu=all"}


@pytest.mark.parametrize("flag", ["--privileged", "--cap-add ALL", "--cap-add=sys_admin", "--cap-add CAP_SYS_ADMIN"])
def test_who_may_administrate_is_privileged(flag: str) -> None:
    assert line(f"docker run {flag} img").privileged
    assert not line("docker run --privileged=false --cap-add NET_ADMIN img").privileged


def test_the_command_line_wins_over_the_image_and_gpus_over_both() -> None:
    env = (("NVIDIA_VISIBLE_DEVICES", "all"), ("A", "image"))
    spec = spec_of(line("docker run --gpus 1 -e NVIDIA_VISIBLE_DEVICES=3 -e A=line img"), env)
    assert {"NVIDIA_VISIBLE_DEVICES=0", "A=line"} <= set(spec["process"]["env"])
    assert spec["hooks"]["prestart"][0]["path"].endswith("nvidia-container-runtime-hook")


@pytest.mark.parametrize(("text", "source"), [
    ("docker run", "command line"), ("docker ps", "command line"), ("ls", "command line"), ("docker run -e", "-e"),
    ("docker run 'x", "command line"), ("docker run --gpus shape=2 img", "--gpus"), ("docker run --name", "--name"),
])
def test_what_is_no_such_line_is_an_error_that_names_it(text: str, source: str) -> None:
    with pytest.raises(RequestError) as caught:
        line(text)
    assert caught.value.source in (source, "--env") and caught.value.hint


@given(st.lists(st.text("-=,\"' abegiknprsuv/:", max_size=8), max_size=6))
def test_arbitrary_words_are_a_request_or_an_error(words: list[str]) -> None:
    try:
        spec_of(read_line(("docker", "run", *words)), ())
    except ToolkitError as e:
        assert e.source
