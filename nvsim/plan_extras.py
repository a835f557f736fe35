"""GPUDirect Storage, GDRCopy, RDMA adapters, MPS and vfio: their nodes, kernel modules, sockets and files.

Majors and minors: 231 with its minors and 10:196 are fixed (Linux, devices.txt); the others are dynamic, and these are
what a usual host hands out.  Sizes of modules and the texts below /proc/driver/nvidia-fs are near, not exact."""

from nvsim.ops import Dir, Fifo, File, Op, Socket
from nvsim.plan_host import Host

INFINIBAND, MISC, GDRDRV, NVIDIA_FS = 231, 10, 506, 509  # character majors
VFIO_MINOR, RDMA_CM_MINOR = 196, 58  # of MISC
ISSM, UVERBS = 64, 192  # first minors of INFINIBAND; that of umad is 0
STORAGE_NODES = 16
STORAGE_VERSION = "2.16.1"  # of the module nvidia_fs
_CUFILE = '{\n    "properties": {"allow_compat_mode": true}\n}\n'

Node = tuple[str, int, int, int, int]  # path below /dev, major, minor, mode, group


def nodes(host: Host) -> list[Node]:
    """Those below /dev.  The modules of GPUDirect Storage and GDRCopy need the driver's."""
    extras, found = host.profile.extras, list[Node]()
    if host.kernel and extras.gds:
        found += [(f"nvidia-fs{i}", NVIDIA_FS, i, 0o666, 0) for i in range(STORAGE_NODES)]
    if host.kernel and extras.gdrcopy:
        found.append(("gdrdrv", GDRDRV, 0, 0o666, 0))
    for i in range(extras.mofed):
        found += [(f"infiniband/uverbs{i}", INFINIBAND, UVERBS + i, 0o666, 0),
                  (f"infiniband/umad{i}", INFINIBAND, i, 0o600, 0),
                  (f"infiniband/issm{i}", INFINIBAND, ISSM + i, 0o600, 0)]
    if extras.mofed:
        found.append(("infiniband/rdma_cm", MISC, RDMA_CM_MINOR, 0o666, 0))
    major = next((major for major, names in host.layout.character_majors.items() if "vfio" in names), 0)
    if host.vfio:
        found.append(("vfio/vfio", MISC, VFIO_MINOR, 0o666, 0))
    return found + [(f"vfio/{gpu.iommu_group}", major, i, 0o600, 0) for i, gpu in enumerate(host.vfio)]


def majors(host: Host) -> list[tuple[int, str]]:
    """Lines of /proc/devices."""
    extras = host.profile.extras
    found = [(INFINIBAND, "infiniband_mad"), (INFINIBAND, "infiniband_verbs")] if extras.mofed else []
    if host.kernel and extras.gds:
        found.append((NVIDIA_FS, "nvidia-fs"))
    return [*found, (GDRDRV, "gdrdrv")] if host.kernel and extras.gdrcopy else found


def users(host: Host) -> tuple[str, ...]:
    """Modules that use the module nvidia, beside the driver's own."""
    extras = host.profile.extras
    return tuple(name for name, there in (("nvidia_fs", extras.gds), ("gdrdrv", extras.gdrcopy)) if there)


def modules(host: Host) -> str:
    """Lines of /proc/modules."""
    sizes = {"nvidia_fs": 262144, "gdrdrv": 24576} if host.kernel else {}
    lines = [f"{name} {size} 0 - Live 0x0000000000000000 (OE)" for name, size in sizes.items() if name in users(host)]
    if host.profile.extras.mofed:
        lines += ["rdma_ucm 28672 0 - Live 0x0000000000000000 (OE)", "mlx5_ib 454656 0 - Live 0x0000000000000000 (OE)",
                  "ib_umad 40960 0 - Live 0x0000000000000000 (OE)",
                  "ib_uverbs 155648 2 rdma_ucm,mlx5_ib, Live 0x0000000000000000 (OE)"]
    if host.vfio:
        lines += ["vfio_pci 16384 0 - Live 0x0000000000000000",
                  "vfio_pci_core 73728 1 vfio_pci, Live 0x0000000000000000",
                  "vfio_iommu_type1 40960 0 - Live 0x0000000000000000",
                  "vfio 40960 2 vfio_pci_core,vfio_iommu_type1, Live 0x0000000000000000"]
    return "".join(line + "\n" for line in lines)


def files(host: Host) -> list[Op]:
    """What lies in /etc, /proc, /run, /sys, /tmp and /var/log."""
    return [*_storage(host), *_mps(host)] if host.kernel else []


def _storage(host: Host) -> list[Op]:
    if not host.profile.extras.gds:
        return []
    texts = {"/proc/driver/nvidia-fs/version": f"version: {STORAGE_VERSION}\n",
             "/proc/driver/nvidia-fs/stats": f"NVFS statistics(ver: 4.0)\nNVFS Driver(version: {STORAGE_VERSION})\n",
             "/proc/driver/nvidia-fs/modules": "", "/sys/module/nvidia_fs/version": f"{STORAGE_VERSION}\n",
             "/sys/module/nvidia_fs/initstate": "live\n"}
    return [*(File(path=path, data=text.encode(), mode=0o444) for path, text in texts.items()),
            File(path="/etc/cufile.json", data=_CUFILE.encode()), Dir(path="/run/udev/data")]


def _mps(host: Host) -> list[Op]:
    """What nvidia-cuda-mps-control -d leaves; on Kubernetes the device plugin chooses the folders."""
    if not host.profile.extras.mps:
        return []
    kubernetes = "/run/nvidia/mps/nvidia.com/gpu"
    pipe, log = ((f"{kubernetes}/pipe", f"{kubernetes}/log") if host.profile.operator
                 else ("/tmp/nvidia-mps", "/var/log/nvidia-mps"))
    ops: list[Op] = [Socket(path=f"{pipe}/control", mode=0o666),
                     File(path=f"{pipe}/control_lock", data=b"", mode=0o666),
                     Socket(path=f"{pipe}/control_privileged", mode=0o700), Fifo(path=f"{pipe}/log", mode=0o666),
                     File(path=f"{pipe}/nvidia-cuda-mps-control.pid", data=b"2077\n"),
                     File(path=f"{log}/control.log", data=b""), File(path=f"{log}/server.log", data=b"")]
    return [*ops, Dir(path="/run/nvidia/mps/shm")] if host.profile.operator else ops
