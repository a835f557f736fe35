"""Writes smi/query_fields.inc and smi/report_rows.inc from the catalogue: `python3 -m nvsim.native.generate_smi`.

The results are checked in; a contract test compares them with this program.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nvsim.errors import NvsimError

HERE = Path(__file__).resolve().parent
CATALOG = HERE.parent / "catalog"
QUERY = "nvidia-smi-query.yaml"
REPORT = "nvidia-smi-report.yaml"
QUERIES = ("gpu", "compute_apps", "accounted_apps", "supported_clocks", "retired_pages", "remapped_rows")
NEWEST = 9999
KEYS = {"name", "alias", "unit", "after", "until", "as", "call", "argument"}
ROW_KEYS = {"label", "element", "rows", "as", "call", "argument", "unit", "part", "display", "asked", "bare", "indent",
            "when", "unless", "after", "until"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One name that a --query-… option accepts, as the catalogue describes it."""

    name: str
    aliases: tuple[str, ...]
    unit: str
    after: int
    until: int
    kind: str
    call: str
    argument: str


def properties(query: str = "gpu") -> list[Property]:
    """The properties of a query in the order of its --help-query-….

    Raises NvsimError for an unknown key or two properties of one name in one branch."""
    catalog = _load(QUERY)
    found = [_property(item) for item in ([] if query == "gpu" else catalog["common"]) + catalog[query]]
    for n, one in enumerate(found):
        for other in found[:n]:
            names = {one.name, *one.aliases} & {other.name, *other.aliases}
            if names and one.after < other.until and other.after < one.until:
                raise NvsimError(f"{sorted(names)[0]} is there twice", source=QUERY)
    return found


def query_fields() -> str:
    """The text of smi/query_fields.inc: the readers that are needed, then the table."""
    found = [(query, p) for query in QUERIES for p in properties(query)]
    readers = sorted({(p.kind, p.call) for _, p in found if p.kind != "special"})
    lines = [f"READER({kind}, {call})" for kind, call in readers]
    lines += [f'FIELD(QUERY_{query.upper()}, "{p.name}", "{",".join(p.aliases)}", "{p.unit}", {p.after}, {p.until}, '
              f"{p.kind}, {p.call}, {p.argument})" for query, p in found]
    return _notice(QUERY) + "\n".join(lines) + "\n"


def report_rows() -> str:
    """The text of smi/report_rows.inc: the readers, then each row before those that it contains.

    Raises NvsimError for an unknown key, or a row that is neither a group, a value nor a part."""
    rows = list(_rows(_load(REPORT)["rows"], {"display": "", "after": 0, "until": NEWEST}))
    readers = sorted({(row["as"], row["call"]) for row in rows if row.get("as", "special") != "special"})
    lines = [f"READER({kind}, {call})" for kind, call in readers]
    lines += [f"ROW({_initialisers(row)})" for row in rows]
    return _notice(REPORT) + "\n".join(lines) + "\n"


GENERATED = {"query_fields.inc": query_fields, "report_rows.inc": report_rows}


def _rows(rows: list[dict[str, Any]], group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows and what they contain, in the order of the report; section and branches of a group hold for its rows."""
    for row in rows:
        source = f"{REPORT}: {row.get('label', row.get('element'))}"
        _check_keys(row, ROW_KEYS, source)
        if sum(key in row for key in ("rows", "call", "part")) != 1:
            raise NvsimError("a row has one of rows, call and part", source=source)
        own = {"display": row.get("display", group["display"]), "after": max(row.get("after", 0), group["after"]),
               "until": min(row.get("until", NEWEST), group["until"])}
        inner = list(_rows(row.get("rows", []), own))
        yield {**row, **own, "inner": len(inner)}
        yield from inner


def _initialisers(row: dict[str, Any]) -> str:
    """The members of struct row that are not zero, in C."""
    parts = [f'.{key} = "{row[key]}"' for key in ("label", "element", "unit", "display") if row.get(key)]
    parts += [f".{key} = {row[key]}" for key in ("after", "indent", "inner") if row.get(key)]
    parts += [f".{key} = true" for key in ("asked", "bare") if row.get(key)]
    parts.append(f".until = {row['until']}")
    for key in ("when", "unless"):
        if key in row:
            parts.append(f".{key} = has_{row[key]}")
    if "call" in row:
        parts.append(f".read = {row.get('as', 'special')}_{row['call']}")
    if "part" in row:
        parts.append(f".part = part_{row['part']}")
    if "argument" in row:
        parts.append(f".argument = {row['argument']}")
    return ", ".join(parts)


def _property(item: dict[str, Any]) -> Property:
    _check_keys(item, KEYS, f"{QUERY}: {item.get('name')}")
    return Property(name=item["name"], aliases=tuple(item.get("alias", ())), unit=item.get("unit", ""),
                    after=item.get("after", 0), until=item.get("until", NEWEST), kind=item["as"], call=item["call"],
                    argument=str(item.get("argument", 0)))


def _check_keys(item: dict[str, Any], known: set[str], source: str) -> None:
    unknown = set(item) - known
    if unknown:
        raise NvsimError(f"unknown key {sorted(unknown)[0]}", source=source, hint=f"known: {', '.join(sorted(known))}")


def _load(name: str) -> Any:
    return yaml.safe_load((CATALOG / name).read_text())


def _notice(name: str) -> str:
    return f"/* Written by nvsim/native/generate_smi.py from nvsim/catalog/{name}: change that. */\n"


if __name__ == "__main__":
    for name, make in GENERATED.items():
        (HERE / "smi" / name).write_text(make())
