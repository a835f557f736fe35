"""Spec → Spec whose paths lie below another root.  Source: toolkit v1.20, pkg/nvcdi/transform/root."""

from posixpath import join, normpath

from toolkit.errors import ConfigError
from toolkit.model.cdi import Spec
from toolkit.model.edits import DeviceNode, Edits, Hook, Mount

SIDES = ("host", "container")
IN_CONTAINER = ("createContainer", "startContainer")  # stages whose arguments are paths of the container


def with_root(spec: Spec, old: str, new: str, *, side: str = "host") -> Spec:
    """The Spec with `new` in place of the root `old` in the paths of one side.

    A path matches as a whole or up to a "/": "/driver" is no part of "/driver-backup".  "" and "/" match every
    absolute path.  The version stays, though a host path may need a newer one.  Raises ConfigError for another side.
    """
    if side not in SIDES:
        raise ConfigError(f"invalid --relative-to value: {side}", source="--relative-to", hint="host or container")
    if old == new:
        return spec
    move = _Move(old, new, side == "host")
    devices = tuple(device._replace(edits=move.edits(device.edits)) for device in spec.devices)
    return spec._replace(devices=devices, edits=move.edits(spec.edits))


def with_driver_roots(spec: Spec, driver_root: str, dev_root: str, target: str, dev_target: str) -> Spec:
    """The Spec as the host sees it, of one that was made where the driver and its /dev have other roots.

    "" stands for "/", and for a dev root that is the driver root.  The devices go first, where they have a root of
    their own on the host.
    """
    driver_root, target = driver_root or "/", target or "/"
    dev_root, dev_target = dev_root or driver_root, dev_target or target
    if dev_target != target:
        spec = with_root(spec, join(dev_root, "dev"), join(dev_target, "dev"))
    return with_root(spec, driver_root, target)


class _Move:
    def __init__(self, old: str, new: str, on_host: bool) -> None:
        self._old, self._new, self._on_host = old.rstrip("/"), new, on_host

    def edits(self, edits: Edits) -> Edits:
        return edits._replace(
            device_nodes=tuple(map(self._node, edits.device_nodes)),
            hooks=tuple(map(self._hook, edits.hooks)),
            mounts=tuple(map(self._mount, edits.mounts)),
        )

    def _node(self, node: DeviceNode) -> DeviceNode:
        if self._on_host:
            return node._replace(host_path=self._path(node.host_path or node.path))
        return node._replace(path=self._path(node.path))

    def _mount(self, mount: Mount) -> Mount:
        if self._on_host:
            return mount._replace(host_path=self._path(mount.host_path))
        return mount._replace(container_path=self._path(mount.container_path))

    def _hook(self, hook: Hook) -> Hook:
        """The program is one of the host except in startContainer hooks; the arguments depend on the stage."""
        if (hook.name != "startContainer") == self._on_host:
            hook = hook._replace(path=self._path(hook.path))
        if (hook.name not in IN_CONTAINER) == self._on_host:
            hook = hook._replace(args=tuple(map(self._argument, hook.args)))
        return hook

    def _argument(self, argument: str) -> str:
        """A path, or the two of "target::link"."""
        first, separator, second = argument.partition("::")
        return self._path(first) + separator + self._path(second) if separator else self._path(argument)

    def _path(self, path: str) -> str:
        if path != self._old and not path.startswith(self._old + "/") or not path:
            return path
        parts = [part for part in (self._new, path[len(self._old) :]) if part]
        joined = normpath("/".join(parts)) if parts else ""
        return joined[1:] if joined.startswith("//") else joined
