"""What the legacy mode's graphics need to know of a machine, without NVML.  Source: toolkit v1.20, internal/modifier.

The GPUs are those of /proc/driver/nvidia/gpus, the driver's version is that of its libraries.
"""

from toolkit.errors import HostError
from toolkit.gather import devices
from toolkit.gather.driver import read_driver
from toolkit.gather.locate import Locator
from toolkit.gather.tree import Tree
from toolkit.model.host import Driver, Gpu, Host

FIELDS = {"GPU UUID": "uuid", "Bus Location": "pci_bus_id", "Device Minor": "minor"}


def read_graphics_host(*, driver_root: str = "/", root: str = "/") -> Host:
    """The driver with its graphics files, the GPUs by procfs, the DRM nodes and their links.

    The dev root is the driver root.  `root` is where the machine's file system is mounted.  GPUs have no NVML index:
    theirs is -1.  Raises HostError where no library tells the driver's version, as on WSL.
    """
    locator = Locator(Tree(root), driver_root)
    driver = read_driver(locator, dev_root=locator.root, graphics=True)
    _check_version(driver)
    return Host(
        platform="nvml",
        driver=driver,
        gpus=_proc_gpus(locator),
        devices=devices.read_devices(locator.tree, locator.root, ("/dev/dri/card*", "/dev/dri/renderD*")),
        links=tuple((path, locator.tree.readlink(path))
                    for path in locator.tree.glob(locator.below("/dev/dri/by-path/pci-*-*"))),
        notes=tuple(locator.notes),
    )


def read_driver_version(*, driver_root: str = "/", root: str = "/") -> str:
    """The version of the driver's libraries.  Raises HostError if there are none."""
    driver = read_driver(Locator(Tree(root), driver_root), graphics=False)
    _check_version(driver)
    return driver.version


def _check_version(driver: Driver) -> None:
    if driver.version_error:
        raise HostError(f"failed to get driver version: {driver.version_error}", source=driver.root,
                        hint="is the driver installed below nvidia-container-cli.root of config.toml?")


def _proc_gpus(locator: Locator) -> tuple[Gpu, ...]:
    """The GPUs that the kernel module lists, each with its DRM entries.  A file that lacks a field gives no GPU."""
    found = []
    for path in locator.tree.glob(locator.below("/proc/driver/nvidia/gpus/*/information")):
        text = (locator.tree.read(path) or b"").decode(errors="replace")
        pairs = (line.partition(":") for line in text.splitlines())
        values = {FIELDS[name.strip()]: value.strip() for name, _, value in pairs if name.strip() in FIELDS}
        if len(values) < len(FIELDS) or not values["minor"].isdecimal():
            continue
        bus_id = values["pci_bus_id"]
        found.append(Gpu(index=-1, uuid=values["uuid"], minor=int(values["minor"]), pci_bus_id=bus_id,
                         drm=devices.read_drm(locator.tree, bus_id)))
    return tuple(found)
