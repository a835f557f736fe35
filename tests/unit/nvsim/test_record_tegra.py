"""A Jetson is known by its device tree and by the file that names its release."""

import pytest

from nvsim import record_tegra, tegra
from nvsim.errors import NvsimError

R36 = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 2025\n"


def jetson(root, compatible, release=R36):
    """A root with the two files."""
    for path, text in ((record_tegra.COMPATIBLE, "\0".join(compatible) + "\0"), (record_tegra.RELEASE, release)):
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return str(root)


@pytest.mark.parametrize("name", tegra.boards())
def test_every_board_is_known_by_its_device_tree(tmp_path, name):
    board = tegra.board(name, "test")
    l4t = tegra.newest(board)
    found, release = record_tegra.gather(jetson(tmp_path, board.compatible, tegra.release(l4t, "test").release))
    assert (found.name, release.l4t) == (name, l4t)


@pytest.mark.parametrize(("compatible", "release", "source"), [
    (["nvidia,p3737-0000+p3701-0004", "nvidia,p3701-0004", "nvidia,tegra234"], R36, record_tegra.COMPATIBLE),
    (["nvidia,p3701-0005", "nvidia,tegra234"], "no release\n", record_tegra.RELEASE),
    (["nvidia,p3701-0005", "nvidia,tegra234"], R36.replace("R36", "R21"), record_tegra.RELEASE)])
def test_a_board_or_a_release_that_is_not_known_is_an_error_that_names_the_file(tmp_path, compatible, release, source):
    with pytest.raises(NvsimError) as caught:
        record_tegra.gather(jetson(tmp_path, compatible, release))
    assert caught.value.source == source
    assert caught.value.hint
