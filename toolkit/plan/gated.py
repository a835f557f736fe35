"""What legacy mode adds to the work of its prestart hook: GDS, MOFED and the like, CUDA compatibility, graphics.

Source: toolkit v1.20, internal/modifier/gated.go and graphics.go.
"""

from posixpath import basename

from toolkit.model.config import Config
from toolkit.model.edits import Edits
from toolkit.model.host import Host
from toolkit.model.request import Request
from toolkit.plan.device_nodes import node_edits
from toolkit.plan.driver_files import graphics_edits
from toolkit.plan.edits import EditSet, Wanted
from toolkit.plan.hooks import Hooks

VOID = "NVIDIA_VISIBLE_DEVICES=void"
GRAPHICS = frozenset(("all", "graphics", "display"))


def gated_wanted(request: Request) -> tuple[Wanted, ...]:
    """The specifications that variables such as NVIDIA_GDS=enabled ask for."""
    return tuple(Wanted(mode) for mode in request.gated_modes) if request.devices else ()


def without_void(sets: tuple[EditSet, ...]) -> tuple[EditSet, ...]:
    """The sets without the variable that tells NVIDIA's hook to keep away: in legacy mode it has the GPUs to give."""
    return tuple(one._replace(edits=one.edits._replace(env=tuple(text for text in one.edits.env if text != VOID)))
                 for one in sets)


def wants_compat_hook(request: Request, config: Config) -> bool:
    """Whether CUDA compatibility is a hook's work: legacy mode with cuda-compat-mode = "hook"."""
    legacy = config.nvidia_container_runtime.modes.legacy
    disabled = config.features.disable_cuda_compat_lib_hook
    return bool(request.devices) and legacy.cuda_compat_mode == "hook" and not disabled


def compat_edits(driver_version: str, hook_path: str) -> Edits:
    """The hook that prefers the image's CUDA libraries where they are newer than the driver's."""
    return Edits(hooks=Hooks(hook_path).cuda_compat(driver_version))


def no_graphics_reason(request: Request) -> str:
    """Why a container gets no graphics files; "" if it does.

    The variable is not trimmed and an absent one asks for nothing, unlike in the prestart hook.
    """
    if not request.devices:
        return "no devices requested"
    if GRAPHICS.isdisjoint(request.variable("NVIDIA_DRIVER_CAPABILITIES").split(",")):
        return "no required capabilities requested"
    return ""


def graphics_sets(host: Host, request: Request, config: Config, *, hook_path: str) -> tuple[EditSet, ...]:
    """The DRM nodes of the selected GPUs with their links, then the graphics files, as one set each."""
    hooks = Hooks(hook_path)
    features = ("no-additional-gids-for-device-nodes",) if config.features.no_additional_gids_for_device_nodes else ()
    names = {name for gpu in host.gpus if _is_selected(gpu.minor, gpu.uuid, gpu.pci_bus_id, request)
             for name in gpu.drm}
    nodes = tuple(device for device in host.devices if basename(device.path) in names)
    links = tuple((target, path) for path, target in host.links if basename(target) in names)
    drm = node_edits(nodes, features=features)._replace(hooks=hooks.symlinks(links))
    return (EditSet(drm), EditSet(graphics_edits(host.driver, hooks)))


def _is_selected(minor: int, uuid: str, bus_id: str, request: Request) -> bool:
    """A device is named by its minor, not by its index, by its UUID or by its bus id."""
    if request.devices == ("all",):
        return True
    return not {str(minor), uuid, bus_id}.isdisjoint(device for device in request.devices if device)
