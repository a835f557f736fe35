"""What runtimes leave in a bundle: log.json and the edited config.json."""

import json
import os
import posixpath
import re
from typing import Any

_LOGRUS = re.compile(r'time="[^"]*" level=(\w+) msg=("(?:[^"\\]|\\.)*")')
KERNEL_HOOK = "nvsim-kernel"  # the machine's own: it stands for a kernel with the driver, no toolkit put it there
DOCKER_HOOK = "libnetwork-setkey"  # by this name dockerd calls itself as a hook, in every container


def _lines(path: str) -> list[tuple[str, str]]:
    """(level, message) of each line of a log in runc's JSON form; other lines as they are."""
    return [_entry(line) for line in text(path).splitlines()]


def text(path: str) -> str:
    """The text of a file, "" if there is none."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def _entry(line: str) -> tuple[str, str]:
    """Level and message of a log line in logrus' text or JSON form; ("", line) for any other line."""
    found = _LOGRUS.fullmatch(line)
    try:
        entry = {"level": found[1], "msg": json.loads(found[2])} if found else json.loads(line)
        level, message = str(entry["level"]), str(entry["msg"])
    except (ValueError, TypeError, KeyError):
        return "", line
    return _entry(message) if message.startswith('{"msg":') else (level, message)  # crun wraps one in another


def _plain(entry: tuple[str, str]) -> str:
    return ": ".join(part for part in entry if part)


def read(path: str) -> str:
    """The messages of a log, one per line, as "LEVEL: MESSAGE"."""
    return "".join(f"{_plain(entry)}\n" for entry in _lines(path))


def with_errors(said: str, path: str) -> str:
    """What was said on stderr, log lines as "LEVEL: MESSAGE", and the errors that were only logged: an engine shows
    both to its user."""
    lines = [_LOGRUS.sub(_embedded, _plain(_entry(line))) for line in said.splitlines()]
    logged = [_plain(entry) for entry in _lines(path) if entry[0] in ("error", "fatal")]
    return "".join(f"{line}\n" for line in dict.fromkeys([*lines, *logged]))


def _embedded(found: re.Match[str]) -> str:
    """A log line that an engine put into its own message: podman and dockerd quote what a runtime wrote on stderr."""
    return _plain(_entry(found[0]))


def hooks_of(spec: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The command line of each hook by stage, the program without its folder."""
    return {stage: tuple(" ".join([posixpath.basename(h["path"]), *h.get("args", [])[1:]]) for h in hooks)
            for stage, hooks in (spec.get("hooks") or {}).items()}


def without_kernel(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec without the hook that the emulated machine puts first, and dockerd's own."""
    hooks = spec.get("hooks") or {}
    kept = {stage: [h for h in found if posixpath.basename(h.get("path", "")) != KERNEL_HOOK
                     and (h.get("args") or [""])[0] != DOCKER_HOOK]
            for stage, found in hooks.items()}
    kept = {stage: found for stage, found in kept.items() if found}
    rest = {key: value for key, value in spec.items() if key != "hooks"}
    return {**rest, "hooks": kept} if kept else rest
