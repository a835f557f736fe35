"""Edits, OCI configuration → new OCI configuration.  Source: toolkit v1.20; CDI library 1.1.0, pkg/cdi.

OCI's words occur here alone: `source` and `destination` of a mount are `host_path` and `container_path` elsewhere.
Every function returns a new dict and leaves its argument alone; what it does not touch is shared with the argument.
"""

from posixpath import basename, normpath
from typing import Any

from toolkit.errors import SpecError
from toolkit.model.edits import DeviceNode, Edits, Hook, Mount

Spec = dict[str, Any]
STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
PRESTART_HOOKS = ("nvidia-container-runtime-hook", "nvidia-container-toolkit")


def with_edits(spec: Spec, edits: Edits) -> Spec:
    """The configuration with one set of edits, applied in CDI's order.

    Device nodes must be complete: `toolkit.gather.device_nodes` fills in what the host decides.
    Raises SpecError for a hook of an unknown stage.
    """
    for change in (_with_env, _with_devices, _with_net_devices, _with_mounts, _with_hooks, _with_rdt, _with_gids):
        spec = change(spec, edits)
    return spec


def without_prestart_hooks(spec: Spec) -> Spec:
    """Without the prestart hooks of the legacy mode, whatever their folder; all other hooks stay in order."""
    prestart = _hooks(spec).get("prestart", [])
    kept = [hook for hook in prestart if basename(hook.get("path", "")) not in PRESTART_HOOKS]
    return _put(spec, kept, "hooks", "prestart") if len(kept) < len(prestart) else spec


def existing_prestart_hook(spec: Spec) -> str:
    """The path of a prestart hook of the legacy mode that is there already; "" if there is none."""
    paths = (hook.get("path", "") for hook in _hooks(spec).get("prestart", []))
    return next((path for path in paths if basename(path) in PRESTART_HOOKS), "")


def with_prestart_hook(spec: Spec, path: str) -> Spec:
    """With the prestart hook of the legacy mode at the end."""
    hook = {"path": path, "args": [basename(path), "prestart"]}
    return _put(spec, [*_hooks(spec).get("prestart", []), hook], "hooks", "prestart")


def _with_env(spec: Spec, edits: Edits) -> Spec:
    """Appended: a variable of the same name that was there before stays.  Within one set the last of a name wins."""
    if not edits.env:
        return spec
    added: dict[str, str] = {}
    for item in edits.env:
        added[item.partition("=")[0]] = item
    return _put(spec, [*_get(spec, [], "process", "env"), *added.values()], "process", "env")


def _with_devices(spec: Spec, edits: Edits) -> Spec:
    """A device of the same path is replaced.  Each block or character device gets a rule of its own."""
    if not edits.device_nodes:
        return spec
    user = _get(spec, {}, "process", "user")
    devices = list(_get(spec, [], "linux", "devices"))
    rules = list(_get(spec, [], "linux", "resources", "devices"))
    for node in edits.device_nodes:
        same = next((i for i, device in enumerate(devices) if device.get("path") == node.path), None)
        if same is not None:
            del devices[same]
        devices.append(_device(node, user))
        if node.type in ("b", "c"):
            rules.append({"allow": True, "type": node.type, "major": node.major, "minor": node.minor,
                          "access": node.permissions or "rwm"})
    spec = _put(spec, devices, "linux", "devices")
    return _put(spec, rules, "linux", "resources", "devices") if rules else spec


def _device(node: DeviceNode, user: dict[str, Any]) -> dict[str, Any]:
    """A device of OCI.  One without an owner belongs to the container's user, unless that is root."""
    device: dict[str, Any] = {"path": node.path, "type": node.type, "major": node.major, "minor": node.minor}
    if node.file_mode is not None:
        device["fileMode"] = node.file_mode
    for name, value in (("uid", node.uid), ("gid", node.gid)):
        if value is not None:
            device[name] = value
        elif user.get(name):
            device[name] = user[name]
    return device


def _with_net_devices(spec: Spec, edits: Edits) -> Spec:
    if not edits.net_devices:
        return spec
    added = {device.host_interface_name: {"name": device.name} for device in edits.net_devices}
    return _put(spec, {**_get(spec, {}, "linux", "netDevices"), **added}, "linux", "netDevices")


def _with_mounts(spec: Spec, edits: Edits) -> Spec:
    """A mount of the same destination is replaced.  Then all mounts are sorted: a parent before what lies in it."""
    if not edits.mounts:
        return spec
    mounts = list(spec.get("mounts", []))
    for mount in edits.mounts:
        same = next((i for i, m in enumerate(mounts) if m.get("destination") == mount.container_path), None)
        if same is not None:
            del mounts[same]
        mounts.append(_mount(mount))
    mounts.sort(key=lambda m: _depth(m.get("destination", "")))
    return {**spec, "mounts": mounts}


def _depth(destination: str) -> int:
    """The number of slashes in the cleaned path: "/" and "/proc" have one."""
    cleaned = normpath(destination)
    return (cleaned[1:] if cleaned.startswith("//") else cleaned).count("/")


def _mount(mount: Mount) -> dict[str, Any]:
    result: dict[str, Any] = {"destination": mount.container_path}
    if mount.type:
        result["type"] = mount.type
    return {**result, "source": mount.host_path, "options": list(mount.options)}


def _with_hooks(spec: Spec, edits: Edits) -> Spec:
    for hook in edits.hooks:
        if hook.name not in STAGES:
            raise SpecError(f'unknown hook name "{hook.name}"', source=hook.path, hint=f"one of {', '.join(STAGES)}")
        spec = _put(spec, [*_hooks(spec).get(hook.name, []), _hook(hook)], "hooks", hook.name)
    return spec


def _hook(hook: Hook) -> dict[str, Any]:
    result: dict[str, Any] = {"path": hook.path, "args": list(hook.args), "env": list(hook.env)}
    return result if hook.timeout is None else {**result, "timeout": hook.timeout}


def _with_rdt(spec: Spec, edits: Edits) -> Spec:
    rdt = edits.intel_rdt
    if rdt is None:
        return spec
    value = {"closID": rdt.clos_id, "schemata": list(rdt.schemata), "l3CacheSchema": rdt.l3_cache_schema,
             "memBwSchema": rdt.mem_bw_schema, "enableMonitoring": rdt.enable_monitoring}
    return _put(spec, {name: item for name, item in value.items() if item}, "linux", "intelRdt")


def _with_gids(spec: Spec, edits: Edits) -> Spec:
    """Each group once; 0 is never added."""
    present = _get(spec, [], "process", "user", "additionalGids")
    added = [gid for gid in dict.fromkeys(edits.additional_gids) if gid and gid not in present]
    return _put(spec, [*present, *added], "process", "user", "additionalGids") if added else spec


def _hooks(spec: Spec) -> dict[str, Any]:
    hooks: dict[str, Any] = spec.get("hooks", {})
    return hooks


def _get(spec: Spec, default: Any, *path: str) -> Any:
    """The value at a path of keys, the default where a key is missing."""
    value: Any = spec
    for key in path:
        if key not in value:
            return default
        value = value[key]
    return value


def _put(spec: Spec, value: Any, *path: str) -> Spec:
    """The configuration with the value at a path of keys; what is on the way is copied or made."""
    key, rest = path[0], path[1:]
    return {**spec, key: _put(spec.get(key, {}), value, *rest) if rest else value}
