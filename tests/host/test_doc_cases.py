"""docs/cases.md does what it says: a case written by following it alone works, and so does each word of its example."""

import shutil
from collections.abc import Callable
from pathlib import Path

import consoles
import pytest
import yaml

from nvsim import cli
from scenarios import checks

pytestmark = pytest.mark.host
REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "cases.md").read_text()
TUTORIAL = PAGE.partition("## Your first case in ten minutes\n")[2].partition("\n## ")[0]


def file_of(block: str) -> str:
    """The name of the file that a block of YAML is, by its first line."""
    return block.partition("\n")[0].removeprefix("# ")


def test_the_first_case_goes_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              requires: Callable[..., None]) -> None:
    requires("root", "runc")
    monkeypatch.setenv("NVSIM_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)  # there, annotations come last
    checkout = tmp_path / "checkout"
    shutil.copytree(REPOSITORY / "toolkit", checkout / "toolkit")  # the page changes a copy of it
    parts = consoles.blocks(TUTORIAL, "yaml", "console")
    assert [language for language, _ in parts] == ["console", "yaml", "console", "yaml", "console", "console"]
    for language, text in parts:
        if language == "yaml":
            (checkout / file_of(text)).write_text(text)
        else:
            consoles.check(text, checkout)
    # What the page arrives at is the case that is there, but for what that one says of a third mode.
    ours = yaml.safe_load((REPOSITORY / "scenarios/cases/selection/toolkit-1555-none.yaml").read_text())
    theirs = yaml.safe_load((checkout / "none.yaml").read_text())
    (step,) = theirs["steps"]
    assert step["expect"].items() <= ours["steps"][0]["expect"].items()


def test_each_word_of_expect_is_in_the_example_and_holds(tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("root", "runc")
    (text,) = [text for _, text in consoles.blocks(PAGE, "yaml") if file_of(text) == "every-word.yaml"]
    expected = [step["expect"] for step in yaml.safe_load(text)["steps"]]
    below_but = [words for expect in expected for words in expect.get("but", {}).values()]
    assert {word for words in [*expected, *below_but] for word in words} == {*checks.WORDS, "but"}
    (tmp_path / "every-word.yaml").write_text(text)
    assert cli.main(["run", str(tmp_path / "every-word.yaml"), "--engine", "runc"]) == 0
