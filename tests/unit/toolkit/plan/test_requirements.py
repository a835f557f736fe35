"""The --require language (libnvidia-container 1.20)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import RequestError, ToolkitError
from toolkit.model.native import Gpu
from toolkit.plan.requirements import Facts, check, compare_versions, satisfied
from toolkit.plan.selection import Selection

FACTS = Facts(cuda="12.4", driver="550.54.15", arch="8.0", brand="Nvidia", device=True)
NOBODY = Facts(cuda="12.4", driver="550.54.15")
GPU = Gpu(index=0, minor=0, uuid="GPU-0", bus_id="", architecture="8.0", brand="Nvidia")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "cuda>=12.4",
        "cuda=12.4.0",
        "cuda=012.04",
        "CUDA>=11.8 nonsense!",
        "cuda>=99 driver<=550.54.15",
        "cuda>=11.8 brand=tesla,driver>=470,driver<471 brand=unknown,driver>=470,driver<471",
        "brand=nvidia",
        "brand!=tesla",
        "brand!tesla",
        "arch>=8",
        "arch<8.6",
        "driver!550.54.14",
        "cuda>=12.4,,driver>=550",
        "driver>=550.",
        "cuda<12..5",
    ],
)
def test_expressions_that_hold(text: str) -> None:
    assert satisfied(text, FACTS)


@pytest.mark.parametrize(
    "text", ["cuda>12.4", "cuda<12", "driver>=560", "arch>=10.0", "brand=Tesla", "cuda=12.5 arch=7"]
)
def test_expressions_that_do_not_hold(text: str) -> None:
    assert not satisfied(text, FACTS)


@pytest.mark.parametrize(
    "text",
    [
        "foo=1",
        "garbage",
        "cuda>=abc",
        "cuda>=",
        "cuda",
        ">=1",
        "brand>Tesla",
        "brand!=",
        "cuda==12",
        "cuda<>12",
        "cuda=<12",
        "cuda>>12",
        "cuda>=.5",
        f"cuda>={1 << 64}",
        "cuda>=" + "9" * 5000,
        "cuda >= 12",
        "brand=" + "x" * 130,
    ],
)
def test_expressions_that_are_invalid(text: str) -> None:
    with pytest.raises(RequestError) as e:
        satisfied(text, FACTS)
    assert str(e.value) == "requirement error: invalid expression"


def test_device_terms_hold_without_a_device() -> None:
    assert satisfied("arch>=99,brand=nobody", NOBODY)
    assert not satisfied("cuda>=99", NOBODY)


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        (
            "cuda>=12.6",
            "unsatisfied condition: cuda>=12.6, please update your driver to a newer version, or use an earlier "
            "cuda container",
        ),
        ("driver>=560", "unsatisfied condition: driver>=560"),
        (
            "cuda>=12.5 brand=tesla,driver>=470",
            "unsatisfied condition: cuda>=12.5, please update your driver to a newer "
            "version, or use an earlier cuda container",
        ),
        ("CUDA>=99", "unsatisfied condition: CUDA>=99"),
    ],
)
def test_the_first_alternative_is_what_the_error_names(requirement: str, text: str) -> None:
    with pytest.raises(RequestError) as e:
        check(("cuda>=11", requirement), Selection(gpus=(GPU,)), (GPU,), cuda="12.4", driver="550.54.15")
    assert str(e.value) == f"requirement error: {text}"


def test_every_selected_device_has_to_fit() -> None:
    old = GPU._replace(index=1, architecture="7.5")
    check(("arch>=8",), Selection(gpus=(GPU,)), (GPU, old), cuda="12.4", driver="550")
    with pytest.raises(RequestError, match="unsatisfied"):
        check(("arch>=8",), Selection(gpus=(GPU, old)), (GPU, old), cuda="12.4", driver="550")


@pytest.mark.parametrize(
    ("a", "b", "order"),
    [("11", "11.0.0", 0), ("11.05", "11", 1), ("470.057", "470.57", 0), ("1000", "999", 1), ("12.4", "12.10", -1)],
)
def test_versions_compare_by_number(a: str, b: str, order: int) -> None:
    assert compare_versions(a, b) == order
    assert compare_versions(b, a) == -order


@given(st.one_of(st.text(), st.from_regex(r"(cuda|arch|brand|driver)?[<>=! ,.0-9a-z]{0,20}", fullmatch=True)))
def test_any_text_is_true_false_or_refused(text: str) -> None:
    try:
        assert satisfied(text, FACTS) in (True, False)
    except ToolkitError:
        pass
