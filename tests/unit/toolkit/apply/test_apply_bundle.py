"""config.json is replaced as a whole or not at all."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from toolkit.apply.bundle import write_config
from toolkit.errors import ApplyError


def test_permissions_and_links_are_kept(tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(b"old")
    path.chmod(0o640)
    (tmp_path / "link").symlink_to("config.json")
    write_config(str(tmp_path / "link"), b"new\n")
    assert path.read_bytes() == b"new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["config.json", "link"]


def test_a_leftover_of_an_earlier_run_does_not_matter(tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(b"old")
    (tmp_path / f"config.json.{os.getpid()}").symlink_to("/etc/passwd")
    write_config(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["config.json"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    with pytest.raises(ApplyError, match="error opening OCI specification file: no such file or directory"):
        write_config(str(tmp_path / "none/config.json"), b"new")
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ApplyError, match="error writing OCI specification file: is a directory"):
        write_config(str(tmp_path / "config.json"), b"new")
    assert os.listdir(tmp_path) == ["config.json"]


def test_a_process_killed_while_it_writes_leaves_the_old_or_the_new_file(tmp_path):
    path = tmp_path / "config.json"
    contents = {bytes([letter]) * 3_000_000 for letter in b"ab"}
    path.write_bytes(b"a" * 3_000_000)
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\nfrom toolkit.apply.bundle import write_config\n"
        "print(flush=True)\n"
        "while True:\n for c in b'ab': write_config(sys.argv[1], bytes([c]) * 3_000_000)"
    )
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(write_config.__code__.co_filename))))
    for attempt in range(6):
        writer = subprocess.Popen([sys.executable, "-c", code, str(path), home], stdout=subprocess.PIPE)
        writer.stdout.readline()
        time.sleep(0.003 * attempt)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert path.read_bytes() in contents
