"""Writes the C files of libcuda that follow from the catalogue: `python3 -m nvsim.native.generate_cuda`.

In cuda/: cuda_api.h (types, and prototypes of what cuda/*.c defines), errors.inc, attributes.inc, entries.inc (what
cuGetProcAddress knows), refused.inc (what no cuda/*.c defines), twins.inc (variants for per-thread default streams).
In docs/: the table of cuda.md.  The results are checked in; a contract test compares them with this program.
"""

import functools
import re
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from nvsim.board_gpu import RECORD
from nvsim.native import branches
from nvsim.native.generate import CATALOG

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs" / "cuda.md"
NEWEST = branches.CUDA_VERSIONS[615]
NOTICE = "/* Written by nvsim/native/generate_cuda.py from nvsim/catalog: change those, not this file. */\n"
NOT_SUPPORTED, INVALID_HANDLE = 801, 400
# Handles of objects that an emulated GPU never has: every value of them is invalid.
FOREIGN = frozenset((
    "CUfunction", "CUmodule", "CUkernel", "CUlibrary", "CUgraph", "CUgraphNode", "CUgraphExec", "CUarray",
    "CUmipmappedArray", "CUtexref", "CUsurfref", "CUtexObject", "CUsurfObject", "CUlinkState", "CUexternalMemory",
    "CUexternalSemaphore", "CUgraphicsResource", "CUgreenCtx", "CUuserObject", "CUmemGenericAllocationHandle"))
# Words that a debugger reads and writes in the library, by name; the other cudbg symbols are functions.
DEBUG_FUNCTIONS = frozenset((
    "cudbgApiAttach", "cudbgApiDetach", "cudbgApiInit", "cudbgGetAPI", "cudbgGetAPIVersion", "cudbgMain",
    "cudbgReportDriverApiError", "cudbgReportDriverInternalError"))


class Function(NamedTuple):
    """An entry point.  `since`: CUDA version, 0 if not known; `twin`: name of its per-thread-default-stream variant."""

    name: str
    params: str
    since: int
    exported: tuple[int, ...]
    twin: str

    @property
    def base(self) -> str:
        """The name that programs ask for, without the version of the symbol."""
        return re.sub(r"_v\d$", "", self.name)

    @property
    def is_data(self) -> bool:
        return self.name.startswith("cudbg") and self.name not in DEBUG_FUNCTIONS


@functools.cache
def functions() -> tuple[Function, ...]:
    """Every entry point, by name, without the twins."""
    return tuple(Function(name=name, params=f.get("params", ""), since=f.get("since", 0), exported=tuple(f["exported"]),
                          twin=f"{name}_{f['twin']}" if "twin" in f else "")
                 for name, f in _load("cuda-functions.yaml")["functions"].items())


def exports(branch: int = 615) -> list[str]:
    """What libcuda.so.1 of a driver branch exports, twins included.

    Inspected branches: as found in the file.  Others: what the public headers knew by its CUDA version."""
    inspected = {number for f in functions() for number in f.exported}
    cuda = branches.CUDA_VERSIONS[branch]
    found = [f for f in functions() if (branch in f.exported if branch in inspected else f.since <= cuda)]
    return sorted(name for f in found for name in (f.name, f.twin) if name)


@functools.cache
def defined() -> frozenset[str]:
    """The functions that cuda/*.c defines."""
    source = "".join(p.read_text() for p in sorted((HERE / "cuda").glob("*.c")))
    return frozenset(re.findall(r"^(?:CUresult |(?:LINE|AREA)\w*\()(cu\w+)[(,]", source, re.M))


def refusal(f: Function) -> int:
    """The code with which a function that computes nothing fails.  Arguments that cannot be valid come first."""
    types = {type_.strip() for type_, _ in _params(f.params)}
    return INVALID_HANDLE if types & FOREIGN else NOT_SUPPORTED


def exports_map(branch: int = 615) -> str:
    """A version script that exports a branch's functions, without a version tag: NVIDIA's library has none."""
    names = "\n".join(f"    {name};" for name in exports(branch))
    return f"{NOTICE}{{\n  global:\n{names}\n  local:\n    *;\n}};\n"


def api_header() -> str:
    """cuda_api.h: types, constants, and prototypes of the functions that work."""
    types = _load("cuda-types.yaml")
    parts = [NOTICE, "#ifndef NVSIM_CUDA_API_H\n#define NVSIM_CUDA_API_H\n\n#include <stddef.h>\n#include <stdint.h>\n",
             '#define CUDA_API __attribute__((visibility("default")))\n',
             _enum("CUresult", {name: e["code"] for name, e in types["errors"].items()}),
             "".join(f"typedef struct {name}_object *{name};\n" for name in types["handles"]),
             "".join(_alias(name, target) for name, target in types["aliases"].items())]
    parts += [_enum(name, values) for name, values in types["enums"].items()]
    attributes = _load("cuda-attributes.yaml")["attributes"]
    parts.append(_enum("CUdevice_attribute", {f"CU_DEVICE_ATTRIBUTE_{n}": a["id"] for n, a in attributes.items()}))
    parts.append("".join(f"#define {n} {v}\n" for n, v in types["constants"].items()))
    parts.append("\n".join(_struct(name, s) for name, s in types["structs"].items()))
    parts.append("".join(_wrapped(f"CUDA_API CUresult {f.name}({f.params or 'void'});")
                         for f in functions() if f.name in defined()))
    return "\n".join(parts) + "\n#endif\n"


def errors() -> str:
    """Name and text of each error code."""
    return NOTICE + "".join(f'{{{e["code"]}, {e.get("since", 0)}, "{name}", "{e["text"]}"}},\n'
                            for name, e in _load("cuda-types.yaml")["errors"].items())


def attributes() -> str:
    """A row per attribute: see struct attribute in cuda/attributes.c."""
    rows = []
    for name, a in _load("cuda-attributes.yaml")["attributes"].items():
        words = [".known = true", f".since = {a.get('since', 0)}", f".times = {a.get('value', a.get('times', 1))}"]
        if "board" in a:
            slot = RECORD.slot(a["board"])
            test = next((key for key in ("at_least", "equal_to", "other_than", "absent") if key in a), "")
            words += [f".read = {slot.kind.upper()}", f".offset = offsetof(struct nvsim_gpu, {slot.name})",
                      f".otherwise = {a.get('else', 0)}"]
            words += [f".test = {test.upper()}", f".against = {int(a[test])}"] if test else []
        if "compute" in a:
            words.append(".steps = {" + ", ".join(f"{{{c}, {v}}}" for c, v in a["compute"].items()) + "}")
        rows.append(_wrapped(f"[CU_DEVICE_ATTRIBUTE_{name}] = {{{', '.join(words)}}},"))
    return NOTICE + "".join(rows)


def entries() -> str:
    """What cuGetProcAddress finds: name, CUDA version, function, its twin; by name, the newest version first."""
    found = sorted((f for f in functions() if f.since), key=lambda f: (f.base, -f.since))
    return NOTICE + "".join(f"ENTRY({f.base}, {f.since}, {f.name}, {f.twin or f.name})\n" for f in found)


def refused() -> str:
    """The functions that no cuda/*.c defines, with the code that each fails with."""
    missing = [f for f in functions() if f.name not in defined()]
    codes = {e["code"]: name for name, e in _load("cuda-types.yaml")["errors"].items()}
    return NOTICE + "".join(
        f"WORD({f.name})\n" if f.is_data else "".join(f"REFUSED({name}, {codes[refusal(f)]})\n"
                                                      for name in (f.name, f.twin) if name) for f in missing)


def twins() -> str:
    """The variants for per-thread default streams of the functions that cuda/*.c defines."""
    text = ""
    for f in functions():
        if f.twin and f.name in defined():
            given = ", ".join(f"OWN({n})" if type_.strip() == "CUstream" else n for type_, n in _params(f.params))
            text += _wrapped(f"CUDA_API CUresult {f.twin}({f.params});")
            text += _wrapped(f"CUresult {f.twin}({f.params}) {{ return {f.name}({given}); }}")
    return NOTICE + text


def table() -> str:
    """The table of docs/cuda.md: by function, whether it works, or what it fails with."""
    codes = {e["code"]: name for name, e in _load("cuda-types.yaml")["errors"].items()}
    rows = ["| function | since CUDA | here |", "|---|---|---|"]
    for f in functions():
        if not f.is_data:
            since = f"{f.since // 1000}.{f.since % 1000 // 10}" if f.since else ""
            answer = "works" if f.name in defined() else f"{refusal(f)} {codes[refusal(f)]}"
            twin = f" (`_{f.twin.rpartition('_')[2]}`)" if f.twin else ""
            rows.append(f"| {f.name}{twin} | {since} | {answer} |")
    return "\n".join(rows) + "\n"


GENERATED = {"cuda/cuda_api.h": api_header, "cuda/errors.inc": errors,
             "cuda/attributes.inc": attributes, "cuda/entries.inc": entries, "cuda/refused.inc": refused,
             "cuda/twins.inc": twins}
MARK = "<!-- Below: written by nvsim/native/generate_cuda.py. -->\n"


@functools.cache
def _load(name: str) -> Any:
    return yaml.load((CATALOG / name).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _enum(name: str, values: dict[str, int]) -> str:
    return "typedef enum {\n" + "".join(f"    {k} = {v},\n" for k, v in values.items()) + f"}} {name};\n"


def _alias(name: str, target: str) -> str:
    return f"typedef {target.replace('(*)', f'(*{name})')};\n" if "(*)" in target else f"typedef {target} {name};\n"


def _struct(name: str, struct: dict[str, Any]) -> str:
    body = "".join(f"    {field.strip()};\n" for field in struct["fields"].split(";") if field.strip())
    return f"typedef struct {{\n{body}}} {name};\n"


def _params(text: str) -> list[tuple[str, str]]:
    found = [re.fullmatch(r"(.*?)(\w+)(?:\[\d*\])?", p.strip()) for p in text.split(",") if p.strip()]
    return [(m.group(1), m.group(2)) for m in found if m]


def _wrapped(text: str) -> str:
    return "\n    ".join(textwrap.wrap(text, 110, break_long_words=False)) + "\n"


if __name__ == "__main__":
    for path, make in GENERATED.items():
        (HERE / path).write_text(make())
        print(HERE / path)
    DOCS.write_text(DOCS.read_text().split(MARK)[0] + MARK + "\n" + table())
    print(DOCS)
