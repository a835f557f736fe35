"""Writes the C files that follow from the catalogue: `python3 -m nvsim.native.generate`.

nvml_api.h (types and prototypes), board.h (the layout of nvsim.board), nvml/unsupported.inc (the functions that no
nvml/*.c defines), board/mig_tables.inc and docs/nvml.md.  The results are checked in; a contract test compares them
with this program.
"""

import functools
import re
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from nvsim.board import CAPACITY, FORMAT, HEADER, MAGIC, RECORD, SECTION, Layout
from nvsim.native import generate_mig, generate_nvml_doc

HERE = Path(__file__).resolve().parent
CATALOG = HERE.parent / "catalog"
NEWEST = 615
NOTICE = "/* Written by nvsim/native/generate.py from nvsim/catalog: change those, not this file. */\n"
# Handles of objects that an emulated host never has: every value of them is invalid.
FOREIGN = ("nvmlUnit_t", "nvmlVgpuTypeId_t", "nvmlVgpuInstance_t", "nvmlGpmSample_t", "nvmlSystemEventSet_t")
# Calls that change a GPU and so need root; binding a thread to CPUs changes none.
CHANGES = re.compile(r"nvmlDevice(Set(?!CpuAffinity)|Reset|Clear(?!CpuAffinity)|Freeze|Create|ModifyDrain|Remove)")


class Function(NamedTuple):
    """An entry point.  `since`, `until`: driver branches whose header has it; `exported`: inspected ones that do;
    `late`: branches whose first releases do not."""

    name: str
    params: str
    returns: str
    since: int
    until: int
    exported: tuple[int, ...]
    late: tuple[int, ...]


def functions() -> list[Function]:
    """Every entry point of any branch, by name."""
    return [Function(name=name, params=f["params"], returns=f.get("returns", "nvmlReturn_t"), since=f.get("since", 0),
                     until=f.get("until", NEWEST), exported=tuple(f["exported"]),
                     late=tuple(f.get("late", ())))
            for name, f in _load("nvml-functions.yaml")["functions"].items()]


def exports(branch: int = NEWEST, *, early: bool = False) -> list[str]:
    """What libnvidia-ml.so.1 of a driver branch exports; `early`: of its first releases.

    Inspected branches: as found in the file.  Others: as the header says, with the three names that are in no header
    but in every library; branches older than the first header: as the oldest inspected one.  nvmlRetry_NvRmControl, a
    stray helper of 470 and 525, is a symbol of those branches only."""
    inspected = {number for f in functions() for number in f.exported}
    branch = min(inspected) if branch < min(f.since for f in functions() if f.since) else branch
    if branch in inspected:
        return [f.name for f in functions() if branch in f.exported and not (early and branch in f.late)]
    return [f.name for f in functions() if f.since <= branch <= f.until and f.name != "nvmlRetry_NvRmControl"]


def exports_map(branch: int = NEWEST, *, early: bool = False) -> str:
    """A version script that exports a branch's functions, without a version tag: NVIDIA's library has none."""
    names = "\n".join(f"    {name};" for name in sorted(exports(branch, early=early)))
    return f"{NOTICE}{{\n  global:\n{names}\n  local:\n    *;\n}};\n"


def api_header() -> str:
    """nvml_api.h: every type, constant and prototype, for the library and for its clients."""
    types = _load("nvml-types.yaml")
    parts = [NOTICE, "#ifndef NVSIM_NVML_API_H\n#define NVSIM_NVML_API_H\n",
             "#define NVML_API __attribute__((visibility(\"default\")))\n"]
    parts += [_enum(name, values) for name, values in types["enums"].items()]
    parts.append("".join(_constant(n, v) for part in ("constants", "field_ids") for n, v in types[part].items()))
    parts.append(_types(types["structs"], types["aliases"]))
    parts.append("".join(f"#define {_version_name(name)} 0x{s['version']:08X}u\n"
                         f"#define {_version_name(name)}_SINCE {s.get('since', 0)}\n"
                         for name, s in types["structs"].items() if "version" in s))
    current = [f for f in functions() if f.until == NEWEST and f.name in exports()]
    parts.append("".join(_prototype(f) for f in current))
    return "\n".join(parts) + "\n#endif\n"


def unsupported() -> str:
    """The functions of any branch that no nvml/*.c defines: what each checks before it is not supported."""
    source = "".join(p.read_text() for p in sorted((HERE / "nvml").glob("*.c")))
    defined = set(re.findall(r"^(?:nvmlReturn_t |const char \*)(nvml\w+)\(|^GET_\w+\((nvml\w+),", source, re.M))
    defined = {name for pair in defined for name in pair}
    types = _load("nvml-types.yaml")
    lines = [_unsupported(f, types) for f in functions() if f.name not in defined]
    return NOTICE + "".join(lines)


def board_header() -> str:
    """board.h: the layout of nvsim.board in C."""
    notice = NOTICE.replace("nvsim/catalog", "nvsim/board.py and board_gpu.py")
    return (f"{notice}#ifndef NVSIM_BOARD_H\n#define NVSIM_BOARD_H\n\n#include <stdint.h>\n\n"
            f'#define NVSIM_BOARD_SECTION "{SECTION}"\n#define NVSIM_BOARD_MAGIC "{MAGIC.decode()}"\n'
            f"#define NVSIM_BOARD_FORMAT {FORMAT}\n#define NVSIM_BOARD_CAPACITY {CAPACITY}\n\n"
            "/* A value that the machine does not have. */\n#define NVSIM_ABSENT_I32 INT32_MIN\n"
            "#define NVSIM_ABSENT_U32 UINT32_MAX\n#define NVSIM_ABSENT_U64 UINT64_MAX\n\n"
            f"{_record('nvsim_gpu', RECORD)}\n{_record('nvsim_header', HEADER)}\n"
            "/* A GPU, twice: copies[generation & 1] counts. */\n"
            "struct nvsim_slot {\n    uint32_t generation;\n    uint32_t unused;\n"
            "    struct nvsim_gpu copies[2];\n};\n\n"
            "struct nvsim_board {\n    struct nvsim_header header;\n"
            "    struct nvsim_slot slots[NVSIM_BOARD_CAPACITY];\n};\n\n#endif\n")


def nvml_page() -> str:
    """docs/nvml.md: every function, and what it does here."""
    return generate_nvml_doc.page(functions())


GENERATED = {"board.h": board_header, "nvml_api.h": api_header, "nvml/unsupported.inc": unsupported,
             "board/mig_tables.inc": generate_mig.tables,
             "../../docs/nvml.md": nvml_page}


@functools.cache
def _load(name: str) -> Any:
    return yaml.load((CATALOG / name).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _enum(name: str, values: dict[str, int]) -> str:
    return "typedef enum {\n" + "".join(f"    {k} = {v},\n" for k, v in values.items()) + f"}} {name};\n"


def _constant(name: str, value: int | str) -> str:
    if isinstance(value, str):
        return f'#define {name} "{value}"\n'
    return f"#define {name} {value}{'ULL' if value > 0xFFFFFFFF else 'u' if value > 0x7FFFFFFF else ''}\n"


def _version_name(struct: str) -> str:
    """nvmlMemory_v2_t → NVSIM_VERSION_nvmlMemory_v2_t."""
    return f"NVSIM_VERSION_{struct}"


def _types(structs: dict[str, Any], aliases: dict[str, str]) -> str:
    """Definitions in an order in which each comes after those that it contains."""
    done: dict[str, str] = {}

    def define(name: str) -> None:
        if name in done or not (name in structs or name in aliases):
            return
        done[name] = ""
        body = aliases[name] if name in aliases else structs[name]["fields"]
        for part in re.findall(r"nvml\w+_t\b", body):
            define(part)
        del done[name]  # to the end: after its parts
        done[name] = _alias(name, body) if name in aliases else _struct(name, structs[name])

    for name in (*aliases, *structs):
        define(name)
    return "".join(done.values())


def _alias(name: str, target: str) -> str:
    return f"typedef {target}{'' if target.endswith('*') else ' '}{name};\n"


def _struct(name: str, struct: dict[str, Any]) -> str:
    fields = re.findall(r"(?:[^;{]|\{[^}]*\})+;", struct["fields"])
    body = "".join(f"    {f.strip()}\n" for f in fields)
    return f"typedef {struct.get('kind', 'struct')} {{\n{body}}} {name};\n"


def _prototype(f: Function) -> str:
    space = "" if f.returns.endswith("*") else " "
    return "\n    ".join(textwrap.wrap(f"NVML_API {f.returns}{space}{f.name}({f.params or 'void'});", 110)) + "\n"


def _unsupported(f: Function, types: dict[str, Any]) -> str:
    checks = [_check(type_, name, types) for type_, name in _params(f.params)]
    if CHANGES.match(f.name):
        checks.append("ROOT")
    if any(check.startswith("NOBODY") for check in checks):
        first = next(i for i, check in enumerate(checks) if check.startswith("NOBODY"))
        unread = [f"ANY({name})" for _, name in _params(f.params)[first + 1:]]
        checks = [*checks[:first], *unread, checks[first]]
    call = f"UNSUPPORTED({f.name}, ({f.params or 'void'}), {' '.join(checks)})"
    return "\n    ".join(textwrap.wrap(call, 110)) + "\n"


def _params(text: str) -> list[tuple[str, str]]:
    found = [re.fullmatch(r"(.*?)(\w+)", p.strip()) for p in text.split(",") if p.strip()]
    return [(m.group(1).replace("const", "").strip(), m.group(2)) for m in found if m]


def _check(type_: str, name: str, types: dict[str, Any]) -> str:
    """Arguments are judged in their order: handles first, then pointers, then the version of a versioned struct."""
    if type_ == "nvmlDevice_t":
        return f"DEVICE({name})"
    if type_ == "nvmlGpuInstance_t":
        return f"INSTANCE({name})"
    if type_ in FOREIGN:
        return f"NOBODY({name})"
    if not type_.endswith("*") and type_ != "nvmlEventSet_t":
        return f"ANY({name})"
    versions = _versions(type_.rstrip("* "), types)
    return f"VERSIONED({name}, {', '.join(versions)})" if versions else f"POINTER({name})"


def _versions(name: str, types: dict[str, Any]) -> list[str]:
    """The .version values that a struct's family knows: nvmlPlatformInfo_v1_t and _v2_t are one family."""
    stem = re.sub(r"(_v\d+)?_t$", "", name)
    family = [n for n in types["structs"] if re.fullmatch(re.escape(stem) + r"(_v\d+)?_t", n)]
    target = types["aliases"].get(name, name)
    if "version" not in types["structs"].get(target, {}):
        return []
    return [_version_name(n) for n in family if "version" in types["structs"][n]]


def _record(name: str, layout: Layout) -> str:
    lines = [f"    {slot.declaration} /* {slot.about} */" for slot in layout.slots]
    return f"struct {name} {{\n" + "\n".join(lines) + "\n} __attribute__((aligned(8)));\n"


if __name__ == "__main__":
    for path, make in GENERATED.items():
        (HERE / path).write_text(make())
        print(HERE / path)
