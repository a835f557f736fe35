"""What the host decides about the device nodes of edits: type, number, permissions.  Source: CDI library 1.1.0."""

import os
import stat

from toolkit.errors import HostError
from toolkit.model.edits import DeviceNode, Edits

_TYPES = {stat.S_IFBLK: "b", stat.S_IFCHR: "c", stat.S_IFIFO: "p"}


def read_nodes(edits: Edits, *, root: str = "/") -> Edits:
    """The same edits, every device node complete; `root` is where the machine's file system is mounted.

    A node that gives its type and major number need not exist.  Raises HostError for any other that is missing, is no
    device, or is of another type than the edits say.
    """
    if not edits.device_nodes:
        return edits
    return edits._replace(device_nodes=tuple(_completed(node, root) for node in edits.device_nodes))


def _completed(node: DeviceNode, root: str) -> DeviceNode:
    host_path = node.host_path or node.path
    specified = bool(node.type and (node.major or node.type == "p"))
    try:
        status = os.lstat(host_path if root in ("", "/") else root.rstrip("/") + "/" + host_path.lstrip("/"))
        found = _TYPES.get(stat.S_IFMT(status.st_mode))
        cause = "" if found else "not a device node"
    except (OSError, ValueError) as e:
        found, cause = "", (os.strerror(e.errno).lower() if isinstance(e, OSError) and e.errno else "invalid argument")
    if not found:
        if specified:
            return node._replace(host_path=host_path)
        raise HostError(f'failed to stat CDI host device "{host_path}": {cause}', source=host_path,
                        hint="load the driver and create its device nodes, or regenerate the CDI specification")
    if node.type and node.type != "u" and node.type != found:
        raise HostError(f'CDI device ("{node.path}", "{host_path}"), host type mismatch ({node.type}, {found})',
                        source=host_path, hint="regenerate the CDI specification")
    numbered = node.major != 0 or found == "p"
    return node._replace(
        host_path=host_path,
        type=node.type or found,
        major=node.major if numbered else os.major(status.st_rdev),
        minor=node.minor if numbered else os.minor(status.st_rdev),
        file_mode=stat.S_IMODE(status.st_mode) if node.file_mode is None else node.file_mode,
    )
