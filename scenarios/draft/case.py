"""Facts and commands → the keys of a case, with what had to be assumed."""

from dataclasses import dataclass, field, replace

from scenarios import toml
from scenarios.draft import causes, commands, errors, host, known
from scenarios.draft.commands import Accepted, Command
from scenarios.draft.facts import Facts
from scenarios.draft.scrub import Scrub
from scenarios.draft.writer import Reasons

MOST_STEPS = 4
USUAL_RUN = "docker run --rm --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=all debian nvidia-smi"
CUDA_ENV = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The keys of a case, the reasons of what is assumed, comment lines for its head, and the nearest known reports."""

    case: dict[str, object]
    reasons: Reasons
    notes: tuple[str, ...] = ()
    near: tuple[known.Near, ...] = ()


@dataclass(slots=True)
class _Steps:
    steps: list[dict[str, object]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)

    @property
    def stays(self) -> bool:
        """Whether a container runs on that a `docker exec` can look into."""
        return any(f"--name {commands.NAME}" in taken.line for taken in self.accepted)


def draft(facts: Facts, text: str, runs: tuple[Command, ...], scrub: Scrub, report: str = "") -> Draft:
    """The draft of a report.  `text` is all of it, `runs` are its `docker run` and `docker exec` lines."""
    error = next((found for run in runs if (found := errors.find(run.output))), "") or errors.find(text)
    cause = causes.of(error, facts) or causes.Cause(why="")
    reasons: Reasons = {}
    machine, assumed = host.profile_of(facts, cause.host, cause.why, scrub)
    reasons |= assumed
    done = _steps(facts, text, runs, error, scrub, reasons)
    case: dict[str, object] = {"about": _about(error, scrub)}
    case |= {"report": report} if report else {}
    case |= {"affected": f"toolkit {facts.toolkit}"} if facts.toolkit else {}
    case["host"] = machine
    case |= _config(facts, cause, scrub, reasons)
    case["mode"] = _mode(facts, error, cause, reasons)
    case |= {"cgroup": facts.cgroup} if facts.cgroup else {}
    case |= _image(done.accepted, cause, reasons)
    written = commands.generated(text)
    if written and not facts.specs and "unresolvable" not in error:
        case["before"] = [f"nvidia-ctk cdi generate --output={written}"]
    case["steps"] = done.steps
    return Draft(case=case, reasons=reasons, notes=tuple(done.notes), near=known.nearest(error) if error else ())


def _about(error: str, scrub: Scrub) -> str:
    said = scrub.clean(error) if error else "it shows no error text"
    return f"Drafted from a report: {said if len(said) <= 120 else said[:119] + '…'}"


def _cleaned(value: object, scrub: Scrub) -> object:
    """A value of config.toml without what must not travel."""
    if isinstance(value, dict):
        return {key: _cleaned(item, scrub) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item, scrub) for item in value]
    return scrub.clean(value) if isinstance(value, str) else value


def _config(facts: Facts, cause: causes.Cause, scrub: Scrub, reasons: Reasons) -> dict[str, object]:
    root = facts.driver_root if facts.operator and not facts.config and not cause.config else ""
    if root not in ("", "/"):  # an error of a toolkit that is configured otherwise says so by its cause
        reasons["config",] = "the GPU Operator's toolkit is told of the driver root"
        return {"config": {"nvidia-container-cli": {"root": root}}}
    if cause.config and not facts.config:
        reasons["config",] = cause.why
    config = toml.merged({key: _cleaned(value, scrub) for key, value in facts.config.items()}, cause.config)
    return {"config": config} if config else {}


def _mode(facts: Facts, error: str, cause: causes.Cause, reasons: Reasons) -> str:
    """The runtime's mode: as the configuration or a log says, else as the error text shows, else the default."""
    if facts.mode in ("legacy", "cdi", "jit-cdi", "csv"):
        return facts.mode
    if facts.mode == "nvml":
        return "jit-cdi"
    if cause.mode:
        reasons["mode",] = cause.why
        return cause.mode
    if error.startswith("nvidia-container-cli:"):
        reasons["mode",] = "the error text is that of the legacy hook"
        return "legacy"
    if "CDI" in error:
        reasons["mode",] = "the error text is about CDI"
        return "jit-cdi" if "runtime.nvidia.com" in error else "cdi"
    version = tuple(int(part) for part in facts.toolkit.split(".")) if facts.toolkit else ()
    if version and version < (1, 18):
        reasons["mode",] = "the default of this version"
        return "legacy"
    reasons["mode",] = "the default since version 1.18" + ("" if version else "; the report names no version")
    return "jit-cdi"


def _steps(facts: Facts, text: str, runs: tuple[Command, ...], error: str, scrub: Scrub, reasons: Reasons) -> _Steps:
    done = _Steps()
    for number, run in enumerate(runs):
        if len(done.steps) >= MOST_STEPS:
            break
        if run.execs:
            _add_exec(done, text, run, scrub, reasons)
        else:
            stays = number + 1 < len(runs) and runs[number + 1].execs
            taken = commands.accepted(run.line, scrub, default_runtime=facts.default_runtime, stays=stays)
            if taken:
                taken = replace(taken, assumed=((run.why,) if run.why else ()) + taken.assumed)
                _add_run(done, taken, errors.find(run.output), scrub, reasons)
    if not done.steps:
        reasons["steps", "0", "run"] = "the report has no `docker run` line that a case can take"
        done.steps.append({"run": USUAL_RUN, "expect": {}})
    if error and not any(step["expect"] for step in done.steps):
        done.steps[-1]["expect"] = _expect(error, scrub)
        reasons["steps", str(len(done.steps) - 1), "expect"] = "the error stands elsewhere in the report"
    done.steps = [{key: value for key, value in step.items() if value} for step in done.steps]
    return done


def _add_run(done: _Steps, taken: Accepted, error: str, scrub: Scrub, reasons: Reasons) -> None:
    """A `docker run` step; the same line again, and a second container that stays, say nothing new."""
    if any(taken.line == step.get("run") for step in done.steps) or (f"--name {commands.NAME}" in taken.line
                                                                     and done.stays):
        return
    number = len(done.steps)
    if taken.assumed:
        reasons["steps", str(number), "run"] = "; ".join(taken.assumed)
    if taken.left_out:
        done.notes.append(f"step {number + 1} is without {', '.join(taken.left_out)}: what they name is the reporter's "
                          "own, or no case can see it")
    done.accepted.append(taken)
    done.steps.append({"run": taken.line, "expect": _expect(error, scrub)})


def _add_exec(done: _Steps, text: str, run: Command, scrub: Scrub, reasons: Reasons) -> None:
    """A `docker exec` step, after what the report says that happened to the machine in between."""
    taken = commands.executed(run.line, scrub) if done.stays else None
    if not taken:
        return
    error = errors.find(run.output)
    if error and "daemon-reload" in text and all("ctl" not in step for step in done.steps):
        reasons["steps", str(len(done.steps)), "ctl"] = "the report names it, and the container lost its GPU"
        done.steps.append({"ctl": "daemon-reload", "expect": {}})
    if taken[1]:
        reasons["steps", str(len(done.steps)), "exec"] = "; ".join(taken[1])
    done.steps.append({"exec": taken[0], "expect": _expect(error, scrub)})


def _expect(error: str, scrub: Scrub) -> dict[str, object]:
    """The failure to look like; nothing for a command after which no error stands."""
    if not error:
        return {}
    words = errors.pattern(scrub.clean(error))
    if errors.at_creation(error):
        return {"exit": 125, "stderr": words}
    return {"exit": {"not": 0}, errors.stream(error): words}


def _image(runs: list[Accepted], cause: causes.Cause, reasons: Reasons) -> dict[str, object]:
    """The image: needed where the line names one that nvsim does not have, or one whose tag says what it asks for.

    An image with CUDA in it has the environment of NVIDIA's, and a requirement only if one is known."""
    first = runs[0] if runs else None
    name = first.image.partition(":")[0] if first else "cuda"
    env = {"NVIDIA_REQUIRE_CUDA": f"cuda>={'.'.join(first.cuda.split('.')[:2])}"} if first and first.cuda else {}
    env |= cause.env
    if cause.env and not (first and first.cuda):
        reasons["image",] = cause.why
    if first and first.base:
        reasons.setdefault(("image",), f"{first.base} stands for {name}")
    if first and first.base == "cuda" and not env:
        reasons["image",] = f"debian with the environment of CUDA images stands for {name}"
        return {"image": {"base": "debian", "env": CUDA_ENV}}
    if not env and not (first and first.base):
        return {}
    return {"image": {"base": (first.base if first else "") or name} | ({"env": env} if env else {})}
