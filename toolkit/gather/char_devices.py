"""/proc/devices and the PCI bus → the majors of the driver, the number of GPUs.  Source: toolkit v1.20, pkg/system."""

from toolkit.gather.tree import Tree

PCI = "/sys/bus/pci/devices"
VENDOR = "0x10de"
CLASSES = ("0x030000", "0x030200")  # VGA and 3D controllers


def read_majors(tree: Tree) -> dict[str, int]:
    """The character device majors of the driver by name, "nvidia-frontend" of old drivers as "nvidia" too."""
    text = (tree.read("/proc/devices") or b"").decode(errors="replace")
    majors: dict[str, int] = {}
    for line in text.partition("Block devices:")[0].splitlines():
        number, _, name = line.strip().partition(" ")
        if name.startswith("nvidia") and number.isascii() and number.isdigit():
            majors[name] = int(number)
    if "nvidia-frontend" in majors:
        majors.setdefault("nvidia", majors["nvidia-frontend"])
    return majors


def read_gpu_count(tree: Tree) -> int:
    """The GPUs on the PCI bus, bound to a driver or not; virtual functions of one do not count."""
    return sum(_is_gpu(tree, f"{PCI}/{name}") for name in tree.listing(tree.folder(PCI)) or ())


def _is_gpu(tree: Tree, path: str) -> bool:
    vendor, kind = ((tree.read(f"{path}/{name}", 64) or b"").decode(errors="replace").strip()
                    for name in ("vendor", "class"))
    return vendor == VENDOR and kind in CLASSES and not tree.is_link(f"{path}/physfn")
