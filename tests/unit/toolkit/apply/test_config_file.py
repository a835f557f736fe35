"""Files of others are written all or none."""

import os
import stat
from pathlib import Path

import pytest

from toolkit.apply.config_file import write_files
from toolkit.errors import ApplyError


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() if path.is_file() else "" for path in folder.rglob("*")}


def test_files_and_the_folders_on_their_way_are_made(tmp_path: Path) -> None:
    write_files({f"{tmp_path}/a/b/c": b"1", f"{tmp_path}/d": b"2"})
    assert tree(tmp_path) == {"a": "", "a/b": "", "a/b/c": "1", "d": "2"}
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o755


def test_none_removes_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    write_files({f"{tmp_path}/a": None})
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(("last", "content", "make_folders"), [
    ("f/x", b"x", True), ("gone", None, True), ("none/x", b"x", False), ("loop", b"x", True),
])
def test_if_one_cannot_be_written_the_others_are_as_before(
    tmp_path: Path, last: str, content: bytes | None, make_folders: bool
) -> None:
    (tmp_path / "f").write_text("a file")
    (tmp_path / "old").write_text("old")
    (tmp_path / "loop").symlink_to("loop")
    before = tree(tmp_path)
    new = "made/new" if make_folders else "new"
    with pytest.raises(ApplyError) as error:
        write_files({f"{tmp_path}/old": b"new", f"{tmp_path}/{new}": b"new", f"{tmp_path}/{last}": content},
                    make_folders=make_folders)
    assert error.value.hint and str(tmp_path) in error.value.message
    assert tree(tmp_path) == before


def test_owner_mode_and_links_of_a_file_stay(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "link").symlink_to("real")
    write_files({f"{tmp_path}/link": b"new"})
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o600


def test_a_new_file_obeys_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        write_files({f"{tmp_path}/new": b"x"})
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    write_files({f"{tmp_path}/fifo": b"x"})
    assert os.read(reader, 9) == b"x" and stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    os.close(reader)


def test_a_file_left_by_a_killed_process_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f".new.{os.getpid()}").write_text("half")
    write_files({f"{tmp_path}/new": b"x"})
    assert tree(tmp_path) == {"new": "x"}
