"""Which programs a run uses: those of a folder, completed or not, and what they say of their version."""

import os
from pathlib import Path

import pytest

from nvsim.errors import NvsimError
from scenarios import under_test
from scenarios.hosts import TOOLS


def program(path: Path, said: str = "") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    program(tmp_path / "a/nvidia-container-runtime")
    assert under_test.programs(f"{tmp_path}/a", f"{tmp_path}/run", complete=False) == f"{tmp_path}/a"
    assert not (tmp_path / "run").exists()


def test_what_a_folder_lacks_comes_from_ours_when_asked(tmp_path: Path) -> None:
    program(tmp_path / "a/nvidia-ctk", "NVIDIA Container Toolkit CLI version 1.17.8")
    folder = under_test.programs(f"{tmp_path}/a", f"{tmp_path}/run", complete=True)
    assert os.readlink(f"{folder}/nvidia-ctk") == f"{tmp_path}/a/nvidia-ctk"
    assert [name for name in TOOLS if not os.access(f"{folder}/{name}", os.X_OK)] == []
    assert under_test.version(folder) == "1.17.8"


@pytest.mark.parametrize(("names", "said"), [((), "none of the toolkit's programs"),
                                             (("nvidia-ctk",), "no nvidia-container-runtime in this folder")])
def test_a_folder_without_what_is_needed_is_refused(names: tuple[str, ...], said: str, tmp_path: Path) -> None:
    for name in names:
        program(tmp_path / "a" / name)
    with pytest.raises(NvsimError, match=said):
        under_test.programs(f"{tmp_path}/a", f"{tmp_path}/run", complete=False)


def test_programs_that_say_nothing_have_no_version(tmp_path: Path) -> None:
    program(tmp_path / "a/nvidia-ctk", "hello")
    assert under_test.version(f"{tmp_path}/a") == "" and under_test.version(f"{tmp_path}/none") == ""
