"""CDI Spec ⇄ the dict that JSON and YAML know.

Source: CDI 1.1.0 (specs-go).  Reading is strict: an unknown or a repeated field is an error,
for an engine with an older CDI would refuse it too.
"""

from collections.abc import Callable, Mapping
from typing import Any

from toolkit.errors import SpecError
from toolkit.model.cdi import Device, Spec
from toolkit.model.edits import DeviceNode, Edits, Hook, IntelRdt, Mount, NetDevice
from toolkit.plan.transform import minimum_version

INT64 = 1 << 63
UINT32 = 1 << 32


def spec_to_dict(spec: Spec) -> dict[str, Any]:
    """The Spec with upstream's order of keys; what is empty or zero is left out, as Go's encoder does.

    The version is the Spec's own, or the lowest that its content allows.
    """
    return _filled(
        cdiVersion=(spec.version or minimum_version(spec),),
        kind=(spec.kind,),
        annotations=dict(spec.annotations),
        devices=([_device_dict(device) for device in spec.devices] or None,),
        containerEdits=(edits_to_dict(spec.edits),),
    )


def edits_to_dict(edits: Edits) -> dict[str, Any]:
    """Container edits as CDI writes them."""
    return _filled(
        env=list(edits.env),
        deviceNodes=[_node_dict(node) for node in edits.device_nodes],
        netDevices=[{"hostInterfaceName": n.host_interface_name, "name": n.name} for n in edits.net_devices],
        hooks=[_hook_dict(hook) for hook in edits.hooks],
        mounts=[_mount_dict(mount) for mount in edits.mounts],
        intelRdt=(_rdt_dict(edits.intel_rdt),) if edits.intel_rdt is not None else (),
        additionalGids=list(edits.additional_gids),
    )


def _filled(**fields: Any) -> dict[str, Any]:
    """The fields that hold something.  A 1-tuple holds a value that is written even if empty, () one that is not."""
    return {
        name: value[0] if isinstance(value, tuple) else value
        for name, value in fields.items()
        if value or (isinstance(value, tuple) and value)
    }


def _optional(value: int | None) -> tuple[int, ...]:
    """A pointer in upstream's structures: 0 is written, absence is not."""
    return () if value is None else (value,)


def _device_dict(device: Device) -> dict[str, Any]:
    return _filled(
        name=(device.name,), annotations=dict(device.annotations), containerEdits=(edits_to_dict(device.edits),)
    )


def _node_dict(node: DeviceNode) -> dict[str, Any]:
    return _filled(
        path=(node.path,),
        hostPath=node.host_path,
        type=node.type,
        major=node.major,
        minor=node.minor,
        fileMode=_optional(node.file_mode),
        permissions=node.permissions,
        uid=_optional(node.uid),
        gid=_optional(node.gid),
    )


def _hook_dict(hook: Hook) -> dict[str, Any]:
    return _filled(
        hookName=(hook.name,),
        path=(hook.path,),
        args=list(hook.args),
        env=list(hook.env),
        timeout=_optional(hook.timeout),
    )


def _mount_dict(mount: Mount) -> dict[str, Any]:
    return _filled(
        hostPath=(mount.host_path,),
        containerPath=(mount.container_path,),
        options=list(mount.options),
        type=mount.type,
    )


def _rdt_dict(rdt: IntelRdt) -> dict[str, Any]:
    return _filled(
        closID=rdt.clos_id,
        l3CacheSchema=rdt.l3_cache_schema,
        memBwSchema=rdt.mem_bw_schema,
        schemata=list(rdt.schemata),
        enableMonitoring=rdt.enable_monitoring,
    )


def spec_of_dict(document: object, source: str = "") -> Spec:
    """The Spec in a parsed JSON or YAML document.  `source` is the file, kept in Spec.path.

    Raises SpecError naming the key: for an unknown field, and for a value of the wrong type.  Whether the values make
    sense is `validate`'s question.
    """
    fields = _fields(document, "", _SPEC)
    return Spec(
        version=fields.get("cdiVersion", ""),
        kind=fields.get("kind", ""),
        annotations=fields.get("annotations", ()),
        devices=fields.get("devices", ()),
        edits=fields.get("containerEdits", Edits()),
        path=source,
    )


def decoding_text(error: SpecError) -> str:
    """An error of `spec_of_dict` in the form of Go's decoder, which operators search for; the key comes last."""
    where = f" ({error.source})" if error.source else ""
    return f"error unmarshaling JSON: while decoding JSON: json: {error.message}{where}"


Reader = Callable[[object, str], Any]


def _fields(value: object, key: str, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """The fields of an object, read by the readers of their names.

    Names match without regard to case, as in Go; null is the same as absence.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(value, key, "an object")
    names = {name.lower(): name for name in readers}
    out: dict[str, Any] = {}
    for given, item in value.items():
        name = given if given in readers else names.get(str(given).lower(), "")
        if not name:
            raise SpecError(f'unknown field "{given}"', source=key, hint=f"CDI 1.1.0 knows {', '.join(readers)} here")
        if name in out:
            raise SpecError(f'duplicate field "{given}"', source=key, hint="keep one of them")
        if item is not None:
            out[name] = readers[name](item, f"{key}.{name}".lstrip("."))
    return out


def _string(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise _wrong(value, key, "a string")
    return value


def _boolean(value: object, key: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, key, "true or false")
    return value


def _integer(low: int, high: int) -> Reader:
    def integer(value: object, key: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value < high:
            raise _wrong(value, key, f"an integer from {low} to {high - 1}")
        return value

    return integer


def _list(reader: Reader) -> Reader:
    def items(value: object, key: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _wrong(value, key, "a list")
        return tuple(reader(item, f"{key}[{index}]") for index, item in enumerate(value))

    return items


def _annotations(value: object, key: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise _wrong(value, key, "an object of strings")
    return tuple((_string(name, key), _string(text, f"{key}.{name}")) for name, text in value.items())


def _node(value: object, key: str) -> DeviceNode:
    fields = _fields(value, key, _NODE)
    return DeviceNode(
        path=fields.get("path", ""),
        host_path=fields.get("hostPath", ""),
        type=fields.get("type", ""),
        major=fields.get("major", 0),
        minor=fields.get("minor", 0),
        file_mode=fields.get("fileMode"),
        permissions=fields.get("permissions", ""),
        uid=fields.get("uid"),
        gid=fields.get("gid"),
    )


def _net_device(value: object, key: str) -> NetDevice:
    fields = _fields(value, key, {"hostInterfaceName": _string, "name": _string})
    return NetDevice(host_interface_name=fields.get("hostInterfaceName", ""), name=fields.get("name", ""))


def _hook(value: object, key: str) -> Hook:
    fields = _fields(value, key, _HOOK)
    return Hook(
        name=fields.get("hookName", ""),
        path=fields.get("path", ""),
        args=fields.get("args", ()),
        env=fields.get("env", ()),
        timeout=fields.get("timeout"),
    )


def _mount(value: object, key: str) -> Mount:
    fields = _fields(value, key, _MOUNT)
    return Mount(
        host_path=fields.get("hostPath", ""),
        container_path=fields.get("containerPath", ""),
        options=fields.get("options", ()),
        type=fields.get("type", ""),
    )


def _rdt(value: object, key: str) -> IntelRdt:
    fields = _fields(value, key, _RDT)
    return IntelRdt(
        clos_id=fields.get("closID", ""),
        l3_cache_schema=fields.get("l3CacheSchema", ""),
        mem_bw_schema=fields.get("memBwSchema", ""),
        schemata=fields.get("schemata", ()),
        enable_monitoring=fields.get("enableMonitoring", False),
    )


def _edits(value: object, key: str) -> Edits:
    fields = _fields(value, key, _EDITS)
    return Edits(
        env=fields.get("env", ()),
        device_nodes=fields.get("deviceNodes", ()),
        net_devices=fields.get("netDevices", ()),
        hooks=fields.get("hooks", ()),
        mounts=fields.get("mounts", ()),
        intel_rdt=fields.get("intelRdt"),
        additional_gids=fields.get("additionalGids", ()),
    )


def _device(value: object, key: str) -> Device:
    fields = _fields(value, key, {"name": _string, "annotations": _annotations, "containerEdits": _edits})
    return Device(
        name=fields.get("name", ""),
        annotations=fields.get("annotations", ()),
        edits=fields.get("containerEdits", Edits()),
    )


_INT64 = _integer(-INT64, INT64)
_UINT32 = _integer(0, UINT32)
_NODE: dict[str, Reader] = {
    "path": _string,
    "hostPath": _string,
    "type": _string,
    "major": _INT64,
    "minor": _INT64,
    "fileMode": _UINT32,
    "permissions": _string,
    "uid": _UINT32,
    "gid": _UINT32,
}
_HOOK: dict[str, Reader] = {
    "hookName": _string,
    "path": _string,
    "args": _list(_string),
    "env": _list(_string),
    "timeout": _INT64,
}
_MOUNT: dict[str, Reader] = {
    "hostPath": _string,
    "containerPath": _string,
    "options": _list(_string),
    "type": _string,
}
_RDT: dict[str, Reader] = {
    "closID": _string,
    "l3CacheSchema": _string,
    "memBwSchema": _string,
    "schemata": _list(_string),
    "enableMonitoring": _boolean,
}
_EDITS: dict[str, Reader] = {
    "env": _list(_string),
    "deviceNodes": _list(_node),
    "netDevices": _list(_net_device),
    "hooks": _list(_hook),
    "mounts": _list(_mount),
    "intelRdt": _rdt,
    "additionalGids": _list(_UINT32),
}
_SPEC: dict[str, Reader] = {
    "cdiVersion": _string,
    "kind": _string,
    "annotations": _annotations,
    "devices": _list(_device),
    "containerEdits": _edits,
}


def _wrong(value: object, key: str, wanted: str) -> SpecError:
    kinds = {
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    kind = kinds.get(type(value), "something else")
    if kind == wanted or (isinstance(value, int) and wanted.startswith("an integer")):
        kind = str(value)
    hint = "quote it: a name is a string, even '5'" if wanted == "a string" else ""
    return SpecError(f"expected {wanted}, got {kind}", source=key, hint=hint)
