"""The debug log's form."""

import os
import re
from pathlib import Path

from toolkit.cmd.cli.debuglog import DebugLog


def test_lines_have_the_prefix_that_scrapers_parse(tmp_path: Path) -> None:
    path = tmp_path / "log"
    DebugLog(str(path))("I", "using root /")
    header, line = path.read_text().rsplit("\n\n", 1)
    assert header == "\n-- WARNING, the following logs are for debugging purposes only --"
    assert re.fullmatch(r"I\d{4} \d\d:\d\d:\d\d\.\d{6} \d+ \w+\.py:\d+\] using root /\n", line)


def test_a_message_stays_on_its_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    DebugLog(str(path))("E", "a\nI0101 forged\udcff")
    assert len(path.read_bytes().splitlines()) == 4


def test_a_log_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in ("", str(tmp_path / "no/such/folder"), str(tmp_path / "fifo"), "/dev/full", "a\0b"):
        DebugLog(path)("I", "x")
