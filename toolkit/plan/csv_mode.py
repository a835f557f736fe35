"""Mode csv: what a Tegra system's csv files list, as one device, or as one for each GPU where there are several.

Source: toolkit v1.20, pkg/nvcdi/lib-csv.go and internal/platform-support/tegra.
"""

import re
from posixpath import basename, dirname
from typing import NamedTuple

from toolkit.errors import HostError, RequestError, ToolkitError
from toolkit.model.cdi import Device
from toolkit.model.edits import Edits, Mount, merged
from toolkit.model.host import INTEGRATED, File, Gpu, Host
from toolkit.plan.device_ids import ANY_UUID, UUID
from toolkit.plan.device_names import annotations_of, device_names
from toolkit.plan.device_nodes import CONTROL, control_edits, found, gpu_edits, node_edits
from toolkit.plan.driver_files import OPTIONS, is_library, library_links
from toolkit.plan.hooks import Hooks

ORIN = "Orin (nvgpu)"
ORIN_COMPAT = "/usr/local/cuda/compat_orin"  # where images for Orin keep their CUDA compatibility libraries
INTEGRATED_INDEX, DISCRETE_INDEX = 0, 1
INTEGRATED_DISPLAY, DISCRETE_NODE = "/dev/nvidia2", "/dev/nvidia1"
INTEGRATED_BUS_ID = re.compile("0000:01:00.*")  # of Thor, always
NOT_SUPPORTED = "Not Supported"  # NVML's text for its code 3


class _Choice(NamedTuple):
    """A device to describe: the board as a whole if there is no GPU."""

    gpu: Gpu | None = None
    integrated: bool = True


def csv_devices(
    host: Host,
    ids: tuple[str, ...],
    hooks: Hooks,
    notes: list[str],
    *,
    naming: tuple[str, ...] = ("index",),
    features: tuple[str, ...] = (),
) -> tuple[Device, ...]:
    """The devices `ids`.  Raises RequestError for an id that this system does not have."""
    devices = []
    for choice in _chosen(host, ids, notes, features):
        gpu, uuid = (choice.gpu.index, choice.gpu.uuid) if choice.gpu else (0, "")
        edits = _edits_of(host, choice, hooks, notes, features)
        try:
            names = device_names(str(gpu), "gpu", uuid, naming)
        except HostError as e:
            raise type(e)(f"failed to get device name: {e.message}", source=e.source, hint=e.hint) from None
        annotations = annotations_of(None if choice.integrated else choice.gpu, features)
        devices += [Device(name=name, edits=edits, annotations=annotations) for name in names]
    return tuple(devices)


def csv_common(
    host: Host, hooks: Hooks, notes: list[str], *, compat_folder: str = "", ldconfig: str = ""
) -> Edits:
    """Directories, libraries and links of the csv files, with the hooks that make them usable.

    `compat_folder` is where images for Orin keep their CUDA compatibility libraries, if not in the usual place.
    """
    tegra = host.tegra
    if tegra.is_empty:
        notes.append("No mount specs specified")
    libraries = tuple(File(host_path=library.host_path, path=library.path) for library in tegra.libraries)
    mounts = _mounts((*tegra.directories, *libraries, *tegra.targets))
    mounts = (*mounts, *_release(host))
    folders = dict.fromkeys(dirname(m.container_path) for m in mounts if is_library(basename(m.container_path)))
    return Edits(
        mounts=mounts,
        hooks=(
            *hooks.symlinks(library_links(tegra.libraries)),
            *hooks.symlinks(tegra.links),
            *_compat_hook(host, hooks, notes, compat_folder or ORIN_COMPAT),
            *hooks.update_ldcache(tuple(folders), ldconfig),
        ),
    )


def _chosen(host: Host, ids: tuple[str, ...], notes: list[str], features: tuple[str, ...]) -> tuple[_Choice, ...]:
    """One device, unless NVML knows of several GPUs and none of them is a surprise."""
    several = host.has_nvml and not host.nvml_error and len(host.gpus) > 1
    if several and "disable-multiple-csv-devices" not in features:
        try:
            return _mixed(host, ids)
        except ToolkitError as e:
            notes.append(
                "Failed to create mixed CSV spec generator; falling back to pure CSV implementation: " + e.message
            )
    for identifier in ids:
        if identifier not in ("all", "0"):
            raise RequestError(
                f"failed to construct device spec generators: unsupported device id: {identifier}",
                hint="this system has one device: 0 or all",
            )
    return (_Choice(),)


def _mixed(host: Host, ids: tuple[str, ...]) -> tuple[_Choice, ...]:
    """A GPU that is part of the board, and one beside it.  Raises ToolkitError for an id or a GPU that does not fit."""
    names = tuple(str(gpu.index) for gpu in host.gpus) if "all" in ids else ids
    choices = []
    for identifier in names:
        try:
            choices.append(_choice(_gpu(host, identifier)))
        except ToolkitError as e:
            raise type(e)(f'failed to create device spec generator for device "{identifier}": {e.message}') from None
    return tuple(choices)


def _gpu(host: Host, identifier: str) -> Gpu:
    """The GPU of an index or a UUID; that of an Orin has no prefix."""
    if re.fullmatch(r"[0-9]+(:[0-9]+)?", identifier):
        if ":" not in identifier:
            gpu = next((gpu for gpu in host.gpus if str(gpu.index) == (identifier.lstrip("0") or "0")), None)
            if gpu is None or gpu.error:
                raise HostError(f"failed to get device handle from index: {gpu.error if gpu else 'Invalid Argument'}")
            return gpu
    elif re.fullmatch(f"(?:GPU-)?{UUID}", identifier):
        gpu = next((gpu for gpu in host.gpus if gpu.uuid == identifier), None)
        if gpu is None:
            raise HostError(f'failed to get device handle from UUID "{identifier}": Not Found')
        return gpu
    elif not re.fullmatch(ANY_UUID, identifier):
        raise RequestError(f'identifier is not a valid UUID or index: "{identifier}"')
    raise RequestError(f'generating a CDI spec for MIG id "{identifier}" is not supported in CSV mode')


def _choice(gpu: Gpu) -> _Choice:
    """Whether the GPU is part of the board: by its name if it has no PCI address, else by that address."""
    if gpu.bus_id_error not in ("", NOT_SUPPORTED):
        raise HostError(f"is-integrated check failed for device (index={gpu.index},uuid={gpu.uuid})")
    integrated = any(word in gpu.name for word in INTEGRATED)
    if not gpu.bus_id_error:
        integrated = INTEGRATED_BUS_ID.fullmatch(gpu.pci_bus_id) is not None
    if gpu.index != (INTEGRATED_INDEX if integrated else DISCRETE_INDEX):
        raise HostError(f"unexpected device index for {'iGPU' if integrated else 'dGPU'}: {gpu.index}")
    return _Choice(gpu=gpu, integrated=integrated)


def _edits_of(host: Host, choice: _Choice, hooks: Hooks, notes: list[str], features: tuple[str, ...]) -> Edits:
    """The nodes of a device.  Each gets those of the csv files that are not the other's."""
    release = Edits(mounts=_release(host))
    entries = host.tegra.devices
    if choice.gpu is None:
        return merged(_listed(host, entries, notes, features), release)
    if choice.integrated:
        entries = tuple(entry for entry in entries if entry[0] != DISCRETE_NODE)
        display = node_edits(found(host, (INTEGRATED_DISPLAY,), notes), features=features)
        return merged(_listed(host, entries, notes, features), display, release)
    entries = tuple(e for e in entries if not re.fullmatch("/dev/nvidia[0-9]+", e[0]) and e[0] not in CONTROL)
    return merged(
        gpu_edits(host, choice.gpu, hooks, notes, features=features),
        control_edits(host, notes, features=features),
        _listed(host, entries, notes, features),
        release,
    )


def _listed(
    host: Host, entries: tuple[tuple[str, tuple[str, ...]], ...], notes: list[str], features: tuple[str, ...]
) -> Edits:
    notes.extend(f"Could not locate {entry}: {entry}: not found" for entry, paths in entries if not paths)
    return node_edits(found(host, (path for _, paths in entries for path in paths), notes), features=features)


def _release(host: Host) -> tuple[Mount, ...]:
    path = host.tegra.release_file
    return _mounts((File(host_path=path, path=path),)) if path else ()


def _mounts(files: tuple[File, ...]) -> tuple[Mount, ...]:
    return tuple(Mount(host_path=f.host_path, container_path=f.path, options=OPTIONS) for f in files)


def _compat_hook(host: Host, hooks: Hooks, notes: list[str], folder: str) -> "tuple[Hook, ...]":
    """The CUDA compatibility hook, for systems with NVML; those of an Orin lie in a folder of their own."""
    if not host.has_nvml:
        return ()
    error = host.nvml_error or ("" if host.driver.cuda_version else "failed to get host CUDA version")
    if error:
        notes.append(f"Skipping CUDA Forward Compat hook creation: {error}")
        return ()
    orin = any(ORIN in gpu.name for gpu in host.gpus) and not any(gpu.error for gpu in host.gpus)
    return hooks.cuda_compat(cuda_version=host.driver.cuda_version, folder=folder if orin else "")


TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.model.edits import Hook
