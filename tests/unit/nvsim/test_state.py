import os
import signal
import subprocess
import sys

import pytest

from nvsim import state
from nvsim.errors import NvsimError


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch):
    monkeypatch.setenv("NVSIM_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_a_work_folder_lives_as_long_as_its_context():
    with state.workdir("host") as folder:
        assert os.path.isdir(folder)
        assert state.live("host") == [folder]
    assert not os.path.exists(folder)
    assert state.live("host") == []


def test_a_failure_inside_the_context_removes_the_folder_too():
    with pytest.raises(RuntimeError), state.workdir("host") as folder:
        raise RuntimeError
    assert not os.path.exists(folder)


def test_the_folder_of_a_killed_process_is_swept_by_the_next_command():
    program = ("from nvsim import state\nwith state.workdir('run') as f:\n open(f + '/x', 'w').close()\n"
               " print(f, flush=True)\n import time; time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        folder = owner.stdout.readline().strip()
        assert state.sweep() == []
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert os.path.exists(f"{folder}/x")
    assert state.sweep() == [folder]
    assert not os.path.exists(folder)


def test_read_only_folders_and_sockets_are_removed_too(tmp_path):
    tree = tmp_path / "tree"
    (tree / "closed").mkdir(parents=True)
    (tree / "closed" / "file").write_text("x")
    os.mkfifo(tree / "closed" / "fifo")
    os.chmod(tree / "closed", 0o500)
    state.remove(str(tree))
    assert not tree.exists()


def test_a_state_folder_that_is_a_file_is_named_in_the_error(base):
    base.write_text("")
    with pytest.raises(NvsimError) as caught:
        state.state_dir()
    assert caught.value.source == str(base)
    assert "NVSIM_STATE" in caught.value.hint
