"""nvidia-docker: the command line of docker."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.cmd.docker2 import docker_command

HOME = str(Path(__file__).resolve().parents[4])
CODE = "import sys; sys.path.insert(0, sys.argv[1]); from toolkit.cmd.docker2 import main; sys.exit(main(sys.argv[2:]))"


@pytest.mark.parametrize(("args", "environment", "command"), [
    (["run", "img"], {}, ["docker", "run", "--runtime=nvidia", "img"]),
    (["create", "img"], {"NV_GPU": "0 2"},
     ["docker", "create", "--runtime=nvidia", "-e", "NVIDIA_VISIBLE_DEVICES=0,2", "img"]),
    (["-H", "x", "run", "img", "run"], {"NV_GPU": ""}, ["docker", "-H", "x", "run", "--runtime=nvidia", "img", "run"]),
    (["ps", "-a"], {"NV_GPU": "0"}, ["docker", "ps", "-a"]),
    (["--", "run"], {}, ["docker", "--", "run"]),
    (["version", "run"], {}, ["docker", "version", "run"]),
    ([], {"NV_DOCKER": "sudo docker"}, ["sudo", "docker"]),
    (["run", "a b"], {"NV_DOCKER": ""}, ["docker", "run", "--runtime=nvidia", "a b"]),
])
def test_run_and_create_get_the_runtime_and_the_devices(args, environment, command):
    assert docker_command(args, environment) == command


def run(folder, *args, **environment):
    return subprocess.run([sys.executable, "-ISc", CODE, HOME, "nvidia-docker", *args], capture_output=True, text=True,
                          check=False, env={"PATH": f"{folder}:/bin", **environment})


def test_it_becomes_docker(tmp_path):
    fake = tmp_path / "docker"
    fake.write_text(f"#!{sys.executable} -IS\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\nsys.exit(5)\n")
    os.chmod(fake, 0o755)
    done = run(tmp_path, "run", "--rm", "img", "a b", NV_GPU="1", NV_DEBUG="1")
    assert done.returncode == 5
    assert json.loads(done.stdout)[-4:] == ["NVIDIA_VISIBLE_DEVICES=1", "--rm", "img", "a b"]
    assert done.stderr == "+ exec docker run --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=1 --rm img 'a b'\n"
    assert run(tmp_path, "version").stdout.startswith("NVIDIA Docker: ")


@pytest.mark.parametrize(("name", "code", "text"), [("none", 127, "not found"), ("/etc", 126, "permission denied")])
def test_docker_that_cannot_be_started_is_a_shells_exit_code(tmp_path, name, code, text):
    done = run(tmp_path, "ps", NV_DOCKER=name)
    assert (done.returncode, done.stderr.splitlines()[0]) == (code, f"nvidia-docker: {name}: {text}")
