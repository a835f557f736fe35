"""What a profile says of the libraries of a second driver version, beside those of its driver."""

from dataclasses import dataclass

from nvsim import catalogue, document
from nvsim.document import Keys
from nvsim.errors import NvsimError

CACHES = ("both", "driver", "leftover")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Libraries that an upgrade left, or has only begun to install, in the folders of the driver's own.

    `driver` is their version, empty for none, `only` are patterns of their file names.  `links`: whether the links that
    programs ask for (libcuda.so.1) lead to them.  `ldcache`: whose names the loader's cache has, a word of CACHES; as
    ldconfig wrote it when only the one or the other version was there."""

    driver: str = ""
    links: bool = False
    ldcache: str = "both"
    only: tuple[str, ...] = ("*",)


def leftover(keys: Keys, base: Leftover) -> Leftover:
    """The value of the key `leftover`: a version, `none`, or keys and values.  Raises NvsimError that names the key."""
    value = keys.raw("leftover")
    if value is None:
        return base
    source = keys.where("leftover")
    inner = Keys(value if isinstance(value, dict) else {"driver": value}, source, Leftover.__slots__)
    version = document.text(inner.raw("driver"), inner.where("driver"))
    if version == "none":
        return Leftover()
    return Leftover(driver=catalogue.release(version, inner.where("driver")).version,
                    links=inner.flag("links", default=False), ldcache=inner.choice("ldcache", CACHES, "both"),
                    only=inner.texts("only") or ("*",))


def check(leftover: Leftover, *, driver: str, wsl: bool, source: str) -> None:
    """Raises NvsimError for libraries that cannot lie beside those of the driver."""
    if not leftover.driver:
        return
    if wsl:
        raise NvsimError("WSL 2 keeps the libraries of each driver in a store of their own", source=source,
                         hint="a second store: wsl: [{name: …, driver: VERSION}]")
    if not driver:
        raise NvsimError("there are no libraries of a driver beside which these could lie", source=source,
                         hint="driver: VERSION")
    if leftover.driver == driver:
        raise NvsimError(f"these libraries are those of the driver, {driver}", source=source)
