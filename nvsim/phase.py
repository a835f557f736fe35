"""A driver that is not there yet, or no longer: parts of a built host that are out of the way.

The part `modules` is what the kernel modules show (nodes, /proc, /sys, sockets of daemons that need them), `files` what
the driver's packages install.  What belongs to each was decided by nvsim.plan when the host was built; it is moved to
`.nvsim/away/PART`, and texts that differ without it, such as /proc/modules, change places with the other ones.

Kept free of heavy imports, like nvsim/enter.py: process 1 of a machine looks at it.
"""

import base64
import json
import os
import shutil
import zlib
from collections.abc import Mapping

from nvsim.errors import NvsimError

FACTS = ".nvsim/parts.json"
AWAY = ".nvsim/away"
PARTS = ("modules", "files")  # in the order in which they go
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def written(parts: "Mapping[str, tuple[tuple[str, ...], Mapping[str, bytes]]]") -> str:
    """The text of parts.json: by part the paths that go with it, each with all that is below, and the texts of files
    without it."""
    return json.dumps({part: {"paths": paths, "texts": {path: _packed(data) for path, data in texts.items()}}
                       for part, (paths, texts) in parts.items()})


def facts(root: str) -> "dict[str, dict[str, Any]]":
    """What parts.json says; nothing on a host without a driver, and on WSL 2."""
    try:
        with open(f"{root}/{FACTS}", encoding="ascii") as f:
            found: dict[str, dict[str, Any]] = json.load(f)
            return found
    except FileNotFoundError:
        return {}


def is_away(root: str, part: str) -> bool:
    """Whether a part of a built host is out of the way."""
    return os.path.isdir(f"{root}/{AWAY}/{part}")


def hidden(root: str, path: str) -> bool:
    """Whether a path of the host is out of the way with its part."""
    return any(os.path.lexists(f"{root}/{AWAY}/{part}{path}") for part in PARTS)


def take(root: str, part: str) -> None:
    """Takes a part out of the way.  Raises NvsimError for what cannot be moved; then nothing is."""
    known = facts(root)
    os.makedirs(f"{root}/{AWAY}/{part}")
    try:
        _move(known[part]["paths"], root, f"{root}/{AWAY}/{part}")
    except NvsimError:
        shutil.rmtree(f"{root}/{AWAY}/{part}")
        raise
    _exchange(root, known, part)


def bring(root: str, part: str) -> None:
    """Brings a part back.  Raises NvsimError for what cannot be moved; then nothing is."""
    known = facts(root)
    _move(known[part]["paths"], f"{root}/{AWAY}/{part}", root)
    _exchange(root, known, part)
    shutil.rmtree(f"{root}/{AWAY}/{part}")


def _move(paths: "list[str]", source: str, target: str) -> None:
    """Moves what is there, with its folders' names; all of it or nothing."""
    moved: list[str] = []
    try:
        for path in [part for whole in paths for part in _apart(whole, source, target)]:
            if os.path.lexists(source + path):
                os.makedirs(os.path.dirname(target + path), exist_ok=True)
                os.rename(source + path, target + path)
                moved.append(path)
    except OSError as e:
        for done in reversed(moved):
            os.rename(target + done, source + done)
        raise NvsimError(f"cannot move what the driver shows: {e.strerror}", source=source + path) from e


def _apart(path: str, source: str, target: str) -> "list[str]":
    """The path, or what is in it, where the other side has this folder too: a package was installed meanwhile."""
    if not all(os.path.isdir(top + path) and not os.path.islink(top + path) for top in (source, target)):
        return [path]
    return [part for name in sorted(os.listdir(source + path)) for part in _apart(f"{path}/{name}", source, target)]


def _exchange(root: str, known: "dict[str, dict[str, Any]]", part: str) -> None:
    """The texts of a part change places with those that the host shows.  Where one is missing the profile wanted so."""
    from nvsim.ctl.kernel_files import overwrite  # what machines have bound must stay the same file

    for path, other in known[part]["texts"].items():
        if os.path.isfile(root + path):
            with open(root + path, "rb") as f:
                known[part]["texts"][path] = _packed(f.read())
            overwrite(root + path, zlib.decompress(base64.b64decode(other)))
    with open(f"{root}/{FACTS}.new", "w", encoding="ascii") as new:
        json.dump(known, new)
    os.rename(f"{root}/{FACTS}.new", f"{root}/{FACTS}")


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 1)).decode()
