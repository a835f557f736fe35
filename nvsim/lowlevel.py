"""The low-level runtime as containers on a machine meet it: runc or crun on a kernel that has the NVIDIA driver.

A real driver shows /proc/driver/nvidia, its lines in /proc/devices and its parts of /sys in every container, because
containers share the kernel.  This kernel has no such driver, so on a machine `runc` and `crun` are this wrapper: on
`create` and `run` it puts one prestart hook, `nvsim-kernel`, in front of all others, which binds what the machine
shows into the container's fresh /proc and /sys.  Everything else goes to the real program unchanged.  It also notes
which containers are made, for `nvsim ctl daemon-reload`, and keeps what it was told where a folder `specs` was made
for that: engines remove their bundles as soon as a container ends.
"""

import os
import sys
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HOOK = "nvsim-kernel"
CONTAINERS = "../../containers"  # from the folder of the real programs: a file per container that was made
SPECS = "../../specs"  # the same: ID.json and ID.log, each as the runtime had them when the container was made
BEYOND = {"CAP_SYS_MODULE": 16, "CAP_SYS_RESOURCE": 24, "CAP_SYS_TIME": 25, "CAP_MAC_OVERRIDE": 32,
          "CAP_MAC_ADMIN": 33}  # what outer containers withhold: include/uapi/linux/capability.h
VERBS = ("create", "run", "restore", "delete")  # those that are not passed on unchanged
Call = namedtuple("Call", "verb bundle id root")  # typing.NamedTuple would double the start-up time


def main(argv: list[str], real: str, hook: str) -> int:
    """Executes the low-level runtime at `real`; does not return unless it cannot."""
    call = parsed(argv[1:])
    if call.verb in ("create", "run", "restore"):
        if hook:
            prepare(call.bundle, hook)
        note(call, real)
        keep(call, real, log_of(argv[1:]))
    elif call.verb == "delete":
        forget(call, real)
    try:
        os.execv(real, [argv[0], *argv[1:]])
    except OSError as e:
        print(f"{argv[0]}: {e.strerror}: {real}", file=sys.stderr)
    return 127


def parsed(arguments: list[str]) -> Call:
    """Verb, bundle folder, container and state folder ("" for the default) of a runc or crun command line."""
    with_value = ("--log", "--log-format", "--root", "--criu", "--rootless", "--cgroup-manager", "--log-level", "-log",
                  "-log-format", "-root", "--bundle", "-b", "-bundle", "--console-socket", "--pid-file", "--config",
                  "-f", "--preserve-fds", "--image-path", "--work-path")
    rest, words, values = list(arguments), [], {"--bundle": ".", "--root": ""}
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            words.append(word)
            continue
        if not equals and word in with_value and rest:
            value = rest.pop(0)
        if name in ("--bundle", "-bundle", "-b", "--root", "-root"):
            values["--root" if "root" in name else "--bundle"] = value
    verb, container = (*words, "", "")[:2]
    return Call(verb=verb, bundle=values["--bundle"], id=container, root=values["--root"])


def note(call: Call, real: str) -> None:
    """Writes down a container that is about to be made.  Where that is not possible, daemon-reload will not know it."""
    import json

    path = _noted(call, real)
    known = {"program": real, "root": call.root, "id": call.id, "bundle": os.path.realpath(call.bundle)}
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(known, f)
    except OSError:
        return


def keep(call: Call, real: str, log: str) -> None:
    """Copies config.json and the log so far, if anybody wants them."""
    folder = os.path.normpath(f"{os.path.dirname(real)}/{SPECS}")
    if os.path.isdir(folder):
        for name, source in (("json", os.path.join(call.bundle, "config.json")), ("log", log)):
            try:
                with open(source, "rb") as old, open(f"{folder}/{os.path.basename(call.id)}.{name}", "wb") as new:
                    new.write(old.read())
            except OSError:
                continue


def log_of(arguments: list[str]) -> str:
    """The file that --log names, "" without one."""
    for word, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if word.startswith(("--log=", "-log=")):
            return word.partition("=")[2]
        if word in ("--log", "-log"):
            return value
    return ""


def forget(call: Call, real: str) -> None:
    """Takes away what `note` wrote."""
    try:
        os.unlink(_noted(call, real))
    except OSError:
        return


def _has_driver() -> bool:
    """Whether the machine's kernel has the driver, or will have it: a container that runs then sees it come."""
    if os.path.isdir("/proc/driver/nvidia"):
        return True
    try:
        with open("/run/nvsim-host", encoding="utf-8") as f:
            return os.path.exists(f"{f.read().strip()}/.nvsim/parts.json")
    except OSError:
        return False


def _noted(call: Call, real: str) -> str:
    folder = os.path.normpath(f"{os.path.dirname(real)}/{CONTAINERS}")
    return f"{folder}/{os.path.basename(real)} {(call.root + ' ' + call.id).replace('/', '|')}"


def grantable(spec: "dict[str, Any]") -> None:
    """Takes the capabilities out of a spec that nobody on this machine can give, where the machine itself runs in a
    container: an engine that asks for all of them would start nothing."""
    sets = spec.get("process", {}).get("capabilities") or {}
    if not any(one in wanted for wanted in sets.values() for one in BEYOND):
        return
    with open("/proc/self/status", encoding="ascii") as f:
        bits = next((int(line.split()[1], 16) for line in f if line.startswith("CapBnd:")), -1)
    for name, wanted in sets.items():
        sets[name] = [one for one in wanted if one not in BEYOND or bits >> BEYOND[one] & 1]


def prepare(bundle: str, hook: str) -> None:
    """Adds the hook to the bundle's config.json, once, by rename.  A file that does not parse is runc's to refuse."""
    import json

    path = os.path.join(bundle, "config.json")
    try:
        with open(path, encoding="utf-8") as f:
            spec = json.load(f)
        rootfs = os.path.realpath(os.path.join(bundle, spec["root"]["path"]))
        grantable(spec)
        before = spec.setdefault("hooks", {}).setdefault("prestart", [])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    if any(os.path.basename(h.get("path", "")) == HOOK for h in before) or not _has_driver():
        return
    before.insert(0, {"path": hook, "args": [HOOK, rootfs], "env": []})
    fresh = f"{path}.nvsim-{os.getpid()}"
    with open(fresh, "w", encoding="utf-8") as f:
        json.dump(spec, f)
    os.chmod(fresh, os.stat(path).st_mode & 0o7777)
    os.rename(fresh, path)
