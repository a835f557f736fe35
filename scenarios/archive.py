"""A folder as an image that engines load: the archive that `docker save` writes, with one layer.

Fact: image-spec of moby, v1.2, "Combined Image JSON + Filesystem Changeset Format"; docker, podman and ctr read it.
"""

import hashlib
import io
import json
import os
import platform
import tarfile
from typing import Any, NamedTuple

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
EPOCH = "1970-01-01T00:00:00Z"


class Archive(NamedTuple):
    """An archive at `path`; the image in it is called `name` and its configuration has the digest `id`."""

    path: str
    name: str
    id: str


def write(root: str, path: str, name: str, *, env: tuple[tuple[str, str], ...], command: tuple[str, ...]) -> Archive:
    """Writes the archive by rename; every file in it belongs to root, as on the image's own machine."""
    layer = f"{path}.layer"
    with tarfile.open(layer, "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(root, "/", filter=_by_root)
    with open(layer, "rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    config: dict[str, Any] = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux", "created": EPOCH,
        "config": {"Env": [f"{key}={value}" for key, value in env], "Cmd": list(command)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": EPOCH, "created_by": "nvsim"}]}
    text = json.dumps(config).encode()
    image = hashlib.sha256(text).hexdigest()
    manifest = [{"Config": f"{image}.json", "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]
    with tarfile.open(f"{path}.new", "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(layer, f"{digest}/layer.tar")
        for member, content in ((f"{image}.json", text), ("manifest.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    os.unlink(layer)
    os.rename(f"{path}.new", path)
    return Archive(path=path, name=name, id=f"sha256:{image}")


def _by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = "root"
    return entry
