"""Combinations of request, host and configuration, in every mode: the differences are golden files.

With `--target real` the rows that any GPU can show run on this machine and on an emulated host of its recording, and
have to be told alike.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import combinations
import pytest

from scenarios import runner
from scenarios.engines.session import Tools

pytestmark = pytest.mark.host
ROWS = combinations.rows()
ANYWHERE = tuple(row for row in ROWS if row.anywhere)


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


@pytest.fixture(scope="module")
def both(tools: Tools) -> Iterator[Callable[[combinations.Row], tuple[str, str]]]:
    """What this machine and its emulated twin tell of a row."""
    host = combinations.recorded("--target real")
    real, twin = f"{tools.folder}/real", f"{tools.folder}/twin"
    for folder in (real, twin):
        Path(folder).mkdir()
    with combinations.on_emulated(host, twin, tools) as there, \
            combinations.on_this_machine(f"{twin}/host", real, tools) as here:

        def tell(row: combinations.Row) -> tuple[str, str]:
            one, other = (combinations.told(row, place.outcome(row, "runc"), place.plain(row.run), folder)
                          for place, folder in ((here, real), (there, twin)))
            return one, other

        yield tell


@pytest.mark.target("real")
@pytest.mark.parametrize("row", ANYWHERE, ids=lambda row: row.name)
def test_a_real_machine_and_its_emulated_twin_are_told_alike(
    row: combinations.Row, both: Callable[[combinations.Row], tuple[str, str]]
) -> None:
    real, twin = both(row)
    assert combinations.without_files(real) == combinations.without_files(twin)
    if real != twin:
        only = set(real.splitlines()) ^ set(twin.splitlines())
        warnings.warn(f"{row.name}: other files than emulated: {sorted(only)[:20]}", stacklevel=1)


@pytest.mark.target("emulated")
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
