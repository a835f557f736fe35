"""Which Jetson a machine is, for `nvsim record`: the board by its device tree, the release of L4T by its own file."""

import re

from nvsim import tegra
from nvsim.errors import NvsimError

RELEASE = "/etc/nv_tegra_release"
COMPATIBLE = "/sys/firmware/devicetree/base/compatible"
_RELEASE = re.compile(r"# R(\d+) \(release\), REVISION: ([\d.]+)")


def gather(root: str = "") -> tuple[tegra.Board, tegra.Release]:
    """The board and the release.  Raises NvsimError for those that the catalogue does not know.

    Of several boards it is the one that shares the most telling name with the device tree: names go from the most to
    the least telling one, the last of which is the processor's."""
    with open(root + RELEASE, encoding="utf-8", errors="replace") as f:
        said = _RELEASE.match(f.read())
    if not said:
        raise NvsimError("this does not say which release of L4T it is", source=RELEASE,
                         hint="start from `profile: jetson-agx-orin` and see docs/profiles.md: tegra")
    try:
        with open(root + COMPATIBLE, encoding="utf-8", errors="replace") as f:
            names = f.read().rstrip("\0").split("\0")
    except OSError as e:
        raise NvsimError(f"cannot tell which board this is: {e.strerror}", source=COMPATIBLE) from e
    release = tegra.release(f"{said[1]}.{said[2]}", RELEASE)
    boards = [tegra.board(name, "tegra") for name in tegra.boards()]
    known = [(names.index(name), board) for board in boards if release.files in board.releases
             for name in board.compatible[:-1] if name in names]
    if not known:
        raise NvsimError(f"the catalogue does not know this board: {', '.join(names)[:120]}", source=COMPATIBLE,
                         hint="add it to nvsim/catalog/tegra.yaml")
    return min(known, key=lambda pair: pair[0])[1], release
