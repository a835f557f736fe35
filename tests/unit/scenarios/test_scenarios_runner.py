"""scenarios/runner.py: which case runs where, and in which order."""

from scenarios import model
from scenarios.engines import table
from scenarios.runner import order, plan

STEP = "\n  - run: docker run debian"


def case(name: str, *, more: str = "", steps: int = 1) -> model.Case:
    return model.parse(f"about: {name}\nhost: t4x1\nmode: cdi\n{more}steps:{STEP * steps}\n", "case.yaml")[0]


def test_a_case_for_another_engine_alone_runs_there_unless_engines_were_chosen() -> None:
    cases = (case("any"), case("users", more="engines: {only: podman-rootless, because: users}\n"))
    runc = (table.ENGINES["runc"],)
    by_default = [(job.case.about, job.engine.name, job.allowed) for job in plan(cases, runc, by_name=False)]
    assert [name for _, name, _ in by_default] == ["runc", "runc", "podman-rootless"]
    assert [allowed for _, _, allowed in by_default] == [False, True, False]  # the second is not run, and may not be
    assert [job.engine.name for job in plan(cases, runc, by_name=True)] == ["runc", "runc"]


def test_jobs_that_take_long_begin_first_and_those_that_do_not_run_before_all() -> None:
    cases = (case("short"), case("long", steps=3), case("never", more="engines: {only: crun, because: y}\n"))
    jobs = tuple(job._replace(not_run="" if job.case.about != "never" else "why")
                 for job in plan(cases, (table.ENGINES["runc"], table.ENGINES["docker"])))
    names = [(jobs[number].case.about, jobs[number].engine.name) for number in order(jobs)]
    assert names == [("never", "docker"), ("never", "runc"), ("long", "docker"), ("short", "docker"), ("long", "runc"),
                     ("short", "runc")]
