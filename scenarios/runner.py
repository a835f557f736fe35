"""`nvsim run` and `nvsim keep`: cases on engines, one work folder per run, nothing left behind."""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from types import FrameType
from typing import NamedTuple

import toolkit
from nvsim import state
from nvsim.errors import NvsimError
from nvsim.native import compile as native
from scenarios import cgroups, checks, html, model, real, report, trail, under_test
from scenarios.engines import table
from scenarios.engines.session import Engine, NotRun, Tools
from scenarios.images import Store
from scenarios.model import Case
from scenarios.result import Result
from scenarios.trail import Trail


class Job(NamedTuple):
    """One case on one engine.  `not_run` says why it will not run; `allowed`: the case says so itself."""

    case: Case
    engine: Engine
    not_run: str = ""
    allowed: bool = False


def main(argv: list[str]) -> int:
    """`nvsim run`: 0 if everything is as expected, 1 if not, 130 if interrupted.

    Raises NvsimError for a case that does not exist or does not parse."""
    options = _options(argv)
    cases = model.select(tuple(options.cases))
    cases = tuple(c for c in cases if not options.family or c.family in options.family)
    if options.shard:
        cases = cases[options.shard[0] - 1::options.shard[1]]
    if not cases:
        raise NvsimError("no case is left to run", source="nvsim run", hint="nvsim list cases shows what there is")
    here = real.look() if options.target == "real" else None
    if here:
        cases = tuple(case if real.unfit(case, here) else real.translated(case, here) for case in cases)
    jobs = plan(cases, table.chosen(options.engine, options.level), here, by_name=bool(options.engine or options.level))
    view = report.Report(len(jobs))
    try:
        with session(options.toolkit, complete=options.complete, here=here) as tools:
            results = _run(jobs, tools, options.jobs, view, options.keep)
    except KeyboardInterrupt:
        print("nvsim: interrupted; everything has been taken down", file=sys.stderr)
        return 130
    view.table(results, [result for result in results if result.status == "not run" and failed(result)])
    if here:
        print(parts(results))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in report.annotations(results):
            print(line)
    if options.junit:
        report.write_junit(options.junit, results)
    if options.html:
        html.write(options.html, results, about=_about(options))
    return 1 if any(failed(result) for result in results) else 0


def parts(results: list[Result]) -> str:
    """Where emulation and this machine part: what is expected holds on an emulated one."""
    apart = [f"{result.case.name} ({result.engine}): {', '.join(word for word, _ in result.differences) or 'failed'}"
             for result in results if result.status == "failed"]
    said = "\n".join(["emulation and this machine part here:", *(f"  {line}" for line in apart),
                      "`nvsim record` writes this machine down, for a profile that is closer to it"])
    return said if apart else "emulation and this machine nowhere part, in what was run"


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nvsim run", allow_abbrev=False,
        description="Runs scenarios and compares what containers see with what they have to.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="a name, a report (toolkit#48), a file; default: all")
    parser.add_argument("--level", action="append", choices=model.LEVELS, help="default: the highest that works here")
    parser.add_argument("--engine", action="append", choices=tuple(table.ENGINES),
                        help="default: runc, crun, podman and docker, where they are installed")
    parser.add_argument("--toolkit", metavar="DIR", default="", help="the programs under test; default: ours")
    parser.add_argument("--complete", action="store_true", help="programs that --toolkit DIR lacks are ours")
    parser.add_argument("--target", default="emulated", choices=("emulated", "real"), help="where the cases run")
    parser.add_argument("-j", "--jobs", type=_positive, default=(os.cpu_count() or 1) + 1, metavar="N",
                        help="cases at a time; default: one more than processors, since engines wait")
    parser.add_argument("--shard", type=_shard, metavar="I/N", help="only each N-th case, from the I-th on")
    parser.add_argument("--family", action="append", metavar="FAMILY", help="only cases of this family")
    parser.add_argument("--junit", metavar="FILE", help="also writes the results as JUnit XML")
    parser.add_argument("--html", metavar="FILE", help="also writes a page for people: paths, differences, logs")
    parser.add_argument("--keep", action="store_true",
                        help="leaves the bundles and logs of failed cases in ./nvsim-kept")
    return parser.parse_args(argv)


def _about(options: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    """What a reader of a report has to know of the run."""
    machine = os.uname()
    shard = f", shard {'/'.join(map(str, options.shard))}" if options.shard else ""
    return (("date", time.strftime("%Y-%m-%d %H:%M %Z")),
            ("machine", f"{machine.sysname} {machine.release}, {machine.machine}"),
            ("toolkit", options.toolkit or f"ours, {toolkit.__version__}"), ("target", options.target + shard))


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1000:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 999, got {text!r}")
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    first, _, last = text.partition("/")
    index, count = _positive(first), _positive(last)
    if index > count:
        raise argparse.ArgumentTypeError(f"shard {index} of {count} does not exist")
    return index, count


def plan(cases: tuple[Case, ...], engines: tuple[Engine, ...], here: real.Real | None = None, *,
         by_name: bool = True) -> tuple[Job, ...]:
    """Every case on every engine, those that do not run with the reason.

    Unless somebody chose the engines (`by_name`), a case that makes sense on others alone is run on those too."""
    jobs = []
    for case in cases:
        for engine in engines if by_name else (*engines, *table.named_alone(case, engines)):
            # A case about containers is about those of engines too.
            level = "container" if engine.level == "engine" and "engine" not in case.levels.names else engine.level
            reason = case.levels.refuses(level) or case.engines.refuses(engine.name)
            if here:
                reason = reason or real.unfit(case, here)
            jobs.append(Job(case, engine, reason or engine.unavailable(), allowed=bool(reason)))
    return tuple(jobs)


@contextlib.contextmanager
def session(toolkit: str, *, complete: bool = False, here: real.Real | None = None) -> Iterator[Tools]:
    """What one run needs, in a locked work folder of its own; what dead runs left behind is removed first.

    SIGTERM ends a run as SIGINT does.  Raises NvsimError if the C parts have not been compiled."""
    previous = signal.signal(signal.SIGTERM, _interrupted)
    try:
        with state.workdir("run") as folder:
            cgroups.sweep()
            programs = under_test.programs(toolkit, f"{folder}/toolkit", complete=complete)
            os.mkdir(f"{folder}/probe")
            for name, part in (("probe", "nvsim-probe"), ("probe-dl", "nvsim-probe-dl")):
                shutil.copy(native.artifact(part), f"{folder}/probe/{name}")
            yield Tools(folder=folder, images=Store(f"{folder}/images"), probe=f"{folder}/probe", toolkit=programs,
                        toolkit_version=under_test.version(programs), here=here)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(jobs: tuple[Job, ...], tools: Tools, width: int, view: report.Report, keep: bool) -> list[Result]:
    """Runs the jobs; on an interrupt ends every machine, so that the threads come back at once."""
    pool = ThreadPoolExecutor(max_workers=width)
    waiting: dict[Future[Result], int] = {
        pool.submit(play, jobs[number], f"{tools.folder}/{number:04d}", tools, keep): number for number in order(jobs)}
    results: dict[int, Result] = {}
    try:
        with view:
            for future in as_completed(waiting):
                results[waiting[future]] = future.result()
                view.finished(future.result())
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for pid in tuple(tools.machines):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise
    finally:
        pool.shutdown()
    return [results[number] for number in sorted(results)]


def order(jobs: tuple[Job, ...]) -> list[int]:
    """The jobs by number, those that take long first, so that at the end no processor waits for one of them: engines
    with a daemon, and cases with many steps.  What will not run is told at once."""
    return sorted(range(len(jobs)), key=lambda number: (
        not jobs[number].not_run, jobs[number].engine.level != "engine", -len(jobs[number].case.steps), number))


def play(job: Job, folder: str, tools: Tools, keep: bool = False) -> Result:
    """One case on one engine.  Whatever goes wrong is its result; other cases go on."""
    base = Result(case=job.case, engine=job.engine.name, level=job.engine.level)
    if job.not_run:
        return base.replaced(status="not run", detail=job.not_run, allowed=job.allowed)
    began = time.monotonic()
    os.mkdir(folder)
    trails: list[Trail] = []
    try:
        result = _steps(job, folder, tools, base, trails)
    except NotRun as e:
        result = base.replaced(status="not run", detail=str(e), allowed=e.allowed)
    except NvsimError as e:
        result = base.replaced(status="failed", detail=str(e) + (f"\nhint: {e.hint}" if e.hint else ""))
    except Exception:  # a bug of ours: its traceback is this case's result
        result = base.replaced(status="failed", detail=traceback.format_exc())
    if keep and result.status == "failed":
        _keep_folder(folder, result)
    state.remove(folder)
    return result.replaced(seconds=time.monotonic() - began, trails=tuple(trails))


def places(job: Job) -> tuple[str, ...]:
    """Where a job runs, in the words of `but:`, from the general to the particular."""
    levels = ("container", "engine") if job.engine.level == "engine" else (job.engine.level,)
    return (job.case.mode, *levels, job.engine.name)


def known(job: Job, tools: Tools) -> dict[str, str]:
    """The versions that expectations of a case may be about: the one of podman also where a user has started it."""
    version = job.engine.version()
    return {job.engine.name: version, job.engine.name.removesuffix("-rootless"): version,
            "toolkit": tools.toolkit_version}


def _steps(job: Job, folder: str, tools: Tools, base: Result, trails: list[Trail]) -> Result:
    """The steps of a case, up to the first that differs; each that was carried out leaves its trail."""
    unseen: list[str] = []
    with job.engine.open(job.case, folder, tools) as opened:
        for number, step in enumerate(job.case.steps, 1):
            expect = step.expect.at(*places(job), known=known(job, tools))
            outcome = opened.do(step, expect)
            trails.append(trail.of(number, step, outcome, job.engine.name))
            if step.kind == "ctl":
                continue
            verdict = checks.judge(expect, outcome)
            unseen += [word for word in verdict.unseen if word not in unseen]
            if verdict.differences:
                return base.replaced(status="failed", step=number, line=step.line, differences=verdict.differences)
    return base.replaced(status="passed", unseen=tuple(unseen))


def _keep_folder(folder: str, result: Result) -> None:
    """Copies what tells about a failure: config.json, logs, output."""
    target = os.path.join("nvsim-kept", result.case.name.replace("/", "_"), result.engine)
    for bundle in sorted(entry for entry in os.listdir(folder) if entry.startswith("c")):
        os.makedirs(f"{target}/{bundle}", exist_ok=True)
        for name in ("config.json", "log.json", "output"):
            if os.path.exists(f"{folder}/{bundle}/{name}"):
                shutil.copy(f"{folder}/{bundle}/{name}", f"{target}/{bundle}/{name}")


def failed(result: Result) -> bool:
    """Whether a result makes the run fail: in CI, a case that could not run does, unless the case says so."""
    unnoticed = result.status == "not run" and not result.allowed and bool(os.environ.get("CI"))
    return result.status == "failed" or unnoticed


def keep(argv: list[str]) -> int:
    """`nvsim keep CASE`: runs to the failing step (or --step N) and opens a shell there; the shell's exit code."""
    parser = argparse.ArgumentParser(prog="nvsim keep", allow_abbrev=False,
                                     description="Runs a case to its failing step and opens a shell there.")
    parser.add_argument("case", metavar="CASE", help="as for nvsim run; with @MODE where a case has several modes")
    parser.add_argument("--engine", default="runc", choices=tuple(table.ENGINES)[1:])
    parser.add_argument("--step", type=_positive, metavar="N", help="stop at this step, whether it fails or not")
    parser.add_argument("--toolkit", metavar="DIR", default="", help="the programs under test; default: ours")
    options = parser.parse_args(argv)
    cases = model.select((options.case,))
    if len(cases) > 1:
        raise NvsimError("this names several cases", source=options.case, hint=", ".join(case.name for case in cases))
    engine = table.ENGINES[options.engine]
    if engine.unavailable():
        raise NvsimError(engine.unavailable(), source="nvsim keep")
    try:
        with session(options.toolkit) as tools:
            return _keep(Job(cases[0], engine), tools, options.step or 0)
    except KeyboardInterrupt:
        return 130


def _keep(job: Job, tools: Tools, stop: int) -> int:
    folder = f"{tools.folder}/0000"
    os.mkdir(folder)
    with job.engine.open(job.case, folder, tools) as opened:
        for number, step in enumerate(job.case.steps, 1):
            if number == stop:
                print(f"step {number}: {step.line}")
                return opened.enter(step)
            expect = step.expect.at(*places(job), known=known(job, tools))
            verdict = checks.judge(expect, opened.do(step, expect)) if step.kind != "ctl" else checks.Verdict()
            print(f"step {number}: {step.line}: {'differs' if verdict.differences else 'as expected'}")
            for word, text in verdict.differences:
                print(report.indented(f"{word}: {text}"))
            if verdict.differences:
                return opened.enter(step)
        print("every step is as expected; --step N stops at one of them")
    return 0
