"""The files of a host below /proc: texts as the kernel modules write them.

Formats are facts from the public source of the open modules, which share this code with the closed ones."""

import functools

from nvsim import capabilities, catalogue, plan_extras, plan_tegra
from nvsim.ops import Dir, File, Op
from nvsim.plan_host import Gpu, Host, uses_gsp

HOPPER = 9
_FABRIC_IMEX_MINOR = 4323


def files(host: Host) -> list[Op]:
    """Everything below /proc that tells of the driver; without kernel modules only what any kernel has."""
    ops = [_file("/proc/devices", _devices(host)), _file("/proc/modules", _modules(host)),
           Dir(path="/proc/driver", mode=0o555)]
    if not host.kernel:
        return ops
    top = "/proc/driver/nvidia"
    ops += [_file(f"{top}/version", version_text(host)), _file(f"{top}/params", params_text(host)),
            _file(f"{top}/registry", 'Binary: ""\n'), _file(f"{top}/suspend", "suspend hibernate resume\n", 0o644),
            _file(f"{top}/suspend_depth", "default modeset uvm\n", 0o644),
            _file(f"{top}/warnings/README", "Warnings of the driver appear in this folder, a file each.\n"),
            _file(f"{top}/patches/README", "Patches of the driver appear in this folder, a file each.\n")]
    if host.displays_only:
        return ops
    ops += [Dir(path="/proc/driver/nvidia-uvm/cpu", mode=0o555), Dir(path="/proc/driver/nvidia-uvm/gpus", mode=0o555)]
    for gpu in host.pci_gpus:
        folder = f"{top}/gpus/{gpu.bus_id}"
        ops += [_file(f"{folder}/information", information_text(host, gpu)),
                _file(f"{folder}/registry", 'Binary: ""\n'), _file(f"{folder}/power", power_text(host.kernel.branch))]
    return ops + _capabilities(host) + _nvlink(host)


def _file(path: str, text: str, mode: int = 0o444) -> Op:
    return File(path=path, data=text.encode(), mode=mode)


def version_text(host: Host) -> str:
    """/proc/driver/nvidia/version: two lines.  The open module names its kind before the number."""
    assert host.kernel
    line = module_line(host.kernel, host.layout.arch, opened=host.profile.kernel_module == "open")
    return f"{line}\nGCC version:  {host.layout.compiler}\n"


def module_line(release: catalogue.Release, arch: str, *, opened: bool) -> str:
    """The first line of /proc/driver/nvidia/version."""
    if opened:
        return (f"NVRM version: NVIDIA UNIX Open Kernel Module for {arch}  {release.version}  Release Build  "
                f"({release.builder})  {release.open_built}")
    return f"NVRM version: NVIDIA UNIX {arch} Kernel Module  {release.version}  {release.built}"


def params_text(host: Host) -> str:
    """/proc/driver/nvidia/params: `Name: value`, texts in quotes."""
    assert host.kernel
    return "".join(f"{name}: {value}\n" if isinstance(value, int) else f'{name}: "{value}"\n'
                   for name, value in catalogue.parameters(host.kernel.branch))


def information_text(host: Host, gpu: Gpu) -> str:
    """/proc/driver/nvidia/gpus/BUS-ID/information.  Tabs and blanks are the driver's own."""
    assert host.kernel
    bits = 52 if gpu.board.architecture >= HOPPER else 47
    firmware = host.kernel.version if uses_gsp(host, gpu) else "N/A"
    return (f"Model: \t\t {gpu.board.name}\nIRQ:   \t\t {gpu.irq}\nGPU UUID: \t {gpu.board.uuid}\n"
            f"Video BIOS: \t {gpu.board.vbios or '??.??.??.??.??'}\nBus Type: \t PCIe\nDMA Size: \t {bits} bits\n"
            f"DMA Mask: \t 0x{(1 << bits) - 1:x}\nBus Location: \t {gpu.bus_id}\nDevice Minor: \t {gpu.minor}\n"
            f"GPU Firmware: \t {firmware}\nGPU Excluded:\t No\n")


def power_text(branch: int) -> str:
    """/proc/driver/nvidia/gpus/BUS-ID/power of a board that saves no power: it grew with 555, 570 and 590."""
    rail = "Tegra iGPU Rail-Gating:     Disabled\n" if branch >= 590 else ""
    text = (f"Runtime D3 status:          Disabled by default\n{rail}Video Memory:               Active\n\n"
            "GPU Hardware Support:\n Video Memory Self Refresh: Not Supported\n"
            " Video Memory Off:          Not Supported\n")
    if branch >= 555:
        text += ("\nS0ix Power Management:\n Platform Support:          Not Supported\n"
                 " Status:                    Disabled\n")
    if branch >= 570:
        text += "\nNotebook Dynamic Boost:     Not Supported\n"
    return text


def _capability(path: str, minor: int, mode: int) -> Op:
    return _file(path, capabilities.text(minor, mode))


def _capabilities(host: Host) -> list[Op]:
    """MIG and fabric capabilities.  With MIG off a GPU has an empty `mig` folder, named by minor, not by index."""
    assert host.kernel
    top = capabilities.TOP
    shown = capabilities.shown(gpu.board for gpu in host.pci_gpus)
    ops = [_capability(f"{top}/mig/config", capabilities.CONFIG, 0o400),
           _capability(f"{top}/mig/monitor", capabilities.MONITOR, 0o444),
           *(Dir(path=f"{top}/gpu{gpu.minor}/mig", mode=0o555) for gpu in host.pci_gpus),
           *(_capability(f"{top}/{path}", minor, 0o444) for path, minor in shown.items()),
           _file("/proc/driver/nvidia-caps/mig-minors", mig_minors_text()),
           _file("/proc/driver/nvidia-caps/nvlink-minors", "fabric-mgmt 0\n")]
    if host.kernel.branch >= 525:
        ops += [_capability(f"{top}/fabric-imex-mgmt", _FABRIC_IMEX_MINOR, 0o400),
                _file("/proc/driver/nvidia-caps/sys-minors", f"fabric-imex-mgmt {_FABRIC_IMEX_MINOR}\n")]
    return ops


@functools.cache
def mig_minors_text() -> str:
    """/proc/driver/nvidia-caps/mig-minors: the minor of every capability that any MIG device could have."""
    lines = [f"config {capabilities.CONFIG}", f"monitor {capabilities.MONITOR}"]
    for gpu in range(capabilities.GPUS):
        for instance in range(capabilities.INSTANCES):
            lines.append(f"gpu{gpu}/gi{instance}/access {capabilities.minor_of(gpu, instance)}")
            lines += [f"gpu{gpu}/gi{instance}/ci{compute}/access {capabilities.minor_of(gpu, instance, compute)}"
                      for compute in range(capabilities.COMPUTE)]
    return "\n".join(lines) + "\n"


def _nvlink(host: Host) -> list[Op]:
    top = "/proc/driver/nvidia-nvswitch"
    ops = [_file("/proc/driver/nvidia-nvlink/permissions", "DeviceFileMode: 438\n"),
           _capability("/proc/driver/nvidia-nvlink/capabilities/fabric-mgmt", 0, 0o400),
           _file(f"{top}/permissions", "DeviceFileMode: 438\n"), Dir(path=f"{top}/devices", mode=0o555)]
    for i, bus_id in enumerate(host.nvswitches):
        uuid = host.gpus[0].board.uuid.replace("GPU-", "SWX-")[:-2] + f"{i:02x}"
        ops.append(_file(f"{top}/devices/{bus_id}/information",
                         f"BIOS Version: 92.10.14.00.01\nUUID: {uuid}\nPhysical location ID: {8 + i:04x}\n"))
    return ops


def _devices(host: Host) -> str:
    """/proc/devices: both tables by number, names of one major in the order of their registration."""
    characters = [(major, name) for major, names in host.layout.character_majors.items() for name in names]
    if host.kernel:
        characters += [(major, name) for name, major in host.majors]
    elif host.other_cards or (host.jetson and host.jetson.drm):
        characters += [(226, "drm")]
    characters += [*plan_extras.majors(host), *plan_tegra.majors(host)]
    return ("Character devices:\n" + "".join(f"{major:3} {name}\n" for major, name in sorted(characters, key=_major))
            + "\nBlock devices:\n" + "".join(f"{m:3} {name}\n" for m, name in sorted(host.layout.block_majors.items())))


def _major(line: tuple[int, str]) -> int:
    return line[0]


def _modules(host: Host) -> str:
    """/proc/modules.  Addresses are zero, as for readers without privileges."""
    kind = host.profile.kernel_module
    ours = plan_extras.modules(host)
    for m in host.modules:
        users = (*plan_extras.users(host), *m.users) if m.name == "nvidia" else m.users
        ours += (f"{m.name} {m.size} {len(users)} {''.join(f'{user},' for user in users) or '-'} Live "
                 f"0x0000000000000000 ({m.flags[kind]})\n")
    others = "".join(line + "\n" for line in host.layout.modules.splitlines())
    if host.kernel:
        return ours + others
    return ours + "".join(_without_users(line) + "\n" for line in others.splitlines())


def _without_users(line: str) -> str:
    """A line of /proc/modules after NVIDIA's modules, which used the module, were unloaded."""
    name, size, _, users, *rest = line.split(" ")
    left = [user for user in users.split(",") if user not in ("", "-") and not user.startswith("nvidia")]
    return " ".join([name, size, str(len(left)), "".join(f"{user}," for user in left) or "-", *rest])
