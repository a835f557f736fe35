"""A CDI hook's container: the state it gets, the root directory that follows.

Source: toolkit v1.20, internal/oci/state.go (reference: 08-cdi-hook, §2).
"""

import os

from toolkit.errors import SpecError
from toolkit.gather.bundle import config_path, parse_json, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read_container_root(state_path: str) -> str:
    """The container's root directory on the host, from the state in a file; "" or "-" is stdin.

    Only `bundle` counts in the state, only `root.path` in that bundle's config.json; without `root` it is the bundle.
    Raises SpecError with upstream's text."""
    try:
        state = _object(parse_json(_read(state_path)), "State")
        bundle = _text(state, "bundle", "State.bundle")
    except SpecError as e:
        decoding = "" if e.message.startswith("failed to open file") else "failed to decode container state: "
        raise SpecError(f"failed to load container state: {decoding}{e.message}", hint=e.hint) from None
    try:
        data = read_file(config_path(bundle))
    except SpecError as e:
        raise SpecError(f"failed to determined container root: failed to open OCI spec file: {e.message}",
                        hint=e.hint) from None
    try:
        root = _object(parse_json(data), "minimalSpec").get("root")
        path = "" if root is None else _text(_object(root, "minimalSpec.root"), "path", "minimalSpec.root.path")
    except SpecError as e:
        raise SpecError(f"failed to determined container root: failed to load minimal OCI spec: {e.message}",
                        hint=e.hint) from None
    return path if path.startswith("/") else os.path.normpath(os.path.join(bundle, path)) if bundle or path else ""


def _read(path: str) -> bytes:
    if path in ("", "-"):
        content = b""
        try:
            while more := os.read(0, 1 << 16):
                content += more
        except OSError as e:
            raise SpecError(f"failed to open file: read stdin: {os.strerror(e.errno or 0).lower()}",
                            hint="the low-level runtime passes the state on stdin") from None
        return content
    try:
        return read_file(path)
    except SpecError as e:
        raise SpecError(f"failed to open file: {e.message}",
                        hint="the low-level runtime passes the state on stdin") from None


def _object(value: "Any", name: str) -> "dict[str, Any]":
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SpecError(f"json: cannot unmarshal {_kind(value)} into Go value of type {name}")
    return value


def _text(values: "dict[str, Any]", key: str, name: str) -> str:
    value = values.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise SpecError(f"json: cannot unmarshal {_kind(value)} into Go struct field {name} of type string")
    if "\0" in value:
        raise SpecError(f"{name}: a path cannot hold a NUL character")
    return value


def _kind(value: "Any") -> str:
    return {bool: "bool", str: "string", list: "array", dict: "object"}.get(type(value), "number")
