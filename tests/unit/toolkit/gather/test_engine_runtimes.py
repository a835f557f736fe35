"""The runtimes that docker and podman know by name."""

from pathlib import Path

import pytest

from toolkit.errors import ConfigError
from toolkit.gather.engine_runtimes import read_runtimes


def write(root: Path, path: str, text: str) -> str:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return str(root)


def test_docker_names_programs_and_a_default(tmp_path: Path) -> None:
    root = write(tmp_path, "/etc/docker/daemon.json",
                 '{"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "/opt/x", "args": []}, "y": {}}}')
    found = read_runtimes("docker", root=root)
    assert (found.programs, found.default) == ({"nvidia": "/opt/x", "y": "y"}, "nvidia")


def test_the_later_file_of_podman_wins_key_by_key(tmp_path: Path) -> None:
    write(tmp_path, "/usr/share/containers/containers.conf",
          '[engine]\nruntime = "crun"\n[engine.runtimes]\ncrun = ["/usr/bin/crun"]\n')
    root = write(tmp_path, "/etc/containers/containers.conf", '[engine.runtimes]\nnvidia = ["/opt/x", "/y"]\n')
    found = read_runtimes("podman", root=root)
    assert found.programs == {"crun": "/usr/bin/crun", "nvidia": "/opt/x"}
    assert (found.default, found.source) == ("crun", "/etc/containers/containers.conf")


@pytest.mark.parametrize("engine", ["docker", "podman", "nerdctl"])
def test_an_engine_without_configuration_knows_none(tmp_path: Path, engine: str) -> None:
    assert read_runtimes(engine, root=str(tmp_path)) == ({}, "", "")


@pytest.mark.parametrize(("engine", "path", "text"), [
    ("docker", "/etc/docker/daemon.json", "{"), ("docker", "/etc/docker/daemon.json", "[]"),
    ("docker", "/etc/docker/daemon.json", '{"runtimes": {"x": 1}}'),
    ("podman", "/etc/containers/containers.conf", "[engine"),
    ("podman", "/etc/containers/containers.conf", "engine = 1"),
])
def test_a_file_that_the_engine_would_refuse_is_an_error_that_names_it(tmp_path: Path, engine: str, path: str,
                                                                       text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_runtimes(engine, root=write(tmp_path, path, text))
    assert caught.value.source.startswith(path) and caught.value.hint
