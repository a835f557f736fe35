"""`nvsim ctl driver`: files that are installed, kernel modules that are unloaded, loaded, or replaced by others.

The libraries stay what they are, as those do that a running container has mounted: programs that start after an upgrade
find that library and kernel differ.
"""

import contextlib
import functools
import glob
import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from nvsim import board, catalogue, kernel, mig, phase, plan_proc
from nvsim.catalogue import Release
from nvsim.ctl import kernel_log, processes
from nvsim.ctl.kernel_files import overwrite
from nvsim.ctl.targets import boards, targets
from nvsim.ctl.words import Words, chosen
from nvsim.errors import NvsimError

PROC = "proc/driver/nvidia"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The kernel modules are loaded, or unloaded."""

    loaded: bool

    def apply(self, root: str) -> list[str]:
        """What happened.  Raises NvsimError for modules that processes use, and for files that cannot be moved."""
        if self.loaded:
            said = _install(root)
            _loaded(root)
            for path in boards(root):
                board.update_header(path, driver_loaded=1)
            return [*said, "kernel modules loaded", *_log(root)]
        paths = boards(root)
        _refuse_if_used(root)
        _forget_mig(root)
        if _has_parts(root) and not phase.is_away(root, "modules"):
            _move(root, "modules", there=False)
        for path in paths:
            board.update_header(path, driver_loaded=0)
        return ["kernel modules unloaded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """The driver's files appear on a host that comes up without them."""

    def apply(self, root: str) -> list[str]:
        """What happened.  Raises NvsimError for a host that has them, and for files that cannot be moved."""
        if not _has_parts(root) or not phase.is_away(root, "files"):
            raise NvsimError("the driver's files are there", source="ctl driver install",
                             hint="a host that comes up without them has boot: no-driver in its profile")
        return _install(root)


def _has_parts(root: str) -> bool:
    """Whether a driver belongs to the host.  Raises NvsimError if `root` is none."""
    if not os.path.exists(f"{root}/.nvsim/machine.json"):
        boards(root)
    return bool(phase.facts(root))


def _install(root: str) -> list[str]:
    """Brings the driver's files, if they are not there; says so."""
    if not _has_parts(root) or not phase.is_away(root, "files"):
        return []
    _move(root, "files", there=True)
    return ["driver installed"]


def _loaded(root: str) -> None:
    """Brings what the modules show, if it is not there."""
    if _has_parts(root) and phase.is_away(root, "modules"):
        _move(root, "modules", there=True)


def _move(root: str, part: str, *, there: bool) -> None:
    """A part of the driver comes or goes, on the machines that run too; where one cannot show it, nothing changes."""
    do, undo = (phase.bring, phase.take) if there else (phase.take, phase.bring)
    do(root, part)
    try:
        kernel.appear(root)
    except NvsimError:
        undo(root, part)
        with contextlib.suppress(NvsimError):
            kernel.appear(root)
        raise


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
        _loaded(root)
        _rewrite(root, old.kernel_version, self.release)
        for path in paths:
            board.update_header(path, kernel_version=self.release.version, driver_loaded=1)
        return [f"kernel modules {old.kernel_version} → {self.release.version}; libraries {old.driver_version}",
                *_log(root)]


def parse(words: Words) -> Load | Upgrade | Install:
    """`upgrade VERSION`, `unload`, `load`, `install`."""
    what = chosen(words.bare[0] if words.bare else "", ("upgrade", "unload", "load", "install"), "ctl driver")
    if len(words.bare) != (2 if what == "upgrade" else 1):
        raise NvsimError("expected upgrade VERSION, unload, load, or install", source="ctl driver",
                         hint="nvsim ctl driver upgrade 550.90.07")
    if what == "upgrade":
        return Upgrade(release=catalogue.release(words.bare[1], "ctl driver upgrade"))
    return Install() if what == "install" else Load(loaded=what == "load")


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
