import pytest

from nvsim import board
from nvsim.ctl import targets, values, verbs
from nvsim.errors import NvsimError


def temperatures(root):
    return [[gpu.temperature for gpu in board.read(path).gpus] for path in targets.boards(root)]


def test_a_change_reaches_every_library_of_the_host(host):
    two = host("T4", "T4")
    said = two.ctl("set temperature=85")
    assert temperatures(two.root) == [[85, 85], [85, 85]]
    assert said == ["GPU 0 (0000:01:00.0): temperature=85", "GPU 1 (0000:02:00.0): temperature=85"]


@pytest.mark.parametrize("gpu", ["0", "GPU-00000000-0000-0000-0000-000000000001", "0000:01:00.0"])
def test_a_gpu_is_meant_by_its_number_in_bus_order_its_uuid_or_its_address(host, gpu):
    two = host("T4", "T4")
    before = temperatures(two.root)
    two.ctl(f"set gpu={gpu} temperature=85")
    assert temperatures(two.root) == [[row[0], 85] for row in before]


def test_what_can_be_changed_is_listed_with_its_meaning():
    assert values.settable()["temperature"] == "°C of the GPU core"
    assert "name" not in values.settable()


def test_words_become_values():
    line = "set gpu=3 memory_used=2GiB fan_speed=none clocks_event_reasons=0x40 temperature=-5"
    change = verbs.parse(line.split())
    assert change == values.Set(gpu="3", values={"memory_used": 2 << 30, "fan_speed": None, "temperature": -5,
                                                 "clocks_event_reasons": 0x40})


@pytest.mark.parametrize(("line", "said"), [
    ("set", "nothing to set"), ("set gpu=0", "nothing to set"), ("set temperature", "expected NAME=VALUE"),
    ("set name=x", "not known"), ("set temperature=hot", "expected a number"), ("set pstate=-1", "does not fit"),
    ("set temperature=1 temperature=2", "occurs twice")])
def test_words_that_mean_nothing_are_errors(line, said):
    with pytest.raises(NvsimError, match=said):
        verbs.parse(line.split())


def test_an_unknown_value_is_answered_with_the_nearest():
    with pytest.raises(NvsimError) as caught:
        verbs.parse(["set", "temprature=85"])
    assert (caught.value.source, caught.value.hint) == ("ctl set", "did you mean 'temperature'?")


def test_a_gpu_that_is_not_there_is_an_error_that_says_which_are(host):
    with pytest.raises(NvsimError, match="no GPU '2'") as caught:
        host("T4", "T4").ctl("set gpu=2 temperature=1")
    assert "0 to 1" in caught.value.hint


def test_a_folder_that_is_no_host_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(NvsimError, match="not a built host") as caught:
        targets.boards(str(tmp_path))
    assert "nvsim build" in caught.value.hint


def test_a_host_without_driver_has_nothing_to_set(tmp_path):
    (tmp_path / ".nvsim").mkdir()
    (tmp_path / ".nvsim/machine.json").write_text('{"boards": []}')
    with pytest.raises(NvsimError, match="no driver"):
        targets.boards(str(tmp_path))
