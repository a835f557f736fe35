"""What the device ids of a request mean on a Host.  Source: toolkit v1.20, pkg/nvcdi."""

import re
from typing import NamedTuple

from toolkit.errors import HostError, RequestError
from toolkit.model.host import Gpu, Host, MigDevice

DISPLAYS = ("DGX Display", "NVIDIA DGX Display")  # drives a monitor on a DGX Station; not for computing
UUID = r"(?:urn:uuid:)?\{?[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}\}?"
ANY_UUID = rf"GPU-{UUID}|MIG-(?:{UUID}|GPU-{UUID}/[0-9]+/[0-9]+)"  # compiled on use: few requests name a UUID
HINT = "an index, a UUID, GPU:MIG, all or none; `nvidia-smi -L` lists what there is"


class Selected(NamedTuple):
    """One device: a GPU, one of its MIG devices, or with neither the device "none"."""

    gpu: Gpu | None = None
    mig: MigDevice | None = None


def selected(host: Host, ids: tuple[str, ...]) -> tuple[Selected, ...]:
    """The devices that the ids name, in their order and not made unique.

    The first "none" or "all" decides for the whole request.  A GPU in MIG mode is not part of "all", but can be asked
    for by name.  Raises RequestError for an id that is none or names nothing, HostError for a GPU that does not answer.
    """
    for identifier in ids:
        if identifier == "none":
            return (Selected(),)
        if identifier == "all":
            return _all(host)
    return tuple(_one(host, identifier) for identifier in ids)


def _all(host: Host) -> tuple[Selected, ...]:
    """Full GPUs by index, then MIG devices by the index of their GPU and their own."""
    for gpu in host.gpus:
        if gpu.error:
            raise HostError(
                f"error getting device handle for index '{gpu.index}': {gpu.error}", hint="see `nvidia-smi`"
            )
    gpus = [gpu for gpu in host.gpus if gpu.name not in DISPLAYS]
    full = [Selected(gpu=gpu) for gpu in gpus if not gpu.mig_enabled]
    migs = [Selected(gpu=gpu, mig=mig) for gpu in gpus for mig in gpu.mig_devices]
    return (*full, *migs)


def _one(host: Host, identifier: str) -> Selected:
    if _is_number(identifier):
        return Selected(gpu=_by_index(host, identifier, "failed to get device handle from index"))
    parent, colon, child = identifier.partition(":")
    if colon and _is_number(parent) and _is_number(child):
        gpu = _by_index(host, parent, "failed to get parent device handle")
        for mig in gpu.mig_devices:
            if str(mig.index) == (child.lstrip("0") or "0"):
                return Selected(gpu=gpu, mig=mig)
        why = "Not Found" if int(child) < gpu.max_mig_devices else "Invalid Argument"
        if not gpu.mig_capable:
            why = "Not Supported"
        raise _failure("failed to get MIG handle by index", why, identifier)
    if re.fullmatch(ANY_UUID, identifier):
        return _by_uuid(host, identifier)
    raise RequestError(
        f'failed to construct device spec generators: identifier is not a valid UUID or index: "{identifier}"',
        hint=HINT,
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _by_index(host: Host, index: str, what: str) -> Gpu:
    gpu = next((gpu for gpu in host.gpus if str(gpu.index) == (index.lstrip("0") or "0")), None)
    if gpu is None:
        raise _failure(what, "Invalid Argument", index)
    if gpu.error:
        raise HostError(f"failed to construct device spec generators: {what}: {gpu.error}", hint="see `nvidia-smi`")
    return gpu


def _by_uuid(host: Host, uuid: str) -> Selected:
    """A GPU or MIG device by NVML's spelling of its UUID; a MIG device also by GPU UUID and instance ids."""
    for gpu in host.gpus:
        if gpu.uuid == uuid:
            return Selected(gpu=gpu)
        for mig in gpu.mig_devices:
            if uuid in (mig.uuid, f"MIG-{gpu.uuid}/{mig.gpu_instance}/{mig.compute_instance}"):
                return Selected(gpu=gpu, mig=mig)
    raise _failure("failed to get device handle from UUID", "Not Found", uuid)


def _failure(what: str, why: str, identifier: str) -> RequestError:
    return RequestError(
        f"failed to construct device spec generators: {what}: {why}",
        hint=f'this host has no device "{identifier}": {HINT}',
    )
