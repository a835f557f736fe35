import re

import pytest

from nvsim import board, models
from nvsim.errors import NvsimError
from nvsim.models import MIB, board_gpu, cpu_words, model

ARGUMENTS = {"index": 2, "minor": 5, "uuid": "GPU-0123abcd-0000-0000-0000-000000000002", "bus_id": "0000:4e:00.0",
             "serial": "1650000000003"}


def arguments(key):
    """The UUID of a GPU that nvgpu drives has no prefix."""
    bare = models.model(key).get("integrated") == "nvgpu"
    return {**ARGUMENTS, "uuid": ARGUMENTS["uuid"].removeprefix("GPU-" if bare else "")}


@pytest.mark.parametrize("key", models.models())
def test_every_model_becomes_a_record_that_fits_the_board(key):
    gpu = board_gpu(key, **arguments(key))
    packed = board.RECORD.pack({slot.name: getattr(gpu, slot.name) for slot in board.RECORD.slots})
    assert board.RECORD.unpack(packed)["name"] == models.models()[key]["name"]
    assert (gpu.minor, gpu.bus_id, gpu.uuid) == (5, "0000:4e:00.0", arguments(key)["uuid"])


@pytest.mark.parametrize("key", models.models())
def test_every_model_is_idle_within_its_own_limits(key):
    gpu = board_gpu(key, **arguments(key))
    assert (gpu.temperature or 0) < (gpu.threshold_gpu_max or 200)
    assert (gpu.power_usage or 0) <= (gpu.power_limit_max or 0)
    assert gpu.clock_graphics <= gpu.clock_max_graphics
    assert gpu.utilization_gpu == 0


def test_the_same_arguments_give_the_same_record():
    assert board_gpu("A100-SXM4-40GB", **ARGUMENTS) == board_gpu("A100-SXM4-40GB", **ARGUMENTS)


def test_an_a100_is_what_nvidia_smi_showed_of_one():
    gpu = board_gpu("A100-SXM4-40GB", **{**ARGUMENTS, "index": 0})
    assert (gpu.name, gpu.memory_total, gpu.bar1_total) == ("NVIDIA A100-SXM4-40GB", 40960 * MIB, 65536 * MIB)
    assert (gpu.temperature, gpu.temperature_memory, gpu.power_usage) == (33, 34, 49680)
    assert (gpu.pci_device_id, gpu.pci_subsystem_id, gpu.pci_class) == (0x20B010DE, 0x134F10DE, 0x030200)
    assert (gpu.mig_mode, gpu.mig_max_devices, gpu.nvlink_links, gpu.nvlink_active) == (0, 7, 12, 0xFFF)
    assert (gpu.ecc_mode, gpu.retired_pages_sbe, gpu.remap_banks_max) == (1, None, 640)


def test_a_turing_board_retires_pages_and_an_ampere_board_remaps_rows():
    t4, a100 = (board_gpu(key, **ARGUMENTS) for key in ("T4", "A100-SXM4-80GB"))
    assert (t4.retired_pages_sbe, t4.remapped_correctable) == (0, None)
    assert (a100.retired_pages_sbe, a100.remapped_correctable) == (None, 0)


def test_a_geforce_board_has_a_fan_but_no_serial_number_ecc_mig_or_applications_clock():
    gpu = board_gpu("RTX 4060 Ti", **ARGUMENTS)
    assert (gpu.fan_count, gpu.serial, gpu.ecc_mode, gpu.mig_mode, gpu.clock_app_graphics) == (1, "", None, None, None)


def test_an_h100_tells_its_margin_to_the_temperature_limit():
    gpu = board_gpu("H100 80GB HBM3", **{**ARGUMENTS, "index": 0})
    assert (gpu.tlimit_base - gpu.temperature, gpu.tlimit_shutdown, gpu.fabric_state) == (58, -8, 3)


def test_data_centre_boards_were_tesla_before_510():
    assert [board_gpu("T4", **ARGUMENTS, driver_branch=b).brand for b in (470, 550)] == [2, 14]


def test_models_are_found_by_key_and_by_name():
    assert model("H100-SXM5-80GB") is model("NVIDIA H100 80GB HBM3") is model("h100 80gb hbm3")


def test_a_model_is_described_in_a_line():
    assert models.about("A30") == ("NVIDIA A30, 24576 MiB, compute 8.0, 165 W, 4 NVLinks, MIG, drivers 460 to now, "
                                   "from memory")
    assert models.about("V100-SXM2-16GB").endswith("drivers 384 to 580, from memory")
    assert models.about("T4").endswith("seen on a board")
    assert all("\n" not in models.about(name) for name in models.names())


def test_an_unknown_model_names_the_nearest():
    with pytest.raises(NvsimError) as caught:
        model("A100-SXM4-40G")
    assert "A100-SXM4-40GB" in caught.value.hint


@pytest.mark.parametrize(("change", "source"), [({"uuid": "GPU-XYZ"}, "uuid"), ({"bus_id": "7:0.0"}, "bus_id"),
                                                ({"cpus": "0-"}, "cpus"), ({"cpus": "5-2"}, "cpus"),
                                                ({"cpus": "99999"}, "cpus")])
def test_a_bad_argument_is_named(change, source):
    with pytest.raises(NvsimError) as caught:
        board_gpu("T4", **{**ARGUMENTS, **change})
    assert caught.value.source == source


def test_cpu_lists_become_bits():
    assert cpu_words("0-3,64")[:2] == (15, 1)
    assert set(cpu_words("")) == {0}


def test_uuids_and_vbios_versions_of_the_catalogue_look_like_real_ones():
    for m in models.models().values():
        assert not m.get("vbios") or re.fullmatch(r"[0-9A-F]{2}(\.[0-9A-F]{2}){4}", m["vbios"]), m["key"]
