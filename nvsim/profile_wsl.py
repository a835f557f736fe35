"""The key `wsl` of a profile: the machine is a WSL 2 one, and which driver stores Windows has."""

import hashlib
import re
from dataclasses import dataclass

from nvsim import catalogue
from nvsim.document import Keys
from nvsim.errors import NvsimError

WDDM = 3100  # Windows 11 22H2
MOST_STORES = 16
KEYS = ("name", "adapters", "driver", "windows_driver", "wddm")
_NAME = re.compile(r"[a-z0-9_]+\.inf_amd64_[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A driver store: a folder below /usr/lib/wsl/drivers, named after its INF package.

    `vendor_nvidia`: whether it holds NVIDIA's driver.  `driver` and `windows_driver` are its versions as Linux and as
    Windows say it, empty for the profile's.  `adapters` is how many adapters use it, -1 for what follows: every GPU
    uses the first store of NVIDIA's, no adapter a further one, and one adapter another vendor's.  `wddm` is 2700 for
    WDDM 2.7."""

    name: str
    vendor_nvidia: bool = True
    driver: str = ""
    windows_driver: str = ""
    adapters: int = -1
    wddm: int = WDDM


def stores(keys: Keys, base: tuple[Store, ...], profile_name: str) -> tuple[Store, ...]:
    """The stores of `wsl: true`, which are one of NVIDIA's, or of a list; none for `false`: no WSL 2 machine.

    Raises NvsimError that names the key."""
    if "wsl" not in keys:
        return base
    if not isinstance(keys.raw("wsl"), list):
        return one(profile_name) if keys.flag("wsl", default=False) else ()
    found = tuple(_store(item, where) for where, item in keys.items("wsl"))
    names = [store.name for store in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not found or len(found) > MOST_STORES:
        raise NvsimError(f"two driver stores {twice[0]}" if twice else f"{len(found)} driver stores",
                         source=keys.where("wsl"), hint=f"a list of 1 to {MOST_STORES}, each with its own name")
    return found


def one(profile_name: str) -> tuple[Store, ...]:
    """The stores of a machine on which only NVIDIA's driver is installed, once."""
    digits = hashlib.sha256(f"driver store of {profile_name}".encode()).hexdigest()
    return (Store(name=f"nv_dispi.inf_amd64_{digits[:16]}"),)


def _store(item: object, where: str) -> Store:
    keys = Keys(item, where, KEYS)
    name = keys.text("name")
    if not _NAME.fullmatch(name):
        raise NvsimError(f"{name[:60]!r} is no driver store", source=keys.where("name"),
                         hint="such as nv_dispi.inf_amd64_0123456789abcdef")
    driver = keys.text("driver", "" if name.startswith("nv") else "none")
    return Store(name=name, vendor_nvidia=driver != "none",
                 driver=catalogue.release(driver, keys.where("driver")).version if driver not in ("", "none") else "",
                 windows_driver=_windows(keys), wddm=keys.integer("wddm", WDDM, 1000, 9999),
                 adapters=keys.integer("adapters", 0, 0, MOST_STORES) if "adapters" in keys else -1)


def _windows(keys: Keys) -> str:
    version = keys.text("windows_driver")
    return catalogue.release(version, keys.where("windows_driver")).version if version else ""


def used(stores: tuple[Store, ...], gpus: int) -> tuple[int, ...]:
    """How many adapters use each store, on a machine with so many GPUs."""
    first = next((store for store in stores if store.vendor_nvidia), None)
    return tuple(store.adapters if store.adapters >= 0 else 1 if not store.vendor_nvidia
                 else gpus if store is first else 0 for store in stores)


def check(stores: tuple[Store, ...], *, driver: str, driver_root: str, gpus: int, mig: bool, source: str) -> None:
    """Raises NvsimError for what no WSL 2 machine has."""
    if driver_root != "/":
        raise NvsimError("the driver of a WSL 2 machine is in /usr/lib/wsl", source=source, hint="no driver_root")
    if mig:
        raise NvsimError("a WSL 2 machine has no MIG", source=source, hint="no mig")
    if any(store.vendor_nvidia and not (store.driver or driver) for store in stores):
        raise NvsimError("a driver store of NVIDIA's needs a driver", source=source, hint="driver: 555.52.01")
    if sum(used(stores, gpus)) > MOST_STORES:
        raise NvsimError(f"{sum(used(stores, gpus))} adapters; there are at most {MOST_STORES}", source=source)
