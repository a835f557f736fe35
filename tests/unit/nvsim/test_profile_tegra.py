"""The key `tegra`: what follows from a board and its release, and what changes them."""

import pytest

from nvsim import profile, tegra
from nvsim.errors import NvsimError


def test_a_board_is_enough_for_a_machine() -> None:
    found = profile.of({"tegra": "agx-orin"}, "host")
    assert (found.tegra and found.tegra.l4t, found.driver, found.kernel_driver) == ("36.4.3", "540.4.0", "540.4.0")
    assert (found.arch, found.layout, found.cpus, found.kernel_module) == ("aarch64", "ubuntu22.04", 12, "open")
    assert [(gpu.model, gpu.bus_id, gpu.minor) for gpu in found.gpus] == [("ORIN-IGPU", "0000:00:00.0", 0)]


@pytest.mark.parametrize(("board", "l4t", "driver", "layout"), [
    ("agx-xavier", "32.7.4", "32.7.4", "ubuntu20.04"), ("agx-orin", "35.3.1", "35.3.1", "ubuntu20.04"),
    ("agx-orin", "36.3.0", "540.3.0", "ubuntu22.04"), ("agx-orin", "36.4.4", "540.4.0", "ubuntu22.04"),
    ("agx-orin", "35.4.1", "35.4.1", "ubuntu20.04"), ("agx-thor", "38.2.0", "580.00", "ubuntu24.04")])
def test_the_release_decides_about_driver_and_distribution(board: str, l4t: str, driver: str, layout: str) -> None:
    found = profile.of({"tegra": {"board": board, "l4t": l4t}}, "host")
    assert (found.driver, found.layout) == (driver, layout)
    release = tegra.release(l4t, "l4t")
    assert release.release.startswith(f"# R{l4t.replace('.', ' (release), REVISION: ', 1)}, GCID: ")


def test_uuids_of_nvgpu_have_no_prefix_and_those_of_thor_do() -> None:
    orin, thor = (profile.load(name).gpus[0].uuid for name in ("jetson-agx-orin", "jetson-agx-thor"))
    assert orin[14] == "5" and len(orin) == 36 and thor.startswith("GPU-")
    own = "54d0709b-558d-5a59-9c65-0c5fc14a21a4"
    changed = profile.of({"tegra": "agx-orin", "gpus": [{"model": "ORIN-IGPU", "uuids": [own]}]}, "host")
    assert changed.gpus[0].uuid == own


def test_a_discrete_gpu_comes_second() -> None:
    found = profile.load("jetson-thor-rtxpro6000")
    assert [(gpu.index, gpu.minor, gpu.bus_id) for gpu in found.gpus] == [
        (0, 0, "0000:01:00.0"), (1, 1, "0003:01:00.0")]


def test_a_profile_may_change_the_release_the_board_or_be_no_jetson_any_more() -> None:
    older = profile.of({"profile": "jetson-agx-orin", "tegra": {"l4t": "35.3.1"}}, "host")
    assert (older.driver, older.gpus) == ("35.3.1", profile.load("jetson-agx-orin").gpus)
    other = profile.of({"profile": "jetson-agx-orin", "tegra": "agx-thor"}, "host")
    assert (other.driver, [gpu.model for gpu in other.gpus]) == ("580.00", ["THOR-IGPU"])
    server = profile.of({"profile": "jetson-agx-orin", "tegra": "false", "driver": "550.54.15"}, "host")
    assert (server.tegra, server.arch, server.driver, server.gpus) == (None, "x86_64", "550.54.15", ())


def test_kernel_modules_that_are_not_loaded_stay_so() -> None:
    unloaded = profile.of({"profile": "jetson-agx-orin", "kernel_driver": "none"}, "host")
    assert unloaded.kernel_driver == ""
    assert profile.changed({"profile": "jetson-agx-orin", "kernel_driver": "none"}, {"cpus": "4"}).kernel_driver == ""


def test_every_board_has_facts_for_each_of_its_releases() -> None:
    for name in tegra.boards():
        board = tegra.board(name, "board")
        assert tegra.newest(board)
        for family in board.releases:
            assert tegra.manifests(tegra.release({"r32": "32.7.4", "r35": "35.3.1", "r36": "36.4.3",
                                                  "r38": "38.2.0"}[family], "l4t"))


def test_an_unknown_board_is_told_the_nearest_one() -> None:
    with pytest.raises(NvsimError) as caught:
        profile.parse("tegra: orin-nnao", "host.yaml")
    assert (caught.value.source, caught.value.hint) == ("host.yaml: tegra: board", "did you mean 'orin-nano'?")
