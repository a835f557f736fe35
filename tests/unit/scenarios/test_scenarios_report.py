"""Results as people and programs read them."""

import dataclasses
import io
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from rich.console import Console

from scenarios import model, report, runner
from scenarios.engines.session import Engine, Tools
from scenarios.images import Store
from scenarios.result import Result

CASE = model.parse("about: a bug\nreport: x/y#1\nhost: t4x1\nsteps: [{run: docker run debian}]\n", "c.yaml",
                   "family/case")[0]
PASSED = Result(case=CASE, engine="runc", level="container", seconds=1.5)
FAILED = PASSED.replaced(status="failed", step=1, line="docker run debian",
                         differences=(("gpus", "expected GPU 0 (GPU-a), which is missing"), ("stdout", "a\nb")))
NOT_RUN = PASSED.replaced(status="not run", engine="crun", detail="crun is not installed")


def test_a_failure_shows_step_difference_report_and_the_line_that_opens_it_again() -> None:
    assert report.failure(FAILED) == (
        "step 1: docker run debian\n"
        "  gpus: expected GPU 0 (GPU-a), which is missing\n"
        "  stdout: a\n"
        "  b\n"
        "report: x/y#1: a bug\n"
        "again: nvsim keep family/case --engine runc --step 1")


def test_a_failure_at_level_spec_is_run_again() -> None:
    assert FAILED.replaced(engine="spec", level="spec").again == "nvsim run family/case --engine spec"


def test_a_failure_is_annotated_in_the_words_of_github() -> None:
    failed = FAILED.replaced(differences=(("gpus", "100% of\nthem"),), line="")
    shipped = model.select(("selection/toolkit-1555-none@cdi",))[0]
    own, theirs = report.annotations([PASSED, failed, NOT_RUN, failed.replaced(case=shipped)])
    head, _, message = own.removeprefix("::error ").partition("::")
    assert "title=family/case on runc" in head
    assert message.startswith("step 1: %0A  gpus: 100%25 of%0A") and "\n" not in own
    assert theirs.startswith("::error file=scenarios/cases/selection/toolkit-1555-none.yaml,title=")


def test_progress_and_table_hold_every_case_without_colours_when_nobody_looks() -> None:
    out = io.StringIO()
    view = report.Report(2, Console(file=out, force_terminal=False, highlight=False))
    with view:
        view.finished(PASSED)
        view.finished(NOT_RUN)
    view.table([PASSED.replaced(unseen=("stdout", "gpus")), NOT_RUN])
    text = out.getvalue()
    assert "[1/2] passed    1.50 s  runc   family/case\n" in text
    assert "[2/2] not run   1.50 s  crun   family/case: crun is not installed\n" in text
    assert "passed, cannot see stdout, gpus" in text and "1 passed, 1 not run in 3.0 s" in text
    assert "\x1b" not in text


def test_what_failed_is_shown_once_more_below_the_table_of_a_run_of_several() -> None:
    out = io.StringIO()
    report.Report(2, Console(file=out, force_terminal=False)).table([FAILED, PASSED])
    last = f"failed  runc  family/case\n{report.indented(report.failure(FAILED))}\n1 passed, 1 failed in 3.0 s\n"
    assert out.getvalue().endswith(last)


def test_what_should_have_run_is_told_once_per_reason() -> None:
    out = io.StringIO()
    report.Report(3, Console(file=out, force_terminal=False)).table([NOT_RUN, NOT_RUN, PASSED], [NOT_RUN, NOT_RUN])
    said = "not run, which fails in CI: crun, 2 of 3: crun is not installed\n1 passed, 2 not run in 4.5 s\n"
    assert out.getvalue().endswith(said)


def test_text_of_a_case_is_not_taken_for_markup() -> None:
    out = io.StringIO()
    report.Report(1, Console(file=out, force_terminal=False)).finished(
        PASSED.replaced(status="failed", detail="[bold]x[/red] \udc80"))
    assert "[bold]x[/red] \\udc80" in out.getvalue()


def test_junit_has_a_suite_per_engine(tmp_path: Path) -> None:
    report.write_junit(str(tmp_path / "j.xml"), [FAILED.replaced(detail="\0\x1b"), NOT_RUN])
    suites = ET.parse(tmp_path / "j.xml").getroot()
    assert [(s.get("name"), s.get("failures"), s.get("skipped")) for s in suites] == [
        ("nvsim.runc", "1", "0"), ("nvsim.crun", "0", "1")]
    failure = suites.find("testsuite/testcase/failure")
    assert failure is not None and "nvsim keep family/case" in (failure.text or "")


def engine(name: str, unavailable: str = "") -> Engine:
    return Engine(name=name, level="spec" if name == "spec" else "container", unavailable=lambda: unavailable,
                  open=lambda *_: pytest.fail("nothing is opened"))


def test_a_case_that_cannot_run_fails_the_run_in_ci_unless_it_says_so_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert runner.failed(NOT_RUN) and not runner.failed(NOT_RUN.replaced(allowed=True)) and not runner.failed(PASSED)
    monkeypatch.delenv("CI")
    assert not runner.failed(NOT_RUN) and runner.failed(FAILED)


def test_a_plan_names_the_reason_why_a_case_does_not_run() -> None:
    case = model.parse("about: x\nhost: t4x1\nsteps: [{run: docker run debian}]\n"
                       "engines: {only: runc, because: of crun}\n", "c.yaml")[0]
    jobs = runner.plan((case,), (engine("runc"), engine("crun", "not installed"), engine("runc", "not installed")))
    assert [(job.not_run, job.allowed) for job in jobs] == [
        ("", False), ("only runc: of crun", True), ("not installed", False)]


def test_a_version_of_podman_is_that_of_a_users_podman_too(tmp_path: Path) -> None:
    podman = dataclasses.replace(engine("podman-rootless"), version=lambda: "4.3.1")
    tools = Tools(folder="", images=Store(str(tmp_path)), probe="", toolkit="", toolkit_version="1.20.0")
    assert runner.known(runner.Job(CASE, podman), tools) == {
        "podman-rootless": "4.3.1", "podman": "4.3.1", "toolkit": "1.20.0"}


@pytest.mark.parametrize("words", [["--shard", "3/2"], ["--shard", "0/2"], ["-j", "0"], ["--level", "kernel"]])
def test_what_makes_no_sense_on_the_command_line_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        runner.main(words)
    assert caught.value.code == 2
