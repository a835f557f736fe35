"""What `info`, `list` and `configure` do alike: give up rights, load modules, ask NVML, find the driver's files."""

import os
import re
from functools import partial
from typing import NamedTuple

from toolkit.apply import kmods, privileges
from toolkit.cmd.cli.debuglog import DebugLog
from toolkit.cmd.cli.options import Parsed
from toolkit.errors import ConfigError, ToolkitError
from toolkit.gather import legacy
from toolkit.gather.legacy_nvml import LIBRARY, Nvml, read_nvml
from toolkit.gather.legacy_root import Root
from toolkit.gather.legacy_wsl import Store, read_stores
from toolkit.model.native import Driver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST_ID = (1 << 32) - 1


class Settings(NamedTuple):
    """The global options.  `uid` and `gid` are those of the process that loads NVML."""

    root: str
    ldcache: str
    uid: int
    gid: int
    load_kmods: bool
    create_imex: bool
    pivot: bool


class Machine(NamedTuple):
    """What start-up found: NVML's answers and, under WSL 2, the driver stores."""

    nvml: Nvml
    stores: tuple[Store, ...] = ()


def settings(given: Parsed, *, unprivileged_default: bool) -> Settings:
    """The global options as values.  `unprivileged_default`: an ordinary user asks as himself.

    Raises ConfigError for a user that cannot be; paths are checked by `start`."""
    root, ldcache = given.last("root", "/"), given.last("ldcache", "/etc/ld.so.cache")
    if given.has("user"):
        uid, gid = user_of(given.last("user"))
    elif unprivileged_default and os.geteuid():
        uid, gid = os.geteuid(), os.getegid()
    else:
        uid, gid = _overflow("uid"), _overflow("gid")
    return Settings(
        root="/" + os.path.normpath(root).lstrip("/") if root.startswith("/") else root, ldcache=ldcache,
        uid=uid, gid=gid, load_kmods=given.has("load-kmods"), create_imex=not given.has("no-create-imex-channels"),
        pivot=not given.has("no-pivot"),
    )


def _overflow(kind: str) -> int:
    with open(f"/proc/sys/kernel/overflow{kind}", encoding="ascii") as f:
        return int(f.read())


def _wrong_user(why: str) -> ConfigError:
    return ConfigError(f"parse user/group failed: {why}", source="input error", hint="--user=UID[:GID], or names")


def _number(text: str) -> int:
    """A user or group id in decimal, read as strtoull(3) does; -1 for a name.

    Raises ConfigError for trailing text or an id out of range."""
    number = re.match(r"\s*([+-]?)0*([0-9]+)", text, re.ASCII)
    if not number:
        return -1
    sign, digits = number.groups()
    if len(digits) > 10 or int(digits) > _LARGEST_ID or (sign == "-" and int(digits)):
        raise _wrong_user("numerical result out of range")
    if number.end() < len(text):
        raise _wrong_user("invalid argument")
    return int(digits)


def user_of(text: str) -> tuple[int, int]:
    """UID[:GID], by number or name; without a group, the user's own.  "" means the current ids.  Raises ConfigError."""
    import grp
    import pwd

    if not text:
        return os.geteuid(), os.getegid()
    user, _, group = text.partition(":")
    uid, gid = _number(user), -1
    try:
        if uid < 0 or not group:
            entry = pwd.getpwnam(user) if uid < 0 else pwd.getpwuid(uid)
            uid, gid = entry.pw_uid, entry.pw_gid
        if group:
            gid = _number(group)
        if gid < 0:
            gid = grp.getgrnam(group).gr_gid
    except (KeyError, ValueError, OverflowError):
        raise _wrong_user("no such file or directory") from None
    return uid, gid


def limit(log: DebugLog, *, always: bool) -> None:
    """Gives up the rights that no step needs.  An ordinary user has none to give up, unless it is `always` asked for.

    Raises ApplyError where a right that is kept is not held."""
    if always or not os.geteuid():
        privileges.limit()
        privileges.step("init")


def start(chosen: Settings, log: DebugLog, *, imex_channels: tuple[int, ...] = ()) -> Machine:
    """The library's start-up: WSL 2, kernel modules, NVML.

    Raises ToolkitError.  A relative driver root is refused; upstream fails on it later, with another text."""
    from toolkit import __version__

    if not chosen.root.startswith("/") or not chosen.ldcache:
        raise ConfigError("invalid argument", source="initialization error",
                          hint="--root is an absolute path, --ldcache a path below it")
    log("I", f"initializing library context (version={__version__})")
    log("I", f"using root {chosen.root}")
    log("I", f"using ldcache {chosen.ldcache}")
    log("I", f"using unprivileged user {chosen.uid}:{chosen.gid}")
    for channel in imex_channels:
        log("I", f"using IMEX channel {channel}")
    stores = read_stores(log)
    if chosen.load_kmods:
        _load_kmods(chosen, imex_channels if chosen.create_imex else (), log, wsl=bool(stores))
    log("I", "starting driver rpc service")
    library = f"{stores[0].path.rstrip('/')}/{LIBRARY}" if stores else LIBRARY
    nvml = read_nvml(partial(privileges.confine, os.getpid(), chosen.root, chosen.uid, chosen.gid),
                     library=library, wsl=bool(stores))
    log("I", "driver rpc service terminated successfully")
    return Machine(nvml=nvml, stores=stores)


def _load_kmods(chosen: Settings, imex_channels: tuple[int, ...], log: DebugLog, *, wsl: bool) -> None:
    """--load-kmods.  Whatever does not work is only logged.  Raises HostError for an id map that cannot be read."""
    if wsl:
        log("W", "skipping kernel modules load on WSL")
        return
    privileges.step("init_kmods")
    kmods.load(chosen.root, imex_channels=imex_channels, say=log)
    privileges.step("init")


def read_driver(chosen: Settings, machine: Machine, given: Parsed, log: DebugLog,
                environment: "Mapping[str, str]") -> Driver:
    """The driver's files, without those that the command's options leave out.  Raises HostError."""
    left_out = [name for name in ("no-persistenced", "no-fabricmanager", "no-gsp-firmware") if given.has(name)]
    log("I", f"requesting driver information with '{' '.join(left_out)}'")
    nvml = machine.nvml
    nvml.check(nvml.version_error)
    with opened_root(chosen.root) as root:
        return legacy.read_driver(
            root, nvml, ldcache=chosen.ldcache, path=environment.get("PATH"),
            mps=environment.get("CUDA_MPS_PIPE_DIRECTORY"), persistenced="no-persistenced" not in left_out,
            fabricmanager="no-fabricmanager" not in left_out, gsp_firmware="no-gsp-firmware" not in left_out,
            stores=machine.stores, say=log,
        )


def opened_root(path: str) -> Root:
    """The driver root.  Raises HostError with source "detection error"."""
    try:
        return Root(path)
    except ToolkitError as e:
        raise e.within("detection error") from None


def log_gpus(machine: Machine, log: DebugLog) -> None:
    """The GPUs, or the error of their enumeration.  Raises HostError."""
    log("I", "requesting device information with ''")
    machine.nvml.check(machine.nvml.gpu_error)
    for gpu in machine.nvml.gpus:
        shown = f"dxcore adapter {gpu.index}" if machine.stores else f"device {gpu.node}"
        log("I", f"listing {shown} ({gpu.uuid} at {gpu.bus_id})")
