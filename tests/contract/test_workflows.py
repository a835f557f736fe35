"""The ready-made workflows of ci/workflows are YAML, and every command of theirs exists with its options."""

import configparser
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nvsim import cli, profile
from scenarios import runner

REPOSITORY = Path(__file__).parents[2]
KUBERNETES = REPOSITORY / "ci" / "workflows" / "emulated.kubernetes.yaml"
FILES = sorted(set((REPOSITORY / "ci" / "workflows").iterdir()) - {KUBERNETES})
TOX = configparser.ConfigParser()
TOX.read(REPOSITORY / "tox.ini")
ENVIRONMENTS = {name.removeprefix("testenv:") for name in TOX.sections()} | {"py"}
VALUES = {"${{ matrix.shard }}": "2", "$CI_NODE_INDEX": "2", "$CI_NODE_TOTAL": "4", "$(command -v tox)": "tox"}


def commands(path: Path) -> list[list[str]]:
    """The command lines of a workflow, with the values that the service fills in."""
    document = yaml.safe_load(path.read_text())
    texts = [line for text in _scripts(document) for line in text.splitlines()]
    for name, value in VALUES.items():
        texts = [text.replace(name, value) for text in texts]
    return [_without_sudo(shlex.split(re.sub(r"\$\{\{.*?\}\}|\$\w+", "VALUE", text))) for text in texts]


def _scripts(value: Any) -> list[str]:
    """What stands behind the keys `run` and `script`, wherever they are."""
    if isinstance(value, list):
        return [text for item in value for text in _scripts(item)]
    if not isinstance(value, dict):
        return []
    found = [value[key] for key in ("run", "script") if key in value]
    return [line for item in found for line in (item if isinstance(item, list) else [item])] + [
        text for key, item in value.items() if key not in ("run", "script") for text in _scripts(item)]


def _without_sudo(words: list[str]) -> list[str]:
    while words and (words[0] == "sudo" or words[0].startswith("--preserve-env")):
        words = words[1:]
    return words


def check_tox(words: list[str]) -> None:
    assert words[:2] == ["run", "-e"]
    assert words[2] in ENVIRONMENTS
    if words[2] == "emulated":
        options = runner._options(words[words.index("--") + 1:])
        assert options.shard == (2, 4)
        assert options.junit
    else:
        assert len(words) == 3


def check_nvsim(words: list[str]) -> None:
    assert words[0] in cli.COMMANDS
    assert words[1] in profile.names()


def check_python(words: list[str]) -> None:
    assert words[:3] == ["-m", "pip", "install"] or words[:2] == ["-m", "pytest"]


CHECKS = {"tox": check_tox, "nvsim": check_nvsim, "python": check_python, "sysctl": lambda words: None}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_commands_of_a_workflow_exist(path: Path) -> None:
    found = commands(path)
    assert len(found) >= 2
    for words in found:
        CHECKS[words[0]](words[1:])


@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_the_shards_of_a_service_are_all_there(service: str) -> None:
    document = yaml.safe_load((REPOSITORY / f"ci/workflows/emulated.{service}.yaml").read_text())
    if service == "gitlab":
        assert document["scenarios"]["parallel"] == 4
    else:
        assert document["jobs"]["scenarios"]["strategy"]["matrix"]["shard"] == [1, 2, 3, 4]


def test_a_matrix_of_interpreters_is_the_one_that_tox_knows() -> None:
    for name in ("emulated.github.yaml", "emulated.gitlab.yaml"):
        text = (REPOSITORY / "ci" / "workflows" / name).read_text()
        versions = set(re.findall(r'"(3\.\d+)"', text))
        assert {"3.11", "3.13"} <= versions <= {"3.11", "3.12", "3.13"}


def pod() -> tuple[dict[str, Any], dict[str, Any]]:
    """The Indexed Job, and its only container."""
    job = yaml.safe_load(KUBERNETES.read_text())["spec"]
    (container,) = job["template"]["spec"]["containers"]
    return job, container


def run_pod(tmp_path: Path, index: int, source: str) -> subprocess.CompletedProcess[str]:
    """The script of a pod, with programs in the way that write down how they were called."""
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("git", "python", "tox"):
        (programs / name).write_text(f"#!/bin/sh\necho {name} \"$@\"\n")
        (programs / name).chmod(0o755)
    container = pod()[1]
    values = {item["name"]: item["value"] for item in container["env"]}
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", **values, "JOB_COMPLETION_INDEX": str(index),
                   "SOURCE": source}
    return subprocess.run([*container["command"], *container["args"]], env=environment, cwd=tmp_path, text=True,
                          capture_output=True, check=False)


def test_the_pods_of_the_job_run_every_shard_once(tmp_path: Path) -> None:
    job, _ = pod()
    assert job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"]
    shards = []
    for index in range(job["completions"]):
        done = run_pod(tmp_path, index, "file:///repository")
        assert done.returncode == 0, done.stderr
        clone, _, tox = done.stdout.splitlines()
        assert clone == "git clone --depth 1 file:///repository ."
        words = shlex.split(tox)
        assert words[1:4] == ["run", "-e", "emulated"]
        options = runner._options(words[words.index("--") + 1:])
        assert options.junit == f"/results/scenarios-{index}.xml"
        shards.append(options.shard)
    assert shards == [(index + 1, job["completions"]) for index in range(job["completions"])]


def test_a_job_without_a_source_says_what_to_set(tmp_path: Path) -> None:
    done = run_pod(tmp_path, 0, "")
    assert done.returncode != 0
    assert "set SOURCE" in done.stderr
    assert done.stdout == ""


def test_the_folders_of_a_pod_are_its_volumes() -> None:
    job, container = pod()
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in job["template"]["spec"]["volumes"]}
