"""The two log formats."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.log import Log, level_of, line, open_files

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)"


def test_the_text_form_is_logrus():
    assert re.fullmatch(
        rf'time="{TIME}" level=error msg="could not: \\"x\\"\\n\\tand"\n',
        line("error", 'could not: "x"\n\tand').decode(),
    )


def test_a_single_word_is_not_quoted():
    assert line("info", "ready").decode().endswith("level=info msg=ready\n")
    assert line("info", "").decode().endswith('msg=""\n')


def test_bytes_that_are_no_text_are_escaped():
    assert rb'msg="\xff\x01\u2028"' in line("info", "\udcff\x01\u2028")


def test_the_json_form_has_sorted_keys_and_escapes_html():
    data = line("warning", 'a <b> & "c"\n\x01', json=True)
    message = r'"a \\u003cb\\u003e \\u0026 \\"c\\"\\n\\u0001"'
    assert re.fullmatch(rf'\{{"level":"warning","msg":{message},"time":"{TIME}"\}}\n', data.decode())


@given(st.text())
def test_any_message_is_one_line_that_json_reads_back(message):
    data = line("info", message, json=True)
    assert data.count(b"\n") == 1
    assert json.loads(data)["msg"] == re.sub("[\ud800-\udfff]", "\ufffd", message)
    assert line("info", message).count(b"\n") == 1


@pytest.mark.parametrize(("name", "level"), [("INFO", "info"), ("warn", "warning"), ("Trace", "trace"), ("loud", "")])
def test_levels_are_read_in_any_case(name, level):
    assert level_of(name) == level


def test_lines_beyond_the_level_are_left_out(tmp_path):
    files, warnings = open_files((str(tmp_path / "new/folder/a.log"), "", "/dev/null"))
    assert warnings == () and len(files) == 1
    log = Log(*files, level="warning")
    log.info("no")
    log.warning("one two")
    log.error("three four")
    text = (tmp_path / "new/folder/a.log").read_text()
    assert re.findall("level=(.*) msg=(.*)", text) == [("warning", '"one two"'), ("error", '"three four"')]


def test_a_log_file_that_cannot_be_opened_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("")
    files, warnings = open_files((str(tmp_path), f"{tmp_path}/file/x.log"))
    assert files == ()
    assert warnings == (
        f"Failed to open log file: open {tmp_path}: is a directory",
        f"Failed to open log file: mkdir {tmp_path}/file: not a directory",
    )


def test_a_log_appends(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("before\n")
    Log(*open_files((str(path),))[0]).info("after")
    assert path.read_text().startswith("before\n")
