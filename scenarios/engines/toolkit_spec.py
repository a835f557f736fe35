"""The toolkit's own functions, called as its programs call them, on a host below a folder.  Level `spec` alone."""

import os
from typing import Any, NamedTuple

from toolkit.cmd import runtime, runtime_hook
from toolkit.cmd.cli import configure
from toolkit.errors import ToolkitError
from toolkit.gather.config import read_config
from toolkit.gather.host import read_host
from toolkit.log import Notes
from toolkit.model import ops
from toolkit.model.config import Config
from toolkit.model.host import CharDevice
from toolkit.plan.cdi_format import spec_to_dict
from toolkit.plan.cdi_text import to_json
from toolkit.plan.generate import Options, plan_spec
from toolkit.plan.transform import minimum_version, with_merged_device

NAMES = ("index", "uuid")  # what `cdi generate` calls devices by default
HOOKS = ("nvidia-container-runtime-hook", "nvidia-container-toolkit")
OPTIONS = {ops.RDONLY: "ro", ops.NOSUID: "nosuid", ops.NODEV: "nodev", ops.NOEXEC: "noexec"}


class Placed(NamedTuple):
    """What the legacy hook puts into a container: device nodes (path → major, minor), their rules, mount points with
    the restrictions of each (`ro`, `nosuid`, …)."""

    nodes: dict[str, tuple[int, int]] = {}
    rules: tuple[dict[str, Any], ...] = ()
    mounts: dict[str, tuple[str, ...]] = {}
    notes: tuple[str, ...] = ()


def config_at(root: str) -> Config:
    """The config.toml of the machine at `root`."""
    return read_config(environment={}, root=root).config


def edited(spec: dict[str, Any], root: str, program: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the runtime `program` makes of a spec, and its log.  Raises ToolkitError where `create` fails."""
    config = config_at(root)
    forced = program.rpartition(".")[2] if program.endswith((".cdi", ".legacy")) else ""
    if forced:
        settings = config.nvidia_container_runtime._replace(mode=forced)
        config = config._replace(nvidia_container_runtime=settings)
    return runtime.edited(spec, config, root=root)


def write_cdi(root: str, vendor: str, output: str, nodes: tuple[CharDevice, ...]) -> None:
    """`nvidia-ctk cdi generate` on the machine at `root`.  Raises ToolkitError.

    `nodes` are the device nodes of a machine whose nodes could not be made; then the specification says all about
    them, so that none has to be looked at."""
    host = read_host(root=root, want=("auto",))
    host = host._replace(devices=nodes) if nodes else host
    spec, _ = plan_spec(host, mode="auto", vendor=vendor, options=Options(naming=NAMES))
    spec = with_merged_device(spec, "all")
    document = spec_to_dict(spec._replace(version=minimum_version(spec)))
    if nodes:
        for edits in (document["containerEdits"], *(device["containerEdits"] for device in document["devices"])):
            for node in edits.get("deviceNodes", ()):
                node["type"] = "c"
    os.makedirs(os.path.dirname(root + output), exist_ok=True)
    with open(root + output, "w", encoding="utf-8") as f:
        f.write(to_json(document))


def placed_by_hook(spec: dict[str, Any], root: str, rootfs: str) -> Placed:
    """What the prestart hook and nvidia-container-cli do for a container.

    `rootfs` is the image's folder.  Raises ToolkitError as the two programs fail, with the words that they print."""
    log = Notes()
    words = runtime_hook.planned(spec, config_at(root), rootfs=rootfs, root=root, log=log)
    notes = tuple(message for _, message in log.lines)
    if not words:
        return Placed(notes=notes)
    try:
        placed = configure.planned(["nvidia-container-cli", *words], root=root)
    except ToolkitError as e:
        raise type(e)(f"nvidia-container-cli: {e}", hint=e.hint) from e
    return _placed(placed, notes)


def _placed(operations: tuple[ops.Op, ...], notes: tuple[str, ...]) -> Placed:
    """The operations of a configure by what a container sees of them."""
    binds = [op for op in operations if isinstance(op, ops.Bind)]
    rules = tuple({"allow": True, "type": "c", "major": op.major, "minor": op.minor, "access": "rw"}
                  for op in operations if isinstance(op, ops.AllowDevice))
    flags = {op.path: op.flags for op in operations if isinstance(op, ops.Bind | ops.Remount)}
    mounts = {path: tuple(name for flag, name in OPTIONS.items() if given & flag) for path, given in flags.items()}
    return Placed(nodes={op.path: (op.major, op.minor) for op in binds if op.kind == "device"}, rules=rules,
                  mounts=mounts, notes=notes)
