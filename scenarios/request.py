"""The command that the reporter typed, as a request: `docker run …` and `docker exec …` lines, and their like.

What is not docker's in form is read by request_forms.py, into the same values.

Facts: docker run and podman run reference pages.  Flags that change nothing a case can see (--rm, -t, -i, --pull,
--network none or host) are read and dropped; a flag that is not known is an error, never ignored.
"""

import re
import shlex
from dataclasses import dataclass

from nvsim.errors import NvsimError
from scenarios.fields import describe, nearest

ENGINES = ("docker", "podman", "nerdctl", "ctr")
RUNTIMES = {"nvidia": "nvidia-container-runtime", "nvidia-cdi": "nvidia-container-runtime.cdi",
            "nvidia-legacy": "nvidia-container-runtime.legacy"}
_COUNT = re.compile(r"[1-9][0-9]{0,2}")
_USER = re.compile(r"([0-9]{1,9}(:[0-9]{1,9})?)?")
CDI_NAME = re.compile(r"[A-Za-z][\w.-]*/[A-Za-z][\w.-]*=[A-Za-z0-9][\w.:-]*", re.ASCII)

SWITCHES = {"--rm": "", "-i": "", "--interactive": "", "-t": "", "--tty": "", "-it": "", "-ti": "", "--init": "",
            "-d": "detach", "--detach": "detach", "--privileged": "privileged", "--read-only": "read_only"}
VALUES = {"--runtime": "runtime", "--gpus": "gpus", "-e": "env", "--env": "env", "-v": "volume", "--volume": "volume",
          "--mount": "mount", "--device": "device", "--cap-add": "cap_add", "-u": "user", "--user": "user",
          "--entrypoint": "entrypoint", "--name": "name", "--annotation": "annotation", "--hostname": "",
          "-h": "", "--pull": "", "--network": "", "--net": "", "--security-opt": "", "--shm-size": "",
          "--ipc": "", "--ulimit": "", "-w": "workdir", "--workdir": "workdir"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A host path in the container."""

    source: str
    target: str
    read_only: bool = False
    propagation: str = "rprivate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One `docker run` line.

    `runtime` is the runtime's program, "" for the engine's own.  `gpus` is what --gpus asks for, in the words of
    NVIDIA_VISIBLE_DEVICES ("all", "0,2"), "" without the flag; `gpu_capabilities` are those named in it.  `cdi` are the
    CDI names of --device.  `image` is without registry, path and tag.  `engine` is the program that was typed.
    """

    image: str
    engine: str = "docker"
    command: tuple[str, ...] = ()
    runtime: str = ""
    gpus: str = ""
    gpu_capabilities: tuple[str, ...] = ()
    cdi: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    binds: tuple[Bind, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    cap_add: tuple[str, ...] = ()
    privileged: bool = False
    read_only: bool = False
    user: str = ""
    entrypoint: str = ""
    workdir: str = "/"
    name: str = ""
    detach: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec:
    """One `docker exec` line: a command in a container that runs."""

    name: str
    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()


def parse_run(line: str, source: str) -> Run:
    """A `docker run`, `podman run`, `nerdctl run` or `ctr run` line.  Raises NvsimError for what is not one, naming the
    flag."""
    from scenarios import request_forms

    engine, words = _words(line, "run", source)
    return request_forms.parse_ctr_run(words, source) if engine == "ctr" else parse_docker(engine, words, source)


def parse_docker(engine: str, words: list[str], source: str) -> Run:
    """The words after `docker run`."""
    given, rest = read_flags(words, source, SWITCHES, VALUES)
    if not rest:
        raise NvsimError("no image on the line", source=source, hint="docker run [FLAGS] IMAGE [COMMAND]")
    asked = _last(given, "gpus")
    by_hook = "gpus" in given and engine != "podman"
    gpus, capabilities = _gpus(asked, f"{source}: --gpus") if by_hook else ("", ())
    binds = [_volume(v, f"{source}: -v") for v in given.get("volume", [])]
    binds += [_mount(v, f"{source}: --mount") for v in given.get("mount", [])]
    devices = given.get("device", [])
    if engine == "podman":  # since 5.0; podman-run(1)
        devices = [*devices, *(f"nvidia.com/gpu={name}" for name in asked.split(",") if name)]
    odd = [d for d in devices if not CDI_NAME.fullmatch(d)]
    if odd:
        raise NvsimError(f"not a CDI name: {describe(odd[0])}", source=f"{source}: --device",
                         hint="nvidia.com/gpu=0; other device nodes cannot be given")
    if not _USER.fullmatch(_last(given, "user")):
        raise NvsimError("expected UID[:GID]", source=f"{source}: --user", hint="names need the image's /etc/passwd")
    return Run(
        engine=engine, image=image_name(rest[0]), command=tuple(rest[1:]), gpus=gpus, gpu_capabilities=capabilities,
        runtime=runtime_of(given["runtime"][-1], source) if "runtime" in given else "",
        cdi=tuple(devices),
        env=_pairs(given.get("env", []), f"{source}: -e"), binds=tuple(binds),
        annotations=_pairs(given.get("annotation", []), f"{source}: --annotation"),
        cap_add=tuple(_capability(c) for c in given.get("cap_add", [])),
        privileged="privileged" in given, read_only="read_only" in given, detach="detach" in given,
        user=_last(given, "user"), entrypoint=_last(given, "entrypoint"), name=_last(given, "name"),
        workdir=_last(given, "workdir") or "/")


def parse_exec(line: str, source: str) -> Exec:
    """A `docker exec` or `ctr task exec` line.  Raises NvsimError for what is not one."""
    from scenarios import request_forms

    words = split(line, source)
    if words[:1] == ["ctr"] and words[1:3] in (["task", "exec"], ["tasks", "exec"], ["t", "exec"]):
        return request_forms.parse_ctr_exec(words[3:], source)
    given, rest = read_flags(_words(line, "exec", source)[1], source, SWITCHES, VALUES)
    odd = sorted(set(given) - {"env"})
    if odd or len(rest) < 2:
        raise NvsimError(f"not known to docker exec: {odd[0]}" if odd else "no container and command on the line",
                         source=source, hint="docker exec [-e NAME=VALUE] CONTAINER COMMAND")
    return Exec(name=rest[0], command=tuple(rest[1:]), env=_pairs(given.get("env", []), f"{source}: -e"))


def split(line: str, source: str) -> list[str]:
    """A line's words.  Raises NvsimError for quotes that do not end."""
    try:
        return shlex.split(line)
    except ValueError as e:
        raise NvsimError(f"cannot split the line: {e}", source=source, hint="quote as for a shell") from e


def _words(line: str, verb: str, source: str) -> tuple[str, list[str]]:
    words = split(line, source)
    if "\0" in line or len(words) < 2 or words[0] not in ENGINES or words[1] != verb:
        raise NvsimError(f"expected `docker {verb} …`, got {describe(line)}", source=source,
                         hint=f"known engines: {', '.join(ENGINES)}")
    return words[0], words[2:]


def read_flags(words: list[str], source: str, switches: dict[str, str], values: dict[str, str],
               ) -> tuple[dict[str, list[str]], list[str]]:
    """The flags by the name of what they set, and the words from the image on."""
    given: dict[str, list[str]] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        flag, joined, value = rest.pop(0).partition("=")
        if flag == "--":
            break
        if flag in switches:
            if value not in ("", "true", "false"):
                raise NvsimError(f"expected true or false, got {describe(value)}", source=f"{source}: {flag}")
            if value != "false":
                given.setdefault(switches[flag], []).append("")
        elif flag in values:
            if not joined and not rest:
                raise NvsimError("a value is missing", source=f"{source}: {flag}")
            given.setdefault(values[flag], []).append(value if joined else rest.pop(0))
        else:
            raise NvsimError(f"unknown flag {describe(flag)}", source=source, hint=nearest(flag, (*switches, *values)))
    given.pop("", None)
    return given, rest


def _last(given: dict[str, list[str]], name: str) -> str:
    return given[name][-1] if name in given else ""


def runtime_of(name: str, source: str) -> str:
    """The toolkit's program that a runtime's name or path stands for, "" for a low-level runtime."""
    program = RUNTIMES.get(name.rpartition("/")[2], name.rpartition("/")[2])
    if name in ("runc", "crun"):
        return ""
    if program not in RUNTIMES.values():
        raise NvsimError(f"unknown runtime {describe(name)}", source=f"{source}: --runtime",
                         hint=nearest(name, ("runc", *RUNTIMES)))
    return program


def _gpus(value: str, source: str) -> tuple[str, tuple[str, ...]]:
    """`all`, N (a count), or CSV pairs: device=…, count=…, capabilities=….  Fact: docker run --gpus.

    A list of devices is one CSV field in quotes: --gpus '"device=0,2"'."""
    if value == "all" or _COUNT.fullmatch(value):
        return _counted(value), ()
    devices, capabilities = "", [""]
    for field in re.findall(r'"[^"]*"|[^,]+', value):
        key, _, what = field.strip('"').partition("=")
        if key == "device":
            devices = what
        elif key == "count":
            devices = _counted(what) if what in ("all", "-1") or _COUNT.fullmatch(what) else ""
        elif key == "capabilities":
            capabilities = what.split(",")
        elif key != "driver":
            raise NvsimError(f"unknown key {describe(key)}", source=source,
                             hint="""all, 2, device=0, '"device=0,2"', 'count=all,capabilities=utility'""")
    if not devices:
        raise NvsimError(f"names no device: {describe(value)}", source=source)
    return devices, tuple(c for c in capabilities if c not in ("", "gpu"))


def _counted(value: str) -> str:
    return "all" if value in ("all", "-1") else ",".join(map(str, range(int(value))))


def _volume(value: str, source: str) -> Bind:
    parts = value.split(":")
    if len(parts) not in (2, 3) or not parts[0].startswith("/") or not parts[1].startswith("/"):
        raise NvsimError(f"expected /HOST:/CONTAINER[:ro], got {describe(value)}", source=source)
    options = parts[2].split(",") if len(parts) == 3 else []
    spread = [o for o in options if o.lstrip("r") in ("private", "shared", "slave")]
    return Bind(source=parts[0], target=parts[1], read_only="ro" in options,
                propagation=spread[0] if spread else "rprivate")


def _mount(value: str, source: str) -> Bind:
    given = dict(part.partition("=")[::2] for part in value.split(","))
    origin = given.get("source", given.get("src", ""))
    target = given.get("target", given.get("dst", given.get("destination", "")))
    if given.get("type", "volume") != "bind" or not origin.startswith("/") or not target.startswith("/"):
        raise NvsimError(f"expected type=bind,source=/…,target=/…, got {describe(value)}", source=source)
    return Bind(source=origin, target=target, read_only="readonly" in given or "ro" in given,
                propagation=given.get("bind-propagation", "rprivate"))


def _pairs(values: list[str], source: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for value in values:
        name, sign, rest = value.partition("=")
        if not name or not sign:
            raise NvsimError(f"expected NAME=VALUE, got {describe(value)}", source=source)
        pairs.append((name, rest))
    return tuple(pairs)


def _capability(name: str) -> str:
    upper = name.upper()
    return upper if upper.startswith("CAP_") or upper == "ALL" else f"CAP_{upper}"


def image_name(reference: str) -> str:
    """The name of an image without registry, path, tag and digest: docker.io/library/debian:12 → debian."""
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[0]


def flags(run: Run) -> list[str]:
    """A request as the flags that docker and podman share; without runtime, name and image, which engines name
    differently."""
    gpus = ",".join([f'"device={run.gpus}"' if "," in run.gpus else f"device={run.gpus}",
                     *([f'"capabilities={",".join(run.gpu_capabilities)}"'] if run.gpu_capabilities else [])])
    found = ["--gpus", gpus if run.gpus != "all" or run.gpu_capabilities else "all"] if run.gpus else []
    for flag, values in (("--env", [f"{name}={value}" for name, value in run.env]), ("--device", run.cdi),
                         ("--annotation", [f"{name}={value}" for name, value in run.annotations]),
                         ("--cap-add", run.cap_add), ("--volume", map(_written, run.binds))):
        found += [word for value in values for word in (flag, value)]
    found += ["--user", run.user] if run.user else []
    found += ["--workdir", run.workdir] if run.workdir != "/" else []
    return [*found, *(["--privileged"] if run.privileged else []), *(["--read-only"] if run.read_only else []),
            *(["--detach"] if run.detach else [])]


def _written(bind: Bind) -> str:
    return ":".join([bind.source, bind.target, ",".join(["ro" if bind.read_only else "rw", bind.propagation])])
