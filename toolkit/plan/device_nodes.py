"""Device nodes of a Host → Edits.  Source: toolkit v1.20, internal/edits/device.go, internal/platform-support/dgpu."""

from collections.abc import Iterable
from posixpath import dirname, join, normpath

from toolkit.errors import HostError
from toolkit.model.edits import DeviceNode, Edits
from toolkit.model.host import CharDevice, Gpu, Host
from toolkit.plan.hooks import Hooks

CONTROL = ("/dev/nvidia-modeset", "/dev/nvidia-uvm-tools", "/dev/nvidia-uvm", "/dev/nvidiactl")
OTHERS_READ_WRITE = 0o006


def node_edits(devices: Iterable[CharDevice], *, features: tuple[str, ...] = ()) -> Edits:
    """The devices, and the groups that a process must have to open them."""
    nodes, gids = [], []
    for device in devices:
        host_path = device.host_path if device.host_path != device.path else ""
        if not device.major and not device.mode:  # listed by the driver, and not on the machine
            nodes.append(DeviceNode(path=device.path, host_path=host_path))
            continue
        nodes.append(
            DeviceNode(
                path=device.path,
                host_path=host_path,
                major=device.major,
                minor=device.minor,
                file_mode=device.mode or None,
                permissions="rwm",
                gid=device.gid or None,
            )
        )
        if device.gid and device.mode and device.mode & OTHERS_READ_WRITE != OTHERS_READ_WRITE:
            gids.append(device.gid)
    wanted = () if "no-additional-gids-for-device-nodes" in features else tuple(dict.fromkeys(gids))
    return Edits(device_nodes=tuple(nodes), additional_gids=wanted)


def found(host: Host, paths: Iterable[str], notes: list[str]) -> tuple[CharDevice, ...]:
    """The devices at these paths of the container; a missing one is a note."""
    known = {device.path: device for device in host.devices}
    present = []
    for path in dict.fromkeys(paths):
        if path in known:
            present.append(known[path])
        else:
            notes.append(f"Could not locate {path}: {path}: not found")
    return tuple(present)


def control_edits(host: Host, notes: list[str], *, features: tuple[str, ...] = ()) -> Edits:
    """The nodes that every CUDA program needs."""
    return node_edits(found(host, CONTROL, notes), features=features)


def gpu_edits(host: Host, gpu: Gpu, hooks: Hooks, notes: list[str], *, features: tuple[str, ...] = ()) -> Edits:
    """A whole GPU: its node, its DRM nodes, and the links that name those by PCI address.

    Raises HostError for one that NVML knows no node or no PCI address of, as on WSL."""
    if gpu.listed.known:
        devices, links = (*gpu.listed.nodes, *gpu.listed.graphics), gpu.listed.links
    elif not (error := _identity_error(gpu)):
        devices = found(host, (f"/dev/nvidia{gpu.minor}", *drm_paths(gpu)), notes)
        links = by_path_links(host, gpu, devices, notes)
    else:
        stem = "failed to create device discoverer: " * 2
        raise HostError(f"failed to get CDI device edits: {stem}{error}", source=gpu.uuid, hint="use --mode auto")
    edits = node_edits(devices, features=features)
    folders = dict.fromkeys(dirname(device.path) for device in devices if dirname(device.path) != "/dev")
    return edits._replace(hooks=(*hooks.symlinks(links), *hooks.folder_permissions(tuple(folders))))


def _identity_error(gpu: Gpu) -> str:
    """Why the GPU's files cannot be named; "" if they can."""
    if gpu.minor_error:
        return f"error getting device node path: error getting GPU device minor number: {gpu.minor_error}"
    return f"error getting PCI info for device: {gpu.bus_id_error}" if gpu.bus_id_error else ""


def drm_paths(gpu: Gpu) -> tuple[str, ...]:
    """The DRM nodes that the kernel made for a GPU."""
    return tuple(f"/dev/dri/{name}" for name in gpu.drm)


def by_path_links(host: Host, gpu: Gpu, devices: Iterable[CharDevice], notes: list[str]) -> tuple[tuple[str, str], ...]:
    """The links below /dev/dri/by-path that lead to one of the devices, (target, path) each.

    Upstream keeps the dev root in the path of the link, and so do we: the container's link then lies below it.
    """
    prefix = "" if host.driver.dev_root.strip("/") == "" else host.driver.dev_root.rstrip("/")
    known, present = dict(host.links), {device.host_path for device in devices}
    links = []
    for kind in ("card", "render"):
        path = f"{prefix}/dev/dri/by-path/pci-{gpu.pci_bus_id}-{kind}"
        if path not in known:
            notes.append(f"Failed to evaluate symlink {path}; ignoring")
        elif normpath(join(dirname(path), known[path])) in present:
            links.append((known[path], path))
    return tuple(links)
