"""An OCI configuration between JSON's values and ours, by the field tables.

`checked` is what Go's decoder does to a document: field names match in any case, a wrong type or an unknown field is
an error, null is absence.  `rendered` is its encoder: fields in the order of the structure, empty optional ones left
out, required ones filled in.  Between the two the configuration stays a plain dict.
Source: toolkit v1.20, internal/oci/spec_file.go; Go's encoding/json.
"""

import json
from typing import Any

from toolkit.errors import SpecError
from toolkit.plan.oci_fields import fields, in_range

Json = Any
_TYPES = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
_UNESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def checked(document: Json, structure: str = "Spec", *, allow_unknown: bool = False) -> dict[str, Any]:
    """A configuration with the specification's field names, every known field of its right type.

    Unknown fields are kept as they are if allowed.  Raises SpecError with Go's text: `json: unknown field "x"`,
    `json: cannot unmarshal number into Go struct field Spec.process.args of type []string`.
    """
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise _mismatch(document, structure, structure, "")
    result: dict[str, Any] = _checked_structure(document, structure, structure, "", allow_unknown)
    return result


def ordered(spec: dict[str, Any]) -> dict[str, Any]:
    """The configuration as config.json holds it: fields in their order, empty optional ones left out."""
    return _ordered_structure(spec, "Spec")


def rendered(spec: dict[str, Any]) -> bytes:
    """The bytes of config.json: compact, HTML's characters escaped, one newline at the end."""
    text = json.dumps(ordered(spec), separators=(",", ":"), ensure_ascii=False)
    for character, escape in _UNESCAPED.items():
        if character in text:
            text = text.replace(character, escape)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can spell
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text).encode() + b"\n"


def _checked_structure(document: dict[str, Any], structure: str, root: str, path: str, lenient: bool) -> dict[str, Any]:
    known, result = fields(structure), {}
    for name, value in document.items():
        if name not in known:
            folded = name.casefold()
            exact = next((field for field in known if field.casefold() == folded), "")
            if not exact and not lenient:
                raise SpecError(f'json: unknown field "{name}"', source=f"{path}.{name}".lstrip("."),
                                hint="set features.allow-unknown-oci-spec-fields = true in config.toml if the engine "
                                     "is newer than OCI 1.3.0")
            if not exact:
                result[name] = value
                continue
            name = exact
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _checked(value, known[name].rstrip("!"), root, f"{path}.{name}".lstrip("."), lenient)
    return result


def _checked(value: Json, type_: str, root: str, path: str, lenient: bool) -> Json:
    """A value other than null, if it is of the type."""
    if type_[0] == "*":
        return _checked(value, type_[1:], root, path, lenient)
    if type_[:2] == "[]":
        if not isinstance(value, list):
            raise _mismatch(value, type_, root, path)
        inner = type_[2:]
        if inner == "string" and all(type(item) is str for item in value):
            return value
        return [_zero(inner) if item is None else _checked(item, inner, root, path, lenient) for item in value]
    if type_[:2] == "{}":
        if not isinstance(value, dict):
            raise _mismatch(value, type_, root, path)
        inner = type_[2:]
        return {name: _zero(inner) if item is None else _checked(item, inner, root, f"{path}.{name}", lenient)
                for name, item in value.items()}
    if type_[0].isupper():
        if not isinstance(value, dict):
            raise _mismatch(value, type_, root, path)
        return _checked_structure(value, type_, root, path, lenient)
    return _checked_scalar(value, type_, root, path)


def _checked_scalar(value: Json, type_: str, root: str, path: str) -> Json:
    if type_ == "any":
        return value
    if type_ in ("string", "bool"):
        fits = isinstance(value, str if type_ == "string" else bool)
    else:
        fits = type(value) is int and in_range(value, type_)
    if not fits:
        raise _mismatch(value, type_, root, path)
    return value


# The prestart hook has structures of its own.
_HOOK_TYPES = {"HookSpec": "main.Spec", "HookState": "main.HookState"}


def _mismatch(value: Json, type_: str, root: str, path: str) -> SpecError:
    shown = _TYPES[type(value)]
    go_type = type_.replace("{}", "map[string]")
    if shown == "number" and go_type[0] in "iu":
        shown = f"number {value}"
    bare = go_type.lstrip("[]") if go_type.startswith("[]") else go_type
    if bare[0].isupper():
        go_type = go_type.replace(bare, _HOOK_TYPES.get(bare, f"specs.{bare}"))
    root = "" if root == "HookSpec" else root
    place = f"Go struct field {root}.{path}" if path else "Go value"
    return SpecError(f"json: cannot unmarshal {shown} into {place} of type {go_type}", source=path)


def _zero(type_: str) -> Json:
    """What Go holds where the document says nothing, or null."""
    if type_[0] == "*" or type_[:2] in ("[]", "{}") or type_ == "any":
        return None
    if type_[0].isupper():
        return {}
    return {"string": "", "bool": False}.get(type_, 0)


def _ordered_structure(value: dict[str, Any], structure: str) -> dict[str, Any]:
    known, result = fields(structure), {}
    for name, type_ in known.items():
        always = type_[-1] == "!"
        type_ = type_.rstrip("!")
        if name not in value:
            if always or type_[0].isupper():
                result[name] = _ordered(_zero(type_), type_)
            continue
        ordered = _ordered(value[name], type_)
        if always or type_[0] == "*" or type_[0].isupper() or ordered or (type_ == "any" and ordered is not None):
            result[name] = ordered
    for name, item in value.items():
        if name not in known:
            result[name] = item
    return result


def _ordered(value: Json, type_: str) -> Json:
    """A value as Go's encoder orders it: structures by field, maps by key."""
    if value is None:
        return None
    if type_[0] == "*":
        return _ordered(value, type_[1:])
    if type_[:2] == "[]":
        inner = type_[2:]
        return [_ordered(item, inner) for item in value] if inner[0].isupper() else value
    if type_[:2] == "{}":
        return {name: _ordered(value[name], type_[2:]) for name in sorted(value)}
    if type_[0].isupper():
        return _ordered_structure(value, type_)
    return value
