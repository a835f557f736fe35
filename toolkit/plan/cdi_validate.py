"""What makes a CDI Spec valid.  Source: CDI 1.1.0, pkg/cdi; the order of the checks is its own."""

import re

from toolkit.errors import SpecError
from toolkit.model.cdi import Device, Spec
from toolkit.model.edits import Edits
from toolkit.plan.cdi_names import check_class, check_device_name, check_vendor
from toolkit.plan.transform import VERSIONS, minimum_version

HOOK_NAMES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def validate(spec: Spec) -> None:
    """Whether an engine may use the Spec.  Raises SpecError ("invalid CDI Spec: …") with CDI's own words."""
    try:
        _validate(spec)
    except SpecError as e:
        raise SpecError(f"invalid CDI Spec: {e.message}", source=spec.path, hint=e.hint) from None


def _validate(spec: Spec) -> None:
    version = spec.version.removeprefix("v")
    if version not in VERSIONS:
        raise SpecError(f'invalid version "{spec.version}"', hint=f"one of {', '.join(VERSIONS)}")
    minimum = minimum_version(spec)
    if VERSIONS.index(version) < VERSIONS.index(minimum):
        raise SpecError(f"the spec version must be at least v{minimum}", hint=f"set cdiVersion to {minimum}")
    vendor, _, class_ = spec.kind.partition("/")
    check_vendor(vendor)
    check_class(class_)
    _validate_edits(spec.edits)
    names: set[str] = set()
    for device in spec.devices:
        try:
            _validate_device(device)
        except SpecError as e:
            raise SpecError(f'failed add device "{device.name}": {e.message}', hint=e.hint) from None
        if device.name in names:
            raise SpecError(f'invalid spec, multiple device "{device.name}"', hint="each device is named once")
        names.add(device.name)
    if not names:
        raise SpecError("invalid spec, no devices")


def _validate_device(device: Device) -> None:
    check_device_name(device.name)
    if not device.edits:
        raise SpecError("invalid device, empty device edits")
    try:
        _validate_edits(device.edits)
    except SpecError as e:
        raise SpecError(f'invalid device "{device.name}": {e.message}', hint=e.hint) from None


def _validate_edits(edits: Edits) -> None:
    for entry in edits.env:
        if entry.find("=") < 1:
            raise SpecError(f'invalid environment variable "{entry}"', hint="write NAME=VALUE")
    for node in edits.device_nodes:
        if not node.path:
            raise SpecError("invalid (empty) device path")
        if node.type not in ("", "b", "c", "u", "p"):
            raise SpecError(f'device "{node.path}": invalid type "{node.type}"', hint="one of b, c, u, p")
        if not re.fullmatch("[rwm]*", node.permissions):
            raise SpecError(f'device "{node.path}": invalid permissions "{node.permissions}"', hint="of r, w and m")
    for hook in edits.hooks:
        if hook.name not in HOOK_NAMES:
            raise SpecError(f'invalid hook name "{hook.name}"', hint=f"one of {', '.join(HOOK_NAMES)}")
        if not hook.path:
            raise SpecError(f'invalid hook "{hook.name}" with empty path')
    for mount in edits.mounts:
        if not mount.host_path or not mount.container_path:
            raise SpecError(f"invalid mount, empty {'container' if mount.host_path else 'host'} path")
