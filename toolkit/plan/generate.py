"""Host → CDI Spec, for `nvidia-ctk cdi generate` and for jit-cdi.  Source: toolkit v1.20, pkg/nvcdi."""

from collections.abc import Callable
from typing import NamedTuple

from toolkit.errors import ConfigError, HostError, ToolkitError
from toolkit.model.cdi import Device, Spec
from toolkit.model.edits import Edits, merged
from toolkit.model.host import Gpu, Host, MigDevice
from toolkit.plan import other_modes
from toolkit.plan.device_ids import Selected, selected
from toolkit.plan.device_names import annotations_of, device_names
from toolkit.plan.device_nodes import by_path_links, control_edits, drm_paths, found, gpu_edits, node_edits
from toolkit.plan.driver_files import driver_edits, graphics_edits
from toolkit.plan.hook_sequence import FEATURE, combined
from toolkit.plan.hooks import DEFAULT_HOOK, Hooks
from toolkit.plan.transform import simplified, with_merged_device

MODES = ("auto", "csv", "gdrcopy", "gds", "imex", "management", "mofed", "nvml", "nvswitch", "wsl")
CLASSES = {
    "management": ("management.nvidia.com", "gpu"),
    "gds": ("nvidia.com", "gds"),
    "mofed": ("nvidia.com", "mofed"),
    "gdrcopy": ("nvidia.com", "gdrcopy"),
    "nvswitch": ("nvidia.com", "nvswitch"),
    "imex": ("nvidia.com", "imex-channel"),
}
"""Vendor and class of the modes whose devices are not nvidia.com/gpu."""


class Options(NamedTuple):
    """How to generate.  Defaults are those of upstream's library, as the runtime uses it."""

    naming: tuple[str, ...] = ("index",)  # of NAMING; several give each device several names
    feature_flags: tuple[str, ...] = ()
    disabled_hooks: tuple[str, ...] = ()
    enabled_hooks: tuple[str, ...] = ()
    ldconfig_path: str = ""
    compat_folder: str = ""  # in csv mode: where images keep CUDA compatibility libraries; "": the usual place
    merged_device: str = ""  # "all" for `cdi generate`: one more device with the edits of all
    name_steps: bool = True  # errors begin with the step that failed, as those of `cdi generate` do


DEFAULTS = Options()


def plan_spec(
    host: Host,
    *,
    ids: tuple[str, ...] = (),
    mode: str = "nvml",
    vendor: str = "",
    class_: str = "",
    hook_path: str = DEFAULT_HOOK,
    options: Options = DEFAULTS,
) -> tuple[Spec, tuple[str, ...]]:
    """The CDI specification of the devices `ids` (none: all), and the warnings made on the way.

    `vendor` and `class_` default to the mode's own.  `hook_path` is the program of every hook; if its base name is
    "nvidia-ctk" the arguments start with "nvidia-ctk hook".  `mode` "auto" follows host.platform.  The version is
    left open: see transform.minimum_version.

    Raises RequestError for an unknown id, HostError if the host lacks what the mode needs, ConfigError for a mode
    that does not exist.
    """
    if mode == "auto":
        mode = {"wsl": "wsl", "tegra": "csv"}.get(host.platform, "nvml")
    plan = Plan(
        host=host, hooks=Hooks(hook_path, options.disabled_hooks, options.enabled_hooks), options=options, notes=[]
    )
    devices_of, common_of = _generator(mode)
    devices = _within("failed to create device CDI specs", devices_of, plan, ids)
    common = _within("failed to create edits common for entities", common_of, plan, ids)
    default_vendor, default_class = CLASSES.get(mode, ("nvidia.com", "gpu"))
    spec = Spec(
        kind=f"{vendor or default_vendor}/{class_ or default_class}",
        devices=devices,
        edits=merged(common, Edits(env=("NVIDIA_VISIBLE_DEVICES=void",))),
    )
    spec = with_merged_device(simplified(spec), options.merged_device)
    return with_features(spec, options.feature_flags), tuple(plan.notes)


def with_features(spec: Spec, features: tuple[str, ...]) -> Spec:
    """The Spec with what features change at the end: `combine-hooks` makes one hook of several."""
    if FEATURE not in features:
        return spec
    devices = tuple(device._replace(edits=combined(device.edits)) for device in spec.devices)
    return spec._replace(devices=devices, edits=combined(spec.edits))


class Plan(NamedTuple):
    """What each step of one generation needs; `notes` grows."""

    host: Host
    hooks: Hooks
    options: Options
    notes: list[str]

    @property
    def features(self) -> tuple[str, ...]:
        return self.options.feature_flags


def _generator(mode: str) -> "tuple[DevicesOf, CommonOf]":
    """The two functions that make a mode: its devices, and the edits common to them."""
    generators: dict[str, tuple[DevicesOf, CommonOf]] = {
        "nvml": (_nvml_devices, _nvml_common),
        "management": (_management_devices, _management_common),
        **{mode: (_plain_devices(mode), _nothing) for mode in other_modes.PATTERNS},
        "imex": (_imex_devices, _nothing),
        "wsl": (_wsl_devices, _wsl_common),
        "csv": (_csv_devices, _csv_common),
    }
    if mode in generators:
        return generators[mode]
    raise ConfigError(f'unknown mode "{mode}"', source="mode", hint=f"one of {', '.join(MODES)}")


def _within(what: str, step: "Callable[[Plan, tuple[str, ...]], Result]", plan: Plan, ids: tuple[str, ...]) -> "Result":
    """A step, its error seen from upstream's name of the step."""
    try:
        return step(plan, ids)
    except ToolkitError as e:
        if not plan.options.name_steps:
            raise
        raise type(e)(f"{what}: {e.message}", source=e.source, hint=e.hint) from None


def _nothing(_plan: Plan, _ids: tuple[str, ...]) -> Edits:
    return Edits()


def _nvml_common(plan: Plan, _ids: tuple[str, ...]) -> Edits:
    """Control nodes, graphics, driver files: the order decides the order of the hooks."""
    host, hooks = plan.host, plan.hooks
    graphics = Edits()
    if host.driver.version_error:
        plan.notes.append(f"failed to create discoverer for graphics mounts: {host.driver.version_error}")
    else:
        graphics = graphics_edits(host.driver, hooks)
    try:
        driver = driver_edits(host.driver, hooks, features=plan.features, ldconfig=plan.options.ldconfig_path)
    except HostError as e:
        stem = "failed to create discoverer for common entities: failed to create discoverer for driver files: "
        raise HostError(stem + e.message, hint=e.hint) from None
    return merged(control_edits(host, plan.notes, features=plan.features), graphics, driver)


def _nvml_devices(plan: Plan, ids: tuple[str, ...]) -> tuple[Device, ...]:
    if plan.host.nvml_error:
        raise HostError(
            f"failed to construct device spec generators: {plan.host.nvml_error}",
            hint="is the driver installed below the driver root, and its kernel module loaded? try `nvidia-smi`",
        )
    devices = []
    for choice in selected(plan.host, ids or ("all",)):
        edits = _edits_of(plan, choice)
        annotations = annotations_of(None if choice.mig else choice.gpu, plan.features)
        for name in _names(choice, plan.options.naming):
            devices.append(Device(name=name, edits=edits, annotations=annotations))
    return tuple(devices)


def _names(choice: Selected, naming: tuple[str, ...]) -> tuple[str, ...]:
    """The names of a device, by each strategy in turn."""
    gpu, mig = choice.gpu, choice.mig
    if gpu is None:
        return ("none",)
    if mig is None:
        return device_names(str(gpu.index), "gpu", gpu.uuid, naming)
    return device_names(f"{gpu.index}:{mig.index}", "mig", mig.uuid, naming)


def _edits_of(plan: Plan, choice: Selected) -> Edits:
    if choice.gpu is None:
        return Edits(env=("NVCT_EMPTY_DEVICE=",))
    if choice.mig is None:
        return gpu_edits(plan.host, choice.gpu, plan.hooks, plan.notes, features=plan.features)
    return _mig_edits(plan, choice.gpu, choice.mig)


def _mig_edits(plan: Plan, gpu: Gpu, mig: MigDevice) -> Edits:
    """A MIG device: its GPU's node and the two capabilities that open its part of it."""
    if mig.profile_error:
        raise HostError(f"error getting MIG Profile attributes: {mig.profile_error}", source=mig.uuid)
    if mig.listed.known:
        edits = node_edits((*mig.listed.nodes, *(mig.listed.graphics if mig.gfx else ())), features=plan.features)
        return edits._replace(hooks=plan.hooks.symlinks(mig.listed.links if mig.gfx else ()))
    if not plan.host.mig_capabilities:
        raise HostError(
            "error getting MIG capability device paths: <nil>", hint="no /proc/driver/nvidia-caps/mig-minors"
        )
    instance = f"gpu{gpu.minor}/gi{mig.gpu_instance}"
    if mig.gi_access_minor < 0:
        raise HostError(f"failed to get GI cap device path: invalid MIG capability path {instance}/access")
    if mig.ci_access_minor < 0:
        path = f"{instance}/ci{mig.compute_instance}/access"
        raise HostError(f"failed to get CI cap device path: invalid MIG capability path {path}")
    caps = (f"/dev/nvidia-caps/nvidia-cap{minor}" for minor in (mig.gi_access_minor, mig.ci_access_minor))
    drm = drm_paths(gpu) if mig.gfx else ()
    devices = found(plan.host, (f"/dev/nvidia{gpu.minor}", *caps, *drm), plan.notes)
    edits = node_edits(devices, features=plan.features)
    if not mig.gfx:
        return edits
    return edits._replace(hooks=plan.hooks.symlinks(by_path_links(plan.host, gpu, devices, plan.notes)))


def _plain_devices(mode: str) -> "DevicesOf":
    def devices(plan: Plan, _ids: tuple[str, ...]) -> tuple[Device, ...]:
        return other_modes.plain_devices(plan.host, mode, plan.notes, features=plan.features)

    return devices


def _imex_devices(plan: Plan, ids: tuple[str, ...]) -> tuple[Device, ...]:
    return other_modes.imex_devices(plan.host, ids)


def _management_devices(plan: Plan, _ids: tuple[str, ...]) -> tuple[Device, ...]:
    return other_modes.management_devices(plan.host, features=plan.features)


def _management_common(plan: Plan, _ids: tuple[str, ...]) -> Edits:
    """The driver, for programs that look after the node: the device nodes are theirs to change."""
    hooks = plan.hooks
    if "disable-device-node-modification" not in hooks.enabled:
        hooks = hooks._replace(disabled=(*hooks.disabled, "disable-device-node-modification"))
    options = plan.options
    try:
        return driver_edits(
            plan.host.driver, hooks, features=plan.features, ldconfig=options.ldconfig_path, profile_hook=False
        )
    except HostError as e:
        raise HostError(f"failed to create driver library discoverer: {e.message}", hint=e.hint) from None


def _wsl_devices(plan: Plan, _ids: tuple[str, ...]) -> tuple[Device, ...]:
    from toolkit.plan.wsl import wsl_devices

    return wsl_devices(plan.host, plan.notes, features=plan.features)


def _wsl_common(plan: Plan, _ids: tuple[str, ...]) -> Edits:
    from toolkit.plan.wsl import wsl_common

    return wsl_common(plan.host, plan.hooks, plan.notes, ldconfig=plan.options.ldconfig_path)


def _csv_devices(plan: Plan, ids: tuple[str, ...]) -> tuple[Device, ...]:
    from toolkit.plan.csv_mode import csv_devices

    naming = plan.options.naming
    return csv_devices(plan.host, ids or ("all",), plan.hooks, plan.notes, naming=naming, features=plan.features)


def _csv_common(plan: Plan, _ids: tuple[str, ...]) -> Edits:
    from toolkit.plan.csv_mode import csv_common

    options = plan.options
    return csv_common(
        plan.host, plan.hooks, plan.notes, compat_folder=options.compat_folder, ldconfig=options.ldconfig_path
    )


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Result = TypeVar("Result")
    DevicesOf = Callable[[Plan, tuple[str, ...]], tuple[Device, ...]]
    CommonOf = Callable[[Plan, tuple[str, ...]], Edits]
