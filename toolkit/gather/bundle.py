"""config.json of a bundle and the state on a hook's stdin, as JSON values.  Source: toolkit v1.20, internal/oci."""

import os

from toolkit.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import json
    from typing import Any

_CAUSES = (  # Python's words for a syntax error → Go's, which operators know
    ("Expecting value", "looking for beginning of value"),
    ("Expecting property name", "looking for beginning of object key string"),
    ("Illegal trailing comma", "looking for beginning of object key string"),
    ("Expecting ':'", "after object key"),
    ("Expecting ','", "after object key:value pair or array element"),
    ("Invalid control character", "in string literal"),
    ("Invalid \\", "in string escape code"),
)


def config_path(bundle: str) -> str:
    """Where the configuration of a bundle lies; "" is the current folder."""
    return os.path.normpath(os.path.join(bundle, "config.json"))


def read_file(path: str) -> bytes:
    """The bytes of a file.  Raises SpecError with Go's text, e.g. "open /b/config.json: no such file or directory"."""
    try:
        with open(path, "rb") as f:
            return f.read()
    except (OSError, ValueError) as e:
        cause = os.strerror(e.errno).lower() if isinstance(e, OSError) and e.errno else "invalid argument"
        verb = "read" if isinstance(e, IsADirectoryError) else "open"
        raise SpecError(f"{verb} {path}: {cause}", source=path,
                        hint="the engine writes config.json into the bundle before it calls the runtime") from None


def parse_json(data: bytes) -> "Any":
    """The first JSON value of a document; what follows it is ignored, bytes that are not UTF-8 become U+FFFD.

    Raises SpecError with the text of Go's decoder.
    """
    text = data.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise SpecError("EOF", hint="the document is empty")
    try:
        return _scanned(text)
    except Exception:  # json says what is wrong, and reads what this Python's scanner cannot
        import json
    try:
        return json.JSONDecoder(parse_constant=_constant).raw_decode(text)[0]
    except RecursionError:
        raise SpecError("exceeded max depth", hint="no configuration is nested that deeply") from None
    except json.JSONDecodeError as e:
        raise _syntax_error(e, text) from None
    except ValueError as e:  # a constant, or a number with thousands of digits
        raise SpecError(str(e)) from None


def _constant(name: str) -> None:
    raise ValueError(f"invalid character '{name.lstrip('-')[0]}' looking for beginning of value")


def _scanned(text: str) -> "Any":
    """What `json` makes of a text, by the scanner in C that is below it.  The import of `json` takes a hook as long as
    all else that it does."""
    from _json import make_scanner

    options: Any = _Options
    return make_scanner(options)(text, 0)[0]


class _Options:
    """Those of json.JSONDecoder, as the scanner asks for them."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = staticmethod(_constant)


def _syntax_error(e: "json.JSONDecodeError", text: str) -> SpecError:
    if e.pos >= len(text) or e.msg.startswith("Unterminated"):
        return SpecError("unexpected EOF", hint="the document ends in the middle")
    cause = next((go for python, go in _CAUSES if e.msg.startswith(python)), e.msg)
    shown = {"'": "\\'", "\n": "\\n", "\t": "\\t"}.get(text[e.pos], text[e.pos])
    return SpecError(f"invalid character '{shown}' {cause}", source=f"line {e.lineno}, column {e.colno}",
                     hint="correct the document: it is not JSON there")
