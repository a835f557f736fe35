"""Would a case notice?  The toolkit is broken in one place after the other, as mutations.yaml lists, and each time the
case named there must fail in the word of `expect:` named there, while the unbroken toolkit passes it."""

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import toolkit
from scenarios import checks, model, runner
from scenarios.engines import table
from scenarios.engines.session import Tools
from scenarios.result import Result

pytestmark = pytest.mark.host
FILE = Path(__file__).with_name("mutations.yaml")
OURS = Path(toolkit.__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One way to break the toolkit: in `file`, below toolkit/, `text` becomes `to`.

    `breaks` says what is wrong then; `caught` maps cases to the word of `expect:` in which each has to differ."""

    name: str
    breaks: str
    file: str
    text: str
    to: str
    caught: dict[str, str]


MUTATIONS = tuple(Mutation(name=name, **entry) for name, entry in yaml.safe_load(FILE.read_text()).items())
PAIRS = [pytest.param(mutation, case, id=f"{mutation.name}-{case}") for mutation in MUTATIONS
         for case in mutation.caught]


def mutate(folder: Path, mutation: Mutation) -> None:
    """Makes the replacement in a copy of the toolkit.  Fails if the text is not there exactly once."""
    path = folder / mutation.file
    content = path.read_text()
    found = content.count(mutation.text)
    if found != 1:
        pytest.fail(f"{mutation.name}: its text occurs {found} times in toolkit/{mutation.file}, not once.  Write into "
                    f"{FILE.name} the line that now does what the mutation breaks ({mutation.breaks}), with as much "
                    "around it as makes it unique, and `to` to match")
    path.write_text(content.replace(mutation.text, mutation.to))


def programs(folder: Path, mutation: Mutation) -> str:
    """The programs of a broken toolkit, in a folder as `nvsim run --toolkit` takes it."""
    shutil.copytree(OURS, folder / "toolkit")  # with what is compiled, so that one module is compiled anew
    mutate(folder / "toolkit", mutation)
    done = subprocess.run([sys.executable, "-m", "toolkit.launchers", str(folder / "bin")], cwd=folder, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return str(folder / "bin")


class Bench:
    """Runs cases with one toolkit or another, several at a time; what does not depend on that, such as images, is made
    once."""

    def __init__(self, tools: Tools, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._tools, self._folder, self._pool = tools, folder, pool
        self._cases = {case.name: case for case in model.cases()}
        self._unbroken: dict[str, Future[Result]] = {}
        self._broken: dict[tuple[str, str], Future[Result]] = {}

    def unbroken(self, case: str) -> "Future[Result]":
        """The case with our toolkit as it is, run once."""
        if case not in self._unbroken:
            self._unbroken[case] = self._pool.submit(self._play, case, f"unbroken-{len(self._unbroken)}", self._tools)
        return self._unbroken[case]

    def broken(self, mutation: Mutation, case: str) -> "Future[Result]":
        key = (mutation.name, case)
        if key not in self._broken:
            self._broken[key] = self._pool.submit(self._mutant, mutation, case, f"broken-{len(self._broken)}")
        return self._broken[key]

    def _mutant(self, mutation: Mutation, case: str, name: str) -> Result:
        folder = self._folder / name
        tools = dataclasses.replace(self._tools, toolkit=programs(folder, mutation))
        result = self._play(case, name, tools)
        shutil.rmtree(folder)
        return result

    def _play(self, case: str, name: str, tools: Tools) -> Result:
        job = runner.Job(self._cases[case], table.ENGINES["runc"])
        return runner.play(job, f"{tools.folder}/{name}", tools)


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Bench]]:
    """Starts on first use, behind the test's own look at what the machine has.  Where this process runs every test that
    was selected, and not xdist's workers some, all of them are under way from then on."""
    with contextlib.ExitStack() as stack:
        made: list[Bench] = []

        def start() -> Bench:
            if made:
                return made[0]
            tools = stack.enter_context(runner.session(""))
            pool = ThreadPoolExecutor(os.cpu_count())
            stack.callback(pool.shutdown, cancel_futures=True)
            made.append(Bench(tools, tmp_path_factory.mktemp("toolkits"), pool))
            selected = [] if hasattr(request.config, "workerinput") else [
                item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
            for params in selected:
                if isinstance(params.get("mutation"), Mutation):
                    made[0].unbroken(params["case"])
                    made[0].broken(params["mutation"], params["case"])
            return made[0]

        yield start


def told(result: Result) -> str:
    """What a result says, for a test that fails."""
    return "\n".join([f"{result.case.name}: {result.status}, step {result.step}: {result.line}", result.detail,
                      *(f"{word}: {text}" for word, text in result.differences)])


@pytest.mark.parametrize(("mutation", "case"), PAIRS)
def test_a_broken_toolkit_is_caught(mutation: Mutation, case: str, bench: Callable[[], Bench],
                                    requires: Callable[..., None]) -> None:
    requires("root", "runc")
    unbroken = bench().unbroken(case).result()
    assert unbroken.status == "passed", told(unbroken)
    broken = bench().broken(mutation, case).result()
    assert broken.status == "failed", f"nobody notices that {mutation.breaks}\n{told(broken)}"
    assert mutation.caught[case] in dict(broken.differences), told(broken)
    # A toolkit that does not even run would be caught by any case.
    assert "Traceback" not in told(broken), told(broken)


def test_the_list_is_long_enough_and_its_cases_and_words_exist() -> None:
    assert len(MUTATIONS) >= 20
    assert {case for mutation in MUTATIONS for case in mutation.caught} <= {case.name for case in model.cases()}
    assert len({(mutation.file, mutation.text, mutation.to) for mutation in MUTATIONS}) == len(MUTATIONS)
    for mutation in MUTATIONS:
        assert mutation.caught and set(mutation.caught.values()) <= set(checks.WORDS), mutation.name


def test_a_text_that_is_gone_or_ambiguous_says_how_to_renew_the_mutation(tmp_path: Path) -> None:
    (tmp_path / "plan.py").write_text("one = 1\none = 1\n")
    for text, times in (("two", 0), ("one", 2)):
        mutation = Mutation(name="example", breaks="nothing", file="plan.py", text=text, to="x", caught={})
        with pytest.raises(pytest.fail.Exception, match=f"occurs {times} times in toolkit/plan.py.*mutations.yaml"):
            mutate(tmp_path, mutation)
    assert os.listdir(tmp_path) == ["plan.py"]
