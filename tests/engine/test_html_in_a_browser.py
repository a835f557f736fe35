"""The HTML report in a real browser: filters, folding, and pictures in which nothing overlaps."""

import json
import re
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from scenarios import html, model
from scenarios.result import Result
from scenarios.trail import Station, Trail

pytestmark = pytest.mark.engine

CASE = model.parse("about: a bug\nreport: NVIDIA/x#1\nhost: t4x1\nsteps: [{run: docker run debian}]\n", "c.yaml",
                   "selection/one")[0]
OTHER = model.parse("about: another\nhost: t4x1\nsteps: [{run: docker run debian}]\n", "c.yaml", "mig/two")[0]
STATIONS = (
    Station(kind="engine", name="podman, rootless"), Station(kind="runtime", name="nvidia-container-runtime.legacy"),
    Station(kind="mode", name="jit-cdi"),
    Station(kind="edits", name="11 hooks, 222 device nodes, 331 mounts, 4 variables, 22 groups"),
    Station(kind="container", name="did not start", state="failed"))
TRAIL = Trail(number=1, kind="run", line="docker run debian", stations=STATIONS, stdout="needle", log="x")
RESULTS = [Result(case=CASE, engine="runc", level="container", trails=(TRAIL,)),
           Result(case=OTHER, engine="crun", level="container", status="failed", step=1, trails=(TRAIL,),
                  differences=(("gpus", "expected GPU 0"),)),
           Result(case=CASE, engine="podman", level="container", status="not run", detail="no podman")]

# What a person does with the page, one thing after the other, and what is then seen.
VISIT = """
<script>{
  const seen = {errors: []};
  window.addEventListener("error", e => seen.errors.push(e.message));
  const names = () => [...document.querySelectorAll("details.case")].filter(one => one.offsetHeight > 0)
    .map(one => one.querySelector(".name").textContent + " " + one.dataset.state);
  const box = document.querySelector(".filters input");
  const type = text => { box.value = text; box.dispatchEvent(new Event("input")); };
  seen.first = names();
  seen.open = [...document.querySelectorAll("details.case[open]")].length;
  document.querySelector('button[data-state="passed"]').click();
  seen.withoutPassed = names();
  document.querySelector('button[data-state="passed"]').click();
  type("needle mig");
  seen.searched = names();
  type("");
  const family = document.querySelector(".filters select");
  family.value = "selection";
  family.dispatchEvent(new Event("change"));
  seen.family = names();
  seen.shown = document.getElementById("shown").textContent;
  family.value = "";
  family.dispatchEvent(new Event("change"));
  document.querySelectorAll("details").forEach(one => one.open = true);
  seen.outside = [];
  for (const group of document.querySelectorAll("svg g")) {
    const frame = group.querySelector("rect").getBoundingClientRect();
    for (const text of group.querySelectorAll("text:not(.kind)")) {
      const at = text.getBoundingClientRect();
      if (at.left < frame.left || at.right > frame.right || at.top < frame.top || at.bottom > frame.bottom)
        seen.outside.push(text.textContent);
    }
  }
  seen.wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
  const last = document.createElement("pre");
  last.id = "seen";
  last.textContent = JSON.stringify(seen);
  document.body.append(last);
}</script>
"""


def visit(page: Path, profile: Path, width: int) -> dict[str, Any]:
    """What the browser shows of a page to which VISIT was added."""
    text = page.read_text().replace("</body>", VISIT + "</body>")
    visited = page.with_suffix(".visited.html")
    visited.write_text(text)
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
         f"--user-data-dir={profile}", f"--window-size={width},1000", "--dump-dom", visited.as_uri()],
        capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, "the visit did not end"
    return dict(json.loads(unescape(found[1])))


@pytest.mark.parametrize("width", [1280, 700])
def test_a_reader_filters_searches_and_sees_pictures(tmp_path: Path, requires: Callable[..., None], width: int) -> None:
    requires("chromium")
    page = tmp_path / "report.html"
    html.write(str(page), RESULTS)
    seen = visit(page, tmp_path / "browser", width)
    assert seen["errors"] == []
    assert seen["first"] == ["mig/two failed", "selection/one not run", "selection/one passed"]
    assert seen["open"] == 1
    assert seen["withoutPassed"] == ["mig/two failed", "selection/one not run"]
    assert seen["searched"] == ["mig/two failed"]
    assert seen["family"] == ["selection/one not run", "selection/one passed"]
    assert seen["shown"] == "2 shown"
    assert seen["outside"] == [] and not seen["wide"]
