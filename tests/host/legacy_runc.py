"""Real containers whose prestart hook calls nvidia-container-cli, on an emulated host.  For the tests beside this file.

A hook gets the container's state on stdin; here it is a shell script in which PID is the container's first process,
ROOTFS its root, `configure …` our command with the two filled in, and `look NAME` keeps what a later check needs.
"""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit.launchers import install

_HOOK = """#!/bin/sh
PID=$(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/')
ROOTFS={rootfs}
OUT={out}
configure() {{ {cli} $GLOBAL configure --ldconfig=@/sbin/ldconfig "$@" --pid=$PID $ROOTFS; }}
look() {{
    cat /proc/$PID/mountinfo > $OUT/$1.mounts
    nsenter --mount=/proc/$PID/ns/mnt find $ROOTFS -xdev > $OUT/$1.files
}}
{body}
"""
APPLETS = ("sh", "ls", "cat", "find", "mount", "stat", "true", "mknod", "readlink", "grep", "id", "sleep")


class Host:
    """One entered machine, and the bundles of its containers."""

    def __init__(self, folder: Path, name: str = "a100x8", *, cgroup: str = "host", **changes: Any) -> None:
        folder.chmod(0o755)
        self.folder, self.cgroup = folder, cgroup
        build.build(profile.load(name), str(folder / "machine"))
        install(str(folder / "bin"), sys.executable)
        self.machine = Machine(str(folder / "machine"), cgroup=cgroup)  # type: ignore[arg-type]

    def __enter__(self) -> "Host":
        self.machine.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        self.machine.__exit__(*details)
        build.remove(str(self.folder / "machine"))

    @property
    def cli(self) -> str:
        return str(self.folder / "bin" / "nvidia-container-cli")

    def bundle(self, hook: str, command: str, *, files: dict[str, str] | None = None) -> Path:
        """A busybox container that runs `command` in a shell, configured by the body of a hook script.

        `files` are added to the image: path → content, or "-> TARGET" for a link."""
        place = self.folder / f"bundle-{uuid.uuid4().hex[:8]}"
        rootfs = place / "rootfs"
        for name in ("bin", "usr/bin", "usr/lib64", "etc", "dev", "proc", "sys", "tmp", "run", "lib"):
            (rootfs / name).mkdir(parents=True)
        (rootfs / "bin/busybox").write_bytes(Path("/bin/busybox").read_bytes())
        (rootfs / "bin/busybox").chmod(0o755)
        for applet in APPLETS:
            (rootfs / "bin" / applet).symlink_to("busybox")
        (rootfs / "etc/ld.so.conf").write_text("")
        for path, content in (files or {}).items():
            _add(rootfs / path.lstrip("/"), content)
        script = place / "hook"
        script.write_text(_HOOK.format(rootfs=rootfs, out=place, cli=self.cli, body=hook))
        script.chmod(0o755)
        subprocess.run(["runc", "spec"], cwd=place, check=True)
        spec = json.loads((place / "config.json").read_text())
        spec["process"] |= {"terminal": False, "args": ["/bin/sh", "-c", command]}
        spec["root"]["readonly"] = False
        spec["hooks"] = {"prestart": [{"path": str(script)}]}
        (place / "config.json").write_text(json.dumps(spec))
        return place

    def run(self, bundle: Path, runtime: str = "runc") -> "subprocess.CompletedProcess[str]":
        """The container's whole life; its output."""
        name = f"cli-{uuid.uuid4().hex[:8]}"
        return self.machine.run([runtime, "run", "--bundle", str(bundle), name], timeout=60)


def _add(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.is_file():
        path.unlink()
    if content.startswith("-> "):
        os.symlink(content[3:], path)
    else:
        path.write_text(content)
