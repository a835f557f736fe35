"""Progress, the table at the end, the differences of what failed, annotations for GitHub, and JUnit XML."""

import os
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from nvsim.errors import NvsimError
from scenarios.model import CASES
from scenarios.result import Result

COLOURS = {"passed": "green", "failed": "bold red", "not run": "yellow"}


class Report:
    """What a person sees of a run: a line per case as it ends, a bar while a terminal is there to show one."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._total, self._done = total, 0
        self._bar = Progress(TextColumn("running"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                             console=self.console, transient=True, disable=not self.console.is_terminal)
        self._task = self._bar.add_task("cases", total=total)

    def __enter__(self) -> "Report":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()

    def finished(self, result: Result) -> None:
        """One line; what failed is shown at once, so that nobody waits for it."""
        self._done += 1
        width = len(str(self._total))
        reason = f": {result.detail}" if result.status == "not run" else ""
        line = f"[{self._done:>{width}}/{self._total}] {result.status:7} {result.seconds:6.2f} s  {result.engine:5}"
        self._print(f"{line}  {result.case.name}{reason}", COLOURS[result.status])
        if result.status == "failed":
            self._print(indented(failure(result)))
        self._bar.advance(self._task)

    def table(self, results: list[Result], unrun: Sequence[Result] = ()) -> None:
        """Every case with level, engine, time and result, what failed once more, what should have run (`unrun`), and
        the sums.

        A log is read from its end: a difference hundreds of rows above it would not be found."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("case", "level", "engine"):
            table.add_column(name, no_wrap=True, overflow="ignore")
        table.add_column("seconds", justify="right")
        table.add_column("result")
        for result in results:
            cannot = f"passed, cannot see {', '.join(result.unseen)}" if result.unseen else "passed"
            shown = {"passed": cannot, "failed": f"failed at step {result.step}" if result.step else "failed",
                     "not run": f"not run: {result.detail}"}[result.status]
            table.add_row(escape(result.case.name), result.level, result.engine, f"{result.seconds:.2f}", escape(shown),
                          style="" if result.status == "passed" else COLOURS[result.status])
        if self.console.is_terminal:
            self.console.print(table)
        else:
            wide = Console(file=self.console.file, width=200, highlight=False, color_system=None)
            wide.print(table)
        for result in results if len(results) > 1 else ():
            if result.status == "failed":
                self._print(f"failed  {result.engine}  {result.case.name}", COLOURS["failed"])
                self._print(indented(failure(result)))
        for (engine, reason), count in Counter((result.engine, result.detail) for result in unrun).items():
            self._print(f"not run, which fails in CI: {engine}, {count} of {len(results)}: {reason}", COLOURS["failed"])
        self._print(summary(results))

    def _print(self, text: str, style: str = "") -> None:
        shown = text.encode(self.console.encoding, "backslashreplace").decode(self.console.encoding)
        self.console.print(escape(shown), style=style if self.console.is_terminal else "", soft_wrap=True)


def failure(result: Result) -> str:
    """What differed, readable on its own, with the line that opens the case again."""
    lines = [f"step {result.step}: {result.line}"] if result.step else []
    lines += [indented(f"{word}: {text}") for word, text in result.differences]
    if result.detail:
        lines.append(result.detail.rstrip())
    if result.case.report:
        lines.append(f"report: {result.case.report}: {result.case.about}")
    return "\n".join([*lines, f"again: {result.again}"])


def indented(text: str) -> str:
    """Every line two blanks further in."""
    return "\n".join(f"  {line}" for line in text.split("\n"))


def summary(results: list[Result]) -> str:
    """How many passed, failed, did not run, and the seconds they took together."""
    counts = {word: sum(result.status == word for result in results) for word in COLOURS}
    shown = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{shown} in {sum(result.seconds for result in results):.1f} s"


def annotations(results: list[Result]) -> list[str]:
    """A workflow command of GitHub Actions per case that failed: it shows beside the case's file.

    Format: GitHub's documentation of workflow commands, `error`."""
    return [f"::error file={_property(_file(result))},title={_property(result.case.name)} on {result.engine}::"
            f"{_command(failure(result))}" for result in results if result.status == "failed"]


def _file(result: Result) -> str:
    """A case that comes with nvsim lies in the repository, wherever the installed one is."""
    return os.path.relpath(result.case.path, CASES.parents[1]) if result.case.family else result.case.path


def _command(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _command(text).replace(":", "%3A").replace(",", "%2C")


def write_junit(path: str, results: list[Result]) -> None:
    """The results as JUnit XML, a suite per engine.  Raises NvsimError if the file cannot be written."""
    suites = ET.Element("testsuites")
    for engine in dict.fromkeys(result.engine for result in results):
        own = [result for result in results if result.engine == engine]
        suite = ET.SubElement(suites, "testsuite", name=f"nvsim.{engine}", tests=str(len(own)),
                              failures=str(sum(r.status == "failed" for r in own)),
                              skipped=str(sum(r.status == "not run" for r in own)),
                              time=f"{sum(r.seconds for r in own):.3f}")
        for result in own:
            test = ET.SubElement(suite, "testcase", classname=f"{result.level}.{result.case.family}",
                                 name=result.case.name, time=f"{result.seconds:.3f}")
            if result.status == "failed":
                ET.SubElement(test, "failure", message=_xml(result.line or result.detail[:200])).text = \
                    _xml(failure(result))
            elif result.status == "not run":
                ET.SubElement(test, "skipped", message=_xml(result.detail))
    try:
        ET.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as e:
        raise NvsimError(f"cannot write the report: {e.strerror}", source=path) from e


def _xml(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold."""
    return "".join(c if c in "\t\n" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "?"
                   for c in text)
