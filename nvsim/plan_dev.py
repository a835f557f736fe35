"""The device nodes of a host and the links to them: /dev/nvidia*, /dev/nvidia-caps, /dev/dri, /dev/char."""

from nvsim import capabilities, plan_extras, plan_tegra
from nvsim.ops import CharDev, Op, Symlink
from nvsim.plan_host import Host

CTL_MINOR, MODESET_MINOR, NVSWITCH_CTL_MINOR = 255, 254, 255
DRM_MAJOR = 226


def nodes(host: Host) -> list[Op]:
    """The nodes below /dev, and below /dev of a driver root or dev root that is not the root.

    Majors, minors and modes: nvidia-modprobe and udev as shipped.  None without kernel modules but those of other
    display adapters.  With a dev root NVIDIA's own nodes are there alone; the kernel makes those of DRM in /dev, and
    so are those of other modules."""
    made = [*_nvidia(host), *_dri(host)] if host.kernel else []
    others = [*_other_cards(host), *plan_extras.nodes(host), *plan_tegra.nodes(host)]
    if host.profile.dev_root:
        at = {capabilities.dev_of(host.profile.dev_root): _nvidia(host) if host.kernel else []}
        at["/dev"] = [*at.get("/dev", []), *(_dri(host) if host.kernel else []), *others]
    else:
        at = {dev: [*made, *others] for dev in ("/dev", capabilities.dev_of(host.profile.driver_root))}
    placeholder = host.profile.placeholders == "files"
    ops: list[Op] = [
        CharDev(path=f"{dev}/{path}", major=major, minor=minor, mode=mode, gid=gid, placeholder=placeholder)
        for dev, nodes in at.items() for path, major, minor, mode, gid in nodes]
    ops += [Symlink(path=f"/dev/{path}", target=target) for path, target in _by_path(host)]
    ops += plan_tegra.char_links(host)
    if host.kernel:
        ops += [Symlink(path=f"/dev/char/{major}:{minor}", target=f"../{path}")
                for path, major, minor, _, _ in made if major == DRM_MAJOR or host.profile.dev_char_links]
    return ops


_Node = tuple[str, int, int, int, int]  # path below /dev, major, minor, mode, group


def _nvidia(host: Host) -> list[_Node]:
    # 195 is NVIDIA's own: nvidia-frontend before 545, nvidia since.
    main = max(host.major("nvidia-frontend"), host.major("nvidia"))
    uvm, caps, switch = host.major("nvidia-uvm"), host.major("nvidia-caps"), host.major("nvidia-nvswitch")
    found = [(f"nvidia{gpu.minor}", main, gpu.minor, 0o666, 0) for gpu in host.pci_gpus]
    found += [("nvidiactl", main, CTL_MINOR, 0o666, 0), ("nvidia-modeset", main, MODESET_MINOR, 0o666, 0),
              ("nvidia-uvm", uvm, 0, 0o666, 0), ("nvidia-uvm-tools", uvm, 1, 0o666, 0),
              ("nvidia-caps/nvidia-cap1", caps, 1, 0o400, 0), ("nvidia-caps/nvidia-cap2", caps, 2, 0o444, 0)]
    channels = host.major("nvidia-caps-imex-channels")
    found += [(f"nvidia-caps-imex-channels/channel{i}", channels, i, 0o400, 0)
              for i in range(host.profile.fabric.imex_channels if channels >= 0 else 0)]
    shown = capabilities.shown(gpu.board for gpu in host.pci_gpus)
    found += [(f"nvidia-caps/nvidia-cap{minor}", caps, minor, 0o444, 0) for minor in sorted(shown.values())]
    if host.nvswitches:
        found += [("nvidia-nvlink", host.major("nvidia-nvlink"), 0, 0o666, 0),
                  ("nvidia-nvswitchctl", switch, NVSWITCH_CTL_MINOR, 0o666, 0)]
        found += [(f"nvidia-nvswitch{i}", switch, i, 0o666, 0) for i in range(len(host.nvswitches))]
    return [node for node in found if node[1] >= 0]  # of modules that are loaded


def _dri(host: Host) -> list[_Node]:
    video, render = host.layout.groups["video"], host.layout.groups["render"]
    return [node for gpu in host.pci_gpus for node in (
        (f"dri/card{gpu.card}", DRM_MAJOR, gpu.card, 0o660, video),
        (f"dri/renderD{gpu.render}", DRM_MAJOR, gpu.render, 0o660, render))]


def _other_cards(host: Host) -> list[_Node]:
    video = host.layout.groups["video"]
    return [(f"dri/card{i}", DRM_MAJOR, i, 0o660, video) for i in range(len(host.other_cards))]


def _by_path(host: Host) -> list[tuple[str, str]]:
    found = [(f"dri/by-path/pci-{bus_id}-card", f"../card{i}") for i, bus_id in enumerate(host.other_cards)]
    found += plan_tegra.by_path(host)
    for gpu in host.pci_gpus if host.kernel else ():
        found += [(f"dri/by-path/pci-{gpu.bus_id}-card", f"../card{gpu.card}"),
                  (f"dri/by-path/pci-{gpu.bus_id}-render", f"../renderD{gpu.render}")]
    return found
