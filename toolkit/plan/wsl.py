"""Mode wsl: the one device of a WSL 2 machine, and the driver that Windows put there.

Source: toolkit v1.20, pkg/nvcdi/lib-wsl.go and driver-wsl.go.
"""

from posixpath import basename, dirname

from toolkit.errors import HostError
from toolkit.model.cdi import Device
from toolkit.model.edits import Edits, Mount
from toolkit.model.host import Host
from toolkit.plan.device_nodes import found, node_edits
from toolkit.plan.driver_files import OPTIONS, is_library
from toolkit.plan.hooks import Hooks

NODE = "/dev/dxg"
SMI = "/usr/bin/nvidia-smi"


def wsl_devices(host: Host, notes: list[str], *, features: tuple[str, ...] = ()) -> tuple[Device, ...]:
    """The device `all`, whatever was asked for: GPUs cannot be told apart behind one node."""
    return (Device(name="all", edits=node_edits(found(host, (NODE,), notes), features=features)),)


def wsl_common(host: Host, hooks: Hooks, notes: list[str], *, ldconfig: str = "") -> Edits:
    """The driver's files.  Raises HostError if the machine has no driver of NVIDIA."""
    wsl = host.wsl
    if wsl.error:
        raise HostError(
            f"failed to create discoverer for WSL driver: {wsl.error}",
            hint="is NVIDIA's driver for Windows installed? `wsl --shutdown` makes WSL find a new one",
        )
    smi = tuple(file.path for file in wsl.store if basename(file.path) == "nvidia-smi")
    if not smi:
        notes.append(f"Failed to find nvidia-smi in mounts: [{' '.join(file.path for file in wsl.store)}]")
    libraries = (file.path for file in (*wsl.store, *wsl.dxcore) if is_library(basename(file.path)))
    return Edits(
        mounts=tuple(
            Mount(host_path=file.host_path, container_path=file.path, options=OPTIONS)
            for file in (*wsl.dxcore, *wsl.store, *wsl.more)
        ),
        hooks=(
            *hooks.symlinks(tuple((path, SMI) for path in smi[:1])),
            *hooks.update_ldcache(tuple(dict.fromkeys(map(dirname, libraries))), ldconfig),
        ),
    )
