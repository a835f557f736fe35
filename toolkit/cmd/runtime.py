"""nvidia-container-runtime, .cdi and .legacy: edits the bundle at `create`, then becomes the low-level runtime.

Runs at every verb of every container.  All but `create` need next to nothing, so what `create` needs is imported
there, and config.toml is read in its plain form where it has that (`gather/quick_config.py`).
Source: toolkit v1.20, internal/runtime, internal/oci.
"""

import os
import sys

from toolkit import log as logs
from toolkit.apply import lowlevel
from toolkit.cmd.runtime_args import LogFlags, bundle_of, has_create, log_flags
from toolkit.errors import ToolkitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from toolkit.model.config import Config

NAME = "nvidia-container-runtime"
OCI_VERSION = "1.3.0"  # of the specification whose fields are known
RUNTIMES = ("runc", "crun")


def main(argv: list[str]) -> int:
    """Returns only on failure: else this process becomes the low-level runtime."""
    flags = log_flags(argv)
    if flags.version:
        _print_version()
    log = logs.Log()
    try:
        config, runtimes = _config(flags)
        log = _log(config, flags)
        _become(argv, config, runtimes, flags, log)
    except ToolkitError as e:
        return _failed(e, log)
    return 0


def edited(spec: "dict[str, Any]", config: "Config", *, root: str = "/") -> "tuple[dict[str, Any], tuple[str, ...]]":
    """What `create` makes of an OCI spec on the machine whose file system is at `root`, and what it logs by default.

    The result is what config.json would hold.  Reads the machine, writes nothing, leaves `spec` alone.  Raises
    ToolkitError where `create` would fail.
    """
    from toolkit.cmd.runtime_create import edited_spec
    from toolkit.plan.oci_codec import ordered

    notes = logs.Notes()
    result = ordered(edited_spec(spec, config, notes, root=root))
    return result, tuple(message for level, message in notes.lines if level not in ("debug", "trace"))


class _Settings:
    """The part of the configuration that every verb needs; `full` is the whole where it has been read."""

    def __init__(self, debug: str, log_level: str, full: "Config | None") -> None:
        self.debug, self.log_level, self.full = debug, log_level, full


def _config(flags: LogFlags) -> tuple[_Settings, tuple[str, ...]]:
    """The settings and the candidates for the low-level runtime.  Raises ToolkitError "error loading config: …"."""
    from toolkit.gather import quick_config

    environment = os.environ
    path = environment.get("NVIDIA_CTK_CONFIG_FILE_PATH") or (
        environment["XDG_CONFIG_HOME"] + "/nvidia-container-runtime/config.toml"
        if environment.get("XDG_CONFIG_HOME")
        else quick_config.DEFAULT_PATH
    )
    values = quick_config.read_quickly(path)
    if values is None:
        full = _full_config()
        runtime = full.nvidia_container_runtime
        return _Settings(runtime.debug, runtime.log_level, full), runtime.runtimes
    runtimes = values.get((NAME, "runtimes"), RUNTIMES)
    debug, level = values.get((NAME, "debug"), "/dev/null"), values.get((NAME, "log-level"), "info")
    assert isinstance(runtimes, tuple)
    return _Settings(str(debug), str(level), None), runtimes


def _full_config() -> "Config":
    from toolkit.gather.config import read_config

    try:
        return read_config().config
    except ToolkitError as e:
        raise type(e)(f"error loading config: {e.message}", source=e.source, hint=e.hint) from e


def _log(settings: _Settings, flags: LogFlags) -> logs.Log:
    """The log that config.toml and runc's flags ask for; opens its files."""
    level = "debug" if flags.debug else logs.level_of(settings.log_level)
    paths = () if flags.version else (settings.debug, flags.file)
    files, warnings = logs.open_files(paths)
    log = logs.Log(*files, level=level or "info", json=flags.json)
    for warning in warnings:
        log.warning(warning)
    if not level:
        log.warning(f"Error getting log level: invalid log-level '{settings.log_level}'")
    return log


def _become(
    argv: list[str], settings: _Settings, runtimes: tuple[str, ...], flags: LogFlags, log: logs.Log
) -> None:
    """Edits the bundle if this is `create`, then executes the low-level runtime with the same arguments."""
    log.trace(f"Command line arguments: [{' '.join(argv)}]")
    path = lowlevel.find_runtime(runtimes, os.environ.get("PATH", ""))
    log.trace(f"Using low-level runtime {path}")
    if has_create(argv):
        _create(argv, settings, log)
        log.debug(f"Forwarding command to runtime {path}")
    else:
        log.trace("Skipping modifier for non-create subcommand")
    if flags.version:
        print(flush=True)
    lowlevel.execute(path, [path, *argv[1:]], lowlevel.given_environment())


def _create(argv: list[str], settings: _Settings, log: logs.Log) -> None:
    from toolkit.cmd import runtime_create

    try:
        bundle = bundle_of(argv)
    except ToolkitError as e:
        raise type(e)("failed to create NVIDIA Container Runtime: error constructing OCI specification: error getting "
                      f"bundle directory: error getting bundle dir from args: {e.message}",
                      source=e.source, hint=e.hint) from e
    config = settings.full or _full_config()
    runtime_create.edit_bundle(bundle, _with_forced_mode(config, argv[0]), log)


def _with_forced_mode(config: "Config", program: str) -> "Config":
    """The configuration as the name of the binary overrides it."""
    suffix = os.path.basename(program).removeprefix(NAME)
    if suffix not in (".cdi", ".legacy"):
        return config
    runtime = config.nvidia_container_runtime._replace(mode=suffix[1:])
    return config._replace(nvidia_container_runtime=runtime)


def _print_version() -> None:
    from toolkit import __version__

    print(f"NVIDIA Container Runtime version {__version__}\nspec: {OCI_VERSION}", flush=True)


def _failed(error: ToolkitError, log: logs.Log) -> int:
    """Says what failed in the log, which the engine shows, and on stderr; where to look and what to do after it."""
    log.error(error.message)
    os.write(2, logs.line("error", error.message))
    advice = ": ".join(part for part in (error.source, error.hint) if part)
    if advice:
        log.info(advice)
        os.write(2, logs.line("info", advice))
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
