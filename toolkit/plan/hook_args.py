"""Container, Config → the command line of nvidia-container-cli.

Source: toolkit v1.20, cmd/nvidia-container-runtime-hook.
"""

from collections.abc import Mapping
from typing import Any

from toolkit.errors import ConfigError, RequestError, SpecError, ToolkitError
from toolkit.model.config import Config
from toolkit.model.request import DEFAULT_CAPABILITIES, SUPPORTED_CAPABILITIES, Request
from toolkit.plan.oci_codec import checked
from toolkit.plan.request import Image

CAPABILITIES = "NVIDIA_DRIVER_CAPABILITIES"
COMPAT_MODES = {"ldconfig": "ldconfig", "mount": "mount", "disabled": "disabled", "hook": "disabled"}

def is_privileged(version: str, capabilities: Any) -> bool:
    """Whether a container of this ociVersion may do what CAP_SYS_ADMIN allows.

    Before 1.0.0-rc5 the capabilities were a list.  Raises SpecError for a value of another shape.
    """
    if capabilities is None:
        return False
    stem = "could not decode Process.Capabilities in OCI spec: "
    if version.startswith("1.0.0-") and _has_list(version):
        if not isinstance(capabilities, list) or not all(isinstance(name, str) for name in capabilities):
            kind = "array" if isinstance(capabilities, list) else "object"
            raise SpecError(f"{stem}json: cannot unmarshal {kind} into Go value of type []string",
                            source="process.capabilities")
        return "CAP_SYS_ADMIN" in capabilities
    try:
        sets = checked(capabilities, "LinuxCapabilities", allow_unknown=True)
    except SpecError as e:
        raise SpecError(stem + e.message, source="process.capabilities") from e
    return "CAP_SYS_ADMIN" in sets.get("bounding", [])


def supported_capabilities(value: str) -> tuple[str, ...]:
    """The value of `supported-driver-capabilities`.  Raises ConfigError for a name that does not exist.

    Upstream means to say the same, but crashes on the way and exits with 1 and no message.
    """
    if value == "all":
        return SUPPORTED_CAPABILITIES
    names = _names(value)
    if not names <= set(SUPPORTED_CAPABILITIES):
        raise ConfigError(
            f"Invalid value for config option 'supported-driver-capabilities'; {value} "
            f"(supported: {','.join(SUPPORTED_CAPABILITIES)})", source="supported-driver-capabilities")
    return tuple(sorted(names))


def capabilities_of(image: Image, supported: tuple[str, ...]) -> tuple[str, ...]:
    """The driver capabilities of a container, sorted.  Raises RequestError for one that is not supported."""
    value, allowed = image.env.get(CAPABILITIES), set(supported)
    if value is None and image.legacy:
        return tuple(sorted(allowed))
    if not value:
        return tuple(sorted(allowed & set(DEFAULT_CAPABILITIES)))
    asked = _names(value)
    if "all" in asked:
        return tuple(sorted(allowed))
    if not asked <= allowed:
        wanted, granted = ",".join(sorted(asked)), ",".join(sorted(asked & allowed))
        raise RequestError(f"unsupported capabilities found in '{wanted}' (allowed '{granted}')",
                           source=CAPABILITIES, hint=f"supported here: {','.join(sorted(allowed))}")
    return tuple(sorted(asked))


def mig_flags(image: Image) -> tuple[str, ...]:
    """The MIG rights that a privileged container asks for.  Raises RequestError for one that is not privileged."""
    flags = []
    for variable, flag in (("MIG_CONFIG_DEVICES", "--mig-config"), ("MIG_MONITOR_DEVICES", "--mig-monitor")):
        value = image.env.get(f"NVIDIA_{variable}")
        if value and not image.privileged:
            raise RequestError(f"cannot set {variable} in non privileged container", source=f"NVIDIA_{variable}",
                               hint="run the container with CAP_SYS_ADMIN, e.g. docker run --privileged")
        if value:
            flags.append(f"{flag}={value}")
    return tuple(flags)


def cli_args(
    request: Request, config: Config, *, capabilities: tuple[str, ...], mig: tuple[str, ...], ldconfig: str, pid: int,
    rootfs: str, debug: bool
) -> tuple[str, ...]:
    """The arguments of nvidia-container-cli after its name, in upstream's order.

    `ldconfig` is the normalised value; `debug` sends the cli's log to stderr instead of the configured file.
    """
    cli = config.nvidia_container_cli
    log = "/dev/stderr" if debug else cli.debug
    flags = (
        (cli.root != "", f"--root={cli.root}"),
        (cli.load_kmods, "--load-kmods"),
        (config.features.disable_imex_channel_creation, "--no-create-imex-channels"),
        (cli.no_pivot, "--no-pivot"),
        (log != "", f"--debug={log}"),
        (cli.ldcache != "", f"--ldcache={cli.ldcache}"),
        (cli.user != "", f"--user={cli.user}"),
        (True, "configure"),
        *_compat_flag(config),
        (ldconfig != "", f"--ldconfig={ldconfig}"),
        (cli.no_cgroups, "--no-cgroups"),
        (any(request.devices), f"--device={','.join(request.devices)}"),
        *((True, flag) for flag in mig),
        (any(request.imex_channels), f"--imex-channel={','.join(request.imex_channels)}"),
        *((True, f"--{name}") for name in capabilities),
        *((True, f"--require={text}") for text in request.requirements),
        (True, f"--pid={pid % 2**64}"),  # unsigned
        (True, rootfs),
    )
    return tuple(flag for wanted, flag in flags if wanted)


def cli_environment(config: Config, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of nvidia-container-cli: that of the hook, and the entries of the configuration.

    Upstream appends the entries, so of two equal names a program sees the hook's own: it wins here too.
    """
    entries = (entry.partition("=") for entry in config.nvidia_container_cli.environment)
    return {**{name: value for name, equals, value in entries if name and equals}, **environment}


def check_mode(mode: str) -> None:
    """Raises RequestError unless the mode is `legacy`: the other modes do not need this hook."""
    if mode != "legacy":
        raise RequestError(
            "invoking the NVIDIA Container Runtime Hook directly (e.g. specifying the docker --gpus flag) is not "
            "supported. Please use the NVIDIA Container Runtime (e.g. specify the --runtime=nvidia flag) instead",
            source="nvidia-container-runtime.mode")


def within(stem: str, error: ToolkitError) -> ToolkitError:
    """The same error with a step's name before its message."""
    return type(error)(stem + error.message, source=error.source, hint=error.hint)


def _compat_flag(config: Config) -> tuple[tuple[bool, str], ...]:
    mode = config.nvidia_container_runtime.modes.legacy.cuda_compat_mode
    if mode in COMPAT_MODES:
        return ((True, f"--cuda-compat-mode={COMPAT_MODES[mode]}"),)
    return () if config.features.allow_cuda_compat_libs_from_container else ((True, "--cuda-compat-mode=disabled"),)


def _names(value: str) -> set[str]:
    return {name.strip() for name in value.split(",")} - {""}


def _has_list(version: str) -> bool:
    """Whether the specification of this version had a list of capabilities: from 1.0.0-rc1 to before 1.0.0-rc5."""
    from toolkit.plan.semver import NONE, version_of  # 1 ms; engines of 2017 alone wrote such a version

    first, behind = version_of("1.0.0-rc1"), version_of("1.0.0-rc5")
    return (first or NONE) <= (version_of(version) or NONE) < (behind or NONE)
