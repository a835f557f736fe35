"""What `nvidia-container-cli configure` has to do: Request, Host, Container → Ops.  Source: libnvidia-container 1.20.

The order is upstream's, and observable: the driver's files and devices, each GPU, MIG access, MIG configuration and
monitoring, IMEX channels, ldconfig.
"""

import posixpath

from toolkit.errors import HostError
from toolkit.model.driver_names import FABRICMANAGER, PERSISTENCED, is_wanted_binary, is_wanted_library
from toolkit.model.driver_names import library_categories as categories_of
from toolkit.model.native import CAPABILITIES_DIR, Container, Gpu, Host, Request, below
from toolkit.model.ops import (
    NODEV,
    NOEXEC,
    NOSUID,
    RDONLY,
    AddToProfile,
    AllowDevice,
    Bind,
    MakeDir,
    MountTmpfs,
    Op,
    Remount,
    RunLdconfig,
    Symlink,
    WriteFile,
)
from toolkit.plan import compat, requirements, selection

PROC = "/proc/driver/nvidia"
PROFILES = "/etc/nvidia/nvidia-application-profiles-rc.d"
CAPS_DIR = "/dev/nvidia-caps"
IMEX_DIR = "/dev/nvidia-caps-imex-channels"

FILE = RDONLY | NODEV | NOSUID
SOCKET = NODEV | NOSUID | NOEXEC
DEVICE = RDONLY | NOSUID | NOEXEC
PROC_FILE = RDONLY | NODEV | NOSUID | NOEXEC
TMPFS = NODEV | NOSUID | NOEXEC
DEVICE_DIR = NOSUID | NOEXEC

NVIDIA_MAJOR, MODESET_MINOR = 195, 254

# Links that no ldconfig makes: the beginning of a mounted file's name, the link, its target ("" for that file).
_LINKS = (
    ("libcuda.so", "libcuda.so", "libcuda.so.1"),
    ("libGLX_nvidia.so", "libGLX_indirect.so.0", ""),
    ("libnvidia-opticalflow.so", "libnvidia-opticalflow.so", "libnvidia-opticalflow.so.1"),
)


def plan_configure(request: Request, host: Host, container: Container) -> tuple[Op, ...]:
    """All operations of one configure, in order.

    Raises RequestError for a device, right or requirement that cannot be met, HostError ("mount error: …") for a
    device node or capability file that is not there: both before anything is touched.
    """
    chosen = selection.select(request.devices, request.mig_config, request.mig_monitor, host.gpus)
    requirements.check(request.requirements, chosen, host.gpus,
                       cuda=host.driver.cuda_version, driver=host.driver.version)
    libraries = compat.kept(container.compat, host.driver.version, request)
    ops = [
        *_procfs(host),
        *_profile_directory(request, host),
        *_files(request, host, container),
        *compat.mounts(libraries, container, request, FILE),
        *_firmware_and_sockets(request, host),
        *_driver_devices(request, host),
    ]
    for gpu in chosen.gpus:
        ops += _gpu(gpu, request, host) if not host.driver.store else _store(host)
    for mig in chosen.mig_access:
        for path in mig.access_files:
            ops += _capability(path, request, host)
    if chosen.mig_config:
        ops += _rights("config", chosen.mig_config, request, host)
    if chosen.mig_monitor:
        ops += _rights("monitor", chosen.mig_monitor, request, host)
    for channel in request.imex_channels:
        ops += _imex(channel, request, host)
    ops.append(_ldconfig(request, container, compat.directories(libraries, request)))
    return tuple(ops)


def _mount_error(message: str, hint: str = "") -> HostError:
    return HostError(message, source="mount error", hint=hint)


def _procfs(host: Host) -> list[Op]:
    """A copy of the driver's /proc files that the container cannot use to make device nodes; `gpus` comes later."""
    if host.driver.store:
        return []
    ops: list[Op] = [MountTmpfs(path=PROC)]
    for file in host.proc_files:
        content = file.content
        if posixpath.basename(file.path) == "params":
            content = content.replace(b"ModifyDeviceFiles: 1", b"ModifyDeviceFiles: 0", 1)
        ops.append(WriteFile(path=file.path, content=content, mode=file.mode & 0o7777))
    ops.append(Remount(path=PROC, flags=TMPFS))
    return ops


def _profile_directory(request: Request, host: Host) -> list[Op]:
    if host.driver.store or "graphics" not in categories_of(request.capabilities):
        return []
    return [MountTmpfs(path=PROFILES, create=True), Remount(path=PROFILES, flags=TMPFS)]


def _files(request: Request, host: Host, container: Container) -> list[Op]:
    """Binaries, libraries, 32-bit libraries, then the links between them."""
    ops: list[Op] = []
    driver, categories = host.driver, categories_of(request.capabilities)
    binaries = [path for path in driver.binaries if is_wanted_binary(posixpath.basename(path), request.capabilities)]
    if driver.binaries:
        ops += _placed(binaries, container.bins_dir)
    links: list[Op] = []
    wanted = [(driver.libraries, container.libs_dir)]
    if request.compat32:
        wanted.append((driver.libraries32, container.libs32_dir))
    for paths, directory in wanted:
        if not paths:
            continue
        chosen = [path for path in paths if is_wanted_library(posixpath.basename(path), categories)]
        ops += _placed(chosen, directory)
        links += [link for path in chosen for link in _links(posixpath.basename(path), directory)]
    return ops + list(dict.fromkeys(links))


def _placed(paths: list[str], directory: str) -> list[Op]:
    """Files below one directory, which is made even for none of them.  A file that is listed twice is mounted once."""
    binds = [Bind(source=path, path=posixpath.join(directory, posixpath.basename(path)), flags=FILE, kind="regular")
             for path in dict.fromkeys(paths)]
    return [MakeDir(path=directory), *binds]


def _links(file_name: str, directory: str) -> list[Op]:
    return [Symlink(path=posixpath.join(directory, link), target=target or file_name)
            for beginning, link, target in _LINKS if file_name.startswith(beginning)]


def _firmware_and_sockets(request: Request, host: Host) -> list[Op]:
    """Firmware needs no capability; the daemons' sockets need utility and the rest (MPS) needs CUDA."""
    ops: list[Op] = [Bind(source=path, path=path, flags=FILE) for path in host.driver.firmware]
    for path in host.driver.ipcs:
        # The listed path is resolved: /run/… where /var/run is a link.
        daemon = PERSISTENCED.endswith(path) or FABRICMANAGER.endswith(path)
        needed = "utility" in request.capabilities if daemon else "compute" in categories_of(request.capabilities)
        if needed:
            ops.append(Bind(source=path, path=path, flags=SOCKET))
    return ops


def _driver_devices(request: Request, host: Host) -> list[Op]:
    """nvidiactl for all, uvm for CUDA, modeset for display; under WSL 2 /dev/dxg for all."""
    ops: list[Op] = []
    for node in host.driver.devices:
        if host.driver.store:
            ops += _device(node.path, node.major, node.minor, request, host)
            continue
        if node.major != NVIDIA_MAJOR and "compute" not in categories_of(request.capabilities):
            continue
        if (node.major, node.minor) == (NVIDIA_MAJOR, MODESET_MINOR) and "display" not in request.capabilities:
            continue
        ops += _device(node.path, node.major, node.minor, request, host)
    return ops


def _device(path: str, major: int, minor: int, request: Request, host: Host) -> list[Op]:
    """A device node, and the right to open it."""
    ops: list[Op] = []
    if not request.no_devbind:
        _check_node(path, major, minor, host)
        ops.append(Bind(source=path, path=path, flags=DEVICE, kind="device", major=major, minor=minor))
    if not request.no_cgroups:
        ops.append(AllowDevice(major=major, minor=minor))
    return ops


def _check_node(path: str, major: int, minor: int, host: Host) -> None:
    """A node of another number must not be handed out.  What is no device node at all is left to `apply` to refuse."""
    shown, node = below(host.driver.root, path), host.node(path)
    if not node:
        raise _mount_error(f"stat failed: {shown}: no such file or directory",
                           hint="load the driver's modules; nvidia-container-cli --load-kmods makes the nodes")
    if node.character and (node.major, node.minor) != (major, minor):
        raise _mount_error(f"invalid device node: {shown}",
                           hint=f"it is {node.major}:{node.minor} and has to be {major}:{minor}")


def _gpu(gpu: Gpu, request: Request, host: Host) -> list[Op]:
    ops = _device(gpu.node, NVIDIA_MAJOR, gpu.minor, request, host)
    # Drivers name the directory with eight or with four digits of the domain.
    name = next((name for name in (gpu.bus_id, gpu.bus_id[4:]) if name in host.proc_gpus), "")
    if not name:
        missing = below(host.driver.root, f"{PROC}/gpus/{gpu.bus_id[4:]}")
        raise _mount_error(f"stat failed: {missing}: no such file or directory",
                           hint="NVML and the kernel driver disagree about this GPU; is it still on the bus?")
    directory = f"{PROC}/gpus/{name}"
    bind = Bind(source=directory, path=directory, flags=PROC_FILE)
    profile: list[Op] = []
    if "graphics" in categories_of(request.capabilities):
        profile.append(AddToProfile(path=f"{PROFILES}/10-container.conf", minor=gpu.minor))
    allowed = [op for op in ops if isinstance(op, AllowDevice)]
    return [*(op for op in ops if op not in allowed), bind, *profile, *allowed]


def _store(host: Host) -> list[Op]:
    """WSL 2: what stands for a GPU is the driver store, that of the first adapter for each of them."""
    store = host.driver.store.rstrip("/")
    paths = [f"{store}/{name}" for name in host.driver.store_files]
    return [MakeDir(path=store), *(Bind(source=path, path=path, flags=FILE) for path in paths)]


def _cap_minor(path: str, host: Host) -> int:
    minor = host.cap_minor(path)
    if minor < 0:
        raise _mount_error(f"unable to get cap device attributes: {path}: no such file or directory",
                           hint="the file has no DeviceFileMinor line")
    return minor


def _capability(path: str, request: Request, host: Host) -> list[Op]:
    """The access file of a GPU or compute instance and, where capabilities are devices, its device."""
    ops: list[Op] = [Bind(source=path, path=path, flags=PROC_FILE)]
    if host.caps_major < 0:
        return ops
    if path not in dict(host.cap_minors):
        raise _mount_error(f"stat failed: {below(host.driver.root, path)}: no such file or directory",
                           hint="the MIG instance is gone; nvidia-smi mig -lgi lists those that exist")
    minor = _cap_minor(path, host)
    return ops + _device(f"{CAPS_DIR}/nvidia-cap{minor}", host.caps_major, minor, request, host)


def _rights(name: str, gpus: tuple[Gpu, ...], request: Request, host: Host) -> list[Op]:
    """Leave to configure or to monitor the partitions of GPUs: all capability files and all capability devices."""
    ops: list[Op] = [Bind(source=CAPABILITIES_DIR, path=CAPABILITIES_DIR, flags=PROC_FILE)]
    if host.caps_major < 0:
        return ops
    ops.append(Bind(source=CAPS_DIR, path=CAPS_DIR, flags=DEVICE_DIR))
    if not request.no_cgroups:
        minors = [_cap_minor(f"{CAPABILITIES_DIR}/mig/{name}", host)]
        minors += [minor for gpu in gpus for gpu_minor, minor in host.gpu_caps if gpu_minor == gpu.minor]
        ops += [AllowDevice(major=host.caps_major, minor=minor) for minor in minors]
    return ops


def _imex(channel: int, request: Request, host: Host) -> list[Op]:
    """One IMEX channel.  Upstream crashes where its node is missing; here that is an error."""
    path = f"{IMEX_DIR}/channel{channel}"
    node = host.node(path)
    if not node:
        raise _mount_error(f"stat failed: {below(host.driver.root, path)}: no such file or directory",
                           hint="create the channel: nvidia-modprobe -i, or CreateImexChannel0=1 of the module nvidia")
    return _device(path, node.major, node.minor, request, host)


def _ldconfig(request: Request, container: Container, first: tuple[str, ...]) -> RunLdconfig:
    host = request.ldconfig.startswith("@")
    path = request.ldconfig.removeprefix("@") or container.ldconfig
    return RunLdconfig(path=path, dirs=(*first, container.libs_dir, container.libs32_dir), host=host)

