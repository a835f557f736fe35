"""nvidia-ctk explain: which way a container takes through the toolkit, what it gets, what is left out, and why.

Nothing is started and nothing written: the runtime, the hook and the CLI only plan.
"""

import os
from typing import Any, NamedTuple

from toolkit.cmd.ctk.frame import Command, Flag, Values
from toolkit.errors import ConfigError, RequestError, ToolkitError
from toolkit.plan import explain as plan

RUNTIME = "nvidia-container-runtime"
WOULD_FAIL = 2  # exit code for a container that would not start


class Subject(NamedTuple):
    """What is explained.  `runtime` is the program that gets the bundle, "" for one that is not NVIDIA's; `hooked`:
    the engine itself calls the hook; `cdi`: the engine itself resolves CDI names."""

    spec: dict[str, Any]
    stops: tuple[plan.Stop, ...]
    runtime: str = RUNTIME
    hooked: bool = False
    cdi: bool = False
    rootfs: str = ""
    error: ToolkitError | None = None  # what the engine says before any runtime is asked


def explain(values: Values) -> int:
    """0 for a container that starts, 2 for one that does not; ToolkitError if it cannot be told."""
    import sys

    from toolkit.gather.config import read_unvalidated

    if values.text("format") not in ("text", "json"):
        raise ConfigError(f"invalid output format: {values.text('format')}", source="--format", hint="text or json")
    read = read_unvalidated(values.text("config"), environment=os.environ, required=bool(values.text("config")))
    subject = _subject(values)
    found = explained(subject, read.config, dict(read.origins))
    if values.text("format") == "json":
        import json

        print(json.dumps(plan.as_document(found), indent=2))
    else:
        sys.stdout.write(plan.as_text(found))
    return WOULD_FAIL if found.error else 0


def _subject(values: Values) -> Subject:
    """What the command line names: a bundle, a `docker run` line, or an image."""
    bundle, image = values.text("bundle"), values.text("image-config")
    if bundle and (values.args or image):
        raise ConfigError("a bundle says it all", source="--bundle", hint="leave the other arguments away")
    if bundle:
        return _of_bundle(bundle, values.text("runtime") or RUNTIME)
    env = _image_env(image) if image else ()
    if values.args:
        return _of_line(values.args, env, values.text("runtime"))
    if not image:
        raise ConfigError("nothing to explain", source="nvidia-ctk explain",
                          hint="nvidia-ctk explain -- docker run …, --bundle DIR, or --image-config FILE")
    from toolkit.plan.engine_line import configuration

    name = values.text("runtime") or RUNTIME
    return Subject(configuration(dict(env)), (plan.Stop("runtime", name, "as --runtime says, or by default"),), name)


def _of_bundle(bundle: str, runtime: str) -> Subject:
    from toolkit.gather.bundle import config_path, parse_json, read_file

    path = config_path(bundle)
    spec = parse_json(read_file(path))
    if not isinstance(spec, dict):
        raise ConfigError("not an OCI configuration", source=path, hint="give the folder that holds config.json")
    root = spec.get("root")
    rootfs = str(root.get("path", "")) if isinstance(root, dict) else ""
    return Subject(spec, (plan.Stop("bundle", path, "what an engine gave its runtime"),
                          plan.Stop("runtime", runtime, "as --runtime says, or by default")), runtime,
                   rootfs=os.path.abspath(os.path.join(bundle, rootfs)))


def _image_env(path: str) -> tuple[tuple[str, str], ...]:
    """The environment of an image: `docker image inspect` or an OCI image configuration as JSON, or NAME=VALUE lines.

    Raises ConfigError naming the file."""
    import json

    try:
        with open(0 if path == "-" else path, encoding="utf-8", closefd=path != "-") as f:
            text = f.read()
    except (OSError, ValueError) as e:
        cause = (e.strerror or "failed").lower() if isinstance(e, OSError) else "not UTF-8"
        raise ConfigError(f"cannot be read: {cause}", source=path) from None
    if text.lstrip()[:1] not in ("[", "{"):
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    else:
        try:
            document = json.loads(text)
            document = document[0] if isinstance(document, list) else document
            lines = (document.get("Config") or document.get("config")).get("Env") or []
        except (ValueError, AttributeError, IndexError) as e:
            raise ConfigError(f"not the configuration of an image: {e}", source=path,
                              hint="docker image inspect IMAGE > FILE, or NAME=VALUE lines") from None
    odd = [line for line in lines if not isinstance(line, str) or "=" not in line]
    if odd:
        raise ConfigError(f"expected NAME=VALUE, got {str(odd[0])[:60]!r}", source=path)
    pairs = (line.partition("=") for line in lines)
    return tuple((name, value) for name, _, value in pairs)


def _of_line(words: tuple[str, ...], env: tuple[tuple[str, str], ...], runtime: str) -> Subject:
    from toolkit.gather.engine_runtimes import DOCKER, read_runtimes
    from toolkit.plan.engine_line import read_line, spec_of

    asked = read_line(words)
    known = read_runtimes(asked.engine)
    name = asked.runtime or runtime or known.default
    program = known.programs.get(name, name)
    stops = [plan.Stop("engine", asked.engine, f"starts {asked.image}" + (
        "" if env else "; what its image sets is not known: --image-config FILE")),
        _runtime_stop(asked.engine, name, program, asked.runtime, known.source)]
    error = None
    if asked.engine == "docker" and name not in ("", "runc", "io.containerd.runc.v2", *known.programs):
        error = RequestError(f"unknown or invalid runtime name: {name}", source=known.source or DOCKER,
                             hint="nvidia-ctk runtime configure --runtime=docker, then restart docker")
    ours = program.rpartition("/")[2]
    ours = ours if ours in (RUNTIME, f"{RUNTIME}.cdi", f"{RUNTIME}.legacy") else ""
    return Subject(spec_of(asked, env), tuple(stops), ours, hooked=bool(asked.gpus), cdi=bool(asked.cdi), error=error)


def _runtime_stop(engine: str, name: str, program: str, given: str, source: str) -> plan.Stop:
    if given:
        return plan.Stop("runtime", program, f"--runtime={given}" + (f", registered in {source}" if source else ""))
    if name:
        return plan.Stop("runtime", program, f"the default runtime of {source}")
    return plan.Stop("runtime", f"{engine}'s own", "no --runtime, and no other default is configured")


def explained(subject: Subject, config: Any, origins: dict[str, str], *, root: str = "/") -> plan.Explanation:
    """The way of one container on the machine at `root`."""
    from toolkit.log import Notes
    from toolkit.plan.request import image_of

    log = Notes()
    stops, settings = list(subject.stops), plan.settings_of(config, origins)
    forced = _forced(subject)
    if forced:
        runtime = config.nvidia_container_runtime._replace(mode=forced)
        config = config._replace(nvidia_container_runtime=runtime)
    given: tuple[plan.Given, ...] = ()
    error: ToolkitError | None = None
    mode = ""
    try:
        if subject.error:
            raise subject.error
        image = image_of(subject.spec)
        stops.append(plan.request_stop(image, config, prefixes=_prefixes(config)))
        after, mode = _after_runtime(subject, config, log, root, stops)
        given = plan.given_by_spec(subject.spec, after)
        if mode == "legacy":
            given = (*given, *_by_hook(after, subject, config, log, root))
    except ToolkitError as e:
        error = e
    found = plan.Explanation(
        tuple(stops), given, _left_out(subject, config, log, given, mode, root) if not error else (),
        settings, tuple(f"{level}: {text}" for level, text in log.lines), error)
    return found._replace(stops=(*found.stops, plan.outcome_stop(found, any_image=not subject.rootfs)))


def _forced(subject: Subject) -> str:
    """The mode that a program's name forces; CDI names that the engine resolves itself go the way of `cdi`."""
    suffix = subject.runtime.removeprefix(RUNTIME)
    if suffix in (".cdi", ".legacy"):
        return suffix[1:]
    return "cdi" if subject.cdi and not subject.runtime else ""


def _prefixes(config: Any) -> tuple[str, ...]:
    runtime = config.nvidia_container_runtime
    prefixes: tuple[str, ...] = runtime.modes.cdi.annotation_prefixes
    return prefixes if runtime.mode in ("auto", "cdi") else ()


def _after_runtime(subject: Subject, config: Any, log: Any, root: str, stops: list[plan.Stop],
                   ) -> tuple[dict[str, Any], str]:
    """The configuration after the runtime, and the mode."""
    from toolkit.cmd.runtime_create import edited_spec

    if not subject.runtime and not subject.cdi:
        stops.append(_without_runtime(subject))
        return subject.spec, "legacy" if subject.hooked else ""
    stop_at = len(stops)
    try:
        return edited_spec(subject.spec, config, log, root=root), _mode(log)
    finally:
        stops.insert(stop_at, _mode_stop(subject, config, log))


def _without_runtime(subject: Subject) -> plan.Stop:
    if subject.hooked:
        return plan.Stop("mode", "legacy", "the engine itself adds the prestart hook for --gpus; docker 29.2 and later "
                                           "ask CDI instead if a specification defines nvidia.com/gpu")
    return plan.Stop("mode", "none", "the runtime is not NVIDIA's, and neither --gpus nor a CDI device is asked for: "
                                     "variables alone do nothing")


def _mode(log: Any) -> str:
    """The mode that the runtime logged."""
    said = [text for _, text in log.lines if " mode " in text and text.endswith("'")]
    return said[-1].rpartition(" '")[2].rstrip("'") if said else ""


def _mode_stop(subject: Subject, config: Any, log: Any) -> plan.Stop:
    from toolkit.plan.request import image_of, request_of

    mode = _mode(log)
    if subject.cdi and not subject.runtime:
        return plan.Stop("mode", "cdi", "the engine itself looks CDI names up in specification files")
    requested = config.nvidia_container_runtime.mode
    devices = request_of(image_of(subject.spec), config, prefixes=_prefixes(config)).devices
    forced = subject.runtime if subject.runtime != RUNTIME else ""
    return plan.mode_stop(mode or requested, requested, devices, forced=forced, tegra=mode == "csv")


def _by_hook(spec: dict[str, Any], subject: Subject, config: Any, log: Any, root: str) -> tuple[plan.Given, ...]:
    """What the prestart hook and nvidia-container-cli would do."""
    from toolkit.cmd import runtime_hook
    from toolkit.cmd.cli import configure

    rootfs = subject.rootfs or "/nonexistent"  # an image without files of its own
    words = runtime_hook.planned(spec, config, rootfs=rootfs, root=root, log=log)
    if not words:
        return ()
    operations = configure.planned(["nvidia-container-cli", *words], root=root)
    return plan.given_by_cli(operations, config.nvidia_container_cli.root or "/")


def _left_out(subject: Subject, config: Any, log: Any, given: tuple[plan.Given, ...], mode: str, root: str,
              ) -> tuple[plan.LeftOut, ...]:
    from toolkit.model.request import SUPPORTED_CAPABILITIES
    from toolkit.plan import hook_args
    from toolkit.plan.request import image_of

    if not given:
        return plan.left_out_by_notes(text for level, text in log.lines if level == "warning")
    image = image_of(subject.spec)
    asked = hook_args.capabilities_of(image, hook_args.supported_capabilities(config.supported_driver_capabilities))
    return (*plan.left_out_by_gpus(_gpus(config, root), given),
            *plan.left_out_by_capabilities(asked, SUPPORTED_CAPABILITIES, mode), *plan.imex_left_out(image, config),
            *plan.left_out_by_notes(text for level, text in log.lines if level == "warning"))


def _gpus(config: Any, root: str) -> tuple[tuple[int, str], ...]:
    """Minor and name of the machine's GPUs; none where NVML does not answer, which other lines tell."""
    from toolkit.gather.host import read_host

    host = read_host(driver_root=config.nvidia_container_cli.root or "/", root=root)
    return tuple((gpu.minor, gpu.name) for gpu in host.gpus if gpu.minor >= 0)


COMMAND = Command(
    name="explain",
    usage="Tell which way a container takes, what it gets and from where, what is left out, and why",
    flags=(
        Flag("bundle", "A bundle that an engine made; the folder that holds config.json"),
        Flag("image-config", "What the image sets: `docker image inspect` or an OCI image configuration as JSON, or "
                             "NAME=VALUE lines; - is stdin"),
        Flag("runtime", "The runtime's name or program, where the command line does not say it"),
        Flag("format", "text or json", "text"),
    ),
    run=explain,
)
