"""A `docker run` line as the container that the engine would ask its runtime for.

Pure.  Only what decides about GPUs is read; every other flag is passed over, with its value.
Facts: the reference pages of docker run, podman run and nerdctl run; moby `daemon/nvidia_linux.go` for --gpus.
"""

import csv
import re
import shlex
from typing import Any, NamedTuple

from toolkit.errors import RequestError
from toolkit.plan.cdi_names import is_qualified

ENGINES = ("docker", "podman", "nerdctl")
# Flags without a value.  Every other one has its value behind "=" or in the next word.
SWITCHES = frozenset((
    "--detach", "--disable-content-trust", "--env-host", "--help", "--http-proxy", "--init", "--interactive",
    "--no-healthcheck", "--no-hosts", "--no-hostname", "--oom-kill-disable", "--passwd", "--privileged",
    "--publish-all", "--quiet", "--read-only", "--read-only-tmpfs", "--replace", "--rm", "--rmi", "--rootfs",
    "--sig-proxy", "--tls-verify", "--tty", "--use-api-socket"))
LETTERS = frozenset("ditPq")  # short flags without a value, which may stand together: -it
NAMES = {"-e": "--env", "-v": "--volume"}
_SYS_ADMIN = ("ALL", "SYS_ADMIN", "CAP_SYS_ADMIN")
_COUNT = re.compile(r"[0-9]+", re.ASCII)
HOOK = "nvidia-container-runtime-hook"
FLAG = "cdi.k8s.io/explain"  # the annotation that stands for --device


class Asked(NamedTuple):
    """What a line asks an engine for.

    `gpus` is --gpus in the words of NVIDIA_VISIBLE_DEVICES, "" without it; `gpu_capabilities` are those that it names.
    `env` is what the line sets, in its order; `mounts` are (source, destination)."""

    engine: str
    image: str
    runtime: str = ""
    gpus: str = ""
    gpu_capabilities: tuple[str, ...] = ()
    cdi: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    privileged: bool = False
    passed_over: tuple[str, ...] = ()  # flags that decide nothing about GPUs


def read_line(words: tuple[str, ...]) -> Asked:
    """The request of a command line, as words or as one quoted word.  Raises RequestError naming the flag."""
    words = _split(words)
    if len(words) > 2 and words[1] == "container":
        words = (words[0], *words[2:])
    if len(words) < 2 or words[0].rpartition("/")[2] not in ENGINES or words[1] not in ("run", "create"):
        raise RequestError(f"not a line that starts a container: {' '.join(words)[:80]!r}", source="command line",
                           hint=f"write it after --: nvidia-ctk explain -- docker run …; known: {', '.join(ENGINES)}")
    given, rest = _flags(words[2:])
    if not rest:
        raise RequestError("the line names no image", source="command line", hint="docker run [FLAGS] IMAGE [COMMAND]")
    gpus, capabilities = _gpus(given["--gpus"][-1]) if "--gpus" in given else ("", ())
    devices = given.get("--device", ())
    return Asked(
        engine=words[0].rpartition("/")[2], image=rest[0], runtime=(given.get("--runtime") or [""])[-1],
        gpus=gpus, gpu_capabilities=capabilities, cdi=tuple(name for name in devices if is_qualified(name)),
        env=tuple(_pair(text) for text in given.get("--env", ())),
        annotations=tuple(_pair(text) for text in given.get("--annotation", ())),
        mounts=(*map(_volume, given.get("--volume", ())), *map(_mount, given.get("--mount", ()))),
        privileged="--privileged" in given or any(
            name.upper() in _SYS_ADMIN for text in given.get("--cap-add", ()) for name in text.split(",")),
        passed_over=tuple(name for name in given if name not in _READ))


_READ = ("--runtime", "--gpus", "--device", "--env", "--annotation", "--volume", "--mount", "--privileged", "--cap-add")


def _split(words: tuple[str, ...]) -> tuple[str, ...]:
    if len(words) != 1:
        return words
    try:
        return tuple(shlex.split(words[0]))
    except ValueError as e:
        raise RequestError(f"cannot split the line: {e}", source="command line", hint="quote as for a shell") from None


def _flags(words: tuple[str, ...]) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """The values of each flag by its long name, and the words from the image on."""
    given: dict[str, list[str]] = {}
    position = 0
    while position < len(words) and words[position].startswith("-") and len(words[position]) > 1:
        word, position = words[position], position + 1
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if not name.startswith("--"):
            # -it, -e NAME=VALUE, -eNAME=VALUE: the first letter with a value takes the rest of the word.
            letters = word[1:]
            while letters and letters[0] in LETTERS:
                given.setdefault(f"-{letters[0]}", [])
                letters = letters[1:]
            if not letters:
                continue
            name, equals, value = NAMES.get(f"-{letters[0]}", f"-{letters[0]}"), letters[1:], letters[1:]
        if name in SWITCHES:
            if value.lower() not in ("false", "0", "f"):
                given.setdefault(name, []).append(value)
            continue
        if not equals:
            if position == len(words):
                raise RequestError("a value is missing", source=name, hint="the flag needs one")
            value, position = words[position], position + 1
        given.setdefault(name, []).append(value)
    return given, words[position:]


def _gpus(text: str) -> tuple[str, tuple[str, ...]]:
    """--gpus: `all`, a count, or fields such as device=0 and capabilities=utility, quoted where they hold a comma."""
    devices, capabilities = "", [""]
    try:
        fields = next(csv.reader([text]), [])
    except csv.Error as e:
        raise RequestError(f"cannot be split: {e}", source="--gpus", hint="""quote as in '"device=0,2"'""") from None
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals and (key == "all" or _COUNT.fullmatch(key)):
            key, value = "count", key
        if key == "device":
            devices = value
        elif key == "count" and (value in ("all", "-1") or _COUNT.fullmatch(value)):
            devices = "all" if value in ("all", "-1") else ",".join(str(n) for n in range(min(int(value), 1024)))
        elif key == "capabilities":
            capabilities = value.split(",")
        elif key not in ("driver", "options"):
            raise RequestError(f"unknown field {field!r}", source="--gpus",
                               hint="""all, 2, device=0, '"device=0,2"', 'all,"capabilities=utility,graphics"'""")
    return devices, tuple(name for name in capabilities if name not in ("", "gpu", "nvidia"))


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _volume(text: str) -> tuple[str, str]:
    source, _, rest = text.partition(":")
    return source, rest.partition(":")[0]


def _mount(text: str) -> tuple[str, str]:
    fields = dict(_pair(part) for part in text.split(","))
    source = fields.get("source", fields.get("src", ""))
    return source, fields.get("target", fields.get("dst", fields.get("destination", "")))


def spec_of(asked: Asked, image_env: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """The part of the OCI configuration that decides about GPUs: ENV of the image, then --gpus, then -e.

    CDI names of --device become the annotation in which an engine without CDI of its own would hand them on."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **dict(image_env), **dict(asked.env)}
    if asked.gpus:
        env["NVIDIA_VISIBLE_DEVICES"] = asked.gpus
        if asked.gpu_capabilities:
            env["NVIDIA_DRIVER_CAPABILITIES"] = ",".join(asked.gpu_capabilities)
    return configuration(env, mounts=asked.mounts, privileged=asked.privileged, hook=bool(asked.gpus),
                         annotations={**dict(asked.annotations),
                                      **({FLAG: ",".join(asked.cdi)} if asked.cdi else {})})


def configuration(env: dict[str, str], *, mounts: tuple[tuple[str, str], ...] = (), privileged: bool = False,
                  hook: bool = False, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    """An OCI configuration with these fields, and what the specification requires besides.  `hook`: the engine itself
    adds NVIDIA's prestart hook."""
    capabilities = ["CAP_SYS_ADMIN"] if privileged else []
    spec: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["true"], "cwd": "/",
                    "env": [f"{name}={value}" for name, value in env.items()],
                    "capabilities": {"bounding": capabilities}},
        "root": {"path": "rootfs"},
        "mounts": [{"source": source, "destination": destination, "type": "bind", "options": ["bind"]}
                   for source, destination in mounts],
        "annotations": annotations or {},
        "linux": {},
    }
    if hook:
        spec["hooks"] = {"prestart": [{"path": f"/usr/bin/{HOOK}", "args": [HOOK, "prestart"]}]}
    return spec
