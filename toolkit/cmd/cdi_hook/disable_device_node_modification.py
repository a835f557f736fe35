"""disable-device-node-modification: the driver in the container must not make device nodes by itself.

The container gets a copy of the driver's parameters with `ModifyDeviceFiles: 0`, mounted over the real ones.  Upstream
keeps the copy in a scratch folder in the container's /run; ours is in a file system that no path leads to, so nothing
is left behind, an absolute link as /run does not matter, and the mount is read-only.
Source: toolkit v1.20, cmd/nvidia-cdi-hook/disable-device-node-modification (reference: 08-cdi-hook, §7).
"""

import os

from toolkit.apply import linux
from toolkit.apply.rootfs import Rootfs, RootfsError
from toolkit.cmd.cdi_hook.flags import Command, Values, container_spec
from toolkit.errors import ApplyError
from toolkit.gather.container import read_container_root
from toolkit.log import Log
from toolkit.plan.hook_work import PARAMS, without_node_modification


def run(values: Values, log: Log) -> int:
    content = without_node_modification(read_params())
    if not content:
        return 0
    with Rootfs(read_container_root(values.text("container-spec"))) as root:
        try:
            root.mount_file(PARAMS, "nvct-params", content, mode=0o444,
                            flags=linux.RDONLY | linux.NOSUID | linux.NODEV | linux.NOEXEC)
        except RootfsError as e:
            raise ApplyError(f"failed to mount modified params file: open o_path procfd: open {root.path}{PARAMS}: "
                             f"{e.message}", hint=e.hint) from None
    return 0


def read_params(path: str = PARAMS) -> bytes:
    """The host driver's parameters; empty without a driver."""
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return b""
    except OSError as e:
        raise ApplyError(f"failed to load modified params file contents: open {path}: "
                         f"{os.strerror(e.errno or 0).lower()}") from None


COMMAND = Command(flags=(container_spec(hidden=True),), run=run)
