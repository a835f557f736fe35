"""The path that a container took: engine → runtime → mode → hook or CDI edits → container, as one level saw it.

Pure: made from the step and its Outcome, for reports that people read.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from scenarios import bundle
from scenarios.engines import logs
from scenarios.model import Step
from scenarios.outcome import Outcome

State = Literal["ok", "failed", "idle"]

_MODE = re.compile(r"(Auto-detected mode as|Using requested mode) '([^']*)'")
_LONGEST = 32_000  # characters of one output or log; more does not help a reader, and a report has hundreds


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """One stop of the path.  `kind` is the same for every container (engine, runtime, …), `name` is what this one had
    there.  `idle`: nothing of NVIDIA's happened here; `failed`: the path ended here."""

    kind: str
    name: str
    details: tuple[str, ...] = ()
    state: State = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """One step of a case: what was typed, the way of its container (none for a command on the host), what was said."""

    number: int
    kind: str
    line: str
    stations: tuple[Station, ...] = ()
    exit: int | None = None
    stdout: str = ""
    stderr: str = ""
    log: str = ""


def of(number: int, step: Step, outcome: Outcome, engine: str) -> Trail:
    """The trail of one step that was carried out."""
    return Trail(number=number, kind=step.kind, line=step.line,
                 stations=_stations(step, outcome, engine) if step.run else (),
                 exit=outcome.exit, stdout=_short(outcome.stdout), stderr=_short(outcome.stderr),
                 log=_short(outcome.log))


def _short(text: str | None) -> str:
    """A text that fits into a report: the end of a long one, where errors are."""
    if not text or len(text) <= _LONGEST:
        return text or ""
    return f"… {len(text) - _LONGEST} characters left out …\n{text[-_LONGEST:]}"


def _stations(step: Step, outcome: Outcome, engine: str) -> tuple[Station, ...]:
    assert step.run
    runtime = bundle.runtime_of(step.run)
    asked = _asked(step)
    return (
        Station(kind="engine", name=engine, details=(step.line,)),
        Station(kind="runtime", name=runtime or "the engine's own", state="ok" if runtime else "idle",
                details=(f"asks for {asked}",) if asked else ("asks for no GPU on the command line",)),
        _mode(outcome.log or "", runtime, by_engine=bool(step.run.gpus)),
        _edits(outcome),
        _container(outcome),
    )


def _asked(step: Step) -> str:
    """What the command line asks for, in its own words."""
    run = step.run
    assert run
    asked = [f"--gpus {run.gpus}"] if run.gpus else []
    asked += [f"--device {name}" for name in run.cdi]
    asked += [f"{name}={value}" for name, value in run.env if name.startswith("NVIDIA_")]
    return ", ".join(asked)


def _mode(log: str, runtime: str, by_engine: bool) -> Station:
    """The mode that the runtime or the hook says it takes; an engine that calls the hook itself is in legacy mode."""
    found = _MODE.search(log)
    if not found and by_engine and not runtime:
        return Station(kind="mode", name="legacy", details=("the engine calls the hook",))
    if not found:
        why = "the runtime did not say" if runtime else "no NVIDIA runtime is asked"
        return Station(kind="mode", name="none", details=(why,), state="idle")
    how = "found out" if found[1].startswith("Auto") else "asked for"
    return Station(kind="mode", name=found[2], details=(how,))


def _edits(outcome: Outcome) -> Station:
    """What the toolkit wrote into the OCI specification: hooks of the legacy way, or CDI edits."""
    if outcome.spec is None or outcome.original is None:
        return Station(kind="edits", name="not seen", details=("this level sees no specification",), state="idle")
    added = _added(outcome.original, outcome.spec)
    engines_own = _hooks(outcome.original)
    if engines_own and not added:
        name = f"{_count(len(engines_own), 'hook')} by the engine"
        return Station(kind="edits", name=name, details=tuple(engines_own))
    if not added:
        untouched = "the specification is as the engine wrote it"
        return Station(kind="edits", name="none", details=(untouched,), state="idle")
    name = ", ".join(_count(len(items), what) for what, items in added.items())
    return Station(kind="edits", name=name, details=tuple(f"{what}: {item}" for what, items in added.items()
                                                         for item in items))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _added(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[str]]:
    """What stands in `after` alone, by kind of thing, without kinds of which there is nothing new."""
    kinds = {
        "hook": (_hooks(before), _hooks(after)),
        "device node": (_paths(before, "linux", "devices", "path"), _paths(after, "linux", "devices", "path")),
        "mount": (_paths(before, "mounts", "destination"), _paths(after, "mounts", "destination")),
        "variable": (_values(before, "process", "env"), _values(after, "process", "env")),
        "group": (_values(before, "process", "user", "additionalGids"),
                  _values(after, "process", "user", "additionalGids")),
    }
    new = {what: [item for item in now if item not in set(then)] for what, (then, now) in kinds.items()}
    return {what: items for what, items in new.items() if items}


def _hooks(spec: dict[str, Any]) -> list[str]:
    return [f"{stage} {line}" for stage, lines in logs.hooks_of(spec).items() for line in lines]


def _values(spec: dict[str, Any], *keys: str) -> list[str]:
    """The entries of the list that the keys lead to."""
    return [str(item) for item in _list(spec, keys)]


def _paths(spec: dict[str, Any], *keys: str) -> list[str]:
    """The value of the last key in each entry of the list that the keys before lead to."""
    return [str(entry.get(keys[-1], "")) for entry in _list(spec, keys[:-1]) if isinstance(entry, dict)]


def _list(spec: dict[str, Any], keys: tuple[str, ...]) -> list[Any]:
    """The list that keys lead to; an empty one where there is none."""
    value: Any = spec
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, list) else []


def _container(outcome: Outcome) -> Station:
    if not outcome.started:
        said = (outcome.stderr or "").strip().splitlines()
        return Station(kind="container", name="did not start", details=tuple(said), state="failed")
    sees = "GPUs not seen at this level" if outcome.gpus is None else _count(len(outcome.gpus), "GPU")
    return Station(kind="container", name=sees, details=tuple(_inside(outcome)),
                   state="ok" if outcome.gpus is None or outcome.gpus else "idle")


def _inside(outcome: Outcome) -> Iterable[str]:
    """What a process in the container can reach."""
    if outcome.exit is not None:
        yield f"exit code {outcome.exit}"
    for number, uuid in enumerate(outcome.gpus or ()):
        yield f"NVML {number}: {uuid}"
    for number, uuid in enumerate(outcome.cuda or ()):
        yield f"CUDA {number}: {uuid}"
    for path, right in (outcome.devices or {}).items():
        yield f"{path}: {right}"
    if outcome.mounts is not None:
        yield _count(len(outcome.mounts), "mount")
