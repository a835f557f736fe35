"""Kernel modules, device nodes and links for the host itself, each step said before it is done.

Source: toolkit v1.20, pkg/system/nvmodules, nvdevices, cmd/nvidia-ctk/system.
"""

import os
import stat

from toolkit.errors import ApplyError
from toolkit.log import Log

MODPROBE = "/sbin/modprobe"


def load_modules(names: tuple[str, ...], root: str, log: Log, *, dry: bool) -> None:
    """Loads modules with the modprobe of the driver root.  Raises ApplyError at the first that fails."""
    for name in names:
        argv = [*(["chroot", root] if root not in ("", "/") else []), MODPROBE, name]
        if dry:
            log.info(f"Running: {' '.join(argv)}")
        elif cause := _run(argv):
            raise ApplyError(f"failed to load NVIDIA kernel modules: failed to load module {name}: {cause}",
                             source=" ".join(argv), hint="is the driver installed for the kernel that runs?")


def make_node(path: str, major: int, minor: int, log: Log, *, dry: bool) -> None:
    """A character device for everyone, unless there is something at its place.  Raises ApplyError."""
    if dry:
        log.info(f"Running: mknod --mode=0666 {path} c {major} {minor}")
        return
    if os.path.lexists(path):
        log.info(f"Skipping: {path} already exists")
        return
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
        os.chmod(path, 0o666)
    except OSError as e:
        raise ApplyError(f"failed to create device node {os.path.basename(path)}: {_cause(e)}", source=path,
                         hint="the folder has to exist, on a file system that allows devices") from None


def make_links(links: tuple[tuple[str, str], ...], folder: str, log: Log, *, dry: bool) -> None:
    """Links of a name in `folder` to a target.  What exists is left alone, with a warning.  Raises ApplyError."""
    if links and not dry:
        try:
            os.makedirs(folder, 0o755, exist_ok=True)
        except OSError as e:
            stem = f"failed to create links: failed to create directory {folder}: "
            raise ApplyError(f"{stem}mkdir {e.filename}: {_cause(e)}", source=folder,
                             hint="name another folder by --dev-char-path") from None
    for name, target in links:
        path = os.path.join(folder, name)
        log.info(f"Creating link {path} => {target}")
        if dry:
            continue
        try:
            os.symlink(target, path)
        except OSError as e:
            log.warning(f"Could not create symlink: symlink {target} {path}: {_cause(e)}")


def _run(argv: list[str]) -> str:
    """Runs a program; what went wrong, with what it printed, "" if nothing did."""
    import subprocess

    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)
    except OSError as e:
        return f"fork/exec {argv[0]}: {_cause(e)}; output="
    if done.returncode == 0:
        return ""
    code = done.returncode
    how = f"exit status {code}" if code > 0 else f"signal: {-code}"
    return f"{how}; output={done.stdout.decode('utf-8', 'replace')}"


def _cause(error: OSError) -> str:
    return (error.strerror or "failed").lower()
