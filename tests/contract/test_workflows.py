"""The ready-made workflows of ci/workflows are YAML, and every command of theirs exists with its options."""

import configparser
import itertools
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
from scenarios.engines import table

REPOSITORY = Path(__file__).parents[2]
KUBERNETES = REPOSITORY / "ci" / "workflows" / "emulated.kubernetes.yaml"
FILES = sorted(set((REPOSITORY / "ci" / "workflows").iterdir()) - {KUBERNETES})
TOX = configparser.ConfigParser()
TOX.read(REPOSITORY / "tox.ini")
ENVIRONMENTS = {name.removeprefix("testenv:") for name in TOX.sections()} | {"py"}
MATRICES = [path for path in FILES if path.name.startswith("emulated.")]
# What has to be installed for an engine, by names that ci/bootstrap knows.
NEEDED = {"spec": set[str](), "runc": {"runc"}, "crun": {"crun"}, "podman": {"podman", "runc"},
          "podman-rootless": {"podman", "newuidmap", "runc"}, "docker": {"docker", "runc"},
          "containerd": {"containerd", "runc"}, "cri": {"containerd", "runc"}}
INSTALLED = set(re.findall("[a-z]+", (REPOSITORY / "ci" / "bootstrap").read_text().partition("are there;")[0]))


def commands(path: Path) -> list[list[str]]:
    """The command lines of a workflow, with what the service fills in for some job of its matrix."""
    document = yaml.safe_load(path.read_text())
    texts = [line for text in _scripts(document) for line in text.splitlines()]
    if path in MATRICES:
        texts = [filled(text, jobs(path)[-1]) for text in texts]
    texts = [text.replace("$(command -v tox)", "tox") for text in texts]
    return [_without_sudo(shlex.split(re.sub(r"\$\{\{.*?\}\}|\$\w+", "VALUE", text))) for text in texts]


def filled(text: str, job: dict[str, str]) -> str:
    """A text with the values of a job in the place of its variables, as either service writes those."""
    text = re.sub(r"\$\{\{ *matrix\.(\w+) *\}\}", lambda found: job.get(found[1], found[0]), text)
    return re.sub(r"\$([A-Z]+)\b", lambda found: job.get(found[1].lower(), found[0]), text)


def jobs(path: Path) -> list[dict[str, str]]:
    """The jobs that a service makes of the matrix of scenarios, each with its image, engine, level, needs and shard.

    GitHub: the product of the lists, and from `include` what fits a job.  GitLab: the product of each entry."""
    document = yaml.safe_load(path.read_text())
    if ".github." not in path.name:
        entries = document["scenarios"]["parallel"]["matrix"]
        return [{name.removeprefix("NVSIM_").lower(): value for name, value in job.items()}
                for entry in entries for job in product(entry)]
    matrix = document["jobs"]["scenarios"]["strategy"]["matrix"]
    more = matrix.pop("include")
    found = []
    for job in product(matrix):
        for extra in more:
            if all(job[name] == extra[name] for name in extra.keys() & matrix.keys()):
                job |= extra
        found.append({name: str(value) for name, value in job.items()})
    return found


def product(lists: dict[str, Any]) -> list[dict[str, Any]]:
    """Every combination of one value from each list; a value that is no list stands for itself."""
    values = [value if isinstance(value, list) else [value] for value in lists.values()]
    return [dict(zip(lists, chosen, strict=True)) for chosen in itertools.product(*values)]


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
    assert words[0] == "run"
    check_run(words[1:])


def check_run(words: list[str]) -> None:
    """The arguments of `tox run`, and of ci/run."""
    assert words[0] == "-e"
    assert words[1] in ENVIRONMENTS
    if words[1] == "emulated":
        options = runner._options(words[words.index("--") + 1:])
        assert (options.junit, options.html) == ("scenarios.xml", "scenarios.html")
    else:
        assert len(words) == 2


def check_bootstrap(words: list[str]) -> None:
    assert set(words) <= INSTALLED


def check_echo(words: list[str]) -> None:
    assert words[-2] == ">>"


def check_nvsim(words: list[str]) -> None:
    assert words[0] in cli.COMMANDS
    assert words[1] in profile.names()


def check_python(words: list[str]) -> None:
    assert words[:3] == ["-m", "pip", "install"] or words[:2] == ["-m", "pytest"]


CHECKS = {"tox": check_tox, "nvsim": check_nvsim, "python": check_python, "sysctl": lambda words: None,
          "ci/run": check_run, "ci/bootstrap": check_bootstrap, "echo": check_echo}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_commands_of_a_workflow_exist(path: Path) -> None:
    found = commands(path)
    assert len(found) >= 2
    for words in found:
        CHECKS[words[0]](words[1:])


@pytest.mark.parametrize("path", MATRICES, ids=lambda path: path.name)
def test_each_engine_runs_every_shard_once_on_each_distribution(path: Path) -> None:
    (line,) = [words for words in map(" ".join, _command_lines(path)) if "-e emulated" in words]
    seen = []
    for job in jobs(path):
        options = runner._options(shlex.split(filled(line, job).partition(" -- ")[2]))
        (engine,), (level,) = options.engine, options.level
        assert table.ENGINES[engine].level == level
        assert NEEDED[engine] <= set(job["needs"].split()) <= INSTALLED
        seen.append((job["image"], engine, options.shard))
    images, engines = {image for image, _, _ in seen}, {engine for _, engine, _ in seen}
    assert engines == set(NEEDED) == set(table.ENGINES)
    assert sorted(seen) == sorted(itertools.product(images, engines, [(1, 2), (2, 2)]))


def _command_lines(path: Path) -> list[list[str]]:
    return [text.split() for text in _scripts(yaml.safe_load(path.read_text()))]


def test_the_services_run_on_the_same_distributions() -> None:
    github, gitlab = ({job["image"] for job in jobs(path)} for path in MATRICES)
    assert github == gitlab
    # What a tag says is a release, and ci/bootstrap knows the package manager of each.
    assert {re.fullmatch(r"(debian|ubuntu|fedora):[0-9.]+", image)[1] for image in github} == {  # type: ignore[index]
        "debian", "ubuntu", "fedora"}


def test_what_a_job_needs_reaches_the_one_command_that_installs_it() -> None:
    assert "ci/bootstrap {env:NVSIM_NEEDS:" in TOX["testenv:emulated"]["commands_pre"]
    github = yaml.safe_load(MATRICES[0].read_text())["jobs"]["scenarios"]
    assert github["env"] == {"NVSIM_NEEDS": "${{ matrix.needs }}"}
    assert github["container"] == {"image": "${{ matrix.image }}", "options": "--privileged"}


def test_the_reports_of_a_job_are_kept_whatever_came_out() -> None:
    github, gitlab = (yaml.safe_load(path.read_text()) for path in MATRICES)
    upload = github["jobs"]["scenarios"]["steps"][-1]
    assert upload["if"] == "always()"
    assert upload["with"]["path"] == "scenarios.*"
    assert gitlab["scenarios"]["artifacts"] == {
        "when": "always", "reports": {"junit": "scenarios.xml"}, "paths": ["scenarios.html"]}


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
        assert options.html == f"/results/scenarios-{index}.html"
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
