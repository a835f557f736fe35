"""create-symlinks and chmod, on roots of an ordinary user."""

import json
import os
import stat

import pytest

from toolkit.cmd.cdi_hook.main import main


@pytest.fixture
def world(tmp_path, capfd):
    """A bundle with a root; `run(hook, *args)` gives status and stderr without time stamps."""
    root = tmp_path / "rootfs"
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (tmp_path / "victim").mkdir()
    (tmp_path / "config.json").write_text(json.dumps({"root": {"path": "rootfs"}}))
    (tmp_path / "state").write_text(json.dumps({"bundle": str(tmp_path)}))

    def run(*arguments):
        status = main(["nvidia-cdi-hook", *arguments, "--container-spec", str(tmp_path / "state")])
        err = capfd.readouterr().err
        return status, [line.partition(" level=")[2] for line in err.splitlines()]

    run.root = root
    return run


def tree(root):
    return sorted(os.path.relpath(os.path.join(folder, name), root)
                  for folder, folders, files in os.walk(root) for name in (*folders, *files))


def test_a_link_is_made_with_its_text_as_given(world):
    status, log = world("create-symlinks", "--link", "libcuda.so.1::/lib/libcuda.so", "--link", "../../x::new/dir/link")
    assert status == 0
    assert os.readlink(world.root / "usr/lib/libcuda.so") == "libcuda.so.1"
    assert os.readlink(world.root / "new/dir/link") == "../../x"
    assert log == [
        f'info msg="Symlinking {world.root}/usr/lib/libcuda.so to libcuda.so.1"',
        f'info msg="Symlinking {world.root}/new/dir/link to ../../x"']


def test_a_link_that_is_there_already_is_left_and_not_mentioned(world):
    world("create-symlinks", "--link", "a::/lib/l")
    before = os.lstat(world.root / "lib/l").st_ino
    assert world("create-symlinks", "--link", "a::/lib/l") == (0, [])
    assert os.lstat(world.root / "lib/l").st_ino == before


@pytest.mark.parametrize("there", ["file", "link", "dangling"])
def test_what_is_there_is_replaced(world, there):
    place = world.root / "lib/l"
    place.write_text("old") if there == "file" else place.symlink_to("old" if there == "dangling" else "/usr/lib")
    assert world("create-symlinks", "--link", "new::/lib/l")[0] == 0
    assert os.readlink(place) == "new"
    assert tree(world.root / "usr/lib") == ["l"]


def test_a_directory_in_the_way_is_an_error_and_takes_back_the_links_before(world):
    (world.root / "lib/old").symlink_to("before")
    (world.root / "lib/dir").mkdir()
    before = tree(world.root)
    status, log = world("create-symlinks", "--link", "a::/new/place/l", "--link", "after::/lib/old",
                        "--link", "x::/lib/dir")
    assert status == 1
    assert log[-1] == 'error msg="failed to create link [x /lib/dir]: failed to create symlink: is a directory"'
    assert tree(world.root) == before
    assert os.readlink(world.root / "lib/old") == "before"


def test_a_malformed_link_is_found_before_any_is_made(world):
    status, log = world("create-symlinks", "--link", "a::/lib/l", "--link", "bad")
    assert status == 1
    assert log[0] == 'error msg="invalid symlink specification bad"'
    assert tree(world.root / "usr/lib") == []


def test_a_dangling_parent_is_an_error(world):
    (world.root / "gone").symlink_to("nowhere")
    status, log = world("create-symlinks", "--link", "x::/gone/l")
    assert status == 1
    assert log[0] == ('error msg="failed to create link [x /gone/l]: failed to create parent dir of link in root: '
                      f'openat2 {world.root}/gone: not a directory"')
    assert not (world.root / "nowhere").exists()


def test_a_file_as_parent_is_an_error(world):
    (world.root / "file").write_text("")
    status, log = world("create-symlinks", "--link", "x::/file/l")
    assert status == 1
    assert log[0].startswith('error msg="failed to create link [x /file/l]: failed to check if link exists: ')
    assert "not a directory" in log[0]


@pytest.mark.parametrize("escape", ["absolute", "relative", "dots"])
def test_no_link_is_made_outside_the_root(world, escape):
    victim = world.root.parent / "victim"
    link = "/../../../../../victim/l"
    if escape != "dots":
        (world.root / "esc").symlink_to(victim if escape == "absolute" else "../victim")
        link = "/esc/l"
    world("create-symlinks", "--link", f"x::{link}")
    assert os.listdir(victim) == []
    assert [name for name in os.listdir(world.root.parent) if name not in ("victim", "rootfs", "config.json", "state")
            ] == []


def test_without_links_only_the_state_is_read(world):
    assert world("create-symlinks") == (0, [])


def test_chmod_sets_nine_bits_and_skips_what_is_missing(world):
    os.chmod(world.root / "usr/lib", 0o700)
    assert world("chmod", "--mode", "1755", "--path", "/lib,/missing", "--path", "/usr") == (0, [])
    assert stat.S_IMODE(os.stat(world.root / "usr/lib").st_mode) == 0o755


def test_chmod_stays_inside_the_root(world):
    victim = world.root.parent / "victim"
    os.chmod(victim, 0o700)
    (world.root / "esc").symlink_to(victim)
    assert world("chmod", "--mode", "777", "--path", "/esc") == (0, [])
    assert stat.S_IMODE(os.stat(victim).st_mode) == 0o700


@pytest.mark.parametrize(("arguments", "message"), [
    (("--path", "/lib"), "a non-empty mode must be specified"),
    (("--mode", "755", "--path", " "), "paths must not be empty"),
])
def test_chmod_wants_a_mode_and_paths(world, arguments, message):
    status, log = world("chmod", *arguments)
    assert status == 1
    assert log[0] == f'error msg="{message}"'
