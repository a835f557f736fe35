"""Debug log and stderr lines in logrus' two formats, without `logging`.

Container engines read the runtime's log as runc's: `--log FILE --log-format json`, one object per line.  Operators grep
the text form.  Source: toolkit v1.20, internal/runtime/logger.go; logrus' text and JSON formatters.
"""

import os
import time

LEVELS = ("panic", "fatal", "error", "warning", "info", "debug", "trace")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+")
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\",
            '"': '\\"'}
_JSON = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"'}


def level_of(name: str) -> str:
    """A level by its name in any case, "warn" included; "" if there is no such level."""
    name = name.lower()
    return "warning" if name == "warn" else name if name in LEVELS else ""


def line(level: str, message: str, *, json: bool = False) -> bytes:
    """One line of the log.  `json` gives {"level":…,"msg":…,"time":…}, else time="…" level=… msg="…"."""
    now = _now()
    if json:
        text = f'{{"level":"{level}","msg":{_json_quoted(message)},"time":"{now}"}}\n'
    else:
        text = f'time="{now}" level={level} msg={_quoted(message)}\n'
    return text.encode("utf-8", "surrogateescape")


class Log:
    """Writes lines up to a level to open files; none of them: says nothing.

    A failed write is ignored: a full disk must not stop a container.
    """

    def __init__(self, *files: int, level: str = "info", json: bool = False) -> None:
        self._files, self._json = files, json
        self._last = LEVELS.index(level)

    def write(self, level: str, message: str) -> None:
        if not self._files or LEVELS.index(level) > self._last:
            return
        data = line(level, message, json=self._json)
        for file in self._files:
            try:
                os.write(file, data)
            except OSError:
                pass

    def debug(self, message: str) -> None:
        self.write("debug", message)

    def trace(self, message: str) -> None:
        self.write("trace", message)

    def info(self, message: str) -> None:
        self.write("info", message)

    def warning(self, message: str) -> None:
        self.write("warning", message)

    def error(self, message: str) -> None:
        self.write("error", message)


class Notes(Log):
    """Keeps the lines as (level, message), for `explain` and for tests."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []

    def write(self, level: str, message: str) -> None:
        self.lines.append((level, message))


def open_files(paths: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The log files, open for appending, and a warning for each that could not be opened.

    "" and /dev/null mean: no file.  Parent folders are made.
    """
    files, warnings = [], []
    for path in paths:
        if path in ("", "/dev/null"):
            continue
        try:
            if folder := os.path.dirname(path):
                os.makedirs(folder, 0o755, exist_ok=True)
            files.append(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644))
        except (OSError, ValueError) as e:
            cause = (e.strerror or "failed").lower() if isinstance(e, OSError) else "invalid argument"
            if isinstance(e, FileExistsError):  # a parent folder that is a file, in Go's words
                cause = "not a directory"
            name = e.filename if isinstance(e, OSError) and e.filename else path
            warnings.append(f"Failed to open log file: {'open' if name == path else 'mkdir'} {name}: {cause}")
    return tuple(files), tuple(warnings)


def _now() -> str:
    """The time as RFC 3339 with whole seconds, in the local time zone."""
    zone = time.strftime("%z")
    return time.strftime("%Y-%m-%dT%H:%M:%S") + ("Z" if zone == "+0000" else zone[:3] + ":" + zone[3:])


def _quoted(text: str) -> str:
    """As logrus prints a value: bare if it is one plain word, else quoted as Go's %q."""
    if text and _PLAIN.issuperset(text):
        return text
    out = []
    for character in text:
        if character in _ESCAPES:
            out.append(_ESCAPES[character])
        elif character.isprintable():
            out.append(character)
        else:
            out.append(_escaped(ord(character)))
    return '"' + "".join(out) + '"'


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode keeps it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_quoted(text: str) -> str:
    out = []
    for character in text:
        if character in _JSON:
            out.append(_JSON[character])
        elif character in "<>&\u2028\u2029" or character < " ":
            out.append(f"\\u{ord(character):04x}")
        else:
            out.append("\ufffd" if "\ud800" <= character <= "\udfff" else character)
    return '"' + "".join(out) + '"'
