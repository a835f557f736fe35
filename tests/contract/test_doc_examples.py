"""The examples of docs/cases.md and docs/profiles.md: each block of YAML parses, each command line exists."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from nvsim import cli, profile
from scenarios import model, runner

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {name: (DOCS / f"{name}.md").read_text() for name in ("cases", "profiles")}


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of one language, "" for those without."""
    return [text for found, text in re.findall(r"^```(\w*)\n(.*?)^```$", PAGES[page], re.DOTALL | re.MULTILINE)
            if found == language]


@pytest.mark.parametrize("text", blocks("cases", "yaml"), ids=lambda text: text.splitlines()[0].lstrip("# "))
def test_an_example_of_a_case_is_a_case(text: str) -> None:
    cases = model.parse(text, "docs/cases.md")
    assert len(cases) == len(yaml.safe_load(text).get("modes", ["one"]))


@pytest.mark.parametrize("text", blocks("profiles", "yaml"), ids=lambda text: text.splitlines()[0])
def test_an_example_of_a_profile_is_a_profile_or_a_part_of_one(text: str) -> None:
    # A part is about machines that have a driver and a GPU already.
    whole = "layout" in text or "tegra" in text
    base = "" if whole else "profile: t4x1\n"
    assert profile.parse(base + text, "docs/profiles.md") != profile.load("t4x1")


def commands(page: str) -> list[str]:
    """The lines of `nvsim` in the blocks of a page: behind a prompt, or before what is said about them."""
    lines = [line for language in ("", "console") for text in blocks(page, language) for line in text.splitlines()]
    found = (re.match(r"(?:\$ )?(nvsim .*?)(?:  .*| \| .*|\s+# .*)?$", line) for line in lines)
    return [match[1] for match in found if match]


@pytest.mark.parametrize("line", [*commands("cases"), *commands("profiles")])
def test_a_command_line_of_a_page_exists(line: str) -> None:
    words = shlex.split(line)[1:]
    assert words[0] in cli.COMMANDS
    if words[0] == "run":
        # A word that is no file must be the name of a case.
        options = runner._options(words[1:])
        names = [word for word in options.cases if not word.endswith(".yaml")]
        assert not names or model.select(tuple(names))


def test_the_pages_have_examples() -> None:
    assert len(blocks("cases", "yaml")) >= 4
    assert len(blocks("profiles", "yaml")) >= 5
    assert len(commands("cases")) >= 8
