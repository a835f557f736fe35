"""How each word of `expect:` is read and compared.  `checks.py` holds the table; docs/cases.md explains each."""

from collections.abc import Iterable
from typing import Any

from nvsim.errors import NvsimError
from scenarios import match
from scenarios.fields import Fields, describe, mapping_of, nearest, path_of, text_of, texts_of
from scenarios.match import Items, Text
from scenarios.outcome import NOT_STARTED, File, Outcome

RIGHTS = ("rw", "denied", "missing")
STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
KINDS = ("file", "dir", "link", "char", "block", "socket", "fifo", "missing")
MOUNT_KEYS = ("options", "fstype", "source")
parse_text = match.parse_text


# exit: N, or {not: N}

def parse_exit(value: object, source: str) -> tuple[str, int]:
    if isinstance(value, dict):
        return "not", _exit_code(Fields(value, source, ("not",)).any("not"), f"{source}.not")
    return "is", _exit_code(value, source)


def _exit_code(value: object, source: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
        raise NvsimError(f"expected a number from 0 to 255, got {describe(value)}", source=source)
    return value


def allows(expected: tuple[str, int], code: int) -> bool:
    """Whether an exit code is as expected."""
    return (code == expected[1]) == (expected[0] == "is")


def exit_differs(expected: tuple[str, int], seen: Outcome) -> str | None:
    if seen.exit is None:
        # A level that runs nothing still knows whether the toolkit lets the container start.
        return "expected the container not to start, but nothing stops it" \
            if expected == ("is", NOT_STARTED) and seen.level == "spec" else None
    if allows(expected, seen.exit):
        return ""
    said = (seen.stderr or "").strip()
    return f"expected {'anything but ' if expected[0] == 'not' else ''}{expected[1]}, got {seen.exit}" + \
        (f"\nstderr: {match.shortened(said)}" if said else "")


# stdout, stderr, log: a text

def stdout_differs(expected: Text, seen: Outcome) -> str | None:
    return None if seen.stdout is None else expected.differs(seen.stdout)


def stderr_differs(expected: Text, seen: Outcome) -> str | None:
    return None if seen.stderr is None else expected.differs(seen.stderr)


def log_differs(expected: Text, seen: Outcome) -> str | None:
    return None if seen.log is None else expected.differs(seen.log)


# gpus, cuda: host indices, GPU:NUMBER for a MIG device, UUIDs or "all"

def parse_gpus(value: object, source: str) -> Items:
    return match.parse_items(value, source)


def gpus_differ(expected: Items, seen: Outcome) -> str | None:
    return None if seen.gpus is None else _uuids_differ(expected, seen.gpus, seen)


def cuda_differ(expected: Items, seen: Outcome) -> str | None:
    """The probe puts GPU- before the bytes that CUDA gives; UUIDs of a Jetson's own GPU have none in NVML."""
    if seen.cuda is None:
        return None
    bare = {f"GPU-{uuid}": uuid for uuid in seen.host_gpus}
    return _uuids_differ(expected, tuple(bare.get(uuid, uuid) for uuid in seen.cuda), seen)


def _uuids_differ(expected: Items, found_uuids: tuple[str, ...], seen: Outcome) -> str:
    names = {str(index): uuid for index, uuid in enumerate(seen.host_gpus)}
    names |= {name: uuid for name, (uuid, _) in seen.host_migs.items()}

    def resolved(words: tuple[str, ...]) -> tuple[str, ...]:
        found: list[str] = []
        for word in words:
            found += _every_gpu(seen) if word == "all" else (names.get(word, word),)
        return tuple(_gpu_name(uuid, seen) for uuid in found)

    items = Items(exact=None if expected.exact is None else resolved(expected.exact),
                  contains=resolved(expected.contains), lacks=resolved(expected.lacks), matches=expected.matches)
    return items.differs(tuple(_gpu_name(uuid, seen) for uuid in found_uuids))


def _every_gpu(seen: Outcome) -> tuple[str, ...]:
    """All GPUs of the host; MIG devices in the place of those that have some."""
    parents = {parent for _, parent in seen.host_migs.values()}
    return (*(gpu for gpu in seen.host_gpus if gpu not in parents), *(uuid for uuid, _ in seen.host_migs.values()))


def _gpu_name(uuid: str, seen: Outcome) -> str:
    mig = next((name for name, (own, _) in seen.host_migs.items() if own == uuid), "")
    if mig:
        return f"MIG {mig} ({uuid})"
    return f"GPU {seen.host_gpus.index(uuid)} ({uuid})" if uuid in seen.host_gpus else uuid


# devices: a list (exactly these, all usable), or path → rw | denied | missing

def parse_devices(value: object, source: str) -> Items | dict[str, str]:
    if not isinstance(value, dict) or set(value) & set(match.FORMS):
        return match.parse_items(value, source)
    found = {}
    for path, right in mapping_of(value, source).items():
        found[path_of(path, source)] = word = text_of(right, f"{source}.{path}")
        if word not in RIGHTS:
            raise NvsimError(f"unknown right {describe(word)}", source=f"{source}.{path}", hint=nearest(word, RIGHTS))
    return found


def devices_differ(expected: Items | dict[str, str], seen: Outcome) -> str | None:
    if seen.devices is None:
        return None
    if isinstance(expected, Items):
        return expected.differs(tuple(path for path, right in seen.devices.items() if right == "rw"))
    return _lines(f"{path}: expected {right}, got {seen.devices.get(path, 'missing')}"
                  for path, right in expected.items() if seen.devices.get(path, "missing") != right)


# mounts: a list (contained), or target → present | missing | {options, fstype, source}

def parse_mounts(value: object, source: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path_of(path, source): "present" for path in texts_of(value, source)}
    found: dict[str, Any] = {}
    for path, what in mapping_of(value, source).items():
        at = f"{source}.{path}"
        if isinstance(what, dict):
            own = Fields(what, at, MOUNT_KEYS)
            found[path_of(path, source)] = {key: _mount_form(key, own) for key in MOUNT_KEYS if key in own}
        else:
            found[path_of(path, source)] = _presence(what, at)
    return found


def _mount_form(key: str, fields: Fields) -> Items | Text:
    """A list of options means that these are among them: a kernel adds more."""
    value = fields.any(key)
    if key != "options":
        return match.parse_text(value, fields.at(key))
    return match.parse_items({"contains": value} if isinstance(value, list) else value, fields.at(key))


def _presence(value: object, source: str) -> str:
    if value not in ("present", "missing"):
        raise NvsimError(f"expected present, missing or a mapping, got {describe(value)}", source=source)
    return str(value)


def mounts_differ(expected: dict[str, Any], seen: Outcome) -> str | None:
    if seen.mounts is None:
        return None
    lines = []
    for path, what in expected.items():
        mount = seen.mounts.get(path)
        if isinstance(what, str):
            if (mount is not None) != (what == "present"):
                lines.append(f"{path}: expected {what}, got {'missing' if mount is None else 'present'}")
        elif mount is None:
            lines.append(f"{path}: expected a mount, got none")
        else:
            texts = {key: form.differs(getattr(mount, key)) for key, form in what.items()}
            lines += [f"{path}: {key}: {text}" for key, text in texts.items() if text]
    return "\n".join(lines)


# links, environment, libraries: name → text | missing

def parse_texts(value: object, source: str) -> dict[str, Text | None]:
    """The form of each name; None means missing."""
    return {name: None if what == "missing" else match.parse_text(what, f"{source}.{name}")
            for name, what in mapping_of(value, source).items()}


def _named(expected: dict[str, Text | None], got: dict[str, str]) -> str:
    lines = []
    for name, form in expected.items():
        if name not in got:
            lines += [] if form is None else [f"{name}: expected {_form(form)}, got nothing"]
        elif form is None:
            lines.append(f"{name}: expected missing, got {got[name]!r}")
        elif text := form.differs(got[name]):
            lines.append(f"{name}: {text}")
    return "\n".join(lines)


def _form(form: Text) -> str:
    return repr(form.exact) if form.exact is not None else ", ".join((*form.contains, *form.matches)) or "anything"


def environment_differs(expected: dict[str, Text | None], seen: Outcome) -> str | None:
    return None if seen.environment is None else _named(expected, seen.environment)


def libraries_differ(expected: dict[str, Text | None], seen: Outcome) -> str | None:
    return None if seen.libraries is None else _named(expected, seen.libraries)


def links_differ(expected: dict[str, Text | None], seen: Outcome) -> str | None:
    if seen.files is None:
        return None
    links = {path: f"(a {file.kind}, not a link)" if file.kind != "link" else file.link
             for path, file in seen.files.items() if file.kind != "missing"}
    return _named(expected, links)


# files: path → present | missing | KIND | {type, size, mode, uid, gid, text, sha256}

def parse_files(value: object, source: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, what in mapping_of(value, source).items():
        at = f"{source}.{path}"
        if not isinstance(what, dict):
            word = text_of(what, at)
            if word not in (*KINDS, "present"):
                raise NvsimError(f"unknown kind of file {describe(word)}", source=at, hint=nearest(word, KINDS))
            found[path_of(path, source)] = word
            continue
        own = Fields(what, at, ("type", "size", "mode", "uid", "gid", "text", "sha256"))
        found[path_of(path, source)] = {
            key: match.parse_text(own.any(key), own.at(key)) if key == "text" else own.text(key)
            for key in ("type", "size", "mode", "uid", "gid", "text", "sha256") if key in own}
    return found


def files_differ(expected: dict[str, Any], seen: Outcome) -> str | None:
    if seen.files is None:
        return None
    lines = []
    for path, what in expected.items():
        file = seen.files.get(path, File(kind="missing"))
        if isinstance(what, str):
            if file.kind != what and not (what == "present" and file.kind != "missing"):
                lines.append(f"{path}: expected {what}, got {file.kind}")
        elif file.kind == "missing":
            lines.append(f"{path}: expected a file, got nothing")
        else:
            lines += [f"{path}: {line}" for line in _file_differs(what, file)]
    return "\n".join(lines)


def _file_differs(expected: dict[str, Any], file: File) -> list[str]:
    got = {"type": file.kind, "size": str(file.size), "mode": f"{file.mode & 0o7777:04o}", "uid": str(file.uid),
           "gid": str(file.gid), "sha256": file.sha256}
    lines = [f"{key}: expected {value}, got {got[key]}" for key, value in expected.items()
             if key != "text" and got[key] != (value.zfill(4) if key == "mode" else value)]
    form = expected.get("text")
    if form and file.text is None:
        lines.append("text: not shown: the file is too large, not text, or not a file")
    elif form and (text := form.differs(file.text or "")):
        lines.append(f"text: {text}")
    return lines


# hooks: stage → command lines

def parse_hooks(value: object, source: str) -> dict[str, Items]:
    fields = Fields(value, source, STAGES)
    return {stage: match.parse_items(fields.any(stage), fields.at(stage)) for stage in STAGES if stage in fields}


def hooks_differ(expected: dict[str, Items], seen: Outcome) -> str | None:
    if seen.hooks is None:
        return None
    return _lines(f"{stage}: {text}" for stage, form in expected.items()
                  if (text := form.differs(seen.hooks.get(stage, ()))))


# spec: unchanged, or KEY.KEY[.INDEX] → value; "missing" means absent

def parse_spec(value: object, source: str) -> dict[str, Any]:
    if value == "unchanged":
        return {"": "unchanged"}
    return mapping_of(value, source)


def spec_differs(expected: dict[str, Any], seen: Outcome) -> str | None:
    if seen.spec is None:
        return None
    if expected.get("") == "unchanged":
        if seen.original is None:
            return None
        return _lines(changes(_pruned(seen.original), _pruned(seen.spec), ""))
    lines = []
    for path, value in expected.items():
        got = _at(seen.spec, path)
        if got != value and not (value == "missing" and got is None):
            lines.append(f"{path}: expected {describe(value)}, got {'nothing' if got is None else describe(got)}")
    return "\n".join(lines)


def _pruned(value: Any) -> Any:
    """A JSON value without what says nothing: a runtime that writes a spec again leaves out empty and zero members."""
    if isinstance(value, dict):
        kept = {key: _pruned(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, False, 0, "", [], {})}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return None
    return value


def changes(old: Any, new: Any, path: str) -> list[str]:
    """Where two JSON values part, as lines; lists by their members."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [line for key in [*old, *(k for k in new if k not in old)]
                for line in changes(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))]
    if isinstance(old, list) and isinstance(new, list):
        return [f"{path}: expected no {describe(item)}" for item in new if item not in old] + \
            [f"{path}: {describe(item)} is gone" for item in old if item not in new]
    return [] if old == new else [f"{path}: expected {describe(old)}, got {describe(new)}"]


# host: path → untouched | missing | present

def parse_host(value: object, source: str) -> dict[str, str]:
    found = {}
    for path, what in mapping_of(value, source).items():
        if what not in ("untouched", "missing", "present"):
            raise NvsimError(f"expected untouched, missing or present, got {describe(what)}", source=f"{source}.{path}")
        found[path_of(path, source)] = str(what)
    return found


def host_differs(expected: dict[str, str], seen: Outcome) -> str | None:
    if seen.host is None:
        return None
    lines = []
    for path, what in expected.items():
        before, after = seen.host.get(path, ("", ""))
        if what == "untouched":
            old, new = before.splitlines(), after.splitlines()
            lines += [f"{path}: changed on the host: was {line}" for line in old if line not in new]
            lines += [f"{path}: changed on the host: now {line}" for line in new if line not in old]
        elif bool(after) != (what == "present"):
            lines.append(f"{path}: expected {what} on the host, got {'present' if after else 'missing'}")
    return "\n".join(lines)


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)
