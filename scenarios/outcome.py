"""What one level saw of one step.  None everywhere means: this level cannot see it."""

from dataclasses import dataclass, field
from typing import Any

NOT_STARTED = 125  # the exit code of `docker run` when the container could not be created or started


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A mount of the container.  `options` are those of the mount and of its file system."""

    source: str = ""
    fstype: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A path in the container or on the host.  `kind` is file, dir, link, char, block, socket, fifo or missing."""

    kind: str
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    link: str = ""
    sha256: str = ""
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one level saw.

    `exit`: of the command, or NOT_STARTED.  `gpus`, `cuda`: UUIDs; MIG devices stand for the GPU that they are on.
    `devices`: path → rw, denied or missing, NVIDIA's nodes and those of DRM.  `hooks`: stage → command lines.
    `original`, `spec`: the OCI spec before and after the toolkit.  `host`: path → (before, after), each a listing.
    `log`: what the toolkit and the low-level runtime logged.  `host_gpus`: the UUID of every GPU of the host, by index;
    `host_migs`: UUID and parent of each MIG device, by "GPU:NUMBER".  `left`: mounts that a finished container left
    behind.
    """

    level: str
    started: bool = True
    exit: int | None = None
    stdout: str | None = None
    stderr: str | None = None
    gpus: tuple[str, ...] | None = None
    cuda: tuple[str, ...] | None = None
    devices: dict[str, str] | None = None
    mounts: dict[str, Mount] | None = None
    files: dict[str, File] | None = None
    environment: dict[str, str] | None = None
    libraries: dict[str, str] | None = None
    hooks: dict[str, tuple[str, ...]] | None = None
    spec: dict[str, Any] | None = None
    original: dict[str, Any] | None = None
    host: dict[str, tuple[str, str]] | None = None
    log: str | None = None
    host_gpus: tuple[str, ...] = ()
    host_migs: dict[str, tuple[str, str]] = field(default_factory=dict)
    left: tuple[str, ...] = ()
