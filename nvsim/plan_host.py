"""What a profile and the catalogue say together: the values from which the parts of a plan are made."""

from dataclasses import dataclass, replace
from typing import Any

from nvsim import board_gpu, catalogue, models, profile_gpus, profile_mig, tegra
from nvsim.profile import VIRTUALIZATION, Profile, near

FIRST_GROUP = 40  # of the IOMMU groups of GPUs
EXCLUSIVE_PROCESS = 3  # nvmlComputeMode_t: one client for each GPU, which is the MPS server
FIRST_RENDER = 128  # minor of the first render node
HOST_BRIDGES = (0x00, 0x80)  # bus numbers: the lower and the upper half of a PCI domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU of the host: its record on the board, its entry in gpus.yaml, the numbers that the kernel gives it.

    `card` and `render` are the minors of its DRM nodes."""

    board: board_gpu.Gpu
    model: dict[str, Any]
    index: int
    minor: int
    bus_id: str
    irq: int
    card: int
    render: int
    numa_node: int
    cpus: str  # those near it, as Linux lists them: 0-15,128-143
    iommu_group: int = -1  # of a GPU that is bound to vfio-pci


@dataclass(frozen=True, slots=True, kw_only=True)
class Jetson:
    """`drives`: what of the processor the module nvidia drives on this machine; `nvgpu`: whether that module is loaded;
    `drm`: the processor's own DRM devices, which have the first cards."""

    board: tegra.Board
    release: tegra.Release
    drives: tegra.Drives
    nvgpu: bool
    drm: tuple[tegra.Drm, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """`driver` are the facts of the driver's files, `kernel` those of the kernel modules; None where there is none."""

    profile: Profile
    layout: catalogue.Layout
    elf: catalogue.Arch  # the architecture of the driver's libraries and programs; 32-bit libraries are i386
    driver: catalogue.Release | None
    kernel: catalogue.Release | None
    windows: str  # version of Windows' driver on a WSL 2 machine, which has no kernel modules
    parts: frozenset[str]
    gpus: tuple[Gpu, ...]
    vfio: tuple[Gpu, ...]  # those that are bound to vfio-pci
    nvswitches: tuple[str, ...]  # bus ids
    nvswitch_device: int  # PCI device number
    other_cards: tuple[str, ...]  # bus ids of other display adapters
    jetson: "Jetson | None" = None

    def major(self, name: str) -> int:
        """The character major that the kernel modules registered under a name; -1 if they have none of that name."""
        return dict(self.majors).get(name, -1)

    @property
    def majors(self) -> tuple[tuple[str, int], ...]:
        """The character majors that the kernel modules registered: name and number."""
        if not self.kernel:
            return ()
        names = {"nvidia-frontend", "nvidia", "nvidia-modeset", "nvidiactl", "drm"}
        return tuple((name, major) for name, major in catalogue.majors(self.kernel.branch)
                     if name in names or not self.displays_only)

    @property
    def modules(self) -> tuple[catalogue.Module, ...]:
        """The driver's kernel modules that are loaded, in the order of /proc/modules: last loaded first."""
        if not self.displays_only:
            return catalogue.modules() if self.kernel else ()
        return tuple(replace(m, users=tuple(user for user in m.users if user != "nvidia_uvm"))
                     for m in catalogue.modules() if m.name != "nvidia_uvm")

    @property
    def displays_only(self) -> bool:
        """Whether the module nvidia has no GPU on this machine, but the display of a Jetson."""
        return self.kernel is not None and self.jetson is not None and self.jetson.drives == "display"

    @property
    def pci_gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that are PCI functions: all but that of a Jetson which nvgpu drives."""
        return tuple(gpu for gpu in self.gpus if gpu.model.get("integrated") != models.BY_NVGPU)


def host(profile: Profile, *, elf: catalogue.Arch = "") -> Host:
    """The host that a profile describes, with ELF files of another architecture than its own if `elf` names one.

    Raises NvsimError for values that do not fit a GPU's record."""
    layout = catalogue.layout(profile.layout, arch=profile.arch)
    layout = catalogue.under_wsl(layout) if profile.wsl else layout
    jetson = _jetson(profile)
    if jetson:
        layout = tegra.under_l4t(layout, jetson.release, nvgpu=jetson.nvgpu)
        driver: catalogue.Release | None = jetson.release.driver
        kernel = driver if profile.kernel_driver and jetson.drives != "none" else None
    else:
        driver = catalogue.release(profile.driver) if profile.driver else None
        kernel = catalogue.release(profile.kernel_driver) if profile.kernel_driver and not profile.wsl else None
    first = models.model(profile.gpus[0].model) if profile.gpus else {}
    switches = tuple(first.get("nvswitch_bus_ids", ())) if profile.nvswitches else ()
    parts = {"persistenced": profile.persistenced, "fabricmanager": profile.fabricmanager, "nvswitch": bool(switches)}
    branch = next((release.branch for release in (driver, kernel) if release), 0)
    taken = {gpu.bus_id for gpu in profile.gpus + profile.vfio}
    made = [_gpu(profile, i, gpu, branch, jetson) for i, gpu in enumerate(profile.gpus + profile.vfio)]
    free = (f"0000:{bus:02x}:00.0" for bus in range(2, 0x7F) if f"0000:{bus:02x}:00.0" not in taken | set(switches))
    return Host(profile=profile, layout=layout, elf=elf or profile.arch, driver=driver, kernel=kernel,
                windows=profile.kernel_driver if profile.wsl else "",
                parts=frozenset(layout.parts) | {name for name, there in parts.items() if there and driver},
                gpus=_linked(profile, made[:len(profile.gpus)]),
                vfio=tuple(replace(gpu, iommu_group=FIRST_GROUP + i) for i, gpu in enumerate(made[len(profile.gpus):])),
                nvswitches=switches,
                nvswitch_device=int(first.get("nvswitch_device", "0"), 16),
                other_cards=tuple(next(free) for _ in range(profile.other_cards)), jetson=jetson)


def _jetson(profile: Profile) -> Jetson | None:
    if profile.tegra is None:
        return None
    board, release = profile.tegra.facts()
    loaded, discrete = bool(profile.kernel_driver), len(profile.gpus) > 1
    return Jetson(board=board, release=release, drives="all" if discrete else board.drives,
                  nvgpu=loaded and board.drives != "all", drm=board.drm.get(release.files, ()) if loaded else ())


def _gpu(profile: Profile, i: int, gpu: profile_gpus.Gpu, branch: int, jetson: Jetson | None) -> Gpu:
    node = near(profile, gpu, i)
    cpus = _cpus_near(node, profile)
    record = models.board_gpu(gpu.model, index=gpu.index, minor=gpu.minor, uuid=gpu.uuid, bus_id=gpu.bus_id,
                              serial=gpu.serial, driver_branch=branch, numa_node=node, cpus=cpus)
    irq = 202 + i
    version = profile.driver or profile.kernel_driver
    if gpu.mig is not None and version:
        source = f"profile {profile.name}: gpus: GPU {gpu.index}: mig"
        record = replace(record, **profile_mig.fields(record, gpu.mig, version, source))
    record = replace(record, irq=irq, virtualization=VIRTUALIZATION[profile.virtualization],
                     compute_mode=EXCLUSIVE_PROCESS if profile.extras.mps else record.compute_mode)
    first_card, first_render = profile.other_cards, FIRST_RENDER
    if jetson:
        record = replace(record, **(jetson.board.differs if gpu.index == 0 else {}))
        before = sum(other.model == jetson.board.gpu for other in profile.gpus) if jetson.nvgpu else 0
        first_card += len(jetson.drm) - before
        first_render += sum(drm.render for drm in jetson.drm) - before
    return Gpu(board=record, model=models.model(gpu.model), index=gpu.index, minor=gpu.minor,
               bus_id=gpu.bus_id, irq=irq, card=first_card + i, render=first_render + i, numa_node=node, cpus=cpus)


def _cpus_near(node: int, profile: Profile) -> str:
    """The CPUs of a NUMA node.  Linux numbers the first threads of all cores, then the second threads of all."""
    cores = profile.cpus // profile.threads
    each = cores // profile.numa_nodes
    first = [node * each + cores * thread for thread in range(profile.threads)]
    return ",".join(f"{cpu}-{cpu + each - 1}" for cpu in first)


def _linked(profile: Profile, gpus: list[Gpu]) -> tuple[Gpu, ...]:
    """The GPUs with the NVLinks that lead from one to another, and in the fabric of the profile."""
    ends: list[list[Gpu]] = [[] for _ in gpus]
    for bridge in profile.nvlinks:
        ends[bridge.first] += [gpus[bridge.second]] * bridge.links
        ends[bridge.second] += [gpus[bridge.first]] * bridge.links
    fabric: dict[str, Any] = {"fabric_cluster": profile.fabric.cluster, "fabric_clique": profile.fabric.clique}
    return tuple(replace(gpu, board=replace(gpu.board, **models.links_to([other.board for other in others]),
                                            **fabric if gpu.model.get("fabric") else {}))
                 for gpu, others in zip(gpus, ends, strict=True))


def uses_gsp(host: Host, gpu: Gpu) -> bool:
    """Whether the GPU's own processor runs the driver's firmware.

    The open module always does so; the closed one on data-centre boards since 510, and on GeForce since 555."""
    if not host.kernel or gpu.board.architecture < 6:
        return False
    geforce = gpu.board.brand == models.BRAND_GEFORCE
    return host.profile.kernel_module == "open" or host.kernel.branch >= (555 if geforce else 510)
