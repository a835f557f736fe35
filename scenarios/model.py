"""Case YAML → Case: one field report, the machine it happened on, what was typed, what must be seen."""

import difflib
import os
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from nvsim import document, profile
from nvsim.ctl import verbs
from nvsim.ctl.verbs import Action
from nvsim.errors import NvsimError
from nvsim.profile import Profile
from scenarios import checks, request, request_forms, toml
from scenarios.fields import Fields, describe, load, mapping_of, nearest, path_of, text_of, texts_of

CASES = Path(__file__).resolve().parent / "cases"
MODES = ("legacy", "cdi", "jit-cdi", "csv", "auto")
LEVELS = ("spec", "container", "engine")
ENGINES = checks.ENGINES
STEPS = ("run", "compose", "pod", "exec", "host", "ctl")
CGROUPS = ("host", "v1", "v2")

KEYS = ("about", "report", "affected", "fixed", "host", "config", "mode", "modes", "image", "before", "engines",
        "levels", "cgroup", "steps")
IMAGE_KEYS = ("base", "env", "command", "files", "links", "libraries", "folders", "ldconfig", "remove")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The image of a case: a base from images/*.yaml, and what the reporter's image had on top of it.

    They are applied in this order: folders, files, links, libraries (smallest valid shared objects, path → SONAME),
    `ldconfig` (the image's own cache is written anew), remove.  So a cache that names removed files is stale."""

    base: str = "debian"
    env: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    libraries: tuple[tuple[str, str], ...] = ()
    folders: tuple[str, ...] = ()
    ldconfig: bool = False
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Only:
    """Where a case makes sense: on `names` alone (empty: everywhere), but not on `excluded`."""

    names: tuple[str, ...] = ()
    because: str = ""
    excluded: tuple[str, ...] = ()

    def refuses(self, name: str) -> str:
        """Why a name is not among them, "" if it is."""
        if name in self.excluded:
            return f"not {name}: {self.because}"
        return "" if not self.names or name in self.names else f"only {', '.join(self.names)}: {self.because}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was done, and what must be seen then."""

    kind: Literal["run", "exec", "host", "ctl"]
    line: str
    run: request.Run | None = None
    execute: request.Exec | None = None
    change: Action | None = None
    expect: checks.Expect = field(default_factory=checks.Expect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One field report in one mode.  `name` is FAMILY/FILE, with @MODE if the file asks for several modes."""

    name: str
    path: str
    about: str
    steps: tuple[Step, ...]
    host: Profile
    report: str = ""
    affected: str = ""
    fixed: str = ""
    config: dict[str, object] = field(default_factory=dict)
    mode: str = ""
    image: Image | None = None
    before: tuple[str, ...] = ()
    engines: Only = field(default_factory=Only)
    levels: Only = field(default_factory=Only)
    cgroup: str = "host"

    @property
    def family(self) -> str:
        """The folder of the case: one of the families of field reports."""
        return self.name.rpartition("/")[0]

    @property
    def word(self) -> str:
        """What names this case on a command line: a case that does not come with nvsim goes by its file."""
        return self.name if self.family else self.path + (f"@{self.mode}" if "@" in self.name else "")


def parse(text: str | bytes, source: str, name: str = "case") -> tuple[Case, ...]:
    """The cases of one file: one, or one per mode.

    Raises NvsimError with file, key and nearest known key."""
    fields = Fields(load(text, source), source, KEYS)
    modes = fields.texts("modes") or fields.texts("mode") or ("",)
    for mode in modes:
        if mode and mode not in MODES:
            raise NvsimError(f"unknown mode {describe(mode)}", source=fields.at("modes"), hint=nearest(mode, MODES))
    case = Case(
        name=name, path=source, about=fields.text("about"), report=fields.text("report", ""),
        affected=fields.text("affected", ""), fixed=fields.text("fixed", ""),
        host=_host(fields, text, name),
        config=_config(fields),
        image=_image(fields.any("image"), fields.at("image")) if "image" in fields else None,
        before=fields.texts("before"),
        engines=_only(fields, "engines", ENGINES), levels=_only(fields, "levels", LEVELS),
        cgroup=_one_of(fields, "cgroup", CGROUPS, "host"),
        steps=tuple(_step(item, at) for item, at in fields.items("steps")))
    if not case.steps:
        raise NvsimError("a case needs at least one step", source=fields.at("steps"))
    several = "modes" in fields
    return tuple(replace(case, mode=mode, name=f"{name}@{mode}" if several else name) for mode in modes)


def _one_of(fields: Fields, key: str, known: tuple[str, ...], default: str) -> str:
    value = fields.text(key, default)
    if value not in known:
        raise NvsimError(f"unknown value {describe(value)}", source=fields.at(key), hint=nearest(value, known))
    return value


def _config(fields: Fields) -> dict[str, object]:
    config = fields.mapping("config")
    toml.dumps(config, fields.at("config"))  # raises for what config.toml cannot hold
    return config


def _only(fields: Fields, key: str, known: tuple[str, ...]) -> Only:
    if key not in fields:
        return Only()
    inner = Fields(fields.any(key), fields.at(key), ("only", "not", "because"))
    if ("only" in inner) == ("not" in inner):
        raise NvsimError("expected one of 'only' and 'not'", source=fields.at(key),
                         hint=f"{key}: {{only: [{known[0]}], because: …}}")
    word = "only" if "only" in inner else "not"
    names = inner.texts(word)
    for name in names:
        if name not in known:
            raise NvsimError(f"unknown value {describe(name)}", source=inner.at(word), hint=nearest(name, known))
    because = inner.text("because")
    return Only(names=names, because=because) if word == "only" else Only(excluded=names, because=because)


def _host(fields: Fields, text: str | bytes, name: str) -> Profile:
    """A profile's name, {profile: NAME, …what differs…}, or a profile in place."""
    if "host" not in fields:
        raise NvsimError("'host' is missing", source=fields.source, hint="name a profile: nvsim list profiles")
    plain = document.read(text, fields.source)  # profiles keep scalars as text: driver 510.10 is not 510.1
    value = plain["host"] if isinstance(plain, dict) else ""
    if isinstance(value, str) and value not in profile.names():
        raise NvsimError(f"unknown profile {describe(value)}", source=fields.at("host"),
                         hint=nearest(value, profile.names()))
    return profile.of(value, fields.at("host"), name=name)


def _image(value: object, source: str) -> Image:
    if not isinstance(value, dict):
        return Image(base=text_of(value, source))
    return parse_image(value, source)


def parse_image(value: object, source: str, extra: tuple[str, ...] = ()) -> Image:
    """An image's description; `extra` are keys that the caller reads itself."""
    fields = Fields(value, source, (*IMAGE_KEYS, *extra))

    def pairs(key: str) -> tuple[tuple[str, str], ...]:
        return tuple((path_of(k, fields.at(key)), text_of(v, f"{fields.at(key)}.{k}"))
                     for k, v in fields.mapping(key).items())

    env = fields.mapping("env")
    return Image(
        base=fields.text("base", "debian"), command=fields.texts("command"), files=pairs("files"), links=pairs("links"),
        libraries=pairs("libraries"), ldconfig=fields.flag("ldconfig"),
        env=tuple((k, text_of(v, f"{fields.at('env')}.{k}")) for k, v in env.items()),
        folders=tuple(path_of(p, fields.at("folders")) for p in fields.texts("folders")),
        remove=tuple(path_of(p, fields.at("remove")) for p in fields.texts("remove")))


def _step(value: object, source: str) -> Step:
    fields = Fields(value, source, (*STEPS, "expect"))
    kinds = [kind for kind in STEPS if kind in fields]
    if len(kinds) != 1:
        raise NvsimError(f"a step is exactly one of {', '.join(STEPS)}; got {' and '.join(kinds) or 'none'}",
                         source=source)
    expect = checks.parse(fields.any("expect", {}), fields.at("expect"))
    kind = kinds[0]
    if kind == "ctl":
        change = _change(fields.any("ctl"), fields.at("ctl"))
        return Step(kind="ctl", line=f"ctl {describe(fields.any('ctl'))}", change=change, expect=expect)
    if kind in ("compose", "pod"):
        name, run = request_forms.parse_compose(fields.any(kind), fields.at(kind)) if kind == "compose" else \
            ("", request_forms.parse_pod(fields.any(kind), fields.at(kind)))
        return Step(kind="run", line=f"{kind} {name or run.image}", run=run, expect=expect)
    line, at = fields.text(kind), fields.at(kind)
    if kind == "run":
        return Step(kind="run", line=line, run=request.parse_run(line, at), expect=expect)
    if kind == "exec":
        return Step(kind="exec", line=line, execute=request.parse_exec(line, at), expect=expect)
    return Step(kind="host", line=line, expect=expect)


def _change(value: object, source: str) -> Action:
    """A line as `nvsim ctl` takes it, or {gpu: INDEX, NAME: NUMBER, …}, which sets values."""
    if isinstance(value, dict) and "gpu" not in value:
        raise NvsimError("'gpu' is missing", source=source, hint="{gpu: 0, temperature: 80}, or xid gpu=0 79")
    try:
        words = shlex.split(value) if isinstance(value, str) else [
            "set", *(f"{key}={number}" for key, number in mapping_of(value, source).items())]
        action = verbs.parse(words)
    except ValueError as e:
        raise NvsimError(f"not a command line: {e}", source=source) from e
    except NvsimError as e:
        raise e.within(source) from e
    if verbs.endless(action):
        raise NvsimError("a change that goes on has no place in a case", source=source,
                         hint="load gpu=0 training at=60s, process add without until=")
    return action


def load_file(path: str, name: str = "") -> tuple[Case, ...]:
    """The cases of one file; raises NvsimError if it cannot be read."""
    try:
        content = Path(path).read_bytes()
    except OSError as e:
        raise NvsimError(f"cannot read the case: {e.strerror}", source=path) from e
    return parse(content, path, name or Path(path).stem)


def cases() -> tuple[Case, ...]:
    """Every case below cases/, by name.  A new file is found by itself."""
    found: list[Case] = []
    for path in sorted(CASES.glob("*/*.yaml")):
        found += load_file(str(path), f"{path.parent.name}/{path.stem}")
    return tuple(found)


def select(words: tuple[str, ...]) -> tuple[Case, ...]:
    """The cases that words name: a file (with or without @MODE), a case (with or without family and @MODE), or a
    report such as toolkit#48.

    Raises NvsimError for a word that names none, with the nearest name."""
    known = cases()
    if not words:
        return known
    chosen: dict[str, Case] = {}
    for word in words:
        path, _, mode = word.partition("@")
        if path.endswith((".yaml", ".yml")) and os.path.exists(path):
            hits = tuple(case for case in load_file(path) if mode in ("", case.mode))
        else:
            hits = tuple(case for case in known if _named(case, word))
        if not hits:
            names = {part for case in known for part in (case.name, case.name.rpartition("/")[2])}
            close = difflib.get_close_matches(word, sorted(names), n=1, cutoff=0.5)
            raise NvsimError(f"no case named {describe(word)}", source="nvsim run",
                             hint=f"did you mean {close[0]!r}?" if close else "nvsim list cases shows what there is")
        chosen |= {f"{case.path}@{case.mode}": case for case in hits}
    return tuple(chosen.values())


def _named(case: Case, word: str) -> bool:
    plain = case.name.partition("@")[0]
    reports = texts_of(case.report, "report") if case.report else ()
    return word in (case.name, plain, case.name.rpartition("/")[2], plain.rpartition("/")[2]) or any(
        word == r or r.endswith((f"/{word}", f"-{word}")) for r in reports)
