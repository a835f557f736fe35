"""The files that configure an engine: read, changed, as text.  Nothing is written here.

Source: toolkit v1.20, pkg/config/engine, pkg/config/toml.
"""

import posixpath
from typing import Any, NamedTuple

from toolkit.cmd.ctk.toml_edit import INDENT, edited
from toolkit.errors import ConfigError, HostError, SpecError
from toolkit.log import Log
from toolkit.plan import engines, engines_toml
from toolkit.plan.engines import Table, Wanted, changed
from toolkit.plan.toml_text import to_toml


class Request(NamedTuple):
    """What to configure and how.  `drop_in` "" changes the engine's own file; `own_drop_in`: the user named it.

    `command` asks the engine, `program` if that is not "", for its configuration instead of reading the file.
    """

    engine: str
    config: str
    drop_in: str
    own_drop_in: bool
    command: bool
    program: str
    wanted: Wanted


class Written(NamedTuple):
    """A file and its new text, "" to remove it.  `title` is what a dry run calls it where there are two."""

    path: str
    text: str
    title: str = ""


def plan_files(request: Request, log: Log) -> tuple[Written, ...]:
    """The files, the one that holds the runtime first.  Raises ToolkitError with upstream's causes."""
    return {"docker": _docker, "containerd": _containerd, "crio": _crio}[request.engine](request, log)


def docker_table(path: str, log: Log) -> Table:
    """daemon.json, empty if there is none.  Raises ConfigError."""
    from toolkit.gather.bundle import parse_json, read_file

    try:
        data = read_file(path)
    except SpecError as e:
        if not e.message.endswith("no such file or directory"):
            log.info(f"Loading config from {path}")
            raise ConfigError(f"unable to read config: {e.message}", source=path) from None
        log.info("Config file does not exist; using empty config")
        data = b"{}"
    else:
        log.info(f"Loading config from {path}")
    config = parse_json(data)
    if config is None:
        return {}
    if not isinstance(config, dict):
        kind = {list: "array", str: "string", bool: "bool"}.get(type(config), "number")
        raise ConfigError(f"json: cannot unmarshal {kind} into Go value of type docker.Config", source=path,
                          hint="the file has to hold one JSON object")
    return config


def _docker(request: Request, log: Log) -> tuple[Written, ...]:
    config = docker_table(request.config, log)
    after = changed(config, engines.docker_changes(config, request.wanted))
    return (Written(request.config, engines.docker_text(after, config)),)


def _containerd(request: Request, log: Log) -> tuple[Written, ...]:
    text = text_of(request.config, "failed to load config: ")
    top = toml_of(text, "failed to load config: ", request.config)
    source = top
    if request.command:
        source = dumped(((request.program or "containerd", "config", "dump"),), "failed to load config: ")
    layout = engines_toml.layout_of(source)
    log.info(f"Using config version {layout.version}")
    log.info(f'Using CRI runtime plugin name "{layout.plugin}"')
    changes, notes = engines_toml.containerd_changes(source, layout, request.wanted)
    for note in notes:
        log.warning(note)
    if not request.drop_in:
        return (Written(request.config, edited(text, changes)),)
    if layout.version == 1:
        if request.own_drop_in:
            return (Written(request.drop_in, to_toml(changed(source, changes), indent=INDENT)),)
        # Drop-in files of version 1 are not read.
        return (Written(request.config, edited(text, changes)),)
    drop_in = engines_toml.containerd_drop_in(source, layout, changes)
    pattern = posixpath.join(posixpath.dirname(request.drop_in), "*.toml")
    imports = engines_toml.containerd_import(top, pattern, layout.version)
    return (
        Written(request.drop_in, to_toml(drop_in, indent=INDENT), "Drop-in"),
        Written(request.config, edited(text, imports), "Top-level"),
    )


def _crio(request: Request, log: Log) -> tuple[Written, ...]:
    text = text_of(request.config, "")
    if request.command:
        source = dumped(((request.program or "crio", "status", "config"), ("crio-status", "config")), "")
    else:
        source = toml_of(text, "", request.config)
    changes, notes = engines_toml.crio_changes(source, request.wanted)
    for note in notes:
        log.warning(note)
    if not request.drop_in:
        return (Written(request.config, edited(text, changes)),)
    return (Written(request.drop_in, to_toml(changed({}, changes), indent=INDENT)),)


def text_of(path: str, stem: str) -> str:
    """The text of a file, "" if there is none."""
    from toolkit.gather.bundle import read_file

    try:
        return read_file(path).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{stem}invalid UTF-8", source=path, hint="correct the file: it is not TOML") from None
    except SpecError as e:
        if e.message.endswith("no such file or directory"):
            return ""
        raise ConfigError(stem + e.message, source=path) from None


def toml_of(text: str, stem: str, source: str) -> Table:
    from toolkit.gather.config import parse_toml

    try:
        return parse_toml(text)
    except ConfigError as e:
        raise ConfigError(stem + e.message, source=source, hint="correct the file: it is not TOML") from None


def dumped(commands: tuple[tuple[str, ...], ...], stem: str) -> Table:
    """The configuration that the first command that works prints.  Raises HostError with the failures of all."""
    import subprocess

    failures, said = [], []
    for argv in commands:
        try:
            done: Any = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        except OSError as e:
            cause = (e.strerror or "failed").lower()
            cause = f"fork/exec {argv[0]}: {cause}" if "/" in argv[0] else (
                f'exec: "{argv[0]}": executable file not found in $PATH')
        else:
            if done.returncode == 0:
                return toml_of(done.stdout.decode("utf-8", "replace"), stem, argv[0])
            code = done.returncode
            cause = f"exit status {code}" if code > 0 else f"signal: {_signal(-code)}"
            said += done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        failures.append(f"failed to run command {argv[0]} [{' '.join(argv[1:])}]: {cause}")
    advice = "name the program by --executable-path, or leave out --config-source command to read the file"
    raise HostError(stem + "\n".join(failures), hint="; ".join([*said, advice]))


def _signal(number: int) -> str:
    import signal

    return (signal.strsignal(number) or str(number)).lower()
