"""The results as one HTML page that needs nothing else: filters, and for each case the path of its containers as a
picture, what differed, what was said, and the commands to reproduce it by hand."""

import re
import shlex
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nvsim import __version__, profile
from nvsim.errors import NvsimError
from scenarios.result import Result
from scenarios.trail import Station, Trail

TEMPLATE = Path(__file__).resolve().parent / "report.html.j2"
STATES = ("failed", "not run", "passed")  # in the order in which a reader wants them
_GITHUB = re.compile(r"([\w.-]+/[\w.-]+)#(\d+)", re.ASCII)

WIDTH, HEIGHT, GAP, TOP = 196, 62, 36, 20  # of a box of the picture, in user units
_COLUMNS = 25  # characters of its text that fit into a box


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A station with its place in the picture; `lines` are its name, wrapped."""

    station: Station
    x: int
    lines: tuple[str, ...]
    first: int  # baseline of the first line

    @property
    def middle(self) -> int:
        return self.x + WIDTH // 2


def write(path: str, results: list[Result], *, about: tuple[tuple[str, str], ...] = ()) -> None:
    """Writes the page.  `about` are lines on the run: name, value.

    Raises NvsimError if the file cannot be written, or if jinja2 is not installed."""
    text = page(results, about=about)
    try:
        Path(path).write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as e:
        raise NvsimError(f"cannot write the report: {e.strerror}", source=path) from e


def page(results: list[Result], *, about: tuple[tuple[str, str], ...] = ()) -> str:
    """The page as text.  Raises NvsimError if jinja2 is not installed."""
    try:
        import jinja2
    except ImportError as e:
        raise NvsimError("the HTML report needs jinja2", source="nvsim run --html",
                         hint="python3 -m pip install jinja2; --junit does without") from e
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    counts = {state: sum(result.status == state for result in results) for state in STATES}
    families = dict.fromkeys(result.case.family or "own cases" for result in results)
    return template.render(
        results=sorted(results, key=lambda result: STATES.index(result.status)), counts=counts, families=families,
        about=(("nvsim", __version__), *about), seconds=sum(result.seconds for result in results), boxes=boxes,
        width=WIDTH, height=HEIGHT, top=TOP, gap=GAP, link=link, commands=commands)


def boxes(trail: Trail) -> tuple[Box, ...]:
    """The stations of a trail from left to right."""
    return tuple(_box(station, number * (WIDTH + GAP)) for number, station in enumerate(trail.stations))


def _box(station: Station, x: int) -> Box:
    lines = textwrap.wrap(station.name, _COLUMNS, max_lines=3, placeholder=" …") or [""]
    return Box(station=station, x=x, lines=tuple(lines), first=TOP + HEIGHT // 2 + 5 - 8 * (len(lines) - 1))


def link(report: str) -> str:
    """The address of a report on GitHub, "" for one elsewhere."""
    found = _GITHUB.fullmatch(report)
    return f"https://github.com/{found[1]}/issues/{found[2]}" if found else ""


def commands(result: Result) -> Iterable[str]:
    """What to type to see the case again: all of it, the container of a step, the machine."""
    word = shlex.quote(result.case.word)
    yield f"nvsim run {word} --engine {result.engine}"
    if result.level != "spec":
        yield result.again if result.step else f"nvsim keep {word} --engine {result.engine} --step 1"
    if result.case.host.name in profile.names():
        yield f"nvsim shell {result.case.host.name}"
