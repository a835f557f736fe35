"""nvidia-ctk-installer: the toolkit's programs in a folder of the host, known to its engine, until a signal comes.

Everything is decided before anything is written; then the folder, the CDI specification and the engine's configuration
change together or not at all.  Source: toolkit v1.20, cmd/nvidia-ctk-installer.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from toolkit import __version__
from toolkit.apply.config_file import write_files
from toolkit.apply.engine_restart import restart_service, signal_engine
from toolkit.apply.install import Place
from toolkit.apply.pidfile import only_one
from toolkit.cmd.ctk.frame import Command, Values, run
from toolkit.cmd.installer import engine as engines
from toolkit.cmd.installer import programs
from toolkit.cmd.installer.engine import Engine, File
from toolkit.cmd.installer.flags import FLAGS
from toolkit.cmd.installer.options import EngineOptions, Options, options_of
from toolkit.errors import ConfigError, ToolkitError
from toolkit.log import Log

NAME = "nvidia-ctk-installer"
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTERM)


class Stopped(BaseException):
    """A signal came before everything was set up."""


def main(argv: list[str]) -> int:
    """argv[0] is the program's name.  The configuration is on stdout, everything else on stderr."""
    log = Log(2)
    command = Command(NAME, "Install the NVIDIA Container Toolkit on a host and make its engine know it", FLAGS,
                      run=_install)
    log.info(f"Starting {NAME}")
    try:
        code = run(command, argv[1:], os.environ, version=__version__)
    except Stopped:
        return 0
    except ToolkitError as e:
        sys.stdout.flush()
        log.error(f"error running {NAME}: {e.message}")
        if e.hint:
            log.info(f"{e.source}: {e.hint}" if e.source else e.hint)
        return 1
    log.info(f"Completed {NAME}")
    return code


def _install(values: Values) -> int:
    log = Log(2, level="debug" if values.switch("debug") else "info")
    options = options_of(values, log)
    log.info("Initializing")
    with _stoppable(log), only_one(options.pid_file, log):
        return _set_up(options, log)


def _set_up(options: Options, log: Log) -> int:
    """From reading to the end of the wait."""
    engine = _read_engine(options, log)
    with _stem("unable to install toolkit: "):
        runtimes = _low_level(options, engine, log)
        sources = programs.read_sources(options, log)
        parts, config = programs.plan_folder(options, sources, runtimes)
        spec = _specification(options, log)
    files: tuple[File, ...] = ()
    if engine:
        with _stem(f"unable to setup runtime: unable to configure {engines.SHOWN[engine.options.name]}: "):
            files = engines.plan_files(engine, log)
        with _stem("unable to setup runtime: "):
            _check_restart(engine.options)
    place = Place(options.folder)
    log.info(f"Installing NVIDIA container toolkit to '{options.folder}'")
    try:
        with _stem("unable to install toolkit: could not install toolkit components: "):
            place.build(parts)
        with _undisturbed():
            _write(place, spec, files)
    except BaseException:
        place.undo()
        raise
    print(f"Using config:\n{config}", end="", flush=True)
    if engine:
        with _stem("unable to setup runtime: "):
            _restart(engine.options, log)
        log.info(f"Completed 'setup' for {NAME}")
    if options.no_daemon:
        return 0
    if options.nri:
        with _stem("unable to start NRI plugin server: "):
            _serve_nri(options, log)
        return 0
    _wait(log)
    if engine:
        with _stem("unable to cleanup runtime: "):
            _clean_up(engine.options, files, log)
    return 0


def _read_engine(options: Options, log: Log) -> Engine | None:
    if not options.engine:
        return None
    stem = f"unable to determine runtime options: unable to load {options.engine.name} config: "
    if options.values.items("nvidia-container-runtime.runtimes"):
        stem = "unable to setup runtime: unable to load config: "
    with _stem(stem):
        return engines.read_engine(options.engine, log)


def _low_level(options: Options, engine: Engine | None, log: Log) -> tuple[str, ...]:
    """The low-level runtimes of the toolkit: those given, else with NRI those of the installation that is there, else
    the engine's before runc and crun."""
    given = options.values.items("nvidia-container-runtime.runtimes")
    if options.nri:
        from toolkit.gather.config import read_config
        from toolkit.model.install import CONFIG

        try:
            read = read_config(os.path.join(options.folder, CONFIG), required=True)
            return read.config.nvidia_container_runtime.runtimes
        except ToolkitError as e:
            log.warning("failed to get installed toolkit config: error loading installed toolkit config file: "
                        f"{e.message}")
            return given
    return given or (*(engine.low_level if engine else ()), "runc", "crun")


def _specification(options: Options, log: Log) -> tuple[str, bytes] | None:
    """Makes the device nodes, which it has to list, then plans the CDI specification; None if there is none."""
    if not options.cdi:
        return None
    try:
        if options.control_nodes:
            programs.make_control_nodes(options, log)
    except ToolkitError as e:
        if not options.ignore_errors:
            raise
        log.error(f"Ignoring error: {e.message}")
    try:
        return programs.management_spec(options, log)
    except ToolkitError as e:
        if not options.ignore_errors:
            raise
        log.error(f"Ignoring error: {e.message}")
        return None


def _write(place: Place, spec: tuple[str, bytes] | None, files: tuple[File, ...]) -> None:
    """The folder, the specification and the engine's files: all of them, or the old ones.  Raises ToolkitError."""
    contents: dict[str, bytes | None] = {spec[0]: spec[1]} if spec else {}
    for file in files:
        contents[file.path] = file.text.encode("utf-8", "surrogateescape") or None
    with _stem("unable to install toolkit: could not install toolkit components: "):
        place.put()
    try:
        write_files(contents)
    except ToolkitError as e:
        stem = "unable to setup runtime: unable to flush config: "
        if spec and e.source in (spec[0], os.path.dirname(spec[0])):
            stem = ("unable to install toolkit: error generating CDI specification: failed to save CDI spec for "
                    "management containers: ")
        raise _within(stem, e) from None
    place.keep()


def _check_restart(options: EngineOptions) -> None:
    """Raises ConfigError for a way to restart that the engine does not have."""
    with _stem(f"unable to restart {options.name}: "):
        if options.restart not in ("none", "signal", "systemd"):
            raise ConfigError(f"invalid restart mode specified: {options.restart}", source="--restart-mode",
                              hint="signal, systemd or none")
        if (options.name, options.restart) == ("crio", "signal") and not options.hook:
            raise ConfigError("supporting crio via signal is unsupported", source="--restart-mode", hint="use systemd")


def _restart(options: EngineOptions, log: Log) -> None:
    """Makes the engine read its configuration, in the way that was chosen.  Raises ApplyError."""
    if options.hook:  # CRI-O watches the folder of hooks
        return
    mode, name = options.restart, options.name
    with _stem(f"unable to restart {name}: "):
        if mode == "none":
            log.warning(f"Skipping restart of {name} due to --restart-mode={mode}")
        elif mode == "systemd":
            restart_service(name, options.host_root, log)
        else:
            import time

            signal_engine(name, options.socket, log, time.sleep)


def _clean_up(options: EngineOptions, files: tuple[File, ...], log: Log) -> None:
    log.info(f"Starting 'cleanup' for {NAME}")
    contents = engines.clean_files(options, files)
    with _undisturbed(), _stem("unable to flush config: "):
        write_files(contents)
    if options.name != "crio" or options.default:
        _restart(options, log)
    log.info(f"Completed 'cleanup' for {NAME}")


@contextmanager
def _stoppable(log: Log) -> Iterator[None]:
    """Until the wait a signal ends the program at once, with everything as it was or as it shall be."""
    def stop(_number: int, _frame: FrameType | None) -> None:
        log.info("Signal received, exiting early")
        raise Stopped

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals wait while files change together."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(log: Log) -> None:
    """Until one of the signals comes."""
    with _undisturbed():  # from here on a signal starts the clean-up
        log.info("Waiting for signal")
        signal.sigwait(SIGNALS)


def _serve_nri(options: Options, log: Log) -> None:
    """Gives containers their CDI devices until one of the signals comes."""
    import time

    from toolkit.cmd.installer import nri

    values = options.values
    log.info("Starting the NRI Plugin server....")
    plugin = nri.Plugin(values.text("nri-socket"), NAME, int(values.text("nri-plugin-index") or "10"),
                        (values.text("nri-namespace"), *values.items("nri-management-cdi-device-namespaces")))
    with _until_signal() as ready:
        nri.serve(plugin, log, lambda: ready(log), time.sleep)


class _Ended(BaseException):
    """One of the signals came during the wait for them."""


@contextmanager
def _until_signal() -> Iterator[Callable[[Log], None]]:
    """Ends its block at a signal, after `ready` was called; before that the signal ends the program, as elsewhere."""
    def end(_number: int, _frame: FrameType | None) -> None:
        raise _Ended

    def ready(log: Log) -> None:
        for number in SIGNALS:
            signal.signal(number, end)
        log.info("Waiting for signal")

    try:
        yield ready
    except _Ended:
        pass


@contextmanager
def _stem(stem: str) -> Iterator[None]:
    """Puts a step's words in front of the message of its failure."""
    try:
        yield
    except ToolkitError as e:
        raise _within(stem, e) from None


def _within(stem: str, error: ToolkitError) -> ToolkitError:
    return type(error)(stem + error.message, source=error.source, hint=error.hint)
