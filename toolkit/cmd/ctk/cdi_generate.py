"""nvidia-ctk cdi generate: the CDI specification of this machine.  Source: toolkit v1.20, cmd/nvidia-ctk/cdi."""

import os
from collections.abc import Mapping
from posixpath import splitext
from typing import NamedTuple

from toolkit.cmd.ctk.cdi_write import write_spec
from toolkit.cmd.ctk.frame import Command, Flag, Values
from toolkit.cmd.ctk.logs import log_of
from toolkit.errors import ConfigError, SpecError, ToolkitError
from toolkit.log import Log
from toolkit.model.cdi import Spec

CSV_FILES = tuple(
    f"/etc/nvidia-container-runtime/host-files-for-container.d/{name}.csv" for name in ("devices", "drivers", "l4t")
)
FORMATS = ("json", "yaml")


class Settings(NamedTuple):
    """The flags, checked and completed."""

    mode: str
    vendor: str
    class_: str
    ids: tuple[str, ...]
    naming: tuple[str, ...]
    hook_path: str
    output: str
    format: str
    all_device: bool
    driver_root: str
    dev_root: str


def generate(values: Values) -> int:
    """Reads the machine, plans its specification, and writes it; on failure nothing is written."""
    from toolkit.gather.host import NO_SANDBOXUTILS, CsvSources, read_host
    from toolkit.plan.device_names import COHERENT
    from toolkit.plan.generate import Options, plan_spec, with_features
    from toolkit.plan.transform import split_by_coherence, with_merged_device

    log = log_of(values)
    settings = _settings(values, os.environ, log)
    host = read_host(
        driver_root=settings.driver_root or "/",
        dev_root=settings.dev_root,
        want=(settings.mode,),
        library_search_paths=values.items("library-search-path"),
        config_search_paths=values.items("config-search-path"),
        csv=CsvSources(files=values.items("csv.file"), ignore=values.items("csv.ignore-pattern")),
        sandboxutils=not set(NO_SANDBOXUTILS) & set(values.items("feature-flag")),
    )
    _warn(log, host.notes)
    options = Options(
        naming=settings.naming,
        feature_flags=values.items("feature-flag"),
        disabled_hooks=values.items("disable-hook"),
        enabled_hooks=values.items("enable-hook"),
        ldconfig_path=values.text("ldconfig-path"),
        compat_folder=values.text("csv.compat-container-root"),
    )
    try:
        spec, notes = plan_spec(
            host,
            ids=settings.ids,
            mode=settings.mode,
            vendor=settings.vendor,
            class_=settings.class_,
            hook_path=settings.hook_path,
            options=options,
        )
    except ToolkitError as e:
        raise type(e)(f"failed to generate CDI spec: {e.message}", source=e.source, hint=e.hint) from None
    _warn(log, notes)
    for infix, part in split_by_coherence(spec, COHERENT):
        part = with_merged_device(part, "all" if settings.all_device else "")
        _write(with_features(part, options.feature_flags), infix, settings, log)
    return 0


def _warn(log: Log, notes: tuple[str, ...]) -> None:
    for note in notes:
        log.warning(note)


def _write(spec: Spec, infix: str, settings: Settings, log: Log) -> None:
    """One specification, with the lowest version that will do; an infix goes before the ending of the file's name."""
    from toolkit.plan.transform import minimum_version

    spec = spec._replace(version=minimum_version(spec))
    log.info(f"Generated CDI spec with version {spec.version}")
    path = settings.output
    if path and infix:
        stem, extension = splitext(path)
        path = f"{stem}.{infix}{extension}"
    write_spec(spec, path, settings.format)


def _settings(values: Values, env: Mapping[str, str], log: Log) -> Settings:
    """The flags in upstream's order of checks.  Raises ConfigError with its texts."""
    from toolkit.plan.device_names import NAMING
    from toolkit.plan.generate import MODES

    format_, mode = values.text("format").lower(), values.text("mode").lower()
    if format_ not in FORMATS:
        raise ConfigError(f"invalid output format: {format_}", source="--format", hint=f"one of {', '.join(FORMATS)}")
    if mode not in MODES:
        raise ConfigError(f"invalid discovery mode: {mode}", source="--mode", hint=f"one of {', '.join(MODES)}")
    naming = values.items("device-name-strategy")
    for strategy in naming:
        if strategy not in NAMING:
            raise ConfigError(
                f"invalid device name strategy: {strategy}",
                source="--device-name-strategy",
                hint=f"one of {', '.join(NAMING)}",
            )
    hook_path = _hook_path(values.text("nvidia-cdi-hook-path"), env, log)
    format_ = _inferred_format(values, format_, log)
    _check_names(values.text("vendor"), values.text("class"))
    if "all" in values.items("enable-hook"):
        raise ConfigError("enabling all hooks is not supported", source="--enable-hook", hint="name the hooks")
    all_device = not values.switch("no-all-device")
    if all_device and "none" in values.items("device-id"):
        log.warning("Disabling generation of 'all' device")
        all_device = False
    return Settings(
        mode=mode,
        vendor=values.text("vendor"),
        class_=values.text("class"),
        ids=values.items("device-id"),
        naming=naming,
        hook_path=hook_path,
        output=values.text("output"),
        format=format_,
        all_device=all_device,
        driver_root=_driver_root(values, env),
        dev_root=values.text("dev-root"),
    )


def _hook_path(given: str, env: Mapping[str, str], log: Log) -> str:
    from toolkit.gather.locate import find_hook

    path, warning = find_hook(given, env)
    if warning:
        log.warning(warning)
    return path


def _inferred_format(values: Values, format_: str, log: Log) -> str:
    """The format that the name of the output implies, unless one was asked for."""
    implied = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}.get(splitext(values.text("output"))[1].lower(), "")
    if not implied or implied == format_:
        return format_
    if "format" not in values.given:
        return implied
    log.warning(f'Requested output format "{format_}" does not match format implied by output file name: "{implied}"')
    return format_


def _check_names(vendor: str, class_: str) -> None:
    from toolkit.plan.cdi_names import check_class, check_vendor

    for check, name, what in ((check_vendor, vendor, "vendor"), (check_class, class_, "class")):
        try:
            check(name)
        except SpecError as e:
            raise ConfigError(f"invalid CDI {what} name: {e.message}", source=f"--{what}") from None


def _driver_root(values: Values, env: Mapping[str, str]) -> str:
    """--driver-root, else its variable, else the key of config.toml if the file has it; an unusable file has not."""
    from toolkit.gather.config import read_unvalidated

    if "driver-root" in values.given:
        return values.text("driver-root")
    try:
        read = read_unvalidated(values.text("config"), environment=env)
    except ConfigError:
        return ""
    return read.config.nvidia_container_cli.root


def _env(name: str) -> tuple[str, ...]:
    return (f"NVIDIA_CTK_CDI_GENERATE_{name}",)


GENERATE = Command(
    name="generate",
    usage="Describe this host's devices in a CDI specification",
    run=generate,
    flags=(
        Flag(
            "config-search-path",
            "A folder to search for configuration files of the driver, instead of the usual ones",
            (),
            env=_env("CONFIG_SEARCH_PATHS"),
        ),
        Flag(
            "output",
            "The file to write; its ending decides the format. Empty: standard output",
            env=("NVIDIA_CTK_CDI_OUTPUT_FILE_PATH",),
        ),
        Flag("format", "The output format: json or yaml", "yaml", env=_env("OUTPUT_FORMAT")),
        Flag(
            "mode",
            "How devices are discovered: auto, csv, gdrcopy, gds, imex, management, mofed, nvml, nvswitch or wsl",
            "auto",
            aliases=("discovery-mode",),
            env=_env("MODE"),
        ),
        Flag("dev-root", "Where /dev of the driver lies. Empty: the driver root", env=("NVIDIA_CTK_DEV_ROOT",)),
        Flag(
            "device-name-strategy",
            "How devices are named: index, uuid or type-index; several give each device several names",
            ("index", "uuid"),
            env=_env("DEVICE_NAME_STRATEGIES"),
        ),
        Flag("driver-root", "Where the driver's files lie. Empty: /", env=("NVIDIA_CTK_DRIVER_ROOT",)),
        Flag(
            "library-search-path",
            "A folder to search for the driver's libraries, instead of the usual ones",
            (),
            env=_env("LIBRARY_SEARCH_PATHS"),
        ),
        Flag(
            "nvidia-cdi-hook-path",
            "The program of the hooks. Empty: nvidia-cdi-hook on PATH, else /usr/bin/nvidia-cdi-hook",
            aliases=("nvidia-ctk-path",),
            env=("NVIDIA_CTK_CDI_HOOK_PATH",),
        ),
        Flag("ldconfig-path", "The ldconfig that the update-ldcache hook runs", env=_env("LDCONFIG_PATH")),
        Flag("vendor", "The vendor of the CDI kind", "nvidia.com", aliases=("cdi-vendor",), env=_env("VENDOR")),
        Flag("class", "The class of the CDI kind", "gpu", aliases=("cdi-class",), env=_env("CLASS")),
        Flag("csv.file", "A file that lists what to mount, in csv mode", CSV_FILES, env=_env("CSV_FILES")),
        Flag("csv.ignore-pattern", "What to leave out in csv mode", (), env=_env("CSV_IGNORE_PATTERNS")),
        Flag(
            "csv.compat-container-root",
            "The folder of the CUDA compatibility libraries in the container, in csv mode",
            env=_env("CSV_CONTAINER_COMPAT_ROOT"),
        ),
        Flag(
            "disable-hook",
            "A hook to leave out; all for every hook that is not enabled by name",
            (),
            aliases=("disable-hooks",),
            env=_env("DISABLED_HOOKS"),
        ),
        Flag(
            "enable-hook",
            "A hook to include although it is off by default",
            (),
            aliases=("enable-hooks",),
            env=_env("ENABLED_HOOKS"),
        ),
        Flag("feature-flag", "A feature to switch on", (), aliases=("feature-flags",), env=_env("FEATURE_FLAGS")),
        Flag("no-all-device", "Do not add a device that stands for all devices", False, env=_env("NO_ALL_DEVICE")),
        Flag(
            "device-id",
            "A device to include: an index, a UUID, GPU:MIG, all or none",
            ("all",),
            aliases=("device-ids", "device", "devices"),
            env=_env("DEVICE_IDS"),
        ),
    ),
)
