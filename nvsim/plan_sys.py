"""The files of a host below /sys: kernel modules, PCI functions and DRM devices."""

import hashlib
import struct
from dataclasses import dataclass, replace

from nvsim import catalogue, models, plan_extras
from nvsim.ops import File, Op, Symlink
from nvsim.plan_host import HOST_BRIDGES, Gpu, Host
from nvsim.plan_operator import firmware_path

NVIDIA, INTEL, ASPEED = 0x10DE, 0x8086, 0x1A03
ROOT_PORT, BMC = 0x347A, 0x2000
VFIO = "vfio-pci"
DISPLAY = 0x03  # PCI base class
_SPEEDS = {1: "2.5", 2: "5.0", 3: "8.0", 4: "16.0", 5: "32.0", 6: "64.0"}  # GT/s by PCIe generation
_MIB = 1024 * 1024
_MEMORY32, _MEMORY64 = 0x40200, 0x14220C  # flags of a resource: memory; memory, prefetchable, 64 bit


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A PCI function.  `bars` are the address, size and flags of BAR 0, 1, 3; `link` is PCIe generation and lanes."""

    bus_id: str
    vendor: int
    device: int
    pci_class: int
    subsystem: tuple[int, int] = (0, 0)  # vendor, device
    revision: int = 0
    irq: int = 0
    numa_node: int = -1
    cpus: str = "0"  # those near it, as Linux lists them
    driver: str = ""
    bars: tuple[tuple[int, int, int], ...] = ()
    link: tuple[int, int] = (0, 0)
    multifunction: bool = False


def files(host: Host) -> list[Op]:
    """Modules, and the PCI functions of GPUs, NVSwitches and other display adapters with the ports that lead there."""
    functions = [*(f for gpu in host.pci_gpus for f in _gpu_functions(host, gpu)),
                 *(replace(f, driver=VFIO) for gpu in host.vfio for f in _gpu_functions(host, gpu)),
                 *(_nvswitch(host, i, bus_id) for i, bus_id in enumerate(host.nvswitches)),
                 *(Function(bus_id=bus_id, vendor=ASPEED, device=BMC, pci_class=0x030000, subsystem=(ASPEED, BMC),
                            revision=0x41, driver="ast") for bus_id in host.other_cards)]
    places, ports = _places(functions)
    ops = [op for function in [*ports, *functions] for op in _function(function, places[function.bus_id])]
    if host.kernel:
        ops += _modules(host)
        for gpu in host.pci_gpus:
            ops += drm(places[gpu.bus_id], gpu.bus_id, f"card{gpu.card}", gpu.card)
            ops += drm(places[gpu.bus_id], gpu.bus_id, f"renderD{gpu.render}", gpu.render)
    for card, bus_id in enumerate(host.other_cards):
        ops += drm(places[bus_id], bus_id, f"card{card}", card)
    for gpu in host.vfio:
        ops += _iommu_group(gpu, [places[f.bus_id] for f in functions if f.bus_id[:-1] == gpu.bus_id[:-1]])
    return [*ops, _file("/sys/module/firmware_class/parameters/path", firmware_path(host.profile) + "\n", 0o644)]


def _iommu_group(gpu: Gpu, places: list[str]) -> list[Op]:
    """The group of a GPU's functions, which a virtual machine gets as a whole."""
    group = f"/sys/kernel/iommu_groups/{gpu.iommu_group}"
    ops: list[Op] = [_file(f"{group}/type", "DMA\n")]
    for place in places:
        up = "../" * (place.count("/") - 1)
        ops += [Symlink(path=f"{place}/iommu_group", target=f"{up}kernel/iommu_groups/{gpu.iommu_group}"),
                Symlink(path=f"{group}/devices/{place.rpartition('/')[2]}",
                        target="../../../.." + place.removeprefix("/sys"))]
    return ops


def _file(path: str, text: str, mode: int = 0o444) -> Op:
    return File(path=path, data=text.encode(), mode=mode)


def _gpu_functions(host: Host, gpu: Gpu) -> list[Function]:
    board = gpu.board
    bar1 = board.bar1_total or 256 * _MIB
    high = 0x2000_0000_0000 + gpu.index * 4 * bar1
    geforce_sound = board.pci_class == 0x030000  # boards with display connectors have a sound function for them
    main = Function(
        bus_id=gpu.bus_id, vendor=board.pci_device_id & 0xFFFF, device=board.pci_device_id >> 16, revision=0xA1,
        pci_class=board.pci_class, subsystem=(board.pci_subsystem_id & 0xFFFF, board.pci_subsystem_id >> 16),
        irq=gpu.irq if host.kernel else 0, numa_node=gpu.numa_node, cpus=gpu.cpus, multifunction=geforce_sound,
        driver="nvidia" if host.kernel else "", link=(board.pcie_gen, board.pcie_width),
        bars=((0xC000_0000 + gpu.index * 16 * _MIB, 16 * _MIB, _MEMORY32), (high, bar1, _MEMORY64),
              (high + bar1, 32 * _MIB, _MEMORY64)))
    if not geforce_sound:
        return [main]
    return [main, Function(bus_id=gpu.bus_id[:-1] + "1", vendor=NVIDIA, device=0x22BD, pci_class=0x040300,
                           revision=0xA1, subsystem=main.subsystem, numa_node=gpu.numa_node, cpus=gpu.cpus,
                           driver="snd_hda_intel", link=main.link, multifunction=True)]


def _nvswitch(host: Host, index: int, bus_id: str) -> Function:
    near = host.gpus[-1]
    return Function(bus_id=bus_id, vendor=NVIDIA, device=host.nvswitch_device, pci_class=0x068000, revision=0xA1,
                    subsystem=(NVIDIA, host.nvswitch_device), irq=240 + index, numa_node=near.numa_node, cpus=near.cpus,
                    driver="nvidia-nvswitch" if host.kernel else "", link=(4, 2),
                    bars=((0xE000_0000 + index * 32 * _MIB, 32 * _MIB, _MEMORY32),))


def _places(functions: list[Function]) -> tuple[dict[str, str], list[Function]]:
    """The folder of each function, and the root ports: one for each bus that is not a host bridge's own."""
    places: dict[str, str] = {}
    ports: dict[str, Function] = {}
    taken = {function.bus_id for function in functions}
    for function in functions:
        domain, bus, _ = function.bus_id.split(":")
        bridge = max(number for number in HOST_BRIDGES if number <= int(bus, 16))
        folder = f"/sys/devices/pci{domain}:{bridge:02x}"
        if int(bus, 16) != bridge:
            key = f"{domain}:{bus}"
            if key not in ports:
                port = next(name for n in range(240) if (name := f"{domain}:{bridge:02x}:{1 + n % 30:02x}.{n // 30}")
                            not in taken)
                taken.add(port)
                ports[key] = Function(bus_id=port, vendor=INTEL, device=ROOT_PORT, pci_class=0x060400,
                                      driver="pcieport", numa_node=function.numa_node, cpus=function.cpus,
                                      link=function.link)
                places[port] = f"{folder}/{port}"
            folder = places[ports[key].bus_id]
        places[function.bus_id] = f"{folder}/{function.bus_id}"
    return places, list(ports.values())


def _function(f: Function, place: str) -> list[Op]:
    """The folder of a PCI function with its files and links, and the links to it below /sys/bus/pci."""
    up = "../" * (place.count("/") - 1)  # from inside the folder to /sys
    texts = {
        "vendor": f"0x{f.vendor:04x}", "device": f"0x{f.device:04x}", "class": f"0x{f.pci_class:06x}",
        "subsystem_vendor": f"0x{f.subsystem[0]:04x}", "subsystem_device": f"0x{f.subsystem[1]:04x}",
        "revision": f"0x{f.revision:02x}", "irq": str(f.irq), "numa_node": str(f.numa_node),
        "local_cpus": _cpu_mask(f.cpus), "local_cpulist": f.cpus, "modalias": modalias(f),
        "uevent": uevent(f), "resource": resource(f), "enable": "1" if f.driver else "0"}
    ops: list[Op] = []
    if f.pci_class >> 16 == DISPLAY:  # what else sysfs shows is read of GPUs alone
        texts |= {"broken_parity_status": "0", "msi_bus": "1", "d3cold_allowed": "1",
                  "driver_override": f.driver if f.driver == VFIO else "(null)", "power/control": "on",
                  "power/runtime_status": "active"}
        ops += [_file(f"{place}/{name}", "", 0o200) for name in ("remove", "rescan", "reset")]
    if f.link[0]:
        speed = f"{_SPEEDS[f.link[0]]} GT/s PCIe"
        texts |= {"current_link_speed": speed, "max_link_speed": speed, "current_link_width": str(f.link[1]),
                  "max_link_width": str(f.link[1])}
    ops += [_file(f"{place}/{name}", text + "\n") for name, text in texts.items()]
    ops.append(File(path=f"{place}/config", data=config_space(f), size=4096 if f.link[0] else 256))
    if f.bars and f.pci_class >> 16 == DISPLAY:  # BAR 0 alone, the registers: all zero
        ops.append(File(path=f"{place}/resource0", data=b"", size=f.bars[0][1], mode=0o600))
    ops += [Symlink(path=f"{place}/subsystem", target=f"{up}bus/pci"),
            Symlink(path=f"/sys/bus/pci/devices/{f.bus_id}", target="../../.." + place.removeprefix("/sys"))]
    if f.driver:
        ops += [Symlink(path=f"{place}/driver", target=f"{up}bus/pci/drivers/{f.driver}"),
                Symlink(path=f"/sys/bus/pci/drivers/{f.driver}/{f.bus_id}",
                        target="../../../.." + place.removeprefix("/sys"))]
    return ops


def modalias(f: Function) -> str:
    """The alias by which the kernel finds a driver: vendor, device, subsystem and class in upper-case hexadecimal."""
    base, sub, interface = f.pci_class >> 16, f.pci_class >> 8 & 0xFF, f.pci_class & 0xFF
    return (f"pci:v{f.vendor:08X}d{f.device:08X}sv{f.subsystem[0]:08X}sd{f.subsystem[1]:08X}"
            f"bc{base:02X}sc{sub:02X}i{interface:02X}")


def uevent(f: Function) -> str:
    """The `uevent` file, without its last newline."""
    lines = [f"DRIVER={f.driver}"] if f.driver else []
    return "\n".join([*lines, f"PCI_CLASS={f.pci_class:X}", f"PCI_ID={f.vendor:04X}:{f.device:04X}",
                      f"PCI_SUBSYS_ID={f.subsystem[0]:04X}:{f.subsystem[1]:04X}", f"PCI_SLOT_NAME={f.bus_id}",
                      f"MODALIAS={modalias(f)}"])


def _slots(f: Function) -> dict[int, tuple[int, int, int]]:
    """BARs by number: a 64-bit BAR takes two numbers, so the three of a GPU are 0, 1 and 3."""
    return dict(zip((0, 1, 3), f.bars, strict=False))


def resource(f: Function) -> str:
    """Start, end and flags of six BARs, the ROM and six bridge windows, without the last newline."""
    slots = _slots(f)
    return "\n".join("0x{:016x} 0x{:016x} 0x{:016x}".format(
        *((slots[i][0], slots[i][0] + slots[i][1] - 1, slots[i][2]) if i in slots else (0, 0, 0))) for i in range(13))


def config_space(f: Function) -> bytes:
    """The 64 bytes of the PCI header, then the capabilities power management, MSI and PCI Express.

    Offsets: PCI Local Bus Specification 3.0, chapter 6; PCI Express Base Specification, chapter 7."""
    data = bytearray(256)
    bridge = f.pci_class >> 8 == 0x0604
    command = 0x0407 if f.driver else 0x0000
    struct.pack_into("<HHHHBBBBBBBB", data, 0, f.vendor, f.device, command, 0x0010, f.revision, f.pci_class & 0xFF,
                     f.pci_class >> 8 & 0xFF, f.pci_class >> 16, 0x10, 0, int(bridge) | int(f.multifunction) << 7, 0)
    for number, (address, _, flags) in _slots(f).items():
        wide = flags == _MEMORY64
        struct.pack_into("<Q" if wide else "<I", data, 16 + 4 * number, address | (0xC if wide else 0))
    if not bridge:
        struct.pack_into("<HH", data, 44, *f.subsystem)
    if not f.link[0]:
        struct.pack_into("<H", data, 6, 0)  # no capabilities
        return bytes(data)
    data[0x34] = 0x60
    data[0x3C], data[0x3D] = f.irq & 0xFF, 1
    struct.pack_into("<BBH", data, 0x60, 0x01, 0x68, 0x4803)  # power management 1.2
    struct.pack_into("<BBH", data, 0x68, 0x05, 0x78, 0x0080 | int(bool(f.driver)))  # MSI, 64-bit addresses
    kind = 4 if bridge else 0  # root port, endpoint
    struct.pack_into("<BBH", data, 0x78, 0x10, 0x00, 2 | kind << 4)
    generation, lanes = f.link
    struct.pack_into("<I", data, 0x78 + 12, generation | lanes << 4)  # link capabilities
    struct.pack_into("<H", data, 0x78 + 18, generation | lanes << 4)  # link status
    return bytes(data)


def _cpu_mask(cpus: str) -> str:
    """CPUs as a bit mask: groups of 32 bits, highest first."""
    bits = sum(word << 64 * place for place, word in enumerate(models.cpu_words(cpus)))
    groups = max(1, (bits.bit_length() + 31) // 32)
    return ",".join(f"{bits >> 32 * group & 0xFFFFFFFF:08x}" for group in reversed(range(groups)))


def drm(place: str, bus_id: str, name: str, minor: int) -> list[Op]:
    """A DRM node of the device in the folder `place`, whose name is `bus_id`."""
    folder = f"{place}/drm/{name}"
    up = "../" * (folder.count("/") - 1)
    below = folder.removeprefix("/sys")
    return [_file(f"{folder}/dev", f"226:{minor}\n"),
            _file(f"{folder}/uevent", f"MAJOR=226\nMINOR={minor}\nDEVNAME=dri/{name}\nDEVTYPE=drm_minor\n"),
            Symlink(path=f"{folder}/device", target=f"../../../{bus_id}"),
            Symlink(path=f"{folder}/subsystem", target=f"{up}class/drm"),
            Symlink(path=f"/sys/class/drm/{name}", target="../.." + below),
            Symlink(path=f"/sys/dev/char/226:{minor}", target="../.." + below)]


def _modules(host: Host) -> list[Op]:
    assert host.kernel
    ops: list[Op] = []
    kind = host.profile.kernel_module
    for module in host.modules:
        top = f"/sys/module/{module.name}"
        users = (*plan_extras.users(host), *module.users) if module.name == "nvidia" else module.users
        source = hashlib.sha256(f"{module.name} {host.kernel.version} {kind}".encode()).hexdigest()[:24].upper()
        parameters = dict(module.parameters)
        if module.name == "nvidia":
            parameters |= {f"NVreg_{name}": str(value) if value != "" else "(null)"
                           for name, value in catalogue.parameters(host.kernel.branch)}
        texts = {"version": host.kernel.version, "srcversion": source, "refcnt": str(len(users)),
                 "initstate": "live", "taint": module.flags[kind], "coresize": str(module.size), "initsize": "0"}
        texts |= {f"parameters/{name}": value for name, value in parameters.items()}
        ops += [_file(f"{top}/{name}", text + "\n") for name, text in texts.items()]
        ops += [Symlink(path=f"{top}/holders/{user}", target=f"../../{user}") for user in users]
    driver = "/sys/bus/pci/drivers/nvidia"
    ops += [_file(f"{driver}/{name}", "", 0o200) for name in ("bind", "unbind", "new_id", "remove_id", "uevent")]
    return [*ops, Symlink(path=f"{driver}/module", target="../../../../module/nvidia")]
