"""What `info`, `list` and `configure` do alike: give up rights, load modules, ask NVML, find the driver's files."""

import ctypes
import os
from functools import partial
from typing import NamedTuple

from toolkit.apply import kmods, privileges
from toolkit.cmd.cli.debuglog import DebugLog
from toolkit.cmd.cli.options import Parsed
from toolkit.errors import ConfigError, HostError, ToolkitError
from toolkit.gather import legacy
from toolkit.gather.legacy_nvml import Nvml, read_nvml
from toolkit.gather.legacy_root import Root
from toolkit.model.native import Driver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_ID_LIMIT = 1 << 64


class Settings(NamedTuple):
    """The global options.  `uid` and `gid` are those of the process that loads NVML."""

    root: str
    ldcache: str
    uid: int
    gid: int
    load_kmods: bool
    create_imex: bool
    pivot: bool


def settings(given: Parsed, *, unprivileged_default: bool) -> Settings:
    """The global options as values.  `unprivileged_default`: an ordinary user asks as himself.

    Raises ConfigError with upstream's texts.  A relative driver root is refused; upstream fails on it later."""
    root, ldcache = given.last("root", "/"), given.last("ldcache", "/etc/ld.so.cache")
    if not root.startswith("/") or not ldcache:
        raise ConfigError("invalid argument", source="initialization error",
                          hint="--root is an absolute path, --ldcache a path below it")
    if given.has("user"):
        uid, gid = user_of(given.last("user"))
    elif unprivileged_default and os.geteuid():
        uid, gid = os.geteuid(), os.getegid()
    else:
        uid, gid = _overflow("uid"), _overflow("gid")
    return Settings(
        root="/" + os.path.normpath(root).lstrip("/"), ldcache=ldcache, uid=uid, gid=gid,
        load_kmods=given.has("load-kmods"), create_imex=not given.has("no-create-imex-channels"),
        pivot=not given.has("no-pivot"),
    )


def _overflow(kind: str) -> int:
    with open(f"/proc/sys/kernel/overflow{kind}", encoding="ascii") as f:
        return int(f.read())


def _wrong_user(why: str) -> ConfigError:
    return ConfigError(f"parse user/group failed: {why}", source="input error", hint="--user=UID[:GID], or names")


def _number(text: str) -> int:
    """A user or group id in decimal; -1 for a name.  Raises ConfigError for trailing text or an id out of range."""
    digits = len(text) - len(text.lstrip("0123456789"))
    if not digits:
        return -1
    if digits < len(text):
        raise _wrong_user("invalid argument")
    if len(text.lstrip("0")) > 20 or int(text) >= _ID_LIMIT:
        raise _wrong_user("numerical result out of range")
    return int(text) & 0xFFFFFFFF


def user_of(text: str) -> tuple[int, int]:
    """UID[:GID], by number or name; without a group, the user's own.  "" means the current ids.  Raises ConfigError."""
    import grp
    import pwd

    if not text:
        return os.geteuid(), os.getegid()
    user, _, group = text.partition(":")
    uid, gid = _number(user), _number(group)
    try:
        if uid < 0 or (gid < 0 and not group):
            entry = pwd.getpwnam(user) if uid < 0 else pwd.getpwuid(uid)
            uid, gid = entry.pw_uid, entry.pw_gid if not group else gid
        if gid < 0:
            gid = grp.getgrnam(group).gr_gid
    except (KeyError, ValueError, OverflowError):
        raise _wrong_user("no such file or directory") from None
    return uid, gid


def _refuse_wsl(log: DebugLog) -> None:
    """Raises HostError under WSL 2, which is known by its library as upstream knows it."""
    log("I", "attempting to load dxcore to see if we are running under Windows Subsystem for Linux (WSL)")
    try:
        dxcore = ctypes.CDLL("libdxcore.so")
    except OSError:
        log("I", "dxcore initialization failed, continuing assuming a non-WSL environment")
        return
    if hasattr(dxcore, "D3DKMTQueryAdapterInfo"):
        raise HostError("WSL environment detected: not supported by this command", source="initialization error",
                        hint="set nvidia-container-runtime.mode to cdi and run nvidia-ctk cdi generate")


def start(chosen: Settings, log: DebugLog, *, limited: bool, imex_channels: tuple[int, ...] = ()) -> Nvml:
    """The library's start-up: rights, kernel modules, NVML.  `limited`: rights have to be given up, or it is an error.

    Raises ToolkitError."""
    from toolkit import __version__

    log("I", f"initializing library context (version={__version__})")
    log("I", f"using root {chosen.root}")
    log("I", f"using ldcache {chosen.ldcache}")
    log("I", f"using unprivileged user {chosen.uid}:{chosen.gid}")
    for channel in imex_channels:
        log("I", f"using IMEX channel {channel}")
    _refuse_wsl(log)
    if chosen.load_kmods and not os.geteuid():
        kmods.load(chosen.root, imex_channels=imex_channels if chosen.create_imex else (), say=log)
    if limited:
        privileges.limit()
        privileges.step("init")
    log("I", "starting driver rpc service")
    nvml = read_nvml(partial(privileges.confine, os.getpid(), chosen.root, chosen.uid, chosen.gid))
    log("I", "driver rpc service terminated successfully")
    return nvml


def read_driver(chosen: Settings, nvml: Nvml, given: Parsed, log: DebugLog,
                environment: "Mapping[str, str]") -> Driver:
    """The driver's files, without those that the command's options leave out.  Raises HostError."""
    left_out = [name for name in ("no-persistenced", "no-fabricmanager", "no-gsp-firmware") if given.has(name)]
    log("I", f"requesting driver information with '{' '.join(left_out)}'")
    nvml.check(nvml.version_error)
    with opened_root(chosen.root) as root:
        return legacy.read_driver(
            root, nvml, ldcache=chosen.ldcache, path=environment.get("PATH"),
            mps=environment.get("CUDA_MPS_PIPE_DIRECTORY"), persistenced="no-persistenced" not in left_out,
            fabricmanager="no-fabricmanager" not in left_out, gsp_firmware="no-gsp-firmware" not in left_out, say=log,
        )


def opened_root(path: str) -> Root:
    """The driver root.  Raises HostError with source "detection error"."""
    try:
        return Root(path)
    except ToolkitError as e:
        raise e.within("detection error") from None


def log_gpus(nvml: Nvml, log: DebugLog) -> None:
    """The GPUs, or the error of their enumeration.  Raises HostError."""
    log("I", "requesting device information with ''")
    nvml.check(nvml.gpu_error)
    for gpu in nvml.gpus:
        log("I", f"listing device {gpu.node} ({gpu.uuid} at {gpu.bus_id})")
