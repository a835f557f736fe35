"""docs/nvml.md: what each function of NVML does here, from the C sources and catalog/nvml-answers.yaml."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from nvsim.errors import NvsimError

HERE = Path(__file__).resolve().parent
CATALOG = HERE.parent / "catalog" / "nvml-answers.yaml"
_DEFINED = re.compile(r"^(?:nvmlReturn_t |const char \*)(nvml\w+)\(|^GET_\w+\((nvml\w+),", re.M)
_CONSTANT = re.compile(r"^GET_(?:CONSTANT|EMPTY)\((nvml\w+),", re.M)
_RECORD = re.compile(r"^GET_(?!CONSTANT|EMPTY)\w+\((nvml\w+),", re.M)
_HEAD = """# NVML, function by function

Written by `python -m nvsim.native.generate` from the sources and `nvsim/catalog/nvml-answers.yaml`: change those.

*board*: reads or changes the record of the GPU, or of the host, as far as its model has that; the file in
`nvsim/native/nvml` says how. *constant*: the same on every host. *not supported*: judges its arguments and the right
to call it, then answers "Not Supported" (3). *since* is the first driver branch that is known to export it; a host's
library has the functions of its branch and no others.

| function | since | answers | how, or why not |
|---|---|---|---|
"""


class Answer(NamedTuple):
    """What a function does: `kind` is board, constant or not supported; `how` the file that answers, or the reason."""

    kind: str
    how: str


def page(functions: list[Any]) -> str:
    """The page for functions of nvsim.native.generate.  Raises NvsimError for one of which nothing is said."""
    known = answers([f.name for f in functions])
    rows = (f"| `{f.name}` | {_since(f)} | {known[f.name].kind} | {known[f.name].how} |\n" for f in functions)
    counts = {kind: sum(a.kind == kind for a in known.values()) for kind in ("board", "constant", "not supported")}
    return _HEAD + "".join(rows) + "\n" + ", ".join(f"{count} {kind}" for kind, count in counts.items()) + ".\n"


def answers(names: list[str]) -> dict[str, Answer]:
    """What each function does.  Raises NvsimError for one of which nothing is said."""
    facts = yaml.load(CATALOG.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    files, constant, record = _sources()
    facts["constant"] = {name: why for name, why in facts["constant"].items() if name not in record}
    return {name: _answer(name, files, constant, facts) for name in names}


def _sources() -> tuple[dict[str, str], set[str], set[str]]:
    """The file that defines each function; those that macros make constant; those for which macros read the record."""
    files: dict[str, str] = {}
    constant: set[str] = set()
    record: set[str] = set()
    for path in sorted((HERE / "nvml").glob("*.c")):
        text = path.read_text()
        files |= {first or second: path.name for first, second in _DEFINED.findall(text)}
        constant |= set(_CONSTANT.findall(text))
        record |= set(_RECORD.findall(text))
    return files, constant, record


def _answer(name: str, files: dict[str, str], constant: set[str], facts: dict[str, Any]) -> Answer:
    if name in files and name in facts["constant"]:
        return Answer("constant", facts["constant"][name])
    if name in files and name not in constant:
        return Answer("board", f"`{files[name]}`")
    for entry in facts["unsupported"] if name not in files else ():
        if re.fullmatch(entry["match"], name):
            return Answer("not supported", entry["why"])
    raise NvsimError("nothing says what this function answers, and why", source=f"{CATALOG}: {name}")


def _since(f: Any) -> str:
    first = min((*f.exported, *((f.since,) if f.since else ())))
    return f"{first} to {f.until}" if f.until < 600 else str(first)
