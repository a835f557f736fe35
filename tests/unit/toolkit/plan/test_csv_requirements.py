"""NVIDIA_REQUIRE_* in csv mode."""

import pytest

from toolkit.errors import RequestError
from toolkit.plan.csv_requirements import Facts, check

FACTS = Facts(cuda="12.8", arch="8.7")


@pytest.mark.parametrize("requirement", [
    "", " ", "cuda>=12", "cuda>=12.0,arch>=8.7", "cuda>=99 arch=8.7", "cuda<13,cuda!=12.7", "cuda=12.8.0",
    "cuda>=v12.8", "gpu>=9", "gpu>=9,cuda>12", "driver<450", "cuda>=12.8.0-rc1", "brand!=tesla", ",cuda<=12.8,",
])
def test_met(requirement):
    check((requirement,), FACTS)


@pytest.mark.parametrize(("requirement", "text"), [
    ("cuda>=99.0", "unsatisfied condition: cuda>=99.0 (cuda=12.8)"),
    ("cuda>=12,arch>9", "unsatisfied condition: arch>9 (arch=8.7)"),
    ("driver>=450", "unsatisfied condition: driver>=450 (driver=)"),
    ("brand=tesla", "unsatisfied condition: brand=tesla (brand=)"),
    ("cuda>=99.0,arch>=9.0 brand=tesla", "cuda>=99.0&&arch>=9.0||brand=tesla not met"),
    ("cuda", "invalid constraint: cuda"),
    ("cuda==12", "invailid value =12; expected a valid version string"),
    ("cuda!12", "invailid value !12; expected a valid version string"),
    ("cuda>=12.x", "invailid value 12.x; expected a valid version string"),
    ("cuda>=1.2.3.4", "invailid value 1.2.3.4; expected a valid version string"),
    ("brand!tesla", "invalid operator "),
])
def test_not_met(requirement, text):
    with pytest.raises(RequestError) as error:
        check((requirement,), FACTS)
    assert error.value.message == text


def test_every_requirement_has_to_hold():
    with pytest.raises(RequestError, match="cuda>=13"):
        check(("cuda>=12", "cuda>=13"), FACTS)


def test_an_unknown_property_is_passed_over_with_a_note():
    assert check(("gpu>=9 cuda>=99",), Facts(cuda="99")) == ("Skipping unsupported constraint: gpu>=9",)
