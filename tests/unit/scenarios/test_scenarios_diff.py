"""`nvsim diff`: what is said of two lists of outcomes."""

from scenarios import diff, model
from scenarios.outcome import Mount, Outcome

CASE = model.parse("about: x\nhost: t4x1\nsteps: [{run: docker run debian}, {host: 'true'}]\n", "c.yaml")[0]
ONE = Outcome(level="container", exit=0, stdout="a\nb\n", mounts={"/": Mount(fstype="overlay")}, gpus=("GPU-a",))


def parted(**changes: object) -> list[str]:
    import dataclasses

    plain = [diff._plain(outcome, "/toolkit") for outcome in (ONE, dataclasses.replace(ONE, **changes))]  # type: ignore[arg-type]
    return diff.parted(CASE, [plain[0]], [plain[1]])


def test_the_same_outcomes_say_nothing() -> None:
    assert parted() == []


def test_only_the_lines_that_differ_are_shown() -> None:
    assert parted(stdout="a\nc\n") == ["step 1: docker run debian", "  stdout: - b", "  stdout: + c"]
    assert parted(exit=3) == ["step 1: docker run debian", "  exit: - 0; + 3"]
    assert parted(gpus=()) == ["step 1: docker run debian", "  gpus: - ['GPU-a']; + []"]
    assert parted(mounts={"/": Mount(fstype="tmpfs")})[1] == "  mounts: /.fstype: - 'overlay'; + 'tmpfs'"


def test_what_belongs_to_one_run_does_not_count() -> None:
    before = Outcome(level="container", stderr="/run/nvsim/run-abcd1234/0001/c1 at 2026-01-01T10:00:00Z\n",
                     log="info: a\n")
    after = Outcome(level="container", stderr="/x/run-efgh5678/0000/c1 at 2027-01-01T11:00:00Z\n", log="debug: b\n")
    assert diff.parted(CASE, [diff._plain(before, "/t")], [diff._plain(after, "/u")]) == []


def test_a_toolkit_that_stops_earlier_is_a_difference() -> None:
    assert diff.parted(CASE, [ONE, ONE], [ONE]) == ["step 2: true: only one toolkit comes so far"]
