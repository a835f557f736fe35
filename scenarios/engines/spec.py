"""The level `spec`: no privileges, no engine.  What the toolkit plans and writes into the OCI spec, in this process.

The host is built once per profile and read in place.  Nothing is run: words about output, files and libraries cannot
be seen here, and steps other than `run` are passed over.
"""

import contextlib
import hashlib
import posixpath
import shlex
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from scenarios import bundle, hosts, images
from scenarios.checks import Expect
from scenarios.engines import logs, toolkit_spec
from scenarios.engines.probe import GPU_NODE
from scenarios.engines.session import Engine, NotRun, Session, Tools
from scenarios.model import Case, Step
from scenarios.outcome import NOT_STARTED, Mount, Outcome
from scenarios.request import Run
from toolkit.errors import ToolkitError
from toolkit.model.host import CharDevice

GENERATE = ("nvidia-ctk", "cdi", "generate")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Built:
    """A host that is ready to be read."""

    host: hosts.Host
    minors: dict[int, str]
    placeholders: bool
    migs: tuple[hosts.Mig, ...]


class _Hosts:
    """Built hosts by what went into them, shared by the cases of one process."""

    def __init__(self) -> None:
        self._built: dict[str, _Built] = {}
        self._lock = threading.Lock()

    def get(self, case: Case, folder: str) -> _Built:
        """The host of a case.  Raises NotRun for a `before` that needs a machine to run on."""
        words = repr((case.host, case.before, hosts.config_of(case, ("runc",)), folder))
        key = hashlib.sha256(words.encode()).hexdigest()[:16]
        with self._lock:
            if key not in self._built:
                self._built[key] = self._make(case, f"{folder}/spec-{key}")
            return self._built[key]

    def _make(self, case: Case, root: str) -> _Built:
        commands = [_generate(line) for line in case.before]
        host = hosts.prepare(case, root, runtimes=("runc",), in_place=True)
        nodes = tuple(CharDevice(path=n.path, host_path=n.path, major=n.major, minor=n.minor, mode=n.mode, uid=n.uid,
                                 gid=n.gid) for n in host.nodes) if host.placeholders else ()
        for vendor, output in commands:
            try:
                toolkit_spec.write_cdi(root, vendor, output, nodes)
            except ToolkitError as e:
                raise NotRun(f"`before` fails: {e}") from e
        return _Built(host=host, minors=host.minors, placeholders=host.placeholders, migs=hosts.migs(root))


def _generate(line: str) -> tuple[str, str]:
    """Vendor and output of an `nvidia-ctk cdi generate` line, the only command that needs no machine to run on."""
    words = shlex.split(line)
    given = dict(word.removeprefix("--").partition("=")[::2] for word in words[3:])
    if tuple(words[:3]) != GENERATE or set(given) - {"output", "vendor"} or "output" not in given:
        raise NotRun(f"`before: {line}` needs a machine to run on")
    return given.get("vendor", ""), given["output"]


_HOSTS = _Hosts()


@contextlib.contextmanager
def _open(case: Case, folder: str, tools: Tools) -> Iterator[Session]:
    yield SpecSession(case, _HOSTS.get(case, tools.folder), tools)


ENGINE = Engine(name="spec", level="spec", unavailable=lambda: "", open=_open)


class SpecSession:
    """One case against the toolkit's own functions."""

    def __init__(self, case: Case, built: _Built, tools: Tools) -> None:
        self._case, self._built, self._tools = case, built, tools

    def do(self, step: Step, expect: Expect) -> Outcome:
        """The outcome of a `run` step as far as the toolkit decides it; of any other step nothing is seen."""
        if not step.run:
            return Outcome(level="spec")
        image = images.described(self._case.image, step.run.image, f"{self._case.path}: image")
        command = (*((step.run.entrypoint,) if step.run.entrypoint else ()), *(step.run.command or image.command))
        asked = bundle.spec_of(step.run, env=image.env, command=command)
        base = Outcome(level="spec", host_gpus=self._built.host.gpus,
                       host_migs={mig.name: (mig.uuid, mig.parent) for mig in self._built.migs})
        try:
            edited, placed, notes = self._edited(asked, step.run)
        except ToolkitError as e:
            said = f"{e}\n{e.hint}" if e.hint else str(e)
            return replace(base, started=False, exit=NOT_STARTED, stderr=said)
        return self._seen(replace(base, spec=edited, original=asked, hooks=logs.hooks_of(edited),
                                  log="\n".join(notes)), edited, placed)

    def _edited(self, asked: dict[str, Any], run: Run) -> tuple[dict[str, Any], toolkit_spec.Placed, tuple[str, ...]]:
        """The spec after the runtime, and what the legacy hook would place later."""
        root, runtime = self._built.host.root, bundle.runtime_of(run)
        edited, notes = toolkit_spec.edited(asked, root, runtime) if runtime else (asked, ())
        if not any(posixpath.basename(hook["path"]) in toolkit_spec.HOOKS
                   for hook in (edited.get("hooks") or {}).get("prestart", [])):
            return edited, toolkit_spec.Placed(), notes
        image = self._tools.images.get(self._case.image, run.image, f"{self._case.path}: image")
        placed = toolkit_spec.placed_by_hook(edited, root, image.path)
        return edited, placed, (*notes, *placed.notes)

    def _seen(self, base: Outcome, edited: dict[str, Any], placed: toolkit_spec.Placed) -> Outcome:
        """Devices, GPUs, mounts and environment of the container as the spec and the hook's operations give them."""
        linux = edited.get("linux") or {}
        rules = [*(linux.get("resources") or {}).get("devices", []), *placed.rules]
        nodes = {d["path"]: (d.get("type", "c"), d.get("major", 0), d.get("minor", 0))
                 for d in linux.get("devices", [])}
        nodes |= {path: ("c", *numbers) for path, numbers in placed.nodes.items()}
        nodes |= {node.path: ("c", node.major, node.minor) for node in self._built.host.nodes
                  if posixpath.dirname(node.path) in placed.mounts}  # a folder of nodes, such as /dev/nvidia-caps
        devices = {path: "rw" if allowed(rules, *numbers) else "denied" for path, numbers in nodes.items()
                   if GPU_NODE.fullmatch(path)}
        gpus = self._usable({path for path, right in devices.items() if right == "rw"}, edited)
        gpus = gpus if devices.get("/dev/nvidiactl") == "rw" else ()
        mounts = {m["destination"]: Mount(source=m.get("source", ""), fstype=m.get("type", ""),
                                          options=tuple(m.get("options", []))) for m in edited.get("mounts", [])}
        mounts |= {path: Mount(fstype="bind", options=options) for path, options in placed.mounts.items()}
        mounts["/"] = Mount(options=("ro" if edited["root"].get("readonly") else "rw",))
        environment = dict(item.partition("=")[::2] for item in edited["process"].get("env", []))
        if self._built.placeholders:  # without root there are no device nodes, and so nothing to say about them
            return replace(base, mounts=mounts, environment=environment)
        return replace(base, devices=devices, mounts=mounts, environment=environment,
                       gpus=self._built.host.gpus if devices.get("/dev/dxg") == "rw" else gpus)  # WSL 2: one for all

    def _usable(self, nodes: set[str], edited: dict[str, Any]) -> tuple[str, ...]:
        """The GPUs whose nodes can be used; for one with MIG devices that can be used too, those."""
        effective = ((edited["process"].get("capabilities") or {}).get("effective")) or ()
        every = "CAP_SYS_ADMIN" in effective or bool(nodes & {f"/dev/nvidia-caps/nvidia-cap{n}" for n in (1, 2)})
        found: list[str] = []
        for minor, uuid in self._built.minors.items():
            migs = [mig.uuid for mig in self._built.migs if mig.parent == uuid and (every or nodes >= set(mig.nodes))]
            found += (migs or [uuid]) if f"/dev/nvidia{minor}" in nodes else []
        return tuple(found)

    def enter(self, step: Step) -> int:
        """There is nothing to enter."""
        raise NotRun("level spec has no container")


def allowed(rules: list[dict[str, Any]], kind: str, major: int, minor: int) -> bool:
    """Whether device rules let a process read and write a node: the last rule that is about it decides."""
    verdict = False
    for rule in rules:
        about = (rule.get("type") or "a") in ("a", kind) and _same(rule, "major", major) and _same(rule, "minor", minor)
        access = rule.get("access") or "rwm"
        if about and (not rule.get("allow") or {"r", "w"} <= set(access)):
            verdict = bool(rule.get("allow"))
    return verdict


def _same(rule: dict[str, Any], key: str, number: int) -> bool:
    return rule.get(key) in (None, -1, number)
