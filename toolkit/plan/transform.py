"""Specs → Specs: fewer repetitions, one order, one device of all, the lowest version that will do.

Source: toolkit v1.20, pkg/nvcdi/transform; CDI 1.1.0 for versions.
"""

from posixpath import normpath

from toolkit.model.cdi import Device, Spec
from toolkit.model.edits import Edits, merged

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0")


def simplified(spec: Spec) -> Spec:
    """The Spec without repetitions, in upstream's order.

    Within a list equal entries are merged; what the common edits have is dropped from the devices; device nodes and
    mounts are sorted by depth and path, devices by name; environment and hooks keep their order.
    """
    common = _unique(spec.edits)
    devices = [_without(device._replace(edits=_unique(device.edits)), common) for device in spec.devices]
    devices.sort(key=lambda device: device.name.encode(errors="surrogateescape"))
    return spec._replace(
        devices=tuple(device._replace(edits=_sorted(device.edits)) for device in devices), edits=_sorted(common)
    )


def with_merged_device(spec: Spec, name: str) -> Spec:
    """The Spec with one more device that has the edits of all; as it is if there is such a device already."""
    if not name or any(device.name == name for device in spec.devices):
        return spec
    everything = merged(*(device.edits for device in spec.devices))
    return simplified(spec._replace(devices=(*spec.devices, Device(name=name, edits=everything))))


def minimum_version(spec: Spec) -> str:
    """The lowest CDI version that has all that the Spec uses.  Source: CDI 1.1.0, "required version" rules."""
    every = (spec.edits, *(device.edits for device in spec.devices))
    # 1.1.0: network devices; RDT schemata and monitoring.
    if any(e.net_devices or (e.intel_rdt and (e.intel_rdt.schemata or e.intel_rdt.enable_monitoring)) for e in every):
        return "1.1.0"
    # 0.7.0: RDT, additional group ids.
    if any(e.intel_rdt or e.additional_gids for e in every):
        return "0.7.0"
    # 0.6.0: annotations; a dot in the class.
    if spec.annotations or any(device.annotations for device in spec.devices) or "." in spec.kind.partition("/")[2]:
        return "0.6.0"
    # 0.5.0: a device name that starts with a digit; a device node with a path on the host.
    if any(device.name[:1].isdigit() for device in spec.devices):
        return "0.5.0"
    if any(node.host_path for e in every for node in e.device_nodes):
        return "0.5.0"
    # 0.4.0: a mount with a type.
    if any(mount.type for e in every for mount in e.mounts):
        return "0.4.0"
    return "0.3.0"


def split_by_coherence(spec: Spec, annotation: str) -> tuple[tuple[str, Spec], ...]:
    """The whole Spec, then those of the coherent and of the other GPUs, each with the infix of its class and file.

    An annotation decides; it is taken off everywhere.  A part without devices is left out.
    """
    plain = spec._replace(devices=tuple(device._replace(annotations=()) for device in spec.devices))
    parts = [("", plain)]
    for infix, wanted in (("coherent", "true"), ("noncoherent", "false")):
        devices = [d._replace(annotations=()) for d in spec.devices if dict(d.annotations).get(annotation) == wanted]
        if devices:
            parts.append((infix, spec._replace(kind=f"{spec.kind}.{infix}", devices=tuple(devices))))
    return tuple(parts)


def _unique(edits: Edits) -> Edits:
    return edits._replace(
        env=tuple(dict.fromkeys(edits.env)),
        device_nodes=tuple(dict.fromkeys(edits.device_nodes)),
        hooks=tuple(dict.fromkeys(edits.hooks)),
        mounts=tuple(dict.fromkeys(edits.mounts)),
        additional_gids=tuple(sorted(set(edits.additional_gids))),
    )


def _without(device: Device, common: Edits) -> Device:
    """The device less what the common edits give anyway, unless nothing would be left of it."""
    edits = device.edits._replace(
        env=tuple(e for e in device.edits.env if e not in common.env),
        device_nodes=tuple(n for n in device.edits.device_nodes if n not in common.device_nodes),
        hooks=tuple(h for h in device.edits.hooks if h not in common.hooks),
        mounts=tuple(m for m in device.edits.mounts if m not in common.mounts),
    )
    left = edits.env or edits.device_nodes or edits.hooks or edits.mounts
    return device._replace(edits=edits) if left else device


def _sorted(edits: Edits) -> Edits:
    return edits._replace(
        device_nodes=tuple(sorted(edits.device_nodes, key=lambda node: _place(node.path))),
        mounts=tuple(sorted(edits.mounts, key=lambda mount: _place(mount.container_path))),
    )


def _place(path: str) -> tuple[int, bytes]:
    """Parents before what lies in them: depth, then the path's bytes."""
    return normpath(path).count("/") if path else 0, path.encode(errors="surrogateescape")
