"""Requests × hosts × configurations, run in real containers: rows of tests/corpus/combinations, told as differences.

A row is one `docker run` line on one host with one config.toml.  What it changes is told as text: the differences
between the OCI spec that the engine wrote and the one that the low-level runtime got, and what a process in the
container sees beyond a container without the toolkit.  For the tests beside this file.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pynvml
import yaml

from nvsim import profile
from nvsim.errors import NvsimError
from nvsim.machine import Machine
from scenarios import hosts, model, request, toml
from scenarios.checks import Expect
from scenarios.engines.oci import OciSession
from scenarios.engines.on_machine import OnMachine, opened
from scenarios.engines.session import Tools
from scenarios.outcome import Outcome

ROWS = Path(__file__).resolve().parents[1] / "corpus/combinations"
KEYS = {"name", "shows", "host", "config", "before", "run", "anywhere"}
FLAGS = ("ro", "nosuid", "nodev", "noexec")
WRITTEN = ("/etc/cdi", "/srv/cdi", "/var/run/cdi")  # what `before` may have left for the next row


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One combination.  `anywhere`: every machine with a GPU can show it, whatever its GPUs are."""

    name: str
    shows: str
    host: str
    run: str
    config: dict[str, object] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    anywhere: bool = False


def rows() -> tuple[Row, ...]:
    """All rows, those of one host together."""
    found = []
    for path in sorted(ROWS.glob("*.yaml")):
        for value in yaml.safe_load(path.read_text()):
            assert set(value) <= KEYS, (path, value)
            found.append(Row(**{**value, "before": tuple(value.get("before", ()))}))
    return tuple(sorted(found, key=lambda row: row.host))


class Place:
    """A host that is up, and the containers on it."""

    def __init__(self, session: OciSession, on: OnMachine) -> None:
        self._session, self._on = session, on
        self._plain: dict[str, Outcome] = {}

    def outcome(self, row: Row, runtime: str) -> Outcome:
        """What became of a row."""
        self._host("rm", "-rf", *WRITTEN)
        config = toml.merged({"nvidia-container-runtime": {"runtimes": [runtime]}}, row.config)
        self._host(f"cat > {hosts.CONFIG} <<'END'\n{toml.dumps(config)}END")
        for line in row.before:
            self._host(line)
        return self._run(row.run)

    def plain(self, line: str) -> Outcome:
        """A container of the same image that nobody edits."""
        image = request.parse_run(line, "row").image
        if image not in self._plain:
            self._plain[image] = self._run(f"docker run --rm {image}")
        return self._plain[image]

    def _run(self, line: str) -> Outcome:
        step = model.Step(kind="run", line=line, run=request.parse_run(line, "row"))
        return self._session.do(step, Expect())

    def _host(self, *words: str) -> None:
        done = self._on.shell(" ".join(words))
        assert done.exit == 0, done.stderr


@contextlib.contextmanager
def on_emulated(host: str | profile.Profile, folder: str, tools: Tools, runtime: str = "runc", cgroup: str = "host",
                ) -> Iterator[Place]:
    """A machine from a profile, with a low-level runtime and a version of control groups."""
    case = replace(case_of(profile.load(host) if isinstance(host, str) else host), cgroup=cgroup)
    with opened(runtime, "container", case, folder, tools) as on:
        session = OciSession(runtime, on, tools)
        try:
            yield Place(session, on)
        finally:
            session.clear()


class ThisMachine(Machine):
    """The machine that we are on, with a real driver: commands run in a mount namespace of their own, in which /etc,
    /usr/bin and /srv take writes that nobody else sees and that vanish with it."""

    def __init__(self, folder: str, toolkit: str) -> None:
        super().__init__("/")
        self._folder, self._toolkit = folder, toolkit

    def __enter__(self) -> "ThisMachine":
        self._process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-ec", _OVERLAYS, self._folder, self._toolkit],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        if self._process.stdout.readline() != "ready\n":
            self.close()
            raise NvsimError("cannot lay folders for writing over /etc, /usr/bin and /srv", source=self._folder)
        self.pid = self._process.pid
        return self


_OVERLAYS = """
mount -t tmpfs none $0
for path in etc usr/bin srv; do
    mkdir -p $0/upper/$path $0/work/$path
    mount -t overlay -o lowerdir=/$path,upperdir=$0/upper/$path,workdir=$0/work/$path none /$path
done
ln -sf $1/nvidia* /usr/bin/
mkdir -p /etc/nvidia-container-runtime
echo ready
read line || true
"""


def recorded(source: str) -> profile.Profile:
    """The profile of the machine that we are on.  Raises NvsimError where it has no GPU that NVML knows."""
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as e:
        raise NvsimError(f"NVML says: {e}", source=source, hint="a real target needs a working NVIDIA driver") from e
    if not count:
        raise NvsimError("NVML knows no GPU", source=source, hint="a real target needs one")
    done = subprocess.run([sys.executable, "-m", "nvsim", "record"], capture_output=True, text=True, check=True)
    return profile.parse(done.stdout, source)


@contextlib.contextmanager
def on_this_machine(twin: str, folder: str, tools: Tools) -> Iterator[Place]:
    """The real machine.  `twin` is the folder of the host that was built from its recording."""
    uuids = [pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(index))
             for index in range(pynvml.nvmlDeviceGetCount())]
    host = hosts.Host(root=twin, gpus=tuple(uuids), minors={})
    os.mkdir(f"{folder}/writes")
    with ThisMachine(f"{folder}/writes", tools.toolkit) as machine, tools.registered(machine.pid):
        on = OnMachine(case_of(profile.Profile(name="real")), "container", folder, host, machine)
        session = OciSession("runc", on, tools)
        try:
            yield Place(session, on)
        finally:
            session.clear()


def without_files(text: str) -> list[str]:
    """The lines of a row's text that do not depend on which files a driver package has, nor on how the kernel's own
    directory comes into a container: on an emulated host it is a mount."""
    other = re.compile(r"\.so\.|/firmware/|/usr/(bin|share)/|/etc/[^n]|^/proc/driver/nvidia ")
    return [line for line in text.splitlines() if not other.search(line)]


def case_of(host: profile.Profile) -> model.Case:
    """The frame in which the scenarios' engine runs containers on a host."""
    return model.Case(name="combination", path="tests/corpus/combinations", about="", steps=(), host=host)


def told(row: Row, outcome: Outcome, plain: Outcome, folder: str) -> str:
    """The differences as text."""
    lines = [f"# {row.shows}", row.run]
    if outcome.started:
        lines += ["", "devices:", *(f"{path} {right}" for path, right in sorted((outcome.devices or {}).items()))]
        lines += ["", f"gpus: {_gpus(outcome)}", "", "mounts:", *_new_mounts(outcome, plain)]
        lines += ["", "environment:", *sorted(
            f"{name}={value}" for name, value in (outcome.environment or {}).items()
            if (plain.environment or {}).get(name) != value)]
    else:
        lines += ["", "refused:", *said(outcome.stderr or "")]
    lines += ["", "spec:", *spec_differences(outcome.original or {}, outcome.spec or {})]
    return re.sub(rf"{re.escape(folder)}/c\d+", "BUNDLE", "\n".join(lines) + "\n").replace(folder, "FOLDER")


def said(stderr: str) -> list[str]:
    """The error as the toolkit said it, without the words that the low-level runtime puts around it and progress."""
    lines = [re.sub(r".*error running hook: .*?stderr: ", "", line).removeprefix("error: ") for line in
             stderr.replace("\\n", "\n").splitlines()]
    progress = re.compile(r"(info|debug): |time=.*level=info|Using requested mode|Auto-detected mode")
    return list(dict.fromkeys(line for line in lines if line and not progress.match(line)))


def _gpus(outcome: Outcome) -> str:
    """NVML's answer by index, MIG devices as GPU:NUMBER."""
    if outcome.gpus is None:
        return "not asked, the image has no loader"
    names = {uuid: str(index) for index, uuid in enumerate(outcome.host_gpus)}
    names |= {uuid: name for name, (uuid, _) in outcome.host_migs.items()}
    return " ".join(names.get(uuid, uuid) for uuid in outcome.gpus) or "none"


def _new_mounts(outcome: Outcome, plain: Outcome) -> list[str]:
    """Mount points in their order, with what is forbidden there."""
    return [f"{target} {','.join(flag for flag in FLAGS if flag in mount.options)}".rstrip()
            for target, mount in (outcome.mounts or {}).items() if target not in (plain.mounts or {})]


def spec_differences(before: Any, after: Any, path: str = "") -> list[str]:
    """What was added (+) and taken away (-): items of lists in their order, other values by their path.

    A value that JSON may leave away (false, "", an empty list) equals its absence."""
    if isinstance(before or {}, dict) and isinstance(after or {}, dict):
        one, other = before or {}, after or {}
        return [line for key in dict.fromkeys((*one, *other))
                for line in spec_differences(one.get(key), other.get(key), f"{path}.{key}" if path else str(key))]
    if isinstance(before or [], list) and isinstance(after or [], list):
        one, other = before or [], after or []
        moved = [item for item in one if item in other] != [item for item in other if item in one]
        return [*(f"- {path}: {_item(item)}" for item in one if item not in other),
                *(f"+ {path}: {_item(item)}" for item in other if item not in one),
                *([f"~ {path}: another order"] if moved else [])]
    return [] if (before or None) == (after or None) else [f"- {path}: {_item(before)}", f"+ {path}: {_item(after)}"]


def _item(value: Any) -> str:
    """An item of a list on one line: mounts, hooks, devices and their rules in short, others as JSON."""
    if not isinstance(value, dict):
        return json.dumps(value)
    rest = dict(value)
    words = []
    if "destination" in rest:
        words.append(rest.pop("destination"))
        source = rest.pop("source", "")
        words += [f"from {source}"] if source != words[0] else []
    elif "path" in rest:
        words.append(rest.pop("path"))
    if "major" in rest:
        words.append(f"{rest.pop('type')} {rest.pop('major')}:{rest.pop('minor', '*')}")
    if "allow" in rest:
        words.append(("allow " if rest.pop("allow") else "deny ") + rest.pop("access"))
    if "fileMode" in rest:
        words.append(f"{rest.pop('fileMode'):o}")
    words += [",".join(rest.pop("options"))] if "options" in rest else []
    words += [json.dumps(item) if " " in item else item for item in rest.pop("args", [])[1:]]
    return " ".join([*words, *(f"{key}={json.dumps(rest[key])}" for key in sorted(rest))])
