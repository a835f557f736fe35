"""Host, Config, Request → the sets of edits of one container, by mode.

Source: toolkit v1.20, internal/modifier/cdi.go, csv.go and gated.go; internal/runtime/runtime_factory.go.
"""

from typing import NamedTuple

from toolkit.errors import ConfigError, ToolkitError
from toolkit.model.config import Config
from toolkit.model.edits import Edits
from toolkit.model.host import Host
from toolkit.model.request import Request
from toolkit.plan.device_nodes import found, node_edits
from toolkit.plan.generate import Options, plan_spec

VENDOR = "runtime.nvidia.com"


class EditSet(NamedTuple):
    """Edits that are applied together.  `stem` goes before the message of an error met while applying them."""

    edits: Edits
    stem: str = ""


class Wanted(NamedTuple):
    """One specification to generate: a generator mode, and the ids in it; none means all."""

    mode: str
    ids: tuple[str, ...] = ()


def wanted_of(request: Request, ids: tuple[str, ...]) -> tuple[Wanted, ...]:
    """What jit-cdi generates: the devices `ids`, then what environment variables open up, then IMEX channels.

    NVIDIA_IMEX_CHANNELS=none asks for no channel.  (Upstream drops its empty id, and no id means every channel.)
    """
    channels = tuple(channel for channel in request.imex_channels if channel)
    return (
        Wanted("auto", ids),
        *(Wanted(mode) for mode in request.gated_modes),
        *((Wanted("imex", channels),) if channels else ()),
    )


def plan_generated(
    host: Host, wanted: tuple[Wanted, ...], config: Config, *, hook_path: str
) -> tuple[tuple[EditSet, ...], tuple[str, ...]]:
    """The sets of edits of specifications generated in memory, and warnings.

    Each device's edits are a set, then the common ones, specification by specification.  `hook_path` is nvidia-ctk.
    """
    sets: list[EditSet] = []
    notes: list[str] = []
    for mode, ids in wanted:
        try:
            spec, warnings = plan_spec(host, ids=ids, mode=mode, vendor=VENDOR, class_="gpu" if mode == "auto" else "",
                                       hook_path=hook_path, options=_options(config))
        except ToolkitError as e:
            step = "construct CDI library" if isinstance(e, ConfigError) else "generate CDI spec"
            cause = e.message.removeprefix("failed to create device CDI specs: ")  # `cdi generate` alone says so
            raise type(e)(f'failed to {step} for mode "{mode}": {cause}', source=e.source, hint=e.hint) from e
        notes.extend(warnings)
        sets.extend(
            EditSet(device.edits, f'failed to apply edits for device "{spec.kind}={device.name}": ')
            for device in spec.devices
        )
        sets.append(EditSet(spec.edits))
    return tuple(sets), tuple(notes)


def plan_mig_rights(host: Host, request: Request) -> tuple[tuple[EditSet, ...], tuple[str, ...]]:
    """The capability nodes by which a container may configure or watch MIG, and warnings.

    v1.20.0 leaves them out in jit-cdi mode, so that a device plugin that was fine in legacy mode fails; v1.20.1 gives
    them to a container with CAP_SYS_ADMIN (NVIDIA/nvidia-container-toolkit#1740).  One without is refused in legacy
    mode; here its request is passed over, as before."""
    minors, paths, notes = dict(host.mig_capabilities), list[str](), list[str]()
    for capability, variable in (("config", "NVIDIA_MIG_CONFIG_DEVICES"), ("monitor", "NVIDIA_MIG_MONITOR_DEVICES")):
        if request.variable(variable) != "all" or capability not in minors:
            continue
        if request.privileged:
            paths.append(f"/dev/nvidia-caps/nvidia-cap{minors[capability]}")
        else:
            notes.append(f"Ignoring {variable} of a container without CAP_SYS_ADMIN")
    edits = node_edits(found(host, paths, notes))
    return ((EditSet(edits),) if edits.device_nodes else ()), tuple(notes)


def modes_to_read(wanted: tuple[Wanted, ...]) -> tuple[str, ...]:
    """The generator modes that the host has to be read for."""
    return tuple(dict.fromkeys(mode for mode, _ in wanted))


def _options(config: Config) -> Options:
    modes, features = config.nvidia_container_runtime.modes, config.features
    flags = modes.jit_cdi.nvcdi_feature_flags
    if features.no_additional_gids_for_device_nodes:
        flags = (*flags, "no-additional-gids-for-device-nodes")
    return Options(
        feature_flags=flags,
        disabled_hooks=modes.jit_cdi.nvcdi_disable_hooks,
        compat_folder=modes.csv.compat_container_root,
        name_steps=False,
    )
