"""Whole files: the old one or the new one, never a part, and nothing left behind."""

import os
from pathlib import Path

import pytest

from toolkit.apply.replace import replace_file
from toolkit.errors import ApplyError


def test_missing_folders_are_made_and_the_mode_ignores_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        replace_file(str(tmp_path / "a/b/c"), b"x", mode=0o644)
    finally:
        os.umask(old)
    assert (tmp_path / "a/b/c").read_bytes() == b"x"
    assert (tmp_path / "a/b/c").stat().st_mode & 0o777 == 0o644


def test_an_existing_file_is_replaced_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old and longer")
    with path.open("rb") as reader:
        replace_file(str(path), b"new")
        assert reader.read() == b"old and longer"
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_a_relative_name_is_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    replace_file("f", b"x")
    assert (tmp_path / "f").read_bytes() == b"x"


def test_failure_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(ApplyError, match="failed to write Spec file: ") as caught:
        replace_file(str(tmp_path / "taken"), b"x")
    assert caught.value.hint
    with pytest.raises(ApplyError, match="failed to create Spec dir: mkdir .*: "):
        replace_file("/dev/null/x/y", b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]
