"""board/mig_tables.inc from catalog/mig.yaml: the MIG profiles of each board, as the C library knows them."""

from pathlib import Path
from typing import Any

import yaml

CATALOG = Path(__file__).resolve().parent.parent / "catalog" / "mig.yaml"
NOTICE = "/* Written by nvsim/native/generate.py from nvsim/catalog/mig.yaml: change that, not this file. */\n"


def tables() -> str:
    """The text of board/mig_tables.inc.  A table in which a number is unknown is empty: the board has no MIG."""
    found = yaml.load(CATALOG.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    parts = [NOTICE, _counts("index_counts", found["indexes"]), _counts("compute_counts", found["compute_indexes"])]
    offered = [(name, table) for name, table in found["tables"].items() if _complete(table)]
    for name, table in offered:
        rows = "".join(f"    {_row(row)},\n" for row in table["profiles"])
        parts.append(f"static const struct mig_profile {_symbol(name)}[] = {{\n{rows}}};\n")
    numbers = {name: number for number, name in enumerate(found["tables"], 1)}
    entries = "".join(f"    [{numbers[name]}] = {{.slices = {t['compute_slices']}, .count = {len(t['profiles'])}, "
                      f".profiles = {_symbol(name)}}},\n" for name, t in offered)
    parts.append(f"static const struct mig_table tables[{len(numbers) + 1}] = {{\n{entries}}};\n")
    return "\n".join(parts)


def _counts(name: str, counts: dict[int, int]) -> str:
    pairs = ", ".join(f"{{{branch}, {count}}}" for branch, count in counts.items())
    return f"static const unsigned {name}[][2] = {{{pairs}}};\n"


def _complete(table: dict[str, Any]) -> bool:
    return all(row["id"] is not None and row["sm"] is not None and row["placements"]["starts"]
               for row in table["profiles"])


def _symbol(name: str) -> str:
    return "profiles_" + name.lower().replace("-", "_")


def _row(row: dict[str, Any]) -> str:
    numbers = ("index", "id", "slices", "most", "memory_mib", "sm", "copy_engines", "decoders", "encoders", "jpeg",
               "ofa", "p2p")
    values = row | {"most": row["max_instances"]}
    starts, ids = row["placements"]["starts"], row["gi_ids"]
    return ("{" + f'.name = "{row["name"]}", ' + ", ".join(f".{key} = {values[key]}" for key in numbers)
            + f",\n     .size = {row['placements']['size']}, .starts_count = {len(starts)}, .starts = {_list(starts)}, "
            f".gi_ids = {_list(ids)},\n     .compute_count = {len(row['ci'])}, "
            f".compute = {{{', '.join(map(_list, row['ci']))}}}" + "}")


def _list(numbers: list[int]) -> str:
    return "{" + ", ".join(map(str, numbers)) + "}"
