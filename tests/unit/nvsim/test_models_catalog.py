"""gpus.yaml against facts of other sources, and against itself: complete, consistent, each figure with its source."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from nvsim import models
from nvsim.models import MIB, board_gpu, source_of

CORPUS = Path(__file__).parents[2] / "corpus" / "gpus"
CAPTURES: dict[str, dict[str, str]] = yaml.safe_load((CORPUS / "captures.yaml").read_text())
LARGEST: dict[str, dict[str, Any]] = yaml.safe_load((CORPUS / "mig-largest.yaml").read_text())
NAMES = [line.split("\t") for line in (CORPUS / "pci-names.tsv").read_text().splitlines() if line[0] != "#"]
MODELS = list(models.models().values())
BOARDS = [m for m in MODELS if m["memory_mib"]]  # with memory of their own, so not those that share the CPU's
ARCHITECTURES = {"Volta": 5, "Turing": 6, "Ampere": 7, "Ada Lovelace": 8, "Hopper": 9, "Blackwell": 10}
OTHERS = {"serial", "source", "sources", "note", "key"}  # keys that are no figures
OPTIONAL = {"app_clock_mhz", "nvswitch_device", "nvswitch_bus_ids", "base_boards", "temperature_c", "idle",
            "row_remap_banks", "c2c", "integrated", "fabric", "vbios", "board_part_number", "gpu_part_number",
            "inforom", "sources", "note"}


def of(m: dict[str, Any]) -> str:
    return str(m["key"])


def number(text: str) -> float | None:
    """The number of an element such as "49.68 W"; None for one that has none."""
    return None if text.startswith(("N/A", "Requested")) else float(text.split()[0])


@pytest.mark.parametrize("m", MODELS, ids=of)
def test_a_model_has_every_figure_and_no_unknown_one(m: dict[str, Any]) -> None:
    assert set(MODELS[0]) - OPTIONAL <= set(m) <= set(MODELS[0]) | OPTIONAL


@pytest.mark.parametrize("m", MODELS, ids=of)
def test_every_figure_has_a_source_that_is_explained(m: dict[str, Any]) -> None:
    figures = set(m) - OTHERS
    assert {source_of(m, figure) for figure in figures} <= set(models.sources())
    assert set(m.get("sources", {})) <= figures | set(m.get("temperature_c", {}))


def test_a_figure_may_have_another_source_than_its_model() -> None:
    gh200, t4 = models.model("GH200-144GB"), models.model("T4")
    assert (source_of(gh200, "memory_mib"), source_of(gh200, "power_w")) == ("guess", "recall")
    assert (source_of(t4, "memory_mib"), source_of(t4, "sm_count"), source_of(t4, "name")) == (
        "capture", "data-sheet", "pci-names")


def test_the_models_that_claim_a_capture_are_those_of_the_captures() -> None:
    assert {m["key"] for m in MODELS if m["source"] == "capture"} == set(CAPTURES)


@pytest.mark.parametrize("m", [m for m in MODELS if m["pci_device_id"] and "integrated" not in m], ids=of)
def test_pci_ids_have_the_name_that_the_driver_knows_them_by(m: dict[str, Any]) -> None:
    device, vendor = m["pci_device_id"][2:6], m["pci_device_id"][6:]
    assert vendor == "10DE"
    known = {(subsystem, maker): name for number, subsystem, maker, name in NAMES if number == device}
    for subsystem in m["subsystems"]:
        place = tuple(subsystem.split(":")) if subsystem != "*" else ("*", "*")
        assert known.get(place, known.get(("*", "*"))) == m["name"], subsystem


@pytest.mark.parametrize("key", CAPTURES)
def test_a_record_says_what_nvidia_smi_printed_of_a_real_board(key: str) -> None:
    seen, m = CAPTURES[key], models.model(key)
    gpu = board_gpu(key, index=0, minor=0, uuid="GPU-0123abcd-0000-0000-0000-000000000002", bus_id="0000:4e:00.0",
                    driver_branch=580)
    link = "pci/pci_gpu_link_info/pcie_gen"
    assert (gpu.name, gpu.vbios) == (seen["product_name"], seen["vbios_version"])
    assert (gpu.board_part_number, gpu.gpu_part_number) == (seen["board_part_number"], seen["gpu_part_number"])
    assert gpu.architecture == ARCHITECTURES[seen["product_architecture"]]
    assert [gpu.inforom_image, gpu.inforom_oem, gpu.inforom_ecc] == [
        seen[f"inforom_version/{part}"] for part in ("img_version", "oem_object", "ecc_object")]
    assert (f"{gpu.pci_device_id:08X}", f"{gpu.pci_subsystem_id:08X}") == (seen["pci/pci_device_id"],
                                                                         seen["pci/pci_sub_system_id"])
    assert (gpu.pcie_gen_max, gpu.pcie_gen_device_max) == (int(seen[f"{link}/max_link_gen"]),
                                                           int(seen[f"{link}/max_device_link_gen"]))
    power = "gpu_power_readings"
    for value, element, unit in (
            (gpu.memory_total, "fb_memory_usage/total", MIB), (gpu.memory_reserved, "fb_memory_usage/reserved", MIB),
            (gpu.bar1_total, "bar1_memory_usage/total", MIB), (gpu.power_usage, f"{power}/instant_power_draw", 1000),
            (gpu.power_limit_default, f"{power}/default_power_limit", 1000),
            (gpu.power_limit_min, f"{power}/min_power_limit", 1000),
            (gpu.power_limit_max, f"{power}/max_power_limit", 1000)):
        assert value == pytest.approx((number(seen[element]) or 0) * unit), element
    for name in ("graphics", "sm", "memory", "video"):
        element = "mem" if name == "memory" else name
        assert getattr(gpu, f"clock_{name}") == number(seen[f"clocks/{element}_clock"])
        assert getattr(gpu, f"clock_max_{name}") == number(seen[f"max_clocks/{element}_clock"])
    assert gpu.temperature == number(seen["temperature/gpu_temp"])
    assert gpu.temperature_memory == number(seen["temperature/memory_temp"])
    margin = number(seen["temperature/gpu_temp_tlimit"])
    assert margin == (gpu.tlimit_base - gpu.temperature if gpu.tlimit_base else None)
    for field, element in (("shutdown", "max"), ("slowdown", "slow"), ("gpu_max", "max_gpu")):
        if f"temperature/gpu_temp_{element}_tlimit_threshold" in seen:
            assert getattr(gpu, f"tlimit_{field}") == number(seen[f"temperature/gpu_temp_{element}_tlimit_threshold"])
        else:
            assert getattr(gpu, f"threshold_{field}") == number(seen[f"temperature/gpu_temp_{element}_threshold"])
    banks = seen.get("remapped_rows/row_remapper_histogram/row_remapper_histogram_max")
    assert gpu.remap_banks_max == (number(banks) if banks else None)
    assert (gpu.mig_mode is None) == (seen["mig_mode/current_mig"] == "N/A") == (not m["mig"])
    assert (gpu.fabric_state == 3) == (seen["fabric/state"] == "Completed")
    assert (gpu.fan_count == 0) == (seen["fan_speed"] == "N/A")


@pytest.mark.parametrize("m", [m for m in BOARDS if m["mig"]], ids=of)
def test_the_largest_mig_instance_has_nearly_the_whole_board(m: dict[str, Any]) -> None:
    largest = LARGEST[m["mig"]]
    assert 0.97 * m["memory_mib"] < largest["memory_mib"] < m["memory_mib"]
    assert 0.9 * m["sm_count"] < largest["sm"] <= m["sm_count"]
    # The name of the profile is the board's memory in GiB, rounded: 7g.80gb.
    assert abs(m["memory_mib"] / 1024 - int(largest["profile"].split(".")[1].removesuffix("gb"))) < 3


@pytest.mark.parametrize("m", BOARDS, ids=of)
def test_limits_of_a_board_are_in_order(m: dict[str, Any]) -> None:
    low, default, top = m["power_w"]
    assert 0 < low <= default <= top <= 2000
    graphics, sm, memory, video = m["max_clock_mhz"]
    assert m["min_clock_mhz"] < graphics == sm < 4000
    assert 0 < video <= graphics
    assert memory >= (m.get("app_clock_mhz") or [0, memory])[1]
    if m["memory_reserved_mib"]:
        assert m["memory_reserved_mib"] < 0.05 * m["memory_mib"]


@pytest.mark.parametrize("m", BOARDS, ids=of)
def test_memory_bus_and_bar1_fit_the_memory(m: dict[str, Any]) -> None:
    assert m["memory_bus_width"] % 32 == 0
    assert m["bar1_mib"] & (m["bar1_mib"] - 1) == 0, "a BAR's size is a power of two"
    assert m["bar1_mib"] == 256 or 0.9 * m["memory_mib"] < m["bar1_mib"] < 4 * m["memory_mib"]


@pytest.mark.parametrize("m", MODELS, ids=of)
def test_cores_follow_from_multiprocessors_and_compute_capability(m: dict[str, Any]) -> None:
    each = 64 if m["compute_capability"] in ("7.0", "7.2", "7.5", "8.0") else 128
    assert m["cuda_cores"] == each * m["sm_count"]


@pytest.mark.parametrize("m", MODELS, ids=of)
def test_nvlinks_have_the_number_and_the_speed_of_their_generation(m: dict[str, Any]) -> None:
    links = m["nvlink"]
    if not links["links"]:
        assert links == {"links": 0}
        return
    # nvmlNvlinkVersion_t: links of the largest chip, MB/s of a link.
    most, speed = {3: (6, 25781), 4: (12, 25000), 5: (4, 14062), 6: (18, 26562), 7: (18, 53125)}[links["version"]]
    assert links["links"] <= most
    assert links["speed"] == speed
    if "nvswitch_bus_ids" in m:
        assert links["links"] % (len(m["nvswitch_bus_ids"]) // m.get("base_boards", 1)) in (0, 2)


@pytest.mark.parametrize("m", MODELS, ids=of)
def test_what_belongs_together_is_there_together(m: dict[str, Any]) -> None:
    supported, on = m["ecc"]
    assert supported or not on
    assert ("nvswitch_device" in m) == ("nvswitch_bus_ids" in m)
    assert not m.get("fabric") or m["nvlink"]["links"] == 18
    assert m["serial"] == (m["brand"] not in (0, 5) and m["key"] != "GB10"), "GeForce and integrated GPUs have none"
    first, last = m["branches"]
    assert last is None or first <= last


def test_keys_are_unique_and_a_name_of_two_boards_means_the_first() -> None:
    assert len(models.models()) == len(MODELS) == len({m["key"] for m in MODELS})
    assert models.model("NVIDIA GeForce RTX 4060 Ti")["key"] == "RTX-4060-Ti-8GB"
