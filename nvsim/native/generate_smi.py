"""Writes smi/query_fields.inc from the catalogue: `python3 -m nvsim.native.generate_smi`.

The result is checked in; a contract test compares it with this program.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nvsim.errors import NvsimError

HERE = Path(__file__).resolve().parent
CATALOG = HERE.parent / "catalog" / "nvidia-smi-query.yaml"
RESULT = HERE / "smi" / "query_fields.inc"
NOTICE = "/* Written by nvsim/native/generate_smi.py from nvsim/catalog/nvidia-smi-query.yaml: change that. */\n"
NEWEST = 9999
KEYS = {"name", "alias", "unit", "after", "until", "as", "call", "argument"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One name that --query-gpu accepts, as the catalogue describes it."""

    name: str
    aliases: tuple[str, ...]
    unit: str
    after: int
    until: int
    kind: str
    call: str
    argument: str


def properties() -> list[Property]:
    """The properties in the order of --help-query-gpu.

    Raises NvsimError for an unknown key or two properties of one name in one branch."""
    found = [_property(item) for item in yaml.safe_load(CATALOG.read_text())["properties"]]
    for n, one in enumerate(found):
        for other in found[:n]:
            names = {one.name, *one.aliases} & {other.name, *other.aliases}
            if names and one.after < other.until and other.after < one.until:
                raise NvsimError(f"{sorted(names)[0]} is there twice", source=CATALOG.name)
    return found


def include() -> str:
    """The text of smi/query_fields.inc: the readers that are needed, then the table."""
    found = properties()
    readers = sorted({(p.kind, p.call) for p in found if p.kind != "special"})
    lines = [f"READER({kind}, {call})" for kind, call in readers]
    lines += [f'FIELD("{p.name}", "{",".join(p.aliases)}", "{p.unit}", {p.after}, {p.until}, {p.kind}, {p.call}, '
              f"{p.argument})" for p in found]
    return NOTICE + "\n".join(lines) + "\n"


def _property(item: dict[str, Any]) -> Property:
    unknown = set(item) - KEYS
    if unknown:
        raise NvsimError(f"unknown key {sorted(unknown)[0]}", source=f"{CATALOG.name}: {item.get('name')}",
                         hint=f"known: {', '.join(sorted(KEYS))}")
    return Property(name=item["name"], aliases=tuple(item.get("alias", ())), unit=item.get("unit", ""),
                    after=item.get("after", 0), until=item.get("until", NEWEST), kind=item["as"], call=item["call"],
                    argument=str(item.get("argument", 0)))


if __name__ == "__main__":
    RESULT.write_text(include())
