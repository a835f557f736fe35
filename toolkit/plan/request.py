"""OCI configuration, Config → Request: what a container asks for, and who may ask.

Source: toolkit v1.20, internal/config/image.  Shared by the runtime and the prestart hook.
"""

from collections.abc import Mapping
from posixpath import normpath
from typing import Any, NamedTuple

from toolkit.errors import RequestError
from toolkit.model.config import Config
from toolkit.model.request import Request
from toolkit.plan.cdi_names import is_qualified

VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"
IMEX_CHANNELS = "NVIDIA_IMEX_CHANNELS"
MOUNT_ROOT = "/var/run/nvidia-container-devices"
GATED = (("NVIDIA_GDS", "gds"), ("NVIDIA_MOFED", "mofed"), ("NVIDIA_GDRCOPY", "gdrcopy"),
         ("NVIDIA_NVSWITCH", "nvswitch"))
TRUE = ("1", "t", "T", "TRUE", "true", "True")


class Image(NamedTuple):
    """The part of a container's configuration that requests are made with.  The last of equal variables counts."""

    env: Mapping[str, str]
    mounts: tuple[tuple[str, str], ...] = ()  # source, destination
    annotations: Mapping[str, str] = {}
    privileged: bool = False

    @property
    def legacy(self) -> bool:
        """An image from before NVIDIA_REQUIRE_CUDA: it declares its CUDA version alone."""
        return bool(self.env.get("CUDA_VERSION")) and not self.env.get("NVIDIA_REQUIRE_CUDA")


def image_of(spec: dict[str, Any], *, privileged: bool | None = None) -> Image:
    """What a configuration says.  `privileged` None: CAP_SYS_ADMIN in the bounding set decides.

    Raises RequestError for a variable without "="."""
    process = spec.get("process") or {}
    env: dict[str, str] = {}
    for item in process.get("env") or []:
        name, equals, value = item.partition("=")
        if not equals:
            raise RequestError(f"invalid environment variable: {item}", source="process.env",
                               hint="write NAME=VALUE in the image or on the command line")
        env[name] = value
    if privileged is None:
        privileged = "CAP_SYS_ADMIN" in ((process.get("capabilities") or {}).get("bounding") or [])
    mounts = tuple((m.get("source", ""), m.get("destination", "")) for m in spec.get("mounts") or [])
    return Image(env=env, mounts=mounts, annotations=spec.get("annotations") or {}, privileged=privileged)


def request_of(image: Image, config: Config, *, prefixes: tuple[str, ...] = ()) -> Request:
    """The request of a container.  `prefixes` are those of annotations that name devices; only mode `cdi` has any.

    `requirements` stays empty: `requirements_of` computes them for the modes that look at them.
    """
    notes: list[str] = []
    imex_notes: list[str] = []
    return Request(
        devices=_devices(image, config, prefixes, notes),
        env=tuple(image.env.items()),
        privileged=image.privileged,
        imex_channels=_imex_channels(image, config, imex_notes),
        gated_modes=tuple(mode for name, mode in GATED if image.env.get(name) == "enabled"),
        notes=tuple(notes),
        imex_notes=tuple(imex_notes),
    )


def requirements_of(image: Image, *, disabled: bool = False) -> tuple[str, ...]:
    """The values of NVIDIA_REQUIRE_*, in the order of their names; for a legacy image its CUDA version, last.

    Upstream's order is that of a Go map, which is none.  Raises RequestError for a CUDA_VERSION that is no version.
    """
    if disabled or image.env.get("NVIDIA_DISABLE_REQUIRE") in TRUE:
        return ()
    names = sorted(name for name in image.env
                   if name.startswith("NVIDIA_REQUIRE_") and not name.startswith("NVIDIA_REQUIRE_JETPACK"))
    found = [image.env[name] for name in names]
    if image.legacy:
        found.append(f"cuda>={cuda_version(image.env['CUDA_VERSION'])}")
    return tuple(found)


def cuda_version(text: str) -> str:
    """Major and minor of a CUDA_VERSION: "11" → "11.0", "9.0.116-1" → "9.0".  Raises RequestError."""
    from toolkit.plan.semver import version_of  # 1 ms; images of before 2018 alone come here

    found = version_of(text)
    if not found:
        raise RequestError(f"failed to get version: invalid CUDA version {text}: invalid version string",
                           source="CUDA_VERSION", hint="set NVIDIA_DISABLE_REQUIRE=1 to run the image all the same")
    return f"{found.major}.{found.minor}"


def _devices(image: Image, config: Config, prefixes: tuple[str, ...], notes: list[str]) -> tuple[str, ...]:
    """The first source that names a device counts alone: annotations, then mounts, then variables."""
    # Annotations are always honoured: whoever writes them may write the whole configuration.
    from_annotations = tuple(
        name for key in sorted(image.annotations) if key.startswith(prefixes)
        for name in image.annotations[key].split(",")
    ) if prefixes else ()
    if from_annotations:
        return from_annotations
    if config.accept_nvidia_visible_devices_as_volume_mounts:
        mounted = _mounted(image)
        from_mounts = tuple(_mount_devices(mounted, notes))
        if from_mounts:
            return from_mounts
    names = _device_variables(image, config)
    found = _from_variables(image, names)
    if found and not (image.privileged or config.accept_nvidia_visible_devices_envvar_when_unprivileged):
        notes.append("Ignoring devices requested by environment variable(s) in unprivileged container: "
                     f"[{' '.join(names)}]")
        return ()
    return found


def _device_variables(image: Image, config: Config) -> tuple[str, ...]:
    """The variables that name devices: those of `swarm-resource` that are set, else NVIDIA_VISIBLE_DEVICES."""
    swarm = (name.strip() for name in config.swarm_resource.split(","))
    return tuple(name for name in swarm if name and name in image.env) or (VISIBLE_DEVICES,)


def _from_variables(image: Image, names: tuple[str, ...]) -> tuple[str, ...]:
    """The list that the variables spell, upstream's treatment of repetitions included."""
    values = [image.env[name] for name in names if name in image.env]
    if not values and image.legacy:
        return ("all",)
    items = [item.strip() for value in values for item in value.split(",")]
    items = [item for item in items if item]
    if not items or "void" in items:
        return ()
    for item in items:
        if item == "all":
            return ("all",)
        if item == "none":
            return ("",)
    # Each item keeps its last place; a place that lost its item holds "": "0,1,0" is read as "", "1", "0".
    return tuple(item if item not in items[i + 1 :] else "" for i, item in enumerate(items))


def _mounted(image: Image) -> tuple[str, ...]:
    """What mounts of /dev/null below the requests' folder say, each destination once."""
    destinations = dict.fromkeys(
        _clean(destination) for source, destination in image.mounts if _clean(source) == "/dev/null"
    )
    found = (d.removeprefix(MOUNT_ROOT).strip("/") for d in destinations if d.startswith(MOUNT_ROOT))
    return tuple(name for name in found if name)


def _clean(path: str) -> str:
    """The shortest form of a path, as Go's filepath.Clean: leading slashes become one."""
    cleaned = normpath(path or ".")
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _mount_devices(mounted: tuple[str, ...], notes: list[str]) -> list[str]:
    devices = []
    for name in mounted:
        if name.startswith("imex/"):
            continue
        if not name.startswith("cdi/"):
            devices.append(name)
            continue
        request = name.removeprefix("cdi/")
        parts = request.split("/", 2)
        if is_qualified(request):
            devices.append(request)
        elif len(parts) == 3:
            devices.append(f"{parts[0]}/{parts[1]}={parts[2]}")
        else:
            notes.append(f"Ignoring invalid mount request for CDI device {name}: "
                         f"invalid mount CDI device request: {name}")
    return devices


def _imex_channels(image: Image, config: Config, notes: list[str]) -> tuple[str, ...]:
    """The channels asked for, independent of the devices.  "all" asks for none: no driver could tell what it means."""
    if config.features.ignore_imex_channel_requests:
        return ()
    if config.accept_nvidia_visible_devices_as_volume_mounts:
        from_mounts = tuple(name.removeprefix("imex/") for name in _mounted(image) if name.startswith("imex/"))
        if from_mounts:
            return from_mounts
    found = _from_variables(image, (IMEX_CHANNELS,))
    if found == ("all",):
        return ()
    if found and not (image.privileged or config.accept_nvidia_visible_devices_envvar_when_unprivileged):
        notes.append(f"Ignoring request by environment variable(s) in unprivileged container: [{IMEX_CHANNELS}]")
        return ()
    return found
