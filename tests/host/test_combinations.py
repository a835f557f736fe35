"""At least forty combinations of request, host and configuration for every mode: the differences are golden files."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import combinations
import pytest

from scenarios import runner
from scenarios.engines.session import Tools

pytestmark = pytest.mark.host
ROWS = combinations.rows()


@pytest.fixture(scope="module")
def tools() -> Iterator[Tools]:
    from conftest import requires

    requires("root", "runc", "busybox", "zig")
    with runner.session("") as found:
        yield found


@pytest.fixture(scope="module")
def places(tools: Tools) -> Iterator[Callable[[str], tuple[combinations.Place, str]]]:
    """The place of a host and its folder; the rows are sorted by host, and one host is up at a time."""
    current: dict[str, tuple[combinations.Place, str]] = {}
    with contextlib.ExitStack() as stack:

        def place(host: str) -> tuple[combinations.Place, str]:
            if host not in current:
                stack.close()
                current.clear()
                folder = f"{tools.folder}/{host}"
                Path(folder).mkdir(exist_ok=True)
                current[host] = stack.enter_context(combinations.on_emulated(host, folder, tools)), folder
            return current[host]

        yield place


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_differences_are_those_of_the_golden_file(
    row: combinations.Row, places: Callable[[str], tuple[combinations.Place, str]],
    golden: Callable[[str, str], None],
) -> None:
    place, folder = places(row.host)
    outcome = place.outcome(row, "runc")
    assert outcome.left == ()
    golden(f"combinations/{row.name}.txt", combinations.told(row, outcome, place.plain(row.run), folder))


def test_every_golden_file_has_a_row() -> None:
    from conftest import GOLDEN

    assert {path.stem for path in (GOLDEN / "combinations").glob("*.txt")} == {row.name for row in ROWS}
    assert len(ROWS) == len({row.name for row in ROWS}) >= 40
