"""The options of nvidia-ctk-installer, checked and completed, in upstream's order."""

import posixpath
from typing import NamedTuple

from toolkit.cmd.ctk.frame import Values
from toolkit.cmd.ctk.runtime_configure import ENGINES
from toolkit.cmd.installer.flags import BY_ENGINE
from toolkit.errors import ConfigError, HostError, SpecError
from toolkit.gather.artifacts import source_root
from toolkit.log import Log
from toolkit.plan.cdi_names import check_class, check_vendor
from toolkit.plan.engines import Wanted
from toolkit.plan.install_engine import Containerd, runtimes_of

SOCKETS = {"docker": "/var/run/docker.sock", "containerd": "/run/containerd/containerd.sock",
           "crio": "/var/run/crio/crio.sock"}
RESTARTS = {"docker": "signal", "containerd": "signal", "crio": "systemd"}
# Keys of config.toml that are left alone unless somebody chose a value.
CHOSEN = (
    "nvidia-container-runtime.debug",
    "nvidia-container-runtime.log-level",
    "nvidia-container-runtime.mode",
    "nvidia-container-runtime.modes.cdi.annotation-prefixes",
    "nvidia-container-runtime.modes.cdi.default-kind",
    "nvidia-container-runtime.runtimes",
    "nvidia-container-cli.debug",
)


class EngineOptions(NamedTuple):
    """What to do with the engine.  `own_drop_in`: the user named the file; `hook`: CRI-O's hook file, "" for none."""

    name: str
    config: str
    drop_in: str
    own_drop_in: bool
    drop_in_on_host: str
    program: str
    socket: str
    restart: str
    host_root: str
    sources: tuple[str, ...]
    runtimes: tuple[Wanted, ...]
    runtime_name: str
    default: bool
    special: Containerd
    hook: str


class Options(NamedTuple):
    """Everything.  `own_source`: nobody named `source_root`; `engine` None leaves the engine alone."""

    values: Values
    folder: str
    source_root: str
    own_source: bool
    python: str
    pid_file: str
    no_daemon: bool
    nri: bool
    cdi: bool
    vendor: str
    class_: str
    control_nodes: bool
    engine: EngineOptions | None
    engine_name: str
    ignore_errors: bool


def options_of(values: Values, log: Log) -> Options:
    """Raises ConfigError with upstream's texts, HostError for a package type."""
    _check_index(values.text("nri-plugin-index") or "10")
    source = values.text("toolkit-source-root")
    own_source = not source
    if own_source:
        try:
            source = source_root(values.text("toolkit-package-type"))
        except HostError as e:
            raise HostError(f"failed to resolve source root: {e.message}", source=e.source, hint=e.hint) from None
        log.info(f"Resolved source root to {source}")
    if not values.text("toolkit-install-dir"):
        raise ConfigError("the install root must be specified", source="--toolkit-install-dir")
    pid_file = values.text("pid-file")
    if posixpath.basename(pid_file) != "toolkit.pid":
        raise ConfigError(f"invalid toolkit.pid path {pid_file}", source="--pid-file",
                          hint="the file has to be called toolkit.pid")
    nri = values.switch("enable-nri-plugin")
    if nri and not values.text("nri-namespace"):
        raise ConfigError("the NRI namespace must be specified when the NRI plugin is enabled",
                          source="--nri-namespace")
    vendor, class_ = _kind(values.text("cdi-kind"))
    cdi = values.switch("cdi-enabled")
    if cdi and not values.text("cdi-output-dir"):
        log.warning("Skipping CDI spec generation (no output directory specified)")
        cdi = False
    folder = posixpath.normpath(posixpath.join(values.text("toolkit-install-dir"), "toolkit"))
    nodes = _wants_nodes(values, cdi, log)
    engine = _engine(values, folder, cdi, log)
    return Options(
        values=values,
        folder=folder,
        source_root=source,
        own_source=own_source,
        python=values.text("python"),
        pid_file=pid_file,
        no_daemon=values.switch("no-daemon"),
        nri=nri,
        cdi=cdi,
        vendor=vendor,
        class_=class_,
        control_nodes=nodes,
        engine=None if nri or values.switch("no-runtime-config") else engine,
        engine_name=engine.name,
        ignore_errors=values.switch("ignore-errors"),
    )


def _check_index(text: str) -> None:
    if not (text.isascii() and text.isdigit()):
        cause = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        raise ConfigError(f'invalid value "{text}" for flag -nri-plugin-index: {cause}', source="--nri-plugin-index",
                          hint="a number from 0 to 99")
    if int(text) > 99:
        raise ConfigError("nri-plugin-index must be in the range [0,99]", source="--nri-plugin-index")


def _kind(kind: str) -> tuple[str, str]:
    vendor, slash, class_ = kind.partition("/")
    vendor, class_ = (vendor, class_) if slash else ("", kind)
    for check, name, what in ((check_vendor, vendor, "vendor"), (check_class, class_, "class")):
        try:
            check(name)
        except SpecError as e:
            raise ConfigError(f"invalid CDI {what} name: {e.message}", source="--cdi-kind",
                              hint="write VENDOR/CLASS") from None
    return vendor, class_


def _wants_nodes(values: Values, cdi: bool, log: Log) -> bool:
    for mode in values.items("create-device-nodes"):
        if mode not in ("", "none", "control"):
            raise ConfigError(f"invalid --create-device-nodes value: {mode}", source="--create-device-nodes",
                              hint="control or none")
        if mode in ("", "none"):
            return False
    if not cdi:
        log.info("disabling device node creation since --cdi-enabled=false")
    return cdi


def _engine(values: Values, folder: str, cdi: bool, log: Log) -> EngineOptions:
    name = values.text("runtime")
    if name not in ENGINES:
        raise ConfigError(f'invalid runtime "{name}"; expected one of [containerd | crio | docker]',
                          source="--runtime")
    runtime_name, program, drop_in = (values.text(each) for each in ("runtime-name", "executable-path",
                                                                      "drop-in-config"))
    sources = values.items("config-source")
    if name == "docker":
        if program:
            log.warning(f'Ignoring executable-path="{program}" flag for {runtime_name}')
        if drop_in not in ("", BY_ENGINE):
            log.warning(f'Ignoring drop-in-config="{drop_in}" flag for {runtime_name}')
        program, drop_in, sources = "", "", ("file",)
    mode = values.text("config-mode")
    if name == "crio" and mode not in ("config", "hook"):
        raise ConfigError(f'invalid cri-o config: invalid cri-o config mode: "{mode}"', source="--config-mode",
                          hint="config or hook")
    hook = name == "crio" and mode == "hook"
    if hook:
        log.warning(f'The "{mode}" config for cri-o is deprecated')
    default = values.switch("set-as-default")
    cdi = values.switch("enable-cdi-in-runtime") if "enable-cdi-in-runtime" in values.given else cdi
    prefixes = values.items("nvidia-container-runtime-modes.cdi.annotation-prefixes")
    return EngineOptions(
        name=name,
        config=_chosen(values.text("config"), ENGINES[name].config),
        drop_in=_chosen(drop_in, ENGINES[name].drop_in),
        own_drop_in=drop_in not in ("", BY_ENGINE),
        drop_in_on_host=values.text("drop-in-config-host-path"),
        program=program,
        socket=_chosen(values.text("socket"), SOCKETS[name]),
        restart=_chosen(values.text("restart-mode"), RESTARTS[name]),
        host_root=values.text("host-root"),
        sources=sources,
        runtimes=runtimes_of(folder, runtime_name, default=default, cdi=cdi),
        runtime_name=runtime_name,
        default=default,
        special=Containerd(values.text("runtime-type"), tuple(f"{prefix}*" for prefix in prefixes),
                           values.switch("use-legacy-config")),
        hook=posixpath.join(values.text("hooks-dir"), values.text("hook-filename")) if hook else "",
    )


def _chosen(given: str, default: str) -> str:
    return default if given == BY_ENGINE else given


def chosen_of(values: Values) -> tuple[tuple[str, str | tuple[str, ...]], ...]:
    """The optional keys of config.toml that somebody chose, with their values."""
    found = []
    for key in CHOSEN:
        value = values.flags[key]
        if key in values.given and value and not isinstance(value, bool):
            found.append((key, value))
    return tuple(found)
