"""The catalogue of Xids: what an error number means, and what it does to a GPU (catalog/xid.yaml)."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvsim import document
from nvsim.document import Keys
from nvsim.errors import NvsimError

CATALOG = Path(__file__).resolve().parent / "catalog" / "xid.yaml"
RECOVERY = {"reset": 1, "reboot": 2, "drain-and-reset": 4}  # nvmlDeviceGpuRecoveryAction_t
_CHOICES = {"gpu": ("", "lost", "reset"), "ends": ("", "process", "all"), "memory": ("", "pending", "failed"),
            "link": ("", "down"), "needs": ("", "ecc", "nvlink"), "recovery": ("", *RECOVERY)}
_KEYS = ("name", "says", "dram", "sram", "corrected", *_CHOICES, "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Xid:
    """One error number; the keys of catalog/xid.yaml, whose head says what they mean."""

    code: int
    name: str
    says: str
    gpu: str = ""
    ends: str = ""
    dram: int = 0
    sram: int = 0
    corrected: int = 0
    memory: str = ""
    link: str = ""
    needs: str = ""
    recovery: str = ""


@functools.cache
def xids() -> dict[int, Xid]:
    """Every Xid of the catalogue, by number."""
    top = Keys(document.read(CATALOG.read_bytes(), CATALOG.name), CATALOG.name, ("xids",))
    return {int(code): _xid(int(code), Keys(value, f"{CATALOG.name}: {code}", _KEYS))
            for code, value in top.raw("xids").items()}


def xid(code: int) -> Xid:
    """An Xid by its number.  Raises NvsimError for one that the catalogue does not have, with its neighbours."""
    known = xids()
    if code in known:
        return known[code]
    near = sorted(sorted(known, key=lambda other: abs(other - code))[:3])
    raise NvsimError(f"no Xid {code} is known", source="ctl xid",
                     hint=f"near it: {', '.join(map(str, near))}; all: nvsim ctl xid --help")


def _xid(code: int, keys: Keys) -> Xid:
    words: dict[str, Any] = {key: keys.choice(key, choices, "") for key, choices in _CHOICES.items()}
    counts: dict[str, Any] = {key: keys.integer(key, 0, 0, 1 << 20) for key in ("dram", "sram", "corrected")}
    return Xid(code=code, name=keys.text("name"), says=keys.text("says", keys.text("name")), **words, **counts)
