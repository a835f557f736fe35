"""nvidia-ctk runtime configure: makes an engine know the NVIDIA runtime.

Source: toolkit v1.20, cmd/nvidia-ctk/runtime/configure, pkg/config/engine.
"""

import posixpath
import sys
from typing import NamedTuple

from toolkit.cmd.ctk import engine_files
from toolkit.cmd.ctk.engine_files import Written
from toolkit.cmd.ctk.frame import Command, Flag, Values
from toolkit.cmd.ctk.logs import log_of
from toolkit.errors import ConfigError, ToolkitError
from toolkit.log import Log
from toolkit.plan.engines import Wanted, hook_text

HOOK_MODES = ("oci-hook", "hook")
CONFIG_MODES = ("config-file", "config")
BY_ENGINE = "RUNTIME_SPECIFIC_DEFAULT"


class Engine(NamedTuple):
    """Where an engine has its configuration; no `drop_in`: it reads one file."""

    config: str
    drop_in: str = ""


ENGINES = {
    "containerd": Engine("/etc/containerd/config.toml", "/etc/containerd/conf.d/99-nvidia.toml"),
    "crio": Engine("/etc/crio/crio.conf", "/etc/crio/crio.conf.d/99-nvidia.toml"),
    "docker": Engine("/etc/docker/daemon.json"),
}


def configure(values: Values) -> int:
    """Reads the engine's configuration, plans its changes, and writes the files, all or none."""
    log = log_of(values)
    mode = values.text("config-mode")
    if mode in HOOK_MODES:
        return _write_hook(values, log, mode)
    request = _request(values, log)
    try:
        written = engine_files.plan_files(request, log)
    except ToolkitError as e:
        raise _within(f"unable to load config for runtime {request.engine}: ", e) from None
    if values.switch("dry-run"):
        return _show(written, log)
    _write(written, log)
    log.info(f"It is recommended that {request.engine} daemon be restarted.")
    return 0


def _request(values: Values, log: Log) -> engine_files.Request:
    """The flags in upstream's order of checks.  Raises ConfigError with its texts."""
    name = values.text("runtime")
    if name not in ENGINES:
        raise ConfigError(f"unrecognized runtime '{name}'", source="--runtime", hint=f"one of {', '.join(ENGINES)}")
    engine, mode = ENGINES[name], values.text("config-mode")
    if mode and mode not in CONFIG_MODES:
        log.warning(f'Ignoring unsupported config mode for {name}: "{mode}"')
    program, source = values.text("executable-path"), values.text("config-source")
    runtime = values.text("nvidia-runtime-path")
    drop_in = values.text("drop-in-config")
    drop_in = engine.drop_in if drop_in == BY_ENGINE else drop_in
    cdi = values.switch("cdi.enabled")
    if name == "docker":
        if drop_in:
            raise ConfigError("runtime docker does not support drop-in configs", source="--drop-in-config")
        if program:
            log.warning(f'Ignoring executable-path="{program}" flag for docker')
        if source == "command":
            log.warning("A command Config Source is not supported for docker; using file")
            source = "file"
    else:
        runtime = "/usr/bin/nvidia-container-runtime" if runtime == "nvidia-container-runtime" else runtime
        if not posixpath.isabs(runtime):
            raise ConfigError(f'the NVIDIA runtime path "{runtime}" is not an absolute path',
                              source="--nvidia-runtime-path")
        if drop_in and not posixpath.isabs(drop_in):
            raise ConfigError(f'the drop-in-config path "{drop_in}" is not an absolute path',
                              source="--drop-in-config")
    if name == "crio" and cdi:
        log.warning("Ignoring cdi.enabled flag for crio")
    if source not in ("command", "file"):
        raise ConfigError(f"unrecognized Config Source: {source}", source="--config-source", hint="command or file")
    return engine_files.Request(
        engine=name,
        config=values.text("config") or engine.config,
        drop_in=drop_in,
        own_drop_in="drop-in-config" in values.given,
        command=source == "command",
        program=program,
        wanted=Wanted(values.text("nvidia-runtime-name"), runtime, default=values.switch("nvidia-set-as-default"),
                      cdi=cdi),
    )


def _show(written: tuple[Written, ...], log: Log) -> int:
    for file in written:
        if file.title:
            log.info(f"{file.title} config:")
        print(file.text)
    return 0


def _write(written: tuple[Written, ...], log: Log) -> None:
    from toolkit.apply.config_file import write_files

    try:
        write_files({file.path: file.text.encode("utf-8", "surrogateescape") or None for file in written})
    except ToolkitError as e:
        raise _within(f"unable to flush config: {_made(e, 'unable to create directory ')}", e) from None
    log.info(f"Wrote updated config to {written[0].path}")


def _write_hook(values: Values, log: Log, mode: str) -> int:
    """The file of the prestart hook, for engines that read such files."""
    log.warning(f'The "{mode}" config-mode is deprecated')
    path = values.text("nvidia-runtime-hook-path")
    if not posixpath.isabs(path):
        raise ConfigError(f'the NVIDIA runtime hook path "{path}" is not an absolute path',
                          source="--nvidia-runtime-hook-path")
    output = values.text("oci-hook-path")
    if not output:
        sys.stdout.write(hook_text(path))
        return 0
    from toolkit.apply.config_file import write_files

    try:
        write_files({output: hook_text(path).encode("utf-8", "surrogateescape")})
    except ToolkitError as e:
        step = _made(e, "error creating hooks directory ") or f"error creating hook file '{output}': "
        raise _within(f"error creating OCI hook: {step}", e) from None
    return 0


def _made(error: ToolkitError, stem: str) -> str:
    """`stem` and the folder, if it is a folder that could not be made."""
    return f"{stem}{error.source}: " if error.message.startswith("mkdir ") else ""


def _within(stem: str, error: ToolkitError) -> ToolkitError:
    return type(error)(stem + error.message, source=error.source, hint=error.hint)


CONFIGURE = Command(
    name="configure",
    usage="Make a container engine know the NVIDIA runtime",
    run=configure,
    flags=(
        Flag("dry-run", "Show what would be written, and write nothing", False),
        Flag("runtime", f"The engine: {', '.join(ENGINES)}", "docker"),
        Flag("config", "The engine's configuration file. Empty: where the engine has it"),
        Flag(
            "drop-in-config",
            "The file for the NVIDIA runtime alone, beside the engine's own. Empty: change the engine's own",
            BY_ENGINE,
        ),
        Flag("executable-path", "The engine's program, which is asked for its configuration"),
        Flag("config-mode", "How the engine is configured: config-file, or the deprecated oci-hook"),
        Flag("config-source", "Where the present configuration comes from: command or file", "file"),
        Flag("oci-hook-path", "The file that oci-hook writes. Empty: standard output"),
        Flag("nvidia-runtime-name", "The name that the runtime gets", "nvidia"),
        Flag("nvidia-runtime-path", "The runtime's program", "nvidia-container-runtime", aliases=("runtime-path",)),
        Flag(
            "nvidia-runtime-hook-path", "The program of the prestart hook", "/usr/bin/nvidia-container-runtime-hook"
        ),
        Flag("nvidia-set-as-default", "Make it the default runtime", False, aliases=("set-as-default",)),
        Flag("cdi.enabled", "Switch on CDI in the engine", False, aliases=("cdi.enable", "enable-cdi")),
    ),
)
COMMAND = Command(name="runtime", usage="Tools for the runtimes of container engines", commands=(CONFIGURE,))
