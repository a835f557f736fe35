"""The rules of MIG as the planner applies them."""

import dataclasses
import functools

import pytest
import yaml

from nvsim import mig, models, profile, profile_mig
from nvsim.errors import NvsimError
from nvsim.models import board_gpu

DRIVER = "550.54.15"


@functools.cache
def catalog():
    return yaml.load(mig.CATALOG.read_text(), yaml.CSafeLoader)["tables"]


def gpu(model="A100-SXM4-40GB", **changes):
    made = board_gpu(model, index=0, minor=0, uuid="GPU-00000000-0000-0000-0000-000000000000",
                     bus_id="0000:07:00.0")
    return dataclasses.replace(made, **{"mig_mode": 1, "mig_pending": 1, **changes})


def with_instances(*names, model="A100-SXM4-40GB"):
    made = gpu(model)
    for name in names:
        made = dataclasses.replace(made, **mig.create(made, DRIVER, name)[0])
    return made


def test_every_row_of_the_catalogue_says_how_sure_it_is_and_where_it_comes_from():
    for name, table in catalog().items():
        assert table["source"], name
        assert {row["confidence"] for row in table["profiles"]} <= {"output", "guide", "derived", "recall"}


def test_names_are_those_that_clients_work_out_from_the_memory_size():
    # G slices, and memory in eighths of the board: what go-nvlib computes when NVML gives no name.
    for name in models.names():
        table = mig.table(models.model(name)["mig"], 610) if models.model(name)["mig"] else None
        for row in table.profiles if table else ():
            total = catalog()[table.name]["memory_total_mib"]
            eighths, gib = -(-row.memory_mib * 8 // total), -(-total // 1024)
            assert row.name.startswith(f"{row.slices}g.{int(eighths * gib / 8 + 0.5)}gb"), row.name


def test_one_media_extension_fits_on_a_board():
    there = with_instances("1g.5gb+me")
    with pytest.raises(NvsimError, match="Insufficient Resources"):
        mig.create(there, DRIVER, "1g.5gb+me")
    assert mig.create(there, DRIVER, "1g.5gb")[1]


def test_an_unknown_profile_is_an_error_that_names_the_nearest():
    with pytest.raises(NvsimError, match="no MIG profile") as caught:
        mig.create(gpu(), DRIVER, "3g.40gb")
    assert "did you mean '3g.20gb'?" in caught.value.hint


def test_old_drivers_lack_profiles_and_have_uuids_of_another_form():
    made = gpu()
    with pytest.raises(NvsimError, match="no MIG profile"):
        mig.create(made, "470.256.02", "1g.10gb")
    made = dataclasses.replace(made, **mig.create(made, "460.32.03", "1g.5gb")[0])
    assert mig.create_compute(made, "460.32.03", 13)[0]["ci_uuid"][0] == (
        "MIG-GPU-00000000-0000-0000-0000-000000000000/13/0")


def test_thor_says_that_mig_is_off_and_offers_no_instances():
    made = board_gpu("THOR-IGPU", index=0, minor=0, uuid="GPU-00000000-0000-0000-0000-000000000000",
                     bus_id="0000:01:00.0", driver_branch=580)
    assert (made.mig_mode, made.mig_max_devices, made.mig_table) == (0, 0, 0)


@pytest.mark.parametrize(("model", "driver"), [("H100-SXM5-80GB", 470), ("T4", 550)])
def test_boards_and_drivers_without_mig_have_no_mode(model, driver):
    made = board_gpu(model, index=0, minor=0, uuid="GPU-00000000-0000-0000-0000-000000000000",
                     bus_id="0000:07:00.0", driver_branch=driver)
    assert (made.mig_mode, made.mig_max_devices, made.mig_table) == (None, 0, 0)


def test_a_reset_puts_the_pending_mode_in_force_and_leaves_no_instance():
    there = dataclasses.replace(with_instances("3g.20gb"), mig_pending=0)
    after = dataclasses.replace(there, **mig.reset(there))
    assert after.mig_mode == 0 and not any(after.gi_size)


@pytest.mark.parametrize(("value", "where", "said", "hint"), [
    ([], "mig", "expected GPU numbers", "{0: ["),
    ({"8": []}, "mig", "unknown key '8'", "known keys: 0, 1"),
    ({"0": "7g.40gb"}, "mig: 0", "expected a list", ""),
    ({"0": ["7g.80gb"]}, "mig: 0[0]", "'7g.80gb' is no MIG profile", "did you mean '7g.40gb'?"),
    ({"0": ["3g.20gb:1"]}, "mig: 0[0]", "3g.20gb cannot start at 1", "legal: 0, 4"),
    ({"0": ["1c.3g.20gb"]}, "mig: 0[0]", "'1c.3g.20gb' is a compute instance", "{profile: 3g.20gb, compute: ["),
    ({"0": [{"profile": "3g.20gb", "compute": ["4c.3g.20gb"]}]}, "mig: 0[0]: compute[0]", "is no compute instance",
     "known: 1c.3g.20gb, 2c.3g.20gb, 3g.20gb"),
    ({"0": [{"profil": "3g.20gb"}]}, "mig: 0[0]", "unknown key 'profil'", "did you mean 'profile'?")])
def test_what_a_profile_cannot_mean_is_an_error_that_names_the_key(value, where, said, hint):
    with pytest.raises(NvsimError) as caught:
        profile_mig.parse(value, "mig", "A100-SXM4-40GB", 2)
    assert said in caught.value.message and caught.value.source == where and hint in caught.value.hint


def test_a_model_without_mig_cannot_have_instances():
    with pytest.raises(NvsimError, match="T4 has no MIG"):
        profile_mig.parse({"0": []}, "mig", "T4", 1)


@pytest.mark.parametrize("names", [["1g.5gb", "1g.5gb", "2g.10gb", "3g.20gb"], ["3g.20gb", "1g.5gb:6"],
                                   ["1g.5gb"] * 7, ["2g.10gb", "4g.20gb", "1g.5gb"]])
def test_instances_that_fit_in_some_order_fit(names):
    wanted = profile_mig.parse({"0": names}, "mig", "A100-SXM4-40GB", 1)[0]
    made = dataclasses.replace(gpu(), **profile_mig.fields(gpu(mig_mode=0), wanted, DRIVER, "mig"))
    there = mig.instances(made, mig.table_of(made, DRIVER))
    assert sorted(i.profile.name for i in there) == sorted(n.partition(":")[0] for n in names)
    assert all(len(i.compute) == 1 and i.compute[0].size == i.profile.slices for i in there)


def test_instances_that_do_not_fit_are_an_error_that_lists_them():
    wanted = profile_mig.parse({"0": ["3g.20gb", "3g.20gb", "1g.5gb"]}, "mig", "A100-SXM4-40GB", 1)[0]
    with pytest.raises(NvsimError, match="Insufficient Resources") as caught:
        profile_mig.fields(gpu(mig_mode=0), wanted, DRIVER, "profile x: mig")
    assert caught.value.hint.startswith("3g.20gb, 3g.20gb, 1g.5gb do not fit")


@pytest.mark.parametrize(("driver", "names", "said"), [
    ("550.54.15", ["7g.40gb", "1g.5gb"], "Insufficient Resources"), ("470.256.02", ["1g.10gb"], "no MIG profile")])
def test_a_profile_whose_instances_cannot_be_is_refused_when_it_is_read(driver, names, said):
    value = {"driver": driver, "gpus": [{"model": "A100-SXM4-40GB", "mig": {"0": names}}]}
    with pytest.raises(NvsimError, match=said) as caught:
        profile.of(value, "host.yaml")
    assert caught.value.source == "host.yaml: gpus: GPU 0: mig"
