"""The low-level runtime as containers on a machine meet it: runc or crun on a kernel that has the NVIDIA driver.

A real driver shows /proc/driver/nvidia, its lines in /proc/devices and its parts of /sys in every container, because
containers share the kernel.  This kernel has no such driver, so on a machine `runc` and `crun` are this wrapper: on
`create` and `run` it puts one prestart hook, `nvsim-kernel`, in front of all others, which binds what the machine
shows into the container's fresh /proc and /sys.  Everything else goes to the real program unchanged.
"""

import os
import sys

HOOK = "nvsim-kernel"


def main(argv: list[str], real: str, hook: str) -> int:
    """Executes the low-level runtime at `real`; does not return unless it cannot."""
    verb, bundle = parsed(argv[1:])
    if verb in ("create", "run", "restore"):
        prepare(bundle, hook)
    try:
        os.execv(real, [argv[0], *argv[1:]])
    except OSError as e:
        print(f"{argv[0]}: {e.strerror}: {real}", file=sys.stderr)
    return 127


def parsed(arguments: list[str]) -> tuple[str, str]:
    """The verb and the bundle folder of a runc or crun command line."""
    with_value = ("--log", "--log-format", "--root", "--criu", "--rootless", "--cgroup-manager", "--log-level",
                  "-log", "-log-format", "-root")
    rest, verb, bundle = list(arguments), "", "."
    while rest:
        word = rest.pop(0)
        if not verb and not word.startswith("-"):
            verb = word
        elif word in ("--bundle", "-b", "-bundle") and rest:
            bundle = rest.pop(0)
        elif word.startswith(("--bundle=", "-bundle=", "-b=")):
            bundle = word.partition("=")[2]
        elif not verb and word in with_value and rest:
            rest.pop(0)
    return verb, bundle


def prepare(bundle: str, hook: str) -> None:
    """Adds the hook to the bundle's config.json, once, by rename.  A file that does not parse is runc's to refuse."""
    import json

    path = os.path.join(bundle, "config.json")
    try:
        with open(path, encoding="utf-8") as f:
            spec = json.load(f)
        rootfs = os.path.realpath(os.path.join(bundle, spec["root"]["path"]))
        before = spec.setdefault("hooks", {}).setdefault("prestart", [])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    if any(os.path.basename(h.get("path", "")) == HOOK for h in before) or not os.path.isdir("/proc/driver/nvidia"):
        return
    before.insert(0, {"path": hook, "args": [HOOK, rootfs], "env": []})
    fresh = f"{path}.nvsim-{os.getpid()}"
    with open(fresh, "w", encoding="utf-8") as f:
        json.dump(spec, f)
    os.chmod(fresh, os.stat(path).st_mode & 0o7777)
    os.rename(fresh, path)
