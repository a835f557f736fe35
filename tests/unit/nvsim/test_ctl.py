import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim import board, ctl
from nvsim.errors import NvsimError
from nvsim.models import board_gpu
from nvsim.native.compile import compile_all


@pytest.fixture
def root(tmp_path):
    """A built host of two GPUs, the second on the lower bus, and two libraries that carry it."""
    gpus = tuple(board_gpu("T4", index=i, minor=i, bus_id=f"0000:0{2 - i}:00.0",
                           uuid=f"GPU-00000000-0000-0000-0000-00000000000{i}") for i in range(2))
    paths = ["/usr/lib/libnvidia-ml.so.550.54.15", "/run/driver/libnvidia-ml.so.550.54.15"]
    for path in paths:
        (tmp_path / path[1:]).parent.mkdir(parents=True)
        shutil.copy(compile_all("libnvidia-ml.so")[0], tmp_path / path[1:])
        board.write(str(tmp_path / path[1:]),
                    board.Board(driver_version="550.54.15", cuda_version="12.4", gpus=gpus))
    (tmp_path / ".nvsim").mkdir()
    (tmp_path / ".nvsim/machine.json").write_text(json.dumps({"format": 1, "boards": paths}))
    return str(tmp_path)


def temperatures(root):
    return [[gpu.temperature for gpu in board.read(path).gpus] for path in ctl.boards(root)]


def test_a_change_reaches_every_library_of_the_host(root):
    said = ctl.set_values(root, ["temperature=85"])
    assert temperatures(root) == [[85, 85], [85, 85]]
    assert len(said) == 4


@pytest.mark.parametrize("gpu", ["0", "GPU-00000000-0000-0000-0000-000000000001", "0000:01:00.0"])
def test_a_gpu_is_meant_by_its_number_in_bus_order_its_uuid_or_its_address(root, gpu):
    before = temperatures(root)
    ctl.set_values(root, [f"gpu={gpu}", "temperature=85"])
    assert temperatures(root) == [[row[0], 85] for row in before]


def test_what_can_be_changed_is_listed_with_its_meaning():
    assert ctl.settable()["temperature"] == "°C of the GPU core"
    assert "name" not in ctl.settable()


def test_words_become_values():
    change = ctl.parse(["gpu=3", "memory_used=2GiB", "fan_speed=none", "clocks_event_reasons=0x40", "temperature=-5"])
    assert change == ctl.Change(gpu="3", values={"memory_used": 2 << 30, "fan_speed": None, "temperature": -5,
                                                 "clocks_event_reasons": 0x40})


@pytest.mark.parametrize(("words", "said"), [
    ([], "nothing to set"), (["gpu=0"], "nothing to set"), (["temperature"], "expected NAME=VALUE"),
    (["name=x"], "cannot be changed"), (["temperature=hot"], "expected a number"), (["pstate=-1"], "does not fit")])
def test_words_that_mean_nothing_are_errors(words, said):
    with pytest.raises(NvsimError, match=said):
        ctl.parse(words)


def test_a_gpu_that_is_not_there_is_an_error_that_says_which_are(root):
    with pytest.raises(NvsimError, match="no GPU '2'") as caught:
        ctl.set_values(root, ["gpu=2", "temperature=1"])
    assert "0 to 1" in caught.value.hint


def test_a_folder_that_is_no_host_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(NvsimError, match="not a built host") as caught:
        ctl.boards(str(tmp_path))
    assert "nvsim build" in caught.value.hint


def test_a_host_without_driver_has_nothing_to_set(tmp_path):
    (tmp_path / ".nvsim").mkdir()
    (tmp_path / ".nvsim/machine.json").write_text('{"boards": []}')
    with pytest.raises(NvsimError, match="no driver"):
        ctl.boards(str(tmp_path))


@given(st.lists(st.one_of(st.text(), st.from_regex(r"(gpu|temperature|fabric_cluster)=[ -~]*", fullmatch=True))))
def test_any_words_are_a_change_or_an_error(words):
    try:
        assert ctl.parse(words).values
    except NvsimError as e:
        assert e.message
