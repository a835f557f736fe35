"""The reporter's command lines, each with what followed it, and what a case can do of them.

A container that a later `docker exec` looks into is started with -d and sleeps; all others run their command.
"""

import re
import shlex
from dataclasses import dataclass

from nvsim.errors import NvsimError
from scenarios import images, request
from scenarios.draft.scrub import Scrub

_LINE = re.compile(r"^\s*(?:[^`\n]{0,80}?[$#%>]\s+|`)?((?:sudo\s+)?(?:time\s+)?(?:[A-Z_]+=\S+\s+)*"
                   r"(?:docker|podman|nerdctl)\s+(?:--\S+\s+)*(?:container\s+)?(?:run|exec)\s.*)$")
_GENERATE = re.compile(r"nvidia-ctk (?:-\S+ )*cdi generate .*--output[= ](/\S+\.(?:yaml|json))")
# Flags of docker run and podman run that take no value and change nothing that a case can see.
_SWITCHES = frozenset({"-P", "--publish-all", "-q", "--quiet", "--no-healthcheck", "--sig-proxy", "--oom-kill-disable",
                       "--disable-content-trust", "--replace", "--rmi", "--tls-verify", "--no-hosts", "--http-proxy"})
_LONGEST = 8000  # characters of a command
_SYSTEM = ("/dev", "/etc", "/lib", "/lib64", "/opt", "/proc", "/run", "/sys", "/tmp", "/usr", "/var/run")
_VARIABLES = re.compile(r"(?:NVIDIA|CUDA)_\w+|LD_LIBRARY_PATH|LD_PRELOAD|PATH")
_PROGRAMS = ("nvidia-smi", "bash", "sh", "ls", "cat", "ldconfig", "true", "sleep", "id", "echo", "stat",
             "/bin/bash", "/bin/sh")
NAME = "reported"
_CUDA = re.compile(r"cuda|torch|tensorflow|tritonserver|vllm|ollama|nvcr|jax|rapids|deepstream|nemo|k8s-samples")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One `docker run` or `docker exec` line as it was typed, and the text up to the next command.

    `why` says what it stands for where nobody typed it."""

    line: str
    output: str = ""
    why: str = ""

    @property
    def execs(self) -> bool:
        """Whether it looks into a container that runs."""
        return bool(re.search(r"(?:docker|podman|nerdctl)\s+(?:--\S+\s+)*(?:container\s+)?exec\s", self.line))


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The line as a case takes it.  `left_out` are flags that it cannot take, `assumed` what stands for something else;
    `base` is the image that stands for one that cases do not have, `cuda` the CUDA version in the image's tag."""

    line: str
    image: str
    base: str
    cuda: str = ""
    left_out: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


def find(text: str) -> tuple[Command, ...]:
    """Every `docker run` and `docker exec` line of a text, joined where a backslash ends it.

    The same line twice counts once, with the output of both."""
    lines = text.split("\n")
    found: dict[str, str] = {}
    at = 0
    while at < len(lines):
        start = _LINE.match(lines[at])
        at += 1
        if not start:
            continue
        line = start[1].strip().rstrip("`")
        while line.endswith("\\") and at < len(lines) and len(line) < _LONGEST:
            line = f"{line[:-1].rstrip()} {lines[at].strip()}"
            at += 1
        end = next((i for i in range(at, len(lines)) if _is_command(lines[i])), len(lines))
        found[line] = found.get(line, "") + "\n".join(lines[at:end]) + "\n"
    return tuple(Command(line=line, output=output) for line, output in found.items())


def _is_command(line: str) -> bool:
    if _LINE.match(line):
        return True
    prompt = re.match(r"^\s*(?:[\w.@~:/\[\]() -]{0,80}?)[$#]\s+\S", line)
    return bool(prompt) and not line.lstrip().startswith("#")


def generated(text: str) -> str:
    """The file that the reporter had `nvidia-ctk cdi generate` write, "" if none is named."""
    found = _GENERATE.search(text)
    return found[1] if found and found[1].startswith(("/etc/cdi/", "/var/run/cdi/", "/run/cdi/")) else ""


def executed(line: str, scrub: Scrub) -> tuple[str, tuple[str, ...]] | None:
    """A `docker exec` line for the container NAME, and what is assumed; None if it is no such line."""
    try:
        words = shlex.split(_first(line))
        engine = next(i for i, word in enumerate(words) if word in request.ENGINES)
        _, _, rest = _flags(words[words.index("exec", engine) + 1:])
    except (ValueError, StopIteration):
        return None
    if len(rest) < 2:
        return None
    program, assumed = _program(rest[1:], scrub)
    return " ".join([words[engine], "exec", NAME, *program]), assumed


def _first(line: str) -> str:
    """The first command of a line of the shell."""
    return re.split(r" (?:\d?>|\||&&|;)", line, maxsplit=1)[0]


def accepted(line: str, scrub: Scrub, *, default_runtime: str = "", stays: bool = False) -> Accepted | None:
    """A line with the flags that a case knows, and a program that is there; None if it is no such line.

    `stays`: the container is NAME and goes on."""
    try:
        words = shlex.split(_first(line))
        engine = next(i for i, word in enumerate(words) if word in request.ENGINES)
        run = words.index("run", engine)
        kept, left_out, rest = _flags(words[run + 1:])
    except (ValueError, StopIteration):
        return None
    if not rest or not re.fullmatch(r"[\w./:@-]+", rest[0]):
        return None
    if default_runtime and not any(flag.startswith(("--runtime", "--gpus")) for flag, *_ in kept):
        kept.append(["--runtime", default_runtime])
    image, base = _image(rest[0])
    program, assumed = (["sleep", "100"], ()) if stays else _program(rest[1:], scrub)
    first = ["-d", "--name", NAME] if stays else ["--rm"]
    text = " ".join([words[engine], "run", *first, *(_quoted(pair, scrub) for pair in kept), image, *program])
    try:
        request.parse_run(text, "the report")
    except NvsimError:
        return None
    cuda = re.match(r"\S*\bcuda:(\d+\.\d+(?:\.\d+)?)(?:-|$)", rest[0])
    return Accepted(line=text, image=image, base=base, cuda=cuda[1] if cuda else "", assumed=assumed,
                    left_out=tuple(dict.fromkeys(left_out)))


def _flags(words: list[str]) -> tuple[list[list[str]], list[str], list[str]]:
    """Flags that a case takes, with their values; names of those that it does not; the words from the image on."""
    kept: list[list[str]] = []
    left_out: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-"):
        flag, joined, value = rest.pop(0).partition("=")
        name = request.SWITCHES.get(flag)
        if name is not None or flag in _SWITCHES or re.fullmatch(r"-[itdP]{2,4}", flag):
            if name in ("privileged", "read_only") and value != "false":
                kept.append([flag])
            continue
        if not joined and rest and (flag in request.VALUES or not rest[0].startswith("-")):
            value = rest.pop(0)
        if flag in request.VALUES and _takes(request.VALUES[flag], value):
            kept.append([flag, value])
        elif request.VALUES.get(flag, "x") not in ("", "name"):
            left_out.append(flag)
    return kept, left_out, rest


def _takes(name: str, value: str) -> bool:
    """Whether a value can be in a case: it tells nothing of the reporter, and the emulated machine has it."""
    if name == "env":
        return bool(_VARIABLES.fullmatch(value.partition("=")[0])) and "=" in value
    if name == "volume":
        parts = value.split(":")
        system = f"{parts[0]}/".startswith(tuple(f"{folder}/" for folder in _SYSTEM))
        return len(parts) in (2, 3) and system and parts[1].startswith("/")
    if name == "mount":
        return "type=bind" in value and bool(re.search(rf"(?:source|src)=(?:{'|'.join(_SYSTEM)})(?:/|,)", value))
    if name == "device":
        return bool(request.CDI_NAME.fullmatch(value))
    if name == "runtime":
        return value.rpartition("/")[2] in (*request.RUNTIMES, *request.RUNTIMES.values(), "runc", "crun")
    if name == "user":
        return bool(re.fullmatch(r"\d{1,9}(?::\d{1,9})?", value))
    if name in ("gpus", "cap_add", "workdir"):
        return True
    return name == "annotation" and "=" in value


def _image(reference: str) -> tuple[str, str]:
    """The image's last name with its tag, and the base that stands for it, "" if cases have it."""
    plain = reference.partition("@")[0].rpartition("/")[2]
    name = request.image_name(reference)
    if any(name in (base.name, *base.names) for base in images.bases().values()):
        return plain, ""
    if name == "alpine":
        return plain, "busybox"
    return plain, "cuda" if _CUDA.search(reference.lower()) else "debian"


def _program(words: list[str], scrub: Scrub) -> tuple[list[str], tuple[str, ...]]:
    """The command in the container; a program that the images do not have gives way to nvidia-smi."""
    if words and words[0] in _PROGRAMS:
        return [shlex.quote(scrub.clean(word)) for word in words], ()
    return ["nvidia-smi"], ("nvidia-smi runs in place of the image's own program",)


def _quoted(pair: list[str], scrub: Scrub) -> str:
    return " ".join([pair[0], *(shlex.quote(scrub.clean(value)) for value in pair[1:])])
