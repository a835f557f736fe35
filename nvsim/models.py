"""GPU models of the catalogue, and the board's record of one of them with nothing to do."""

import difflib
import functools
import re
from pathlib import Path
from typing import Any

import yaml

from nvsim import mig, model_details
from nvsim.board_gpu import CPU_WORDS, LINKS, Gpu
from nvsim.errors import NvsimError
from nvsim.settings import settings_of

CATALOG = Path(__file__).resolve().parent / "catalog" / "gpus.yaml"
MIB = 1024 * 1024
BASE_BOARD_GPUS = 8  # of an HGX
AMPERE, HOPPER = 7, 9
BY_NVGPU = "nvgpu"  # the kernel module that drives a GPU whose UUID has no prefix
INTEGRATED = {"nvidia": 1, BY_NVGPU: 2}  # as Gpu.integrated has it, by kernel module
BRAND_TESLA, BRAND_GEFORCE, BRAND_NVIDIA = 2, 5, 14
_UUID = re.compile(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BUS_ID = re.compile(r"([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.0")


@functools.cache
def _catalog() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(CATALOG.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found


@functools.cache
def models() -> dict[str, dict[str, Any]]:
    """The models of nvsim/catalog/gpus.yaml, by key; what the keys of one mean stands at the head of that file."""
    return {m["key"]: m for m in _catalog()["models"]}


def sources() -> dict[str, str]:
    """The words that say where a figure of the catalogue comes from, and what each means."""
    return dict(_catalog()["sources"])


def source_of(m: dict[str, Any], figure: str) -> str:
    """Where a figure of a model comes from: one of the words of `sources`."""
    return str(m.get("sources", {}).get(figure) or _catalog()["figures"].get(figure) or m["source"])


def model(name: str) -> dict[str, Any]:
    """A model by its key or by the name that NVML gives it: "T4" or "Tesla T4".

    Raises NvsimError that names the nearest model."""
    named = {m["name"]: m for m in reversed(models().values())}  # of two boards with one name the first
    short = {n.removeprefix("NVIDIA ").removeprefix("GeForce "): m for n, m in named.items()}
    known: dict[str, dict[str, Any]] = short | named | models()
    for key, found in known.items():
        if key.lower() == name.lower():
            return found
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    raise NvsimError(f"unknown GPU model {name!r}", source="model",
                     hint=f"did you mean {near[0]!r}? see: nvsim list gpus" if near else "see: nvsim list gpus")


def names() -> tuple[str, ...]:
    """The keys of all models, in the catalogue's order."""
    return tuple(models())


def about(name: str) -> str:
    """A line on a model: NVML's name for it, memory, compute capability, power limit, NVLinks, MIG, the driver branches
    that know it, and whether its figures were seen on a board or are from memory."""
    m = model(name)
    first, last = m["branches"]
    memory = f"{m['memory_mib']} MiB" if m["memory_mib"] else "system memory"
    links = m["nvlink"]["links"]
    parts = (m["name"], memory, f"compute {m['compute_capability']}",
             *((f"{m['power_w'][1]} W",) if m["power_w"] else ()), *((f"{links} NVLinks",) if links else ()),
             *(("MIG",) if m["mig"] else ()), f"drivers {first} to {last or 'now'}",
             "seen on a board" if m["source"] == "capture" else "from memory")
    return ", ".join(parts)


def board_gpu(model_key: str, *, index: int, minor: int, uuid: str, bus_id: str, serial: str = "",
              driver_branch: int = 550, numa_node: int | None = 0, cpus: str = "0-63", pcie_switch: int = 0,
              host_bridge: int | None = None) -> Gpu:
    """The record of an idle GPU.  `index` is its place in PCI order; small differences between boards follow from it.

    `serial` is left out on boards without infoROM.  `cpus` are those near it, as Linux lists them: "0-15,128-143".
    Raises NvsimError for an unknown model, UUID, bus id or CPU list."""
    m = model(model_key)
    if not _UUID.fullmatch(f"GPU-{uuid}" if m.get("integrated") == BY_NVGPU else uuid):
        raise NvsimError(f"{uuid!r} is not a GPU UUID", source="uuid",
                         hint="GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx in lower-case hexadecimal: clients parse it")
    place: dict[str, Any] = {"minor": minor, "uuid": uuid, "numa_node": numa_node, "cpu_affinity": cpu_words(cpus),
             "pcie_switch": pcie_switch, "host_bridge": index if host_bridge is None else host_bridge,
             "module_id": index + 1, "serial": serial if m["serial"] else "", "pdi": _pdi(uuid)}
    return Gpu(**_identity(m, driver_branch), **_mig(m, driver_branch), **_pci(m, bus_id), **_memory(m), **_clocks(m),
               **_power(m, index), **_thermal(m, index), **_errors(m), **_links(m, index), **model_details.details(m),
               **settings_of(m), **place)


def cpu_words(cpus: str) -> tuple[int, ...]:
    """A CPU list of Linux as 64-bit words, the lowest CPU in bit 0 of the first: "0-3,64" is (15, 1)."""
    bits = 0
    for part in filter(None, cpus.split(",")):
        found = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not first <= last < 64 * CPU_WORDS:
            raise NvsimError(f"{part!r} is not a range of CPUs", source="cpus", hint="such as 0-15,128-143")
        bits |= (1 << last + 1) - (1 << first)
    return tuple(bits >> 64 * w & (1 << 64) - 1 for w in range(CPU_WORDS))


def _identity(m: dict[str, Any], branch: int) -> dict[str, Any]:
    major, minor = m["compute_capability"].split(".")
    image, oem, ecc = m.get("inforom", ("", "", ""))
    # Data-centre boards say NVIDIA since 510, Tesla before.
    brand = BRAND_TESLA if m["brand"] == BRAND_NVIDIA and branch < 510 else m["brand"]
    return {"name": m["name"], "vbios": m.get("vbios", ""), "board_part_number": m.get("board_part_number", ""),
            "gpu_part_number": m.get("gpu_part_number", ""), "inforom_image": image, "inforom_oem": oem,
            "inforom_ecc": ecc, "brand": brand, "architecture": m["architecture"], "compute_major": int(major),
            "compute_minor": int(minor), "sm_count": m["sm_count"], "cuda_cores": m["cuda_cores"],
            "addressing_mode": 2 if m.get("c2c") else 1 if m["architecture"] >= 6 else 0,
            "gsp_firmware": 0 if m["architecture"] < 6 else int(m["brand"] != BRAND_GEFORCE),
            "integrated": INTEGRATED.get(m.get("integrated", ""), 0), "utilization_jpeg": 0, "utilization_ofa": 0,
            "persistence": int(m["brand"] != BRAND_GEFORCE and "integrated" not in m)}


def _mig(m: dict[str, Any], branch: int) -> dict[str, Any]:
    """MIG mode is off, or not there: on other boards, and on drivers before the first that has it there."""
    table = mig.table(m["mig"], branch) if m["mig"] else None
    if table is None and m.get("integrated") == "nvidia":  # off, by published outputs; its instances are not known
        return {"mig_mode": 0, "mig_pending": 0}
    if table is None:
        return {}
    return {"mig_mode": 0, "mig_pending": 0, "mig_max_devices": table.slices, "mig_table": table.number}


def _pci(m: dict[str, Any], bus_id: str) -> dict[str, Any]:
    found = _BUS_ID.fullmatch(bus_id)
    if not found:
        raise NvsimError(f"{bus_id!r} is not a PCI address", source="bus_id", hint="such as 0000:07:00.0")
    domain, bus, device = (int(part, 16) for part in found.groups())
    subsystem, vendor = next((s.split(":") for s in m["subsystems"] if s != "*"), ("0000", "10DE"))
    gen, width = ((m["pcie"] or {}).get(k) or 0 for k in ("gen", "width"))
    return {"pci_domain": domain, "pci_bus": bus, "pci_device": device, "board_id": domain << 16 | bus << 8 | device,
            "pci_device_id": int(m["pci_device_id"] or "0", 16), "pci_class": int(m["pci_class"] or "0", 16),
            "pci_subsystem_id": int(subsystem, 16) << 16 | int(vendor, 16), "pcie_gen_max": gen,
            "pcie_gen_device_max": (m["pcie"] or {}).get("device_gen", gen), "pcie_gen": gen, "pcie_width_max": width,
            "pcie_width": width}


def _memory(m: dict[str, Any]) -> dict[str, Any]:
    total, bar1 = m["memory_mib"], m["bar1_mib"]
    # The driver keeps about 0.5 % and 250 MiB where no capture says how much.
    reserved = m["memory_reserved_mib"] or (250 + total // 200 if total else 0)
    return {"memory_total": total * MIB if total else None, "memory_reserved": reserved * MIB, "bar1_used": MIB,
            "bar1_total": bar1 * MIB if bar1 else None, "memory_bus_width": m["memory_bus_width"] or 0,
            "l2_cache": m.get("l2_cache_kib")}


def _clocks(m: dict[str, Any]) -> dict[str, Any]:
    top = m["max_clock_mhz"]
    low = m["min_clock_mhz"]
    geforce = m["brand"] == BRAND_GEFORCE
    # At rest a GeForce board is in P8, where memory runs at 405 MHz; data-centre boards stay in P0.
    rest = [low, low, 405 if geforce else top[2], top[3] and top[3] * 9 // 20 // 15 * 15]
    now = m.get("idle", {}).get("clocks", rest)
    # GeForce boards take no applications clocks.
    app = m.get("app_clock_mhz", [None, None] if geforce else [top[0], top[2]])
    names = ("graphics", "sm", "memory", "video")
    clocks = {f"clock_{n}": c for n, c in zip(names, now, strict=True)}
    limits = {f"clock_max_{n}": c for n, c in zip(names, top, strict=True)}
    return clocks | limits | {"clock_min_graphics": low, "clock_app_graphics": app[0], "clock_app_memory": app[1],
                              "clock_default_graphics": app[0], "clock_default_memory": app[1],
                              "pstate": None if "integrated" in m else 8 if geforce else 0}


def _power(m: dict[str, Any], index: int) -> dict[str, Any]:
    if not m["power_w"]:
        return {}
    low, default, top = (w * 1000 for w in m["power_w"])
    idle = m.get("idle", {})
    usage = int(idle.get("power", default / 9000) * 1000) + 370 * (index % 8)
    return {"power_usage": usage, "power_average": usage if "average" in idle or m["architecture"] >= HOPPER else None,
            "power_limit": default, "power_limit_enforced": default, "power_limit_default": default,
            "power_limit_min": low, "power_limit_max": top, "energy": usage * 3600}


def _thermal(m: dict[str, Any], index: int) -> dict[str, Any]:
    if "integrated" in m:  # nvidia-smi shows N/A on Orin and Thor
        return {"temperature": None}
    idle, limits = m.get("idle", {}), m.get("temperature_c", {})
    warmer = index * 3 % 7
    memory = idle.get("memory")
    values = {"temperature": idle.get("temperature", 31) + warmer, "fan_count": m["fans"],
              "temperature_memory": None if memory is None else memory + warmer,
              "fan_speed": 0 if m["fans"] else None, "fan_rpm": 0 if m["fans"] else None}
    if "tlimit_base" in limits:
        base = limits["tlimit_base"]
        # A margin of -8 °C is 8 °C above the base.
        return values | {"tlimit_base": base, "tlimit_shutdown": limits["shutdown_tlimit"],
                         "tlimit_slowdown": limits["slowdown_tlimit"], "tlimit_gpu_max": limits["max_op_tlimit"],
                         "tlimit_memory_max": None if memory is None else 0,
                         "threshold_shutdown": base - limits["shutdown_tlimit"],
                         "threshold_slowdown": base - limits["slowdown_tlimit"], "threshold_gpu_max": base}
    values |= {"threshold_shutdown": limits.get("shutdown", 95), "threshold_slowdown": limits.get("slowdown", 92),
               "threshold_gpu_max": limits.get("max_op", 87), "threshold_memory_max": limits.get("mem_max")}
    if m["fans"]:
        values |= {"threshold_target": 83, "threshold_target_min": 65, "threshold_target_max": 88}
    return values


def _errors(m: dict[str, Any]) -> dict[str, Any]:
    supported, on = m["ecc"]
    if not supported:
        return {}
    ecc = {"ecc_mode": int(on), "ecc_pending": int(on), "ecc_default": int(on)}
    if m["architecture"] < AMPERE:
        return ecc | {"retired_pages_sbe": 0, "retired_pages_dbe": 0, "retired_pages_pending": 0}
    if "row_remap_banks" not in m:
        return ecc
    return ecc | {"remapped_correctable": 0, "remapped_uncorrectable": 0, "remapped_pending": 0,
                  "remapped_failure": 0, "remap_banks_max": m["row_remap_banks"]}


def _links(m: dict[str, Any], index: int) -> dict[str, Any]:
    """NVLinks, to the NVSwitches of the GPU's own base board.

    Without NVSwitches there nothing is at their other ends, so they are down."""
    links = m["nvlink"]["links"]
    values = {"nvlink_links": links, "nvlink_version": m["nvlink"].get("version", 0),
              "nvlink_speed": m["nvlink"].get("speed", 0)}
    switches = m.get("nvswitch_bus_ids", [])
    if "base_boards" in m:
        each = len(switches) // m["base_boards"]
        board = index // BASE_BOARD_GPUS % m["base_boards"]
        switches = switches[board * each:][:each]
    if switches:
        remote = tuple(_encoded(switches[i * len(switches) // links]) if i < links else 0 for i in range(LINKS))
        values |= {"nvlink_active": (1 << links) - 1, "nvlink_remote": remote, "nvlink_remote_type": 2,
                   "nvlink_remote_device_id": int(m["nvswitch_device"], 16) << 16 | 0x10DE}
    elif m.get("fabric"):  # the switches of NVLink 5 are no PCI devices of this machine
        values |= {"nvlink_active": (1 << links) - 1, "nvlink_remote_type": 2}
    if m.get("fabric"):
        values |= {"fabric_state": 3, "fabric_cluster": "00000000-0000-0000-0000-000000000000"}
    return values


def links_to(others: list[Gpu]) -> dict[str, Any]:
    """Values of a record whose links lead to these GPUs, the first link to the first of them; none without any."""
    if not others:
        return {}
    remote = tuple(_encoded(other.bus_id) for other in others)
    return {"nvlink_active": (1 << len(others)) - 1, "nvlink_remote": remote + (0,) * (LINKS - len(others)),
            "nvlink_remote_type": 0, "nvlink_remote_device_id": others[0].pci_device_id}


def _encoded(bus_id: str) -> int:
    """A PCI address in 32 bits, as nvlink_remote holds it."""
    domain, bus, device = bus_id.split(":")
    return int(domain, 16) << 16 | int(bus, 16) << 8 | int(device.split(".")[0], 16) << 3


def _pdi(uuid: str) -> int:
    return int(uuid.removeprefix("GPU-").replace("-", "")[:16], 16)
