"""The toolkit under test: programs in a folder, ours or any other build of the same commands (DESIGN D2)."""

import os
import re
import subprocess

from nvsim.errors import NvsimError
from scenarios.hosts import TOOLS

TALKERS = ("nvidia-ctk", "nvidia-container-cli", "nvidia-cdi-hook")  # those that know --version, the best first


def programs(asked: str, folder: str, *, complete: bool) -> str:
    """The folder whose programs a run uses: `asked`, or `folder` with ours, which is made.

    `complete`: programs that `asked` lacks are ours; then `folder` holds links to both.  Raises NvsimError for a folder
    that has none of them, or that has no runtime and is not to be completed."""
    from toolkit import launchers

    asked = os.path.abspath(asked) if asked else ""
    there = [name for name in TOOLS if os.access(f"{asked}/{name}", os.X_OK)] if asked else []
    if asked and not there:
        raise NvsimError("none of the toolkit's programs is in this folder", source=f"--toolkit {asked}",
                         hint=f"give the folder of {TOOLS[0]} and its companions")
    if asked and not complete:
        if TOOLS[0] not in there:
            raise NvsimError(f"no {TOOLS[0]} in this folder", source=f"--toolkit {asked}",
                             hint="--complete takes what is missing from ours")
        return asked
    launchers.install(folder)
    for name in there:
        place = f"{folder}/{name}"
        if os.path.lexists(place):
            os.unlink(place)
        os.symlink(f"{asked}/{name}", place)
    return folder


def missing(folder: str) -> tuple[str, ...]:
    """The programs that a folder lacks."""
    return tuple(name for name in TOOLS if not os.access(f"{folder}/{name}", os.X_OK))


def version(folder: str) -> str:
    """What the programs of a folder say of themselves, "" if none says anything."""
    for name in TALKERS:
        try:
            said = subprocess.run([f"{folder}/{name}", "--version"], capture_output=True, text=True, check=False,
                                  timeout=30).stdout
        except (OSError, subprocess.TimeoutExpired):
            continue
        found = re.search(r"version:? *v?([0-9]+(?:\.[0-9]+)+\S*)", said)
        if found:
            return found[1]
    return ""
