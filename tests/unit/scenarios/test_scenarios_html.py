"""The HTML page of a run."""

import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nvsim.errors import NvsimError
from scenarios import html, model, runner
from scenarios.result import Result
from scenarios.trail import Station, Trail

CASE = model.parse("about: a <b>bug</b> & more\nreport: NVIDIA/x#1\nhost: t4x1\nsteps: [{run: docker run debian}]\n",
                   "c.yaml", "family/case")[0]
LONG = "1 hook, 22 device nodes, 31 mounts, 4 variables, 2 groups and much more that does not fit"
TRAIL = Trail(number=1, kind="run", line="docker run debian", stdout="</script><script>alert(1)</script>", stations=(
    Station(kind="engine", name="runc"), Station(kind="edits", name=LONG, details=("mount: /a<b",)),
    Station(kind="container", name="did not start", state="failed")))
PASSED = Result(case=CASE, engine="runc", level="container", seconds=1.5, trails=(TRAIL,))
FAILED = PASSED.replaced(status="failed", step=1, line="docker run debian", differences=(("gpus", "expected <0>"),))


class Page(HTMLParser):
    """Elements that were opened, by name; text of those that are asked for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.opened)


def test_what_was_said_stays_text() -> None:
    page = Page(html.page([FAILED]))
    assert page.count("script") == 1 and page.count("b") == 0
    assert "a <b>bug</b> & more" in page.text and "gpus: expected <0>" in page.text
    assert "</script><script>alert(1)</script>" in page.text


def test_the_page_needs_nothing_else() -> None:
    page = Page(html.page([PASSED, FAILED]))
    assert page.count("link") == page.count("img") == 0
    assert not [attrs for _, attrs in page.opened if "src" in attrs]
    assert [attrs["href"] for tag, attrs in page.opened if tag == "a"] == ["https://github.com/NVIDIA/x/issues/1"] * 2


def test_what_failed_comes_first_and_is_open() -> None:
    page = Page(html.page([PASSED, PASSED.replaced(status="not run", detail="no crun"), FAILED]))
    cases = [attrs for tag, attrs in page.opened if tag == "details" and (attrs.get("class") or "").startswith("case")]
    assert [(attrs["data-state"], "open" in attrs) for attrs in cases] == [
        ("failed", True), ("not run", False), ("passed", False)]


def test_a_picture_has_a_box_per_stop_and_wraps_long_names() -> None:
    text = html.page([PASSED])
    picture = ET.fromstring(text[text.index("<svg"):text.index("</svg>") + 6])
    groups = picture.findall("g")
    assert [group.get("class") for group in groups] == ["ok", "ok", "failed"]
    assert len(picture.findall("path")) == 2
    lines = [one.text or "" for one in groups[1].findall("text")[1:]]
    assert len(lines) == 3 and lines[-1].endswith("…") and max(map(len, lines)) <= 25
    assert groups[1].findtext("title") == "mount: /a<b"


def test_the_commands_by_hand_name_case_step_and_machine() -> None:
    assert list(html.commands(FAILED)) == [
        "nvsim run family/case --engine runc", "nvsim keep family/case --engine runc --step 1", "nvsim shell t4x1"]
    assert list(html.commands(FAILED.replaced(level="spec", engine="spec"))) == [
        "nvsim run family/case --engine spec", "nvsim shell t4x1"]


@pytest.mark.parametrize("report", ["a thread of the forum", "NVIDIA/x#1 and more", "javascript:alert(1)#1", ""])
def test_only_a_report_on_GitHub_is_a_link(report: str) -> None:
    assert html.link(report) == ""


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NvsimError, match="cannot write the report"):
        html.write(str(tmp_path / "no" / "r.html"), [PASSED])


def test_run_writes_the_page_with_what_each_step_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.html"
    assert runner.main(["selection/toolkit-1555-none@jit-cdi", "--engine", "spec", "--html", str(path)]) == 0
    page = Page(path.read_text())
    assert page.count("svg") >= 1 and "nvidia-container-runtime" in page.text
    assert "nvsim run selection/toolkit-1555-none@jit-cdi --engine spec" in page.text
