"""NVIDIA_REQUIRE_* as the runtime checks them in mode csv.  Expectations: toolkit v1.20, internal/requirements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import RequestError
from toolkit.plan.csv_requirements import Facts, check

ORIN = Facts(cuda="12.6", arch="8.7")


@pytest.mark.parametrize(
    "requirement",
    [
        "cuda>=12.6",
        "cuda>=12",
        "cuda=12.6.0",
        "cuda!=12.5",
        "cuda<13",
        "v=x cuda>=12",  # an unknown property is passed over
        "cuda>=99 arch>=8.7",  # alternatives
        "cuda>=12.0,arch>=8.7",
        "cuda>=12.0,,arch>=8.7",
        "",
        " ",
        "os=linux",
        "cuda>=12.6.0-rc.1",  # a pre-release comes before its version
        "driver<450",  # a version that is not known is lower than every other
        "brand!=tesla",
    ],
)
def test_what_holds_passes(requirement: str) -> None:
    check((requirement,), ORIN)


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        ("cuda>=99.0", "unsatisfied condition: cuda>=99.0 (cuda=12.6)"),
        ("cuda>=12.0,arch>=9.0", "unsatisfied condition: arch>=9.0 (arch=8.7)"),
        ("cuda>=99.0,arch>=8.0 brand=tesla", "cuda>=99.0&&arch>=8.0||brand=tesla not met"),
        ("driver>=450", "unsatisfied condition: driver>=450 (driver=)"),
        ("brand=tesla", "unsatisfied condition: brand=tesla (brand=)"),
        ("cuda", "invalid constraint: cuda"),
        ("cuda==12", "invailid value =12; expected a valid version string"),
        ("cuda>=12.02", "invailid value 12.02; expected a valid version string"),
        ("cuda!12", "invailid value !12; expected a valid version string"),
        ("brand!tesla", "invalid operator "),
    ],
)
def test_what_does_not_hold_is_an_error_in_upstreams_words(requirement: str, text: str) -> None:
    with pytest.raises(RequestError) as caught:
        check(("cuda>=1", requirement), ORIN)
    assert caught.value.message == text


def test_without_cuda_no_version_is_high_enough() -> None:
    with pytest.raises(RequestError, match=r"cuda>=1 \(cuda=\)"):
        check(("cuda>=1",), Facts())


@given(st.lists(st.text(alphabet="cudarch<>=!.,- 0189xv", max_size=30), max_size=3))
def test_any_text_holds_or_is_a_request_error(requirements: list[str]) -> None:
    try:
        check(tuple(requirements), ORIN)
    except RequestError as e:
        assert e.message
