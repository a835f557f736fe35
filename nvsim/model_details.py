"""What only some GPU models have, as values of the board's record: the rarer chapters of NVML."""

import functools
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

CATALOG = Path(__file__).resolve().parent / "catalog" / "gpu-details.yaml"
VOLTA, HOPPER = 5, 9
BRAND_GEFORCE = 5
# NVLink-C2C of Grace Hopper as nvidia-smi c2c -s shows it, from memory.
C2C_LINKS, C2C_SPEED = 10, 44712
CONFIDENTIAL = 1  # NVML_CC_SYSTEM_GPUS_CC_CAPABLE


@functools.cache
def catalogue() -> dict[str, dict[str, Any]]:
    """The models of nvsim/catalog/gpu-details.yaml, by key; what the keys of one mean stands at the head of it."""
    found: dict[str, dict[str, Any]] = yaml.load(CATALOG.read_text(),
                                                 getattr(yaml, "CSafeLoader", yaml.SafeLoader))["models"]
    return found


def details(m: dict[str, Any]) -> dict[str, Any]:
    """Values of the record for a model of gpus.yaml, at rest."""
    own = catalogue().get(m["key"], {})
    return _memory(m, own) | _power(own) | _links(m, own) | _place(own) | _abilities(m)


def _memory(m: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Errors are counted by unit up to Volta, as DRAM and SRAM since.  Boards that remap rows repair memory too."""
    values: dict[str, Any] = {"ecc_by_unit": int(m["architecture"] <= VOLTA)}
    if "row_remap_banks" in m:
        values |= {"remapped_correctable_inactive": 0, "remapped_uncorrectable_inactive": 0,
                   "repair_channel_pending": 0, "repair_tpc_pending": 0}
    if own.get("unrepairable"):
        values["unrepairable_memory"] = 0
    if "bbx_flush" in own:
        when, took = own["bbx_flush"]
        values |= {"bbx_flush_time": round(datetime.fromisoformat(when).timestamp() * 1e6), "bbx_flush_duration": took}
    return values


def _power(own: dict[str, Any]) -> dict[str, Any]:
    values = {"power_memory_average": _milliwatt(own.get("memory_power_w"))}
    if "module" in own:
        low, default, top = (_milliwatt(w) for w in own["module"]["limit_w"])
        values |= {"power_module": _milliwatt(own["module"]["now"]), "power_module_limit": default,
                   "power_module_average": _milliwatt(own["module"]["average"]), "power_module_limit_default": default,
                   "power_module_limit_min": low, "power_module_limit_max": top}
    return values


def _milliwatt(watt: float | None) -> int | None:
    return None if watt is None else round(watt * 1000)


def _links(m: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """NVLinks of Hopper and later have bandwidth modes and sleep; how soon (here: 10 ms) no capture says."""
    late = m["nvlink"]["links"] > 0 and m["architecture"] >= HOPPER
    coherent = bool(m.get("c2c"))
    out, back = own.get("atomics", (None, None))
    return {"nvlink_bandwidth_mode": 0 if late else None, "nvlink_low_power": 100 if late else None,
            "c2c_mode": 1 if coherent else 0 if late else None, "c2c_links": C2C_LINKS if coherent and late else 0,
            "c2c_speed": C2C_SPEED if coherent and late else 0,
            "fabric_health": own.get("fabric_health", 0), "fabric_health_summary": own.get("fabric_summary", 0),
            "pcie_atomics_out": out, "pcie_atomics_in": back}


def _place(own: dict[str, Any]) -> dict[str, Any]:
    where = own.get("platform", {})
    return {"platform_host": where.get("host"), "platform_slot": where.get("slot"), "platform_tray": where.get("tray"),
            "platform_peer": where.get("peer", 0), "platform_chassis": where.get("chassis", ""),
            "platform_fabric_guid": where.get("fabric_guid", 0)}


def _abilities(m: dict[str, Any]) -> dict[str, Any]:
    """Confidential computing and performance metrics came with Hopper, on data-centre boards."""
    able = m["architecture"] >= HOPPER and m["brand"] != BRAND_GEFORCE and bool(m["memory_mib"])
    return {"confidential": CONFIDENTIAL if able else None, "gpm": int(able)}
