"""The engine's configuration, for the installer: what it is, what it becomes, and what it is again at the end.

Source: toolkit v1.20, cmd/nvidia-ctk-installer/container/runtime.
"""

import posixpath
from typing import NamedTuple

from toolkit.cmd.ctk.engine_files import docker_table, dumped, text_of, toml_of
from toolkit.cmd.ctk.toml_edit import INDENT, edited
from toolkit.cmd.installer.options import EngineOptions
from toolkit.errors import ConfigError, ToolkitError
from toolkit.gather.bundle import parse_json
from toolkit.log import Log
from toolkit.plan import engines, engines_toml, install_engine
from toolkit.plan.engines import Table, changed
from toolkit.plan.engines_toml import Layout
from toolkit.plan.toml_text import to_toml

SHOWN = {"docker": "docker", "containerd": "containerd", "crio": "cri-o"}
GENERATED = "DO NOT EDIT"


class File(NamedTuple):
    """A file: its text with the runtimes and without them, "" if there is none then."""

    path: str
    text: str
    without: str


class Engine(NamedTuple):
    """The configuration as it was read, from the file or from the engine itself."""

    options: EngineOptions
    table: Table
    layout: Layout | None = None

    @property
    def low_level(self) -> tuple[str, ...]:
        """The low-level runtimes that it names."""
        return install_engine.low_level_of(self.options.name, self.table, self.layout)


def read_engine(options: EngineOptions, log: Log) -> Engine:
    """Raises ToolkitError where no source can be read, or the first that can has nonsense."""
    if options.name == "docker":
        return Engine(options, docker_table(options.config, log))
    table = _first(options, log)
    if options.name == "crio":
        return Engine(options, table)
    layout = engines_toml.layout_of(table, empty=1 if options.special.legacy else 2)
    log.info(f"Using config version {layout.version}")
    log.info(f'Using CRI runtime plugin name "{layout.plugin}"')
    return Engine(options, table, layout)


def _first(options: EngineOptions, log: Log) -> Table:
    """The configuration from the first source that has it."""
    stem = "failed to load config: " if options.name == "containerd" else ""
    failures: list[ToolkitError] = []
    parts = [source.partition("=") for source in options.sources]
    for kind, _, _ in parts:
        if kind.strip() not in ("command", "file"):
            raise ConfigError(f'unsupported config source "{kind}"', source="--config-source",
                              hint="command, file or file=PATH")
    for kind, equals, path in parts:
        try:
            if kind.strip() == "command":
                if equals:
                    log.warning(f'Ignoring additional command argument "{path}"')
                return dumped(_commands(options), "")
            path = path.strip() if equals else options.config
            return toml_of(text_of(path, ""), "", path)
        except ToolkitError as e:
            failures.append(e)
    if not failures:
        return {}
    hint = "; ".join(dict.fromkeys(error.hint for error in failures if error.hint))
    raise ConfigError(stem + "\n".join(error.message for error in failures), source=failures[-1].source, hint=hint)


def _commands(options: EngineOptions) -> tuple[tuple[str, ...], ...]:
    """What prints the configuration, on the host."""
    root = ("chroot", options.host_root) if options.host_root not in ("", "/") else ()
    if options.name == "containerd":
        return ((*root, options.program or "containerd", "config", "dump"),)
    return ((*root, options.program or "crio", "status", "config"), (*root, "crio-status", "config"))


def plan_files(engine: Engine, log: Log) -> tuple[File, ...]:
    """The files that configure the engine, the one that holds the runtimes first."""
    options = engine.options
    if options.hook:
        return (File(options.hook, engines.hook_text(posixpath.join(
            posixpath.dirname(options.runtimes[0].path), "nvidia-container-runtime-hook")), ""),)
    return {"docker": _docker, "containerd": _containerd, "crio": _crio}[options.name](engine, log)


def _docker(engine: Engine, log: Log) -> tuple[File, ...]:
    options, before = engine.options, text_of(engine.options.config, "")
    after = changed(engine.table, install_engine.docker_changes(engine.table, options.runtimes))
    without = _without(options, options.config, before)
    table = parse_json(without.encode() or b"{}") or {}
    if options.default and "default-runtime" not in table:
        # dockerd keeps what it had of a key that is gone when it reads its file again.
        without = engines.docker_text(changed(table, (engines.Change(("default-runtime",), "runc"),)), table)
    return (File(options.config, engines.docker_text(after, engine.table), without),)


def _containerd(engine: Engine, log: Log) -> tuple[File, ...]:
    options, layout = engine.options, engine.layout
    assert layout is not None
    changes, notes = install_engine.containerd_changes(engine.table, layout, options.runtimes, options.special)
    for note in notes:
        log.warning(note)
    before = text_of(options.config, "failed to load config: ")
    own = _without(options, options.config, before)
    if layout.version == 1 and options.drop_in and options.own_drop_in:
        return (File(options.drop_in, to_toml(changed(engine.table, changes), indent=INDENT), ""),)
    if layout.version == 1 or not options.drop_in:  # drop-in files of version 1 are not read
        _warn_of_generator(options.config, before, log)
        return (File(options.config, edited(before, changes), own),)
    drop_in = engines_toml.containerd_drop_in(engine.table, layout, changes)
    top = toml_of(before, "failed to load config: ", options.config)
    imports = engines_toml.containerd_import(top, _pattern(options), layout.version)
    if imports:
        _warn_of_generator(options.config, before, log)
    return (File(options.drop_in, to_toml(drop_in, indent=INDENT), ""),
            File(options.config, edited(before, imports), own))


def _warn_of_generator(path: str, text: str, log: Log) -> None:
    """K3s and RKE2 write config.toml anew at each start: gpu-operator#473."""
    if GENERATED in text.partition("\n")[0]:
        log.warning(f"{path} is generated: what is changed in it is lost when its generator starts again. Use its "
                    "template, or a folder of drop-in files that it imports")


def _pattern(options: EngineOptions) -> str:
    """The import that makes containerd read the drop-in file, in the host's words."""
    return posixpath.join(posixpath.dirname(options.drop_in_on_host or options.drop_in), "*.toml")


def _crio(engine: Engine, log: Log) -> tuple[File, ...]:
    options = engine.options
    changes, notes = install_engine.crio_changes(engine.table, options.runtimes)
    for note in notes:
        log.warning(note)
    if options.drop_in:
        path, text = options.drop_in, to_toml(changed({}, changes), indent=INDENT)
    else:
        path, text = options.config, edited(text_of(options.config, ""), changes)
    return (File(path, text, _without(options, path, text)),)


def clean_files(options: EngineOptions, files: tuple[File, ...]) -> dict[str, bytes | None]:
    """What the files that were written become at the end; None: removed.

    A file that nobody touched since becomes what it was; from any other one the runtimes are taken out.
    """
    found: dict[str, bytes | None] = {}
    stays = options.name == "crio" and not options.hook  # upstream leaves CRI-O's runtimes to the pods that name them
    if stays and not options.default:
        return found
    for file in files:
        now = text_of(file.path, "")
        if file.path in (options.drop_in, options.hook) and not stays:
            after = ""
        else:
            after = file.without if now == file.text else _without(options, file.path, now)
        if after != now:
            found[file.path] = after.encode("utf-8", "surrogateescape") or None
    return found


def _without(options: EngineOptions, path: str, text: str) -> str:
    """A file of the engine without the runtimes, as it is if it has none of them; "" if nothing is left."""
    names = tuple(wanted.name for wanted in options.runtimes)
    if options.name == "docker":
        table = parse_json(text.encode() or b"{}") or {}
        changes = install_engine.docker_removal(table, names)
        return engines.docker_text(changed(table, changes), table) if changes else text
    table = toml_of(text, "", path)
    if options.name == "crio":
        changes = install_engine.crio_default_removal(table, options.runtime_name)
    else:
        changes = install_engine.containerd_removal(table, names, _pattern(options))
    return edited(text, changes) if changes else text
