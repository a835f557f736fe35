"""`nvsim ctl driver`: kernel modules that are unloaded, loaded, or replaced by those of another version.

The libraries stay what they are, as those do that a running container has mounted: programs that start afterwards find
that library and kernel differ.
"""

import functools
import glob
import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from nvsim import board, catalogue, kernel, mig, plan_proc
from nvsim.catalogue import Release
from nvsim.ctl import kernel_log, processes
from nvsim.ctl.kernel_files import overwrite
from nvsim.ctl.targets import boards, targets
from nvsim.ctl.words import Words, chosen
from nvsim.errors import NvsimError

PROC = "proc/driver/nvidia"
UNLOADED = ".nvsim/unloaded"  # what /proc/driver/nvidia held


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The kernel modules are loaded, or unloaded."""

    loaded: bool

    def apply(self, root: str) -> list[str]:
        """What happened.  Raises NvsimError for modules that processes use, and for files that cannot be moved."""
        paths = boards(root)
        if not self.loaded:
            _refuse_if_used(root)
            _forget_mig(root)
        _move(root, self.loaded)
        for path in paths:
            board.update_header(path, driver_loaded=int(self.loaded))
        return [f"kernel modules {'loaded' if self.loaded else 'unloaded'}", *(_log(root) if self.loaded else [])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """Kernel modules of another version take the place of those that are loaded."""

    release: Release

    def apply(self, root: str) -> list[str]:
        """What happened, with both versions.  Raises NvsimError as `Load`."""
        paths = boards(root)
        old = board.read(paths[0])
        _refuse_if_used(root)
        _forget_mig(root)
        _move(root, loaded=True)
        _rewrite(root, old.kernel_version, self.release)
        for path in paths:
            board.update_header(path, kernel_version=self.release.version, driver_loaded=1)
        return [f"kernel modules {old.kernel_version} → {self.release.version}; libraries {old.driver_version}",
                *_log(root)]


def parse(words: Words) -> Load | Upgrade:
    """`upgrade VERSION`, `unload`, `load`."""
    what = chosen(words.bare[0] if words.bare else "", ("upgrade", "unload", "load"), "ctl driver")
    if len(words.bare) != (2 if what == "upgrade" else 1):
        raise NvsimError("expected upgrade VERSION, unload, or load", source="ctl driver",
                         hint="nvsim ctl driver upgrade 550.90.07")
    if what == "upgrade":
        return Upgrade(release=catalogue.release(words.bare[1], "ctl driver upgrade"))
    return Load(loaded=what == "load")


def _refuse_if_used(root: str) -> None:
    """rmmod(8): a module that is in use stays."""
    for one in targets(root, "all"):
        users = [str(entry["pid"]) for entry in processes.rows(one.gpu)]
        if users:
            raise NvsimError(f"the module nvidia is in use by process {', '.join(users)}", source=one.name,
                             hint=f"end it: nvsim ctl process remove gpu={one.index} pid={users[0]}")


def _forget_mig(root: str) -> None:
    """No MIG instance outlives the module, and from Hopper on neither does the mode."""
    for one in targets(root, "all"):
        if one.gpu.mig_mode is not None:
            one.edit(mig.reloaded)
    kernel.follow(root)


def _move(root: str, loaded: bool) -> None:
    """Entries of /proc/driver/nvidia out of the way, or back; the folder stays, since machines have mounted it."""
    here, there = f"{root}/{PROC}", f"{root}/{UNLOADED}"
    source, target = (there, here) if loaded else (here, there)
    try:
        for name in sorted(os.listdir(source)) if os.path.isdir(source) else []:
            os.makedirs(target, exist_ok=True)
            os.rename(f"{source}/{name}", f"{target}/{name}")
    except OSError as e:
        raise NvsimError(f"cannot move what the module shows: {e.strerror}", source=source) from e


def _log(root: str) -> list[str]:
    """What the module says when it is loaded, by what it shows; nothing on a host that does not show it."""
    try:
        with open(f"{root}/{PROC}/version", encoding="utf-8") as f:
            return [kernel_log.append(root, f"NVRM: loading {f.readline().strip().removeprefix('NVRM version: ')}")]
    except FileNotFoundError:
        return []


def _rewrite(root: str, old: str, release: Release) -> None:
    """The version in the files in which the modules show it."""
    top = glob.escape(root)
    _change(f"{root}/{PROC}/version", functools.partial(_version_text, release))
    number = re.compile(f"(?m)^((?:GPU Firmware:.*)?){re.escape(old)}$")
    for path in (*glob.glob(f"{top}/sys/module/nvidia*/version"), *glob.glob(f"{top}/{PROC}/gpus/*/information")):
        _change(path, lambda text: number.sub(rf"\g<1>{release.version}", text))


def _change(path: str, change: Callable[[str], str]) -> None:
    """Rewrites a text that a module shows; a host that has no such file shows less."""
    try:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                text = f.read()
            overwrite(path, change(text).encode())
    except OSError as e:
        raise NvsimError(f"cannot write what the module shows: {e.strerror}", source=path) from e


def _version_text(release: Release, text: str) -> str:
    """The kind of module, its architecture and the compiler stay."""
    first, _, rest = text.partition("\n")
    arch = next((arch for arch in ("x86_64", "aarch64") if arch in first), "x86_64")
    return f"{plan_proc.module_line(release, arch, opened='Open Kernel Module' in first)}\n{rest}"
