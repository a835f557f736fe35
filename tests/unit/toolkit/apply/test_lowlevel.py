"""Finding the low-level runtime."""

import os
import subprocess
import sys

import pytest

from toolkit.apply import lowlevel
from toolkit.apply.lowlevel import execute, find_program, find_runtime, search_path
from toolkit.errors import ApplyError, HostError


def program(folder, name, mode=0o755):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(mode)
    return str(folder / name)


def test_the_path_comes_before_the_usual_folders():
    assert search_path("/x:/usr/bin") == (
        "/x",
        "/usr/bin",
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/sbin",
        "/bin",
    )
    assert search_path("")[0] == "/usr/local/sbin"


def test_folders_and_files_that_cannot_be_executed_are_passed_over(tmp_path):
    (tmp_path / "a/tool").mkdir(parents=True)
    program(tmp_path / "b", "tool", 0o644)
    found = program(tmp_path / "c", "tool")
    assert find_program("tool", f"{tmp_path}/a:{tmp_path}/b:{tmp_path}/c") == found
    assert find_program("tool", f"{tmp_path}/a:{tmp_path}/b") == ""


def test_a_name_with_a_slash_is_not_searched(tmp_path):
    found = program(tmp_path, "tool")
    assert find_program(found, "") == found
    assert find_program(f"{tmp_path}/other", str(tmp_path)) == ""
    assert find_program("", str(tmp_path)) == ""


def test_a_machine_mounted_elsewhere_is_searched_there(tmp_path):
    program(tmp_path / "usr/bin", "tool")
    assert find_program("tool", "", root=str(tmp_path)) == "/usr/bin/tool"


def test_the_first_candidate_that_exists_is_taken_and_made_absolute(tmp_path, monkeypatch):
    second = program(tmp_path, "second")
    assert find_runtime(("first-that-is-not-there", "second"), str(tmp_path)) == second
    monkeypatch.chdir(tmp_path)
    assert find_runtime(("./second",), "") == second


def test_no_candidate_and_none_found_have_upstreams_texts():
    stem = "failed to create NVIDIA Container Runtime: error constructing low-level runtime: error locating runtime: "
    with pytest.raises(HostError) as e:
        find_runtime((), "")
    assert e.value.message == stem + "at least one runtime candidate must be specified"
    with pytest.raises(HostError) as e:
        find_runtime(("no-such-a", "/no/such/b"), "")
    assert e.value.message == stem + "no runtime binary found from candidate list: [no-such-a /no/such/b]"


def test_a_program_that_cannot_be_executed_is_an_error(tmp_path):
    (tmp_path / "broken").write_bytes(b"\x7fELF")
    (tmp_path / "broken").chmod(0o755)
    with pytest.raises(ApplyError) as e:
        execute(f"{tmp_path}/broken", ["broken"], {})
    assert e.value.message == f"could not exec '{tmp_path}/broken': exec format error"
    with pytest.raises(ApplyError, match="could not exec"):
        execute("a\0b", ["x"], {})


@pytest.mark.parametrize(("given", "passed"), [({}, False), ({"LC_CTYPE": "C.UTF-8"}, True)])
def test_the_interpreters_own_LC_CTYPE_is_not_passed_on(given, passed):
    code = "from toolkit.apply.lowlevel import given_environment; print('LC_CTYPE' in given_environment())"
    home = os.path.abspath(f"{lowlevel.__file__}/../../..")
    done = subprocess.run([sys.executable, "-c", code], env={"PATH": "/bin", "PYTHONPATH": home, **given},
                          capture_output=True, text=True, check=True)
    assert done.stdout == f"{passed}\n"
