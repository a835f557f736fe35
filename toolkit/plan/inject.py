"""Requested CDI names, Specs → Edits.  Source: CDI specification 1.1; toolkit v1.20, internal/modifier/cdi.go."""

from collections.abc import Callable

from toolkit.errors import RequestError
from toolkit.model.cdi import Device, Spec
from toolkit.model.edits import Edits, merged
from toolkit.plan.cdi_names import is_qualified

AUTOMATIC_KIND = "runtime.nvidia.com/gpu"


def cdi_names(devices: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """The CDI names of requested devices, each once: "" is the device "none", a bare name gets the kind."""
    names = (device or "none" for device in devices)
    return tuple(dict.fromkeys(name if is_qualified(name) else f"{kind}={name}" for name in names))


def automatic_ids(names: tuple[str, ...]) -> tuple[str, ...]:
    """The ids of names that ask for a specification generated in memory; none if no name does.

    Raises RequestError if only some do: the two kinds of injection do not mix.
    """
    prefix = f"{AUTOMATIC_KIND}="
    ids = tuple(name.removeprefix(prefix) for name in names if name.startswith(prefix))
    if ids and len(ids) < len(names):
        raise RequestError(
            "requesting a CDI device with vendor 'runtime.nvidia.com' is not supported when requesting other CDI "
            "devices", hint="name all devices the same way: by index or UUID, or all by their qualified CDI names")
    return ids


def injected(names: tuple[str, ...], find: Callable[[str], tuple[Spec, Device] | None]) -> Edits:
    """The edits of named devices as one set: a specification's common edits come before its first device.

    `find` looks a qualified name up.  Raises RequestError "unresolvable CDI devices a, b" if any is unknown.
    """
    found = {name: find(name) for name in names}
    missing = [name for name, hit in found.items() if hit is None]
    if missing:
        raise RequestError(f"unresolvable CDI devices {', '.join(missing)}",
                           hint="`nvidia-ctk cdi list` shows the devices there are; `nvidia-ctk cdi generate` makes "
                                "their specification")
    edits: list[Edits] = []
    seen: list[Spec] = []
    for hit in found.values():
        assert hit is not None
        spec, device = hit
        if not any(spec is other for other in seen):
            seen.append(spec)
            edits.append(spec.edits)
        edits.append(device.edits)
    return merged(*edits)
