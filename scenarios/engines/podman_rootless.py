"""podman of an ordinary user on an emulated machine: a user namespace, the ids of /etc/subuid, no control groups.

What the administrator does stays root's: `before:` and `host` steps.  The machine gets a user, and what that user has
to reach becomes passable there: the run's folder, which is root's alone, and this Python, wherever it lies.  Nothing of
that is seen outside the machine.

Fact: podman(1), "Rootless mode"; podman-run(1), --cgroups; subuid(5).
"""

import contextlib
import functools
import os
import stat
import sys
from collections.abc import Iterator

import nvsim
from nvsim.errors import NvsimError
from nvsim.native import compile as native
from scenarios import hosts
from scenarios.engines.containers import SPECS, EngineSession
from scenarios.engines.on_machine import RUN, OnMachine, opened, unavailable, version_of
from scenarios.engines.podman import Podman
from scenarios.engines.session import Engine, NotRun, Session, Tools
from scenarios.model import Case

UID = 1000
USER = "user"  # the name, unless the real machine has given the id another one
RUNTIME_DIR = f"{RUN}/user"  # not in /run/user: the machine may share that one with the real machine
RANGE = "100000:65536"  # ids for its user namespaces: what useradd gives the first user
SHARED = ("toolkit", "images", "probe", "podman-rootless")  # what a user reaches in a run's folder, beside the case's
CONFIG: hosts.Table = {"nvidia-container-cli": {"no-cgroups": True}}  # as NVIDIA's installation guide has it for users
LIMITS = (("/proc/sys/user/max_user_namespaces", "0"), ("/proc/sys/kernel/unprivileged_userns_clone", "0"))


def unready() -> str:
    """Why podman cannot run without root here, "" if it can."""
    missing = unavailable("podman", "runc", "newuidmap", "setpriv")
    for path, none in LIMITS:
        if not missing and os.path.exists(path):
            with open(path, encoding="ascii") as f:
                if f.read().strip() == none:
                    missing = f"ordinary users may not make user namespaces here: {path}"
    return missing


def closed(path: str) -> list[str]:
    """The folders on the way to a file, and the file's own if it is one, that others than their owner may not enter;
    where it is a link, those on the way to its target too."""
    folders: dict[str, None] = {}
    while path:
        parts = os.path.realpath(os.path.dirname(path)).rstrip("/").split("/") + [os.path.basename(path)]
        folders |= dict.fromkeys("/".join(parts[:count]) or "/" for count in range(1, len(parts) + 1))
        path = os.path.join("/".join(parts[:-1]), os.readlink(path)) if os.path.islink(path) else ""
    return [folder for folder in folders if os.path.isdir(folder) and not os.stat(folder).st_mode & stat.S_IXOTH]


@contextlib.contextmanager
def _open(case: Case, folder: str, tools: Tools) -> Iterator[Session]:
    with opened("runc", "engine", case, folder, tools, CONFIG) as on:
        images = f"{tools.folder}/{SHARED[-1]}"
        os.makedirs(images, exist_ok=True)
        os.chown(images, UID, UID)
        driver = Rootless(on, f"{folder}/podman", images)
        # podman 5 makes the toolkit look into the folder of the user's own settings.
        os.makedirs(f"{folder}/podman/.config")
        os.chown(f"{folder}/podman/.config", UID, UID)
        os.symlink(os.path.dirname(hosts.CONFIG), f"{folder}/podman/.config/nvidia-container-runtime")
        os.chown(f"{folder}/podman", UID, UID)
        yield EngineSession(_ready(driver, on, tools), on, tools)


ENGINE = Engine(name="podman-rootless", level="engine", unavailable=unready, open=_open,
                version=functools.partial(version_of, "podman"))


def _ready(driver: "Rootless", on: OnMachine, tools: Tools) -> "Rootless":
    """Makes the user, and the ways that the user has to go."""
    add_user(on)
    _make_way(on, tools)
    for kind in ("proc", "sysfs"):
        # The kernel lets users mount one only where one is seen whole, and the machine's own are covered in places:
        # mount_too_revealing() in fs/namespace.c.
        _do(on, "mkdir", "-p", f"{RUN}/{kind}")
        _do(on, "mount", "-t", kind, "nvsim", f"{RUN}/{kind}")
    # As systemd has it: what is mounted on the machine later is seen in the user's own namespace too.
    _do(on, "mount", "--make-rshared", "/")
    scratch = f"{on.host.root}/{os.path.dirname(SPECS)}"
    _do(on, "mkdir", "-p", f"{scratch}/containers", f"{scratch}/specs")
    _do(on, "chown", str(UID), f"{scratch}/containers", f"{scratch}/specs")
    return driver


def _do(on: OnMachine, *words: str) -> None:
    done = on.command(list(words))
    if done.returncode:
        raise NvsimError(f"`{' '.join(words)[:200]}` failed: {done.stderr.strip()}", source=on.case.path)


def add_user(on: OnMachine) -> None:
    """What useradd does: the user, a range of further ids, and what a login makes."""
    users = on.read("/etc/passwd")
    name = next((line.split(":")[0] for line in users.splitlines() if line.split(":")[2:3] == [str(UID)]), "")
    if not name:
        name = USER
        on.write("/etc/passwd", f"{users}{name}:x:{UID}:{UID}::/home/{name}:/bin/sh\n")
    for path in ("/etc/subuid", "/etc/subgid"):
        on.write(path, f"{name}:{RANGE}\n")
    _do(on, "mkdir", "-p", "-m", "0755", RUN)
    _do(on, "mkdir", "-m", "0700", RUNTIME_DIR)
    _do(on, "chown", f"{UID}:{UID}", RUNTIME_DIR)


def _make_way(on: OnMachine, tools: Tools) -> None:
    """Lets users pass, though not list, the folders that are closed to them on the way to what they need: in overlays,
    seen on the machine alone, as is what is written into them.  They hide what is mounted below: so the run's folders
    are mounted again.

    Raises NotRun if something that containers are started with still cannot be reached."""
    kept = f"{RUN}/state"
    _do(on, "mkdir", "-p", kept)
    _do(on, "mount", "--rbind", tools.folder, kept)
    used = [sys.executable, nvsim.__file__, native.artifact("nvsim-kernel"), f"{tools.toolkit}/{hosts.TOOLS[0]}"]
    shut = list(dict.fromkeys(folder for path in (tools.folder, *used) for folder in closed(path)))
    for folder in shut:
        if not any(folder.startswith(f"{above}/") for above in shut):
            layers = f"{RUN}/ways{folder}"
            _do(on, "mkdir", "-p", f"{layers}/upper", f"{layers}/work")
            _do(on, "mount", "-t", "overlay", "-o", f"lowerdir={folder},upperdir={layers}/upper,workdir={layers}/work",
                "nvsim", folder)
        _do(on, "chmod", "o+x", folder)
    for name in (os.path.basename(on.folder), *SHARED):
        if os.path.isdir(f"{tools.folder}/{name}"):
            _do(on, "mount", "--rbind", f"{kept}/{name}", f"{tools.folder}/{name}")
    for path in used:
        if on.command([*Rootless.as_user, "test", "-r", path]).returncode:
            raise NotRun(f"user {UID} of the machine cannot read {path}: put it where others than its owner may read")


class Rootless(Podman):
    """podman as the machine's user."""

    name = "podman-rootless"
    loaded = "podman-rootless"
    state = RUNTIME_DIR
    as_user = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--")

    def _environment(self, storage: str = "storage.conf") -> dict[str, str]:
        return super()._environment(storage) | {"XDG_RUNTIME_DIR": RUNTIME_DIR}

    def _in_cgroup(self) -> list[str]:
        return []
