"""nvidia-container-cli configure: looks at host and container, plans, and carries the plan out in the container."""

import errno
import os
import signal
from functools import partial
from typing import NamedTuple

from toolkit.apply import cgroup, ldconfig, linux, privileges
from toolkit.apply.ops import Executor
from toolkit.apply.rootfs import Rootfs
from toolkit.apply.rootview import RootView, reason
from toolkit.cmd.cli import driver, options
from toolkit.cmd.cli.debuglog import DebugLog
from toolkit.errors import ApplyError, ConfigError, HostError, ToolkitError
from toolkit.gather import legacy, legacy_cgroup, legacy_container, legacy_libraries
from toolkit.gather.legacy_cgroup import Cgroup
from toolkit.gather.legacy_container import Process
from toolkit.gather.legacy_nvml import LIBRARY, read_nvml
from toolkit.gather.legacy_root import Root
from toolkit.gather.legacy_wsl import read_stores
from toolkit.model.driver_names import DXCORE
from toolkit.model.native import Container, Request, below
from toolkit.model.ops import AllowDevice, Op, RunLdconfig
from toolkit.plan.configure import plan_configure
from toolkit.plan.requirements import LIMIT
from toolkit.plan.selection import imex_channels

_CAPABILITIES = ("compute", "utility", "video", "graphics", "display", "ngx")
_MODES = ("mount", "ldconfig", "disabled")
_NO = ("", "0", "false", "no")
_OPTION_BYTES = 256


class Target(NamedTuple):
    """The container that a command line names."""

    rootfs: str
    process: Process
    namespace: int = -1  # descriptor of its mount namespace
    cgroup: Cgroup | None = None


def _input_error(message: str, hint: str = "") -> ConfigError:
    return ConfigError(message, source="input error", hint=hint)


def _container_error(message: str, hint: str = "") -> ConfigError:
    return ConfigError(message, source="container error", hint=hint)


def rootfs_of(command: options.Parsed) -> str:
    """The one operand: an absolute path, in no spelling the root itself.  Raises UsageError, ConfigError."""
    if len(command.operands) != 1:
        raise options.usage_error(options.CONFIGURE)
    path = command.operands[0]
    if not path.startswith("/") or os.path.normpath(path).strip("/") == "":
        raise _input_error("invalid rootfs directory", hint="give the absolute path of the container's root")
    return path.rstrip("/")


def pid_of(text: str) -> int:
    """--pid, a decimal number.  Raises ConfigError."""
    digits = text.strip().lstrip("+-")
    if not digits.isascii() or not digits.isdigit():
        raise _input_error("parse pid failed: invalid argument")
    if len(digits.lstrip("0")) > 10 or abs(int(digits)) >> 31:
        raise _input_error("parse pid failed: numerical result out of range")
    return int(text)


def requirements_of(command: options.Parsed) -> tuple[str, ...]:
    """The expressions of --require.  Raises ConfigError for too many."""
    requirements = command.all("require")
    if len(requirements) > LIMIT:
        raise _input_error("too many requirements", hint=f"at most {LIMIT}")
    return requirements


def request_of(command: options.Parsed) -> Request:
    """The command's options as a request.  Raises ConfigError, RequestError."""
    if command.has("ldconfig") and not command.last("ldconfig").removeprefix("@"):
        raise _container_error("invalid argument", hint="--ldconfig takes a path, @PATH for the host's")
    modes = set(command.all("cuda-compat-mode")) | ({"disabled"} if command.has("no-cntlibs") else set())
    for mode in sorted(modes - set(_MODES)):
        raise _container_error(f"invalid option: cuda-compat-mode={mode}", hint=f"one of {', '.join(_MODES)}")
    if "disabled" in modes:
        modes = {"disabled"}
    if len(modes) > 1:
        raise _container_error("only one cuda-compat-mode can be specified at a time")
    return Request(
        devices=command.joined("device"), mig_config=command.joined("mig-config"),
        mig_monitor=command.joined("mig-monitor"), imex_channels=imex_channels(command.joined("imex-channel")),
        capabilities=tuple(name for name in _CAPABILITIES if command.has(name)), compat32=command.has("compat32"),
        requirements=requirements_of(command), ldconfig=command.last("ldconfig"), cuda_compat_mode=(*modes, "mount")[0],
        no_cgroups=command.has("no-cgroups"), no_devbind=command.has("no-devbind"),
    )


def planned(argv: list[str], *, root: str = "/") -> tuple[Op, ...]:
    """What a whole command line of `nvidia-container-cli … configure … ROOTFS` would do, without doing it.

    The machine is what lies below `root`; no privileges are needed, nothing is entered, no modules are loaded.  ROOTFS
    is a directory here and now, or does not exist yet: then it is taken for an image without files of its own.
    Raises ToolkitError as the command would.
    """
    given = options.parse(options.GLOBAL, argv[1:])
    if given.operands[:1] != ("configure",):
        raise options.usage_error(options.GLOBAL)
    command = options.parse(options.CONFIGURE, list(given.operands[1:]))
    rootfs, request = rootfs_of(command), request_of(command)
    chosen = driver.settings(given, unprivileged_default=True)
    log = DebugLog("")
    place = os.path.join(root, chosen.root.lstrip("/"))
    with Root(place, name=chosen.root) as found:
        dxcore = _library(found, chosen.ldcache, place, DXCORE)
        stores = read_stores(log, library=dxcore, machine=root) if dxcore else ()
        library = (place.rstrip("/") + found.resolve(f"{stores[0].path}/{LIBRARY}") if stores
                   else _library(found, chosen.ldcache, place, LIBRARY))
        if not library:
            raise HostError(f"load library failed: {LIBRARY}: cannot open shared object file: no such file or "
                            "directory", source="initialization error",
                            hint="install the driver's libraries and run ldconfig")
        nvml = read_nvml(library=library, wsl=bool(stores))
        nvml.check(nvml.version_error)
        files = legacy.read_driver(
            found, nvml, ldcache=chosen.ldcache, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            persistenced=not command.has("no-persistenced"), fabricmanager=not command.has("no-fabricmanager"),
            gsp_firmware=not command.has("no-gsp-firmware"), stores=stores, machine=root, say=log)
        nvml.check(nvml.gpu_error)
        host = legacy.read_host(found, files, nvml.gpus, imex_channels=request.imex_channels, machine=root,
                                all_caps=bool(request.mig_config or request.mig_monitor))
    is_there = os.path.isdir(rootfs)
    return plan_configure(request, host, legacy_container.spec_container(rootfs) if is_there else Container(rootfs))


def _library(root: Root, cache: str, place: str, name: str) -> str:
    """A library of a driver root that is not entered: what the loader of that root would find, "" if nothing."""
    try:
        bits, _ = legacy_libraries.architectures()
        for entry in legacy_libraries.read_cache(root, cache):
            if entry.name == name and entry.flags & 1 and entry.architecture == bits:
                return place.rstrip("/") + root.resolve(entry.path)
    except HostError:
        pass
    return ""


def run(given: options.Parsed, arguments: list[str], log: DebugLog) -> None:
    """The command.  Raises ToolkitError; the container is then as it was."""
    chosen = driver.settings(given, unprivileged_default=False)
    command = options.parse(options.CONFIGURE, arguments)
    rootfs = rootfs_of(command)
    pid = pid_of(command.last("pid")) if command.has("pid") else 0
    requirements_of(command)
    driver.limit(log, always=True)
    channels = imex_channels(command.joined("imex-channel"))
    machine = driver.start(chosen, log, imex_channels=channels)
    privileges.step("container")
    request = request_of(command)
    words = _option_words(command, supervised=pid > 0)
    target, container = _container(rootfs, pid, words, request, log)
    privileges.step("info")
    files = driver.read_driver(chosen, machine, command, log, os.environ)
    driver.log_gpus(machine, log)
    with driver.opened_root(chosen.root) as root:
        host = legacy.read_host(root, files, machine.nvml.gpus, imex_channels=request.imex_channels,
                                all_caps=bool(request.mig_config or request.mig_monitor))
    plan = plan_configure(request, host, container)
    privileges.step("mount")
    _apply(plan, chosen, target, container, log)
    try:
        privileges.step("shutdown")
    except ApplyError as e:  # the container is complete, and this process ends
        log("W", str(e))


def _option_words(command: options.Parsed, *, supervised: bool) -> str:
    """The container's options as upstream joins them.  Raises ConfigError for more than its buffer holds."""
    names = (*_CAPABILITIES, "compat32", "no-cgroups", "no-devbind", "no-cntlibs", "cuda-compat-mode")
    words = [f"{name}={value}" if value else name for name, value in command.values if name in names]
    text = " ".join("cuda-compat-mode=disabled" if word == "no-cntlibs" else word for word in words)
    text = f"{text} {'supervised' if supervised else 'standalone'}".strip()
    if len(os.fsencode(text)) >= _OPTION_BYTES:
        raise _container_error("too many options", hint="each is needed once")
    return text


def _container(rootfs: str, pid: int, words: str, request: Request, log: DebugLog) -> tuple[Target, Container]:
    """The container as it is, its namespace and its cgroup.  `words` are its options, for the log.

    Raises ToolkitError with source "container error"."""
    process = legacy_container.process(pid, os.getppid(), rootfs)
    log("I", f"configuring container with '{words}'")
    container = legacy_container.read_container(process, rootfs, compat=request.cuda_compat_mode != "disabled" and bool(
        {"compute", "video"} & set(request.capabilities)))
    for path in container.compat:
        log("I", f"selecting {below(rootfs, path)}")
    log("I", f"setting pid to {process.pid}")
    log("I", f"setting rootfs to {rootfs}")
    log("I", f"setting owner to {container.uid}:{container.gid}")
    log("I", f"setting bins directory to {container.bins_dir}")
    log("I", f"setting libs directory to {container.libs_dir}")
    log("I", f"setting libs32 directory to {container.libs32_dir}")
    log("I", f"setting cudart directory to {legacy_container.CUDA}")
    program = request.ldconfig or container.ldconfig
    log("I", f"setting ldconfig to {program}{' (host relative)' if program.startswith('@') else ''}")
    log("I", f"setting mount namespace to {process.namespace}")
    found = None
    if not request.no_cgroups:
        found = legacy_cgroup.read_cgroup(
            proc=process.proc, pid=process.pid, mounts_of=os.getppid() if process.supervised else process.pid,
            prefix="" if process.supervised else rootfs)
        log("I", f"detected cgroupv{found.version}")
        log("I", f"setting devices cgroup to {found.directory}")
    try:
        namespace = os.open(process.namespace, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        raise HostError(f"namespace association failed: {process.namespace}: {reason(e.errno or 0)}",
                        source="mount error") from None
    return Target(rootfs=rootfs, process=process, namespace=namespace, cgroup=found), container


def _apply(plan: tuple[Op, ...], chosen: driver.Settings, target: Target, container: Container, log: DebugLog) -> None:
    """Carries out a plan in the container's mount namespace, in a child: this process stays where it is.

    The device cgroup is opened here, where its path is known to be the machine's.  Raises ApplyError."""
    access = None
    if target.cgroup and any(isinstance(op, AllowDevice) for op in plan):
        access = cgroup.open_access(target.cgroup.version, target.cgroup.directory)
    parent = os.getpid()
    try:
        report, report_end = os.pipe()
        child = os.fork()
    except OSError as e:
        raise ApplyError(f"process creation failed: {reason(e.errno or 0)}", source="mount error") from None
    if child == 0:
        os.close(report)
        _carry_out(plan, chosen, target, container, access, log, parent, report_end)
    os.close(report_end)
    with open(report, encoding="utf-8", errors="surrogateescape") as f:
        error = f.read()
    status = os.waitpid(child, 0)[1]
    if access:
        access.close()
    if error or status:
        raise ApplyError(error or f"configuration ended by status {status}")


def _carry_out(plan: tuple[Op, ...], chosen: driver.Settings, target: Target, container: Container,
               access: cgroup.Access | None, log: DebugLog, parent: int, report: int) -> None:
    """The child.  Its error goes to the pipe; it never returns."""
    code = 1
    try:
        linux.die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        _enter(target)
        with Rootfs(target.rootfs) as rootfs, RootView(chosen.root) as root:
            executor = Executor(rootfs, root, uid=container.uid, gid=container.gid, access=access, say=log,
                                ldconfig=partial(_run_ldconfig, chosen, target, container, log))
            executor.run(plan)
        code = 0
    except ToolkitError as e:
        os.write(report, str(e).encode("utf-8", "surrogateescape"))
    except Exception as e:  # a bug of ours: the container is untouched all the same, and the text says where to look
        os.write(report, f"mount error: {type(e).__name__}: {e}".encode("utf-8", "backslashreplace"))
    finally:
        os._exit(code)


def _enter(target: Target) -> None:
    try:
        linux.setns(target.namespace, linux.NEWNS)
    except OSError as e:
        raise ApplyError(f"namespace association failed: {target.process.namespace}: {reason(e.errno or 0)}",
                         source="mount error") from None


def _run_ldconfig(chosen: driver.Settings, target: Target, container: Container, log: DebugLog,
                  op: RunLdconfig) -> None:
    """ldconfig in the container.  Something that is missing there is no error, as with upstream; a log line tells."""
    path = _program(op.path) if op.host else op.path
    log("I", f"executing {path} from {'host' if op.host else 'container'} at {target.rootfs}")
    privileges.step("ldcache")
    try:
        ldconfig.run_confined(
            path, ldconfig.arguments(*op.dirs), rootfs=target.rootfs, mount_namespace=target.namespace,
            uid=container.uid, gid=container.gid, host_program=op.host, pivot=chosen.pivot,
            secure=os.environ.get("NVC_INSECURE_MODE", "").lower() in _NO, warn=partial(log, "W"),
            output=partial(log, "W"))
    finally:
        _take_back_rights()


def _take_back_rights() -> None:
    """The rights of the mounts.  Where that fails it is tried once more, for the undoing that follows needs them."""
    try:
        privileges.step("mount")
    except ApplyError:
        privileges.step("mount")
        raise


def _program(path: str) -> str:
    """The host's ldconfig.  Ubuntu's is a script around ldconfig.real, which cannot run inside another root.

    Upstream goes on without ldconfig then, and the container finds no library.  Raises ApplyError without that file."""
    try:
        with open(path, "rb") as f:
            script = f.read(2) == b"#!"
    except OSError:
        return path  # the error is that of opening it in earnest
    if not script:
        return path
    if os.path.exists(path + ".real"):
        return path + ".real"
    raise ApplyError(f"process {path} failed with error code: {errno.ENOEXEC}", source="ldcache error",
                     hint=f"{path} is a script; name the program with --ldconfig=@PATH")
