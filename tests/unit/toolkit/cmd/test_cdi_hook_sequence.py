"""nvidia-cdi-hook sequence: several hooks in one process, with the result of one process each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = str(Path(__file__).resolve().parents[4])
LAUNCH = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from toolkit.cmd.cdi_hook.main import main; sys.exit(main(sys.argv))"
)
LINKS = ("create-symlinks", "--link", "libcuda.so.1::/usr/lib/libcuda.so", "--link", "x::/opt/y")
COMPAT = ("enable-cuda-compat", "--host-driver-version=535.1")
CHMOD = ("chmod", "--mode", "711", "--path", "/opt")
PROFILE = ("update-application-profile",)


@pytest.fixture
def bundle(tmp_path):
    """`bundle(name)` is the folder of a container with CUDA compatibility libraries."""

    def make(name):
        root = tmp_path / name / "rootfs"
        for folder in ("usr/lib", "opt", "dev", "usr/local/cuda/compat"):
            (root / folder).mkdir(parents=True)
        (root / "usr/local/cuda/compat/libcuda.so.550.54.15").write_text("")
        (tmp_path / name / "config.json").write_text(json.dumps({"root": {"path": "rootfs"}}))
        return tmp_path / name

    return make


def run(bundle, *args, stdin=True):
    state = json.dumps({"bundle": str(bundle)})
    return subprocess.run([sys.executable, "-IS", "-c", LAUNCH, TOP, *args], input=state if stdin else None,
                          stdin=None if stdin else subprocess.DEVNULL, capture_output=True, text=True, check=False)


def content(bundle):
    """Every path below the root with what it is: kind and mode, text of a link or a file."""
    root, found = bundle / "rootfs", {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            text = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
            found[str(path.relative_to(root))] = (path.lstat().st_mode, text)
    return found


def said(done):
    """The lines on stderr without their times and the bundle's name."""
    return [line.partition(" ")[2].replace("/one/", "/").replace("/two/", "/") for line in done.stderr.splitlines()]


@pytest.mark.parametrize(
    "order", [(LINKS, COMPAT, CHMOD, PROFILE), (PROFILE, LINKS), (COMPAT, ("unknown-hook",), LINKS)]
)
def test_the_root_and_the_messages_are_those_of_one_process_each(bundle, order):
    one, two = bundle("one"), bundle("two")
    apart = [run(one, *hook) for hook in order]
    joined = [word for hook in order for word in ("--then", *hook)][1:]
    together = run(two, "sequence", *joined)
    assert [done.returncode for done in apart] == [0] * len(order)
    assert together.returncode == 0
    assert content(one) == content(two)
    assert said(together) == [line for done in apart for line in said(done)]


def test_a_hook_that_fails_ends_the_sequence(bundle):
    done = run(bundle("one"), "sequence", *CHMOD, "--then", "create-symlinks", "--link", "x", "--then", *COMPAT)
    assert done.returncode == 1
    assert 'level=error msg="invalid symlink specification x"' in done.stderr
    assert not (bundle("two").parent / "one/rootfs/etc").exists()


def test_global_flags_count_for_every_hook(bundle):
    assert run(bundle("one"), "--quiet", "sequence", *LINKS, "--then", *COMPAT).stderr == ""


def test_without_a_state_the_hook_that_needs_it_says_so(bundle):
    done = run(bundle("one"), "sequence", *LINKS, "--then", *COMPAT, stdin=False)
    assert done.returncode == 1 and "failed to load container state" in done.stderr


def test_a_step_without_a_hook_is_refused_before_anything_is_done(bundle):
    one = bundle("one")
    before = content(one)
    done = run(one, "sequence", *CHMOD, "--then")
    assert done.returncode == 1 and "a step without a hook" in done.stderr
    assert content(one) == before
