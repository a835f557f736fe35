"""Profile → ops: everything that building the host does, decided before anything is written."""

import re
from collections.abc import Iterable
from dataclasses import replace
from posixpath import basename, dirname

from nvsim import (
    ldcache,
    plan_dev,
    plan_driver,
    plan_extras,
    plan_leftover,
    plan_operator,
    plan_proc,
    plan_sys,
    plan_tegra,
    plan_wsl,
)
from nvsim.errors import NvsimError
from nvsim.ops import Dir, File, Op, Symlink
from nvsim.plan_host import Host, host
from nvsim.profile import Profile


def plan(profile: Profile, *, elf: str = "") -> tuple[Op, ...]:
    """The ops in an order in which they can run: a folder before what is in it, and the entries of one folder together.

    `elf` is the architecture of the ELF files, if it is not the profile's: programs of the host then run on machines of
    that one.  Raises NvsimError if the profile takes away what is not there, or puts a file where a folder is."""
    made = host(profile, elf=elf)
    ops = {op.path: op for op in [*_below(profile.driver_root, _system(made)), *_machine(made)]}
    links = {op.path: op.target for op in ops.values() if isinstance(op, Symlink)}
    source = f"profile {profile.name}"
    kept = _without(ops, [real(path, links) for path in profile.absent], f"{source}: absent")
    for key, path, text in [*(("files", *of) for of in profile.files), *(("links", *of) for of in profile.links)]:
        place = real(path, links)
        old = kept.get(place)
        if isinstance(old, Dir):
            raise NvsimError(f"{path} is a folder", source=f"{source}: {key}")
        kept[place] = (Symlink(path=place, target=text) if key == "links" else
                       File(path=place, data=text.encode(), mode=getattr(old, "mode", _file_mode(place))))
    if profile.ldcache.state != "absent" and made.layout.ld_cache:
        root = profile.driver_root
        files = ops if profile.ldcache.state == "stale" else kept
        if before := plan_leftover.alone(profile):
            files = {op.path: op for op in _below(root, _system(host(before, elf=elf)))}
        cached = plan_driver.cache(made, _inside(root, files.values()), profile.ldcache.lacks)
        kept.setdefault(_join(root, cached.path), replace(cached, path=_join(root, cached.path)))
    return _ordered(kept, f"{source}: files")


def without_modules(profile: Profile) -> list[Op]:
    """What lies below / beside the driver's files, before its kernel modules are loaded."""
    made = host(replace(profile, kernel_driver=""))
    return [*plan_driver.base(made), *_machine(made)]


def twins(profile: Profile, planned: Iterable[Op], elf: str, folder: str) -> tuple[Op, ...]:
    """What stands in for the ELF files of `planned` on a machine of the architecture `elf`, below `folder`: each entry
    that would be another one there, in the order of `plan`."""
    there = {op.path: op for op in planned}
    ops: dict[str, Op] = {folder + op.path: replace(op, path=folder + op.path)
                          for op in plan(profile, elf=elf) if there.get(op.path) != op}
    above = folder.rpartition("/")[0]
    return tuple(op for op in _ordered(ops, folder) if op.path != above)


def _system(made: Host) -> list[Op]:
    """What lies below the driver root: the driver's own distribution."""
    files = (plan_wsl if made.profile.wsl else plan_tegra if made.jetson else plan_driver).files(made)
    return [*plan_driver.base(made), *files]


def _machine(made: Host) -> list[Op]:
    """What lies below / wherever the driver's files are."""
    if made.profile.wsl:
        return [*plan_wsl.machine(made), *plan_proc.files(made)]
    ops = [*plan_driver.sockets(made), *plan_dev.nodes(made), *plan_proc.files(made), *plan_sys.files(made),
           *plan_operator.files(made.profile), *plan_extras.files(made), *plan_tegra.machine(made)]
    if made.profile.driver_root == "/":
        return ops
    return [*plan_driver.base(made), *([plan_driver.cache(made, [])] if made.layout.ld_cache else []), *ops]


def _join(root: str, path: str) -> str:
    return path if root == "/" else root + path


def _below(root: str, ops: list[Op]) -> list[Op]:
    return ops if root == "/" else [replace(op, path=root + op.path) for op in ops]


def _inside(root: str, ops: Iterable[Op]) -> list[Op]:
    """The ops below a driver root, by their path in it."""
    if root == "/":
        return list(ops)
    return [replace(op, path=op.path.removeprefix(root)) for op in ops if op.path.startswith(f"{root}/")]


def real(path: str, links: dict[str, str]) -> str:
    """The path with the links of its folder followed: /lib/firmware/x → /usr/lib/firmware/x."""
    return f"{ldcache.resolve(dirname(path), links).rstrip('/')}/{basename(path)}"


def _without(ops: dict[str, Op], patterns: list[str], source: str) -> dict[str, Op]:
    """The ops whose path, or a folder above it, matches no pattern.  `*` stays within a name, `**` does not."""
    for pattern in patterns:
        matches = re.compile(_expression(pattern) + "(/.*)?").fullmatch
        kept = {path: op for path, op in ops.items() if not matches(path)}
        if len(kept) == len(ops):
            raise NvsimError(f"nothing on this host matches {pattern}", source=source)
        ops = kept
    return dict(ops)


def _expression(pattern: str) -> str:
    words = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(words.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*|\?)", pattern))


def _ordered(ops: dict[str, Op], source: str) -> tuple[Op, ...]:
    """The ops with the folders they need, by folder and name: all entries of a folder follow each other."""
    for path in list(ops):
        folder = path.rpartition("/")[0]
        while folder and folder not in ops:
            ops[folder] = Dir(path=folder, mode=_dir_mode(folder))
            folder = folder.rpartition("/")[0]
        if folder and not isinstance(ops[folder], Dir):
            raise NvsimError(f"{folder} is not a folder", source=source)
    return tuple(ops[path] for path in sorted(ops, key=_place))


def _place(path: str) -> tuple[str, str, str]:
    return path.rpartition("/")


def _of_kernel(path: str) -> bool:
    return path.startswith(("/proc/", "/sys/"))


def _dir_mode(path: str) -> int:
    return 0o555 if _of_kernel(path) else 0o755


def _file_mode(path: str) -> int:
    return 0o444 if _of_kernel(path) else 0o644
