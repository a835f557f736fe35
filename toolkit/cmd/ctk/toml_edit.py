"""Changes to a TOML file that its user wrote: everything else stays as it is, comments, order and blanks.

tomlkit does it, at a price of 60 ms.  What it writes is read back: a document that says anything else than the changes
is written anew by `toolkit.plan.toml_text`, which keeps the comments, but no order.  So is one that was written by it.
"""

from typing import Any

from toolkit.cmd.ctk.remarks import load_tomlkit, remarks_of
from toolkit.plan.engines import Change, changed
from toolkit.plan.toml_text import to_toml

INDENT = "  "


def edited(text: str, changes: tuple[Change, ...]) -> str:
    """The text with the changes; "" if nothing is left.  `text` is one that tomllib reads."""
    import tomllib

    before = tomllib.loads(text)
    wanted = changed(before, changes)
    if not wanted:
        return ""
    if wanted == before:
        return text
    if text == to_toml(before, indent=INDENT):
        return to_toml(wanted, indent=INDENT)
    result = _by_tomlkit(text, changes)
    try:
        if tomllib.loads(result) == wanted:
            return result
    except tomllib.TOMLDecodeError:
        pass
    return to_toml(wanted, indent=INDENT, remarks=remarks_of(text, {}))


def _by_tomlkit(text: str, changes: tuple[Change, ...]) -> str:
    """The text with the changes; "" where tomlkit cannot make one of them."""
    tomlkit = load_tomlkit()
    from tomlkit.exceptions import TOMLKitError

    document = tomlkit.parse(text)
    try:
        for change in changes:
            _apply(document, change)
        return str(tomlkit.dumps(document))
    except (TOMLKitError, TypeError, ValueError, KeyError):
        return ""


def _apply(document: Any, change: Change) -> None:
    import tomlkit

    place = document
    for number, name in enumerate(change.path[:-1]):
        if name not in place:
            if change.value is None:
                return
            place[name] = _tables(change.path[number + 1 :], change.value)
            return
        place = place[name]
    if change.value is None:
        place.pop(change.path[-1], None)
    else:
        place[change.path[-1]] = tomlkit.item(_sorted(change.value))


def _sorted(value: Any) -> Any:
    """A table by name, its plain values first; anything else as it is."""
    if not isinstance(value, dict):
        return value
    names = sorted(value, key=lambda name: (isinstance(value[name], dict), name))
    return {name: _sorted(value[name]) for name in names}


def _tables(path: tuple[str, ...], value: Any) -> Any:
    """Tables in which `path` leads to a value; those that hold nothing but a table have no header of their own."""
    import tomlkit

    table = tomlkit.table(is_super_table=len(path) > 1 or isinstance(value, dict))
    table[path[0]] = _tables(path[1:], value) if len(path) > 1 else tomlkit.item(_sorted(value))
    return table
