"""The key `tegra` of a profile: the machine is a Jetson, which board it is, and which release of L4T runs on it."""

from dataclasses import dataclass

from nvsim import models, tegra
from nvsim.document import Keys
from nvsim.errors import NvsimError

KEYS = ("board", "l4t")
ARCH = "aarch64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tegra:
    """A board and the release of Jetson Linux on it: names that nvsim.tegra knows."""

    board: str
    l4t: str

    def facts(self) -> tuple[tegra.Board, tegra.Release]:
        """What the catalogue says of them."""
        return tegra.board(self.board, "tegra"), tegra.release(self.l4t, "tegra")


def jetson(keys: Keys, base: Tegra | None) -> Tegra | None:
    """The machine of `tegra: BOARD`, with the newest release for it, or of keys; none for `false`.

    Raises NvsimError that names the key, also for a release that does not run on the board."""
    value = keys.raw("tegra")
    if value is None:
        return base
    if value is False or value == "false":
        return None
    source = keys.where("tegra")
    inner = Keys({"board": value} if isinstance(value, str) else value, source, KEYS)
    if "board" not in inner and base is None:
        raise NvsimError("the board is missing", source=source, hint=f"board: {'|'.join(tegra.boards())}")
    board = tegra.board(inner.text("board", base.board if base else ""), inner.where("board"))
    default = base.l4t if base and board.name == base.board else tegra.newest(board)
    release = tegra.release(inner.text("l4t", default), inner.where("l4t"))
    if release.files not in board.releases:
        raise NvsimError(f"L4T {release.l4t} does not run on {board.name}", source=inner.where("l4t"),
                         hint=f"releases of {board.name}: {', '.join(board.releases)}")
    return Tegra(board=board.name, l4t=release.l4t)


def check(found: Tegra | None, *, arch: str, driver_root: str, dev_root: str, wsl: bool, gpus: tuple[str, ...],
          source: str) -> None:
    """Raises NvsimError for what no Jetson has, and for the GPU of a Jetson on another machine.

    `gpus` are models in NVML's order."""
    integrated = [models.model(model)["key"] for model in gpus if "integrated" in models.model(model)]
    if found is None:
        if integrated:
            raise NvsimError(f"{integrated[0]} is part of a Jetson", source=source, hint="tegra: BOARD")
        return
    board, _ = found.facts()
    if arch != ARCH:
        raise NvsimError(f"a Jetson is {ARCH}, not {arch}", source=source, hint=f"no arch, or arch: {ARCH}")
    if driver_root != "/" or dev_root:
        raise NvsimError("the driver of a Jetson is part of its root file system", source=source,
                         hint="no driver_root and no dev_root")
    if wsl:
        raise NvsimError("no Jetson runs WSL 2", source=source, hint="no wsl")
    if integrated != [board.gpu] or models.model(gpus[0])["key"] != board.gpu:
        raise NvsimError(f"the first GPU of {board.name} is its own, {board.gpu}, and there is one of it",
                         source=source, hint=f"no gpus, or - model: {board.gpu} and then those on PCI Express")
