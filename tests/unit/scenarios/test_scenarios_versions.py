"""Conditions on versions: which are stated, which hold."""

import pytest

from scenarios import checks, versions


@pytest.mark.parametrize(("text", "version", "holds"), [
    ("docker >=25.0", "25.0.1", True), ("docker >=25.0", "20.10.24+dfsg1", False), ("docker >=25", "v25.0.0", True),
    ("toolkit >=1.18, <1.18.1", "1.18.0", True), ("toolkit >=1.18, <1.18.1", "1.18.1", False),
    ("podman ==4.3.1", "4.3.1+ds1", True), ("podman <5.0", "", False), ("podman >5", "5.0.1", True),
    ("podman <=5.0", "5.0.0", True),
])
def test_a_condition_holds_or_not(text, version, holds):
    condition = versions.condition(text)
    assert condition and condition.holds(version) is holds


@pytest.mark.parametrize("text", ["docker", "docker 25", "docker>=25", "docker >=25,", "docker >=x", "DOCKER >=1", ""])
def test_what_is_no_condition_is_none(text):
    assert versions.condition(text) is None


def test_versions_win_over_engines_in_the_order_of_the_case():
    expect = checks.parse({"exit": 1, "but": {"docker >=25": {"exit": 4}, "engine": {"exit": 2}, "docker": {"exit": 3},
                                              "toolkit <1.18": {"exit": 5}}}, "case")
    known = {"docker": "26.1", "toolkit": "1.20.0"}
    assert expect.at("engine", "docker").words["exit"] == ("is", 3)
    assert expect.at("engine", "docker", known=known).words["exit"] == ("is", 4)
    assert expect.at("engine", "docker", known=known | {"toolkit": "1.17.8"}).words["exit"] == ("is", 5)
    assert expect.at("container", "runc", known={"runc": "1.1.5"}).words["exit"] == ("is", 1)
