"""A case as YAML for people: keys in order, a comment on every line that had to be assumed."""

import yaml

Reasons = dict[tuple[str, ...], str]


def text_of(case: dict[str, object], head: list[str], reasons: Reasons) -> str:
    """The file: comment lines, then the case.  `reasons` are found by the keys that lead to a value; members of lists
    count by their number."""
    lines = [f"# {line}".rstrip() for line in head]
    lines += _mapping(case, (), 0, reasons)
    return "\n".join(lines) + "\n"


def _mapping(value: dict[str, object], path: tuple[str, ...], depth: int, reasons: Reasons) -> list[str]:
    lines: list[str] = []
    for key, item in value.items():
        at = (*path, str(key))
        why = f"  # assumed: {' '.join(reasons[at].split())}" if at in reasons else ""
        name = f"{'  ' * depth}{_scalar(key)}:"
        if isinstance(item, dict) and item and not _short(item):
            lines += [name + why, *_mapping(item, at, depth + 1, reasons)]
        elif isinstance(item, list) and any(isinstance(member, dict) for member in item):
            lines += [name + why, *_members(item, at, depth, reasons)]
        elif isinstance(item, str) and "\n" in item.strip("\n"):
            lines += [f"{name} {_block(item, depth + 1, why)}"]
        else:
            lines.append(f"{name} {_scalar(item)}{why}")
    return lines


def _members(items: list[object], path: tuple[str, ...], depth: int, reasons: Reasons) -> list[str]:
    lines: list[str] = []
    for number, item in enumerate(items):
        assert isinstance(item, dict), "a list with mappings has nothing else"
        inner = _mapping(item, (*path, str(number)), depth + 1, reasons)
        lines += [f"{'  ' * depth}- {inner[0].lstrip()}", *inner[1:]]
    return lines


def _short(value: dict[str, object]) -> bool:
    """Whether a mapping fits on its key's line."""
    return all(not isinstance(item, (dict, list)) and "\n" not in str(item) for item in value.values()) and len(
        str(value)) < 60


def _block(text: str, depth: int, why: str) -> str:
    """A text of several lines.  What a block cannot hold, such as a first line that begins with a space, is quoted."""
    body = text.rstrip("\n")
    lines = body.split("\n")
    if lines[0][:1] in (" ", ""):
        return _scalar(text) + why
    mark = "|" if text == body + "\n" else "|-" if text == body else ""
    if not mark:
        return _scalar(text) + why
    return f"{mark}{why}\n" + "\n".join(f"{'  ' * depth}{line}" if line else "" for line in lines)


def _scalar(value: object) -> str:
    """One line of YAML that reads as the value again."""
    written: str = yaml.safe_dump(value, default_flow_style=True, width=1 << 30, allow_unicode=True, sort_keys=False)
    return written.removesuffix("\n").removesuffix("\n...")
