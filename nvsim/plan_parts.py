"""What of a planned host goes with the driver's kernel modules, and what with its files: see nvsim.phase."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nvsim import capabilities
from nvsim.errors import NvsimError
from nvsim.ops import File, Op, Symlink
from nvsim.plan import plan, real, without_modules
from nvsim.profile import Cache, Profile

_OF_MODULES = ("/dev/", "/proc/", "/sys/", "/run/", "/tmp/", "/var/")  # of daemons too, which need the modules
_FOLDERS = ("etc", "usr", "home", "opt")  # in which files can appear while a machine runs
Parts = dict[str, tuple[tuple[str, ...], Mapping[str, bytes]]]


def whole(profile: Profile) -> Profile:
    """The machine when its driver is there: libraries without kernel modules get those of their version."""
    later = profile.driver and not profile.kernel_driver and not profile.wsl
    return replace(profile, kernel_driver=profile.driver) if later else profile


def later(profile: Profile) -> tuple[str, ...]:
    """The parts that are not there when the machine comes up, in the order in which they go."""
    if profile.wsl or not profile.driver:
        return ()
    if profile.boot == "no-driver":
        return ("modules", "files")
    return ("modules",) if profile.boot == "no-modules" or not profile.kernel_driver else ()


def parts(profile: Profile, planned: Iterable[Op]) -> Parts:
    """By part: the uppermost paths that go with it, and the texts that files which stay have without it.

    `planned` is the host with everything, of a profile that `whole` returned."""
    if profile.wsl or not profile.kernel_driver:
        return {}
    there = {op.path: op for op in planned}
    bare = {op.path: op for op in without_modules(profile)}
    root = profile.driver_root.rstrip("/")
    inside = f"{root}/" if root else "\0"
    own = f"{capabilities.dev_of(profile.driver_root)}/"
    stays = {*bare, *_above(bare), *dict(profile.files), *_others(profile, there), root, *_above([root])}
    goes = [path for path in there if path.startswith(_OF_MODULES) and path not in stays
            and (path.startswith(own) or not path.startswith(inside))]
    found: Parts = {"modules": (_uppermost(goes), _texts(there, bare))}
    if profile.boot == "no-driver" and root:
        if not root.startswith("/run/"):
            raise _elsewhere(profile, root)
        found["files"] = ((root,), {})  # as a whole: it is that of a container which is still to come
    elif profile.boot == "no-driver":
        nothing = replace(profile, driver="", kernel_driver="", boot="complete", absent=(), files=(), ldcache=Cache())
        before = {op.path: op for op in plan(nothing)}
        stays = {*before, *_above(before), *dict(profile.files), *_above(dict(profile.files))}
        files = [path for path in there if path not in stays and not f"{path}/".startswith(_OF_MODULES)]
        elsewhere = [path for path in _uppermost(files) if path.split("/")[1] not in _FOLDERS]
        if elsewhere:
            raise _elsewhere(profile, elsewhere[0])
        texts = {path: text for path, text in _texts(there, before).items() if not path.startswith(_OF_MODULES)}
        found["files"] = (_uppermost(files), texts)
    return found


def _others(profile: Profile, there: Mapping[str, Op]) -> set[str]:
    """What the profile adds where kernel modules show themselves and is none of theirs, with the folders it needs."""
    links = {path: op.target for path, op in there.items() if isinstance(op, Symlink)}
    given = {place for path, _ in (*profile.files, *profile.links)
             if (place := real(path, links)).startswith(_OF_MODULES)}
    if not given:
        return set()
    theirs = {op.path for op in plan(replace(profile, files=(), links=()))}
    added = given - theirs
    return added | (_above(added) - theirs)


def _elsewhere(profile: Profile, path: str) -> NvsimError:
    return NvsimError(f"the driver's files cannot come later where they lie: {path}",
                      source=f"profile {profile.name}: boot", hint="boot: no-modules")


def _above(paths: Iterable[str]) -> set[str]:
    """All folders above the paths."""
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def _uppermost(paths: list[str]) -> tuple[str, ...]:
    """The paths without those whose folder is among them: they go with it."""
    known = set(paths)
    return tuple(path for path in paths if path.rpartition("/")[0] not in known)


def _texts(there: Mapping[str, Op], bare: Mapping[str, Op]) -> dict[str, bytes]:
    """The files that both have, with another text in the second."""
    return {path: op.data for path, op in bare.items()
            if isinstance(op, File) and isinstance(old := there.get(path), File) and old.data != op.data}
