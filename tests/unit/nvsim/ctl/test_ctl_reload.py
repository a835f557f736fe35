import pytest

from nvsim import device_rules
from nvsim.ctl import verbs
from nvsim.errors import NvsimError


def test_outside_of_the_machine_a_reload_says_where_it_works(host):
    with pytest.raises(NvsimError, match="only on the machine") as caught:
        host("T4").ctl("daemon-reload")
    assert "nvsim shell" in caught.value.hint


def test_a_reload_takes_no_words():
    with pytest.raises(NvsimError, match="expected NAME=VALUE"):
        verbs.parse(["daemon-reload", "now"])


@pytest.mark.parametrize("spec", [{}, {"linux": None}, {"linux": {"resources": {}}}])
def test_a_specification_without_rules_has_those_that_every_runtime_adds(spec):
    lines = [device_rules.v1_line(rule) for rule in device_rules.of_spec(spec)]
    assert {"c 1:3 rwm", "c 5:2 rwm", "c 136:* rwm", "c *:* m", "b *:* m"} <= set(lines)


def test_the_rules_of_the_engine_come_first():
    asked = {"allow": False, "access": "rwm"}
    assert device_rules.of_spec({"linux": {"resources": {"devices": [asked]}}})[0] == asked
