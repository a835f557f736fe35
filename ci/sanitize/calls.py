"""Turns the catalogue of functions into C: how `calls.c` calls each of them, and what every argument of it is.

Nothing here names what a library can do: a function that the library starts to export is called from then on.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from nvsim.native import generate

NUMBERS = "int|unsigned|unsigned int|unsigned long|unsigned long long"
# Bytes behind a pointer whose type does not say it.  Older layouts of a struct end before the newer fields.
SIZES = {
    ("nvmlInternalGetExportTable", "guid"): 16,
    ("nvmlDeviceGetGspFirmwareVersion", "version"): 64,
    ("nvmlDeviceGetPciInfo", "pci"): 32,
    ("nvmlDeviceGetPciInfo_v2", "pci"): 36,
    ("nvmlDeviceGetNvLinkRemotePciInfo", "pci"): 36,
    ("nvmlEventSetWait", "data"): 24,
}
# The caller of these has room for all that a GPU may have, 8, and the count only says how many there are.
WHOLE_LISTS = re.compile(r"nvml(Device|GpuInstance)Get(GpuInstances|ComputeInstances|\w+PossiblePlacements\w*)$")
LIVE = {"nvmlDevice_t": "DEVICE", "nvmlEventSet_t": "EVENT_SET", "nvmlGpuInstance_t": "GPU_INSTANCE",
        "nvmlComputeInstance_t": "COMPUTE_INSTANCE"}
LIFE = re.compile(r"nvmlInit|nvmlShutdown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument for `calls.c`: `size` is of one element, `any_bytes` whether its fields may hold anything."""

    kind: str
    size: int | str = 0
    any_bytes: bool = False
    versions: list[int] = field(default_factory=list)

    def initializer(self) -> str:
        versions = f"(const unsigned[]){{{', '.join(f'0x{v:08X}' for v in self.versions)}}}" if self.versions else "0"
        return f"{{{self.kind}, {int(self.any_bytes)}, {self.size}, {len(self.versions)}, {versions}}}"


def table(exported: set[str]) -> str:
    """calls.inc: every exported function of the catalogue that a client calls between init and shutdown."""
    types = generate._load("nvml-types.yaml")
    functions = [f for f in generate.functions() if f.name in exported and not LIFE.match(f.name)]
    codes = ", ".join(str(code) for code in types["enums"]["nvmlReturn_t"].values())
    return "\n".join([*map(_caller, functions), f"static const int codes[] = {{{codes}}};",
                      "static const struct function functions[] = {",
                      *(_row(f, types) for f in functions), "};", ""])


def _caller(f: generate.Function) -> str:
    """A function with the values of all arguments in one array."""
    parameters = generate._params(f.params)
    values = ", ".join(f"({type_})v[{i}]" for i, (type_, _) in enumerate(parameters))
    call = f"{f.name}({values})"
    body = f"return (int){call};" if f.returns == "nvmlReturn_t" else f"return {call} ? 0 : -1;"
    return f"extern {f.returns} {f.name}({f.params or 'void'});\n" \
           f"static int call_{f.name}(const uintptr_t *v) {{ (void)v; {body} }}"


def _row(f: generate.Function, types: dict[str, Any]) -> str:
    arguments = _arguments(f, types)
    listed = ", ".join(a.initializer() for a in arguments)
    return f'    {{"{f.name}", call_{f.name}, {len(arguments)}, {{{listed}}}}},'


def _arguments(f: generate.Function, types: dict[str, Any]) -> list[Argument]:
    """What each argument is, by its type and, for counts and time-outs, by its name."""
    constant = [p.strip().startswith("const") for p in f.params.split(",")]
    parameters = list(zip(generate._params(f.params), constant, strict=False))
    counted = any(_is_count(type_, name) for (type_, name), _ in parameters) and not WHOLE_LISTS.match(f.name)
    return [_argument(f, type_, name, const, counted, types) for (type_, name), const in parameters]


def _argument(f: generate.Function, type_: str, name: str, const: bool, counted: bool,
              types: dict[str, Any]) -> Argument:
    pointee = type_.removesuffix("*").strip()
    if type_ in LIVE:
        return Argument(kind=LIVE[type_])
    if types["aliases"].get(type_, "").endswith("*"):
        return Argument(kind="HANDLE")
    if not type_.endswith("*"):
        kind = "LENGTH" if _is_count(type_, name) else "TIMEOUT" if "timeout" in name.lower() else "NUMBER"
        return Argument(kind=kind, size=f"sizeof({type_})")
    if _is_count(type_, name) and counted:
        return Argument(kind="COUNT", size=f"sizeof({pointee})")
    if type_ == "char *" and const:
        return Argument(kind="TEXT")
    size = SIZES.get((f.name, name)) or f"{'8 * ' if WHOLE_LISTS.match(f.name) else ''}sizeof({pointee})"
    versions = _versions(pointee, types)
    if versions:
        return Argument(kind="VERSIONED", size=size, versions=versions, any_bytes=_plain(pointee, types))
    return Argument(kind="ARRAY" if counted else "POINTER", size=size, any_bytes=_plain(pointee, types))


def _is_count(type_: str, name: str) -> bool:
    """A number of elements: by value it is the room that there is, by pointer it comes back as what is needed."""
    return bool(re.fullmatch(r"(unsigned )?int( \*)?", type_) and re.search(r"(count|size|length)$", name, re.I))


def _versions(name: str, types: dict[str, Any]) -> list[int]:
    structs = types["structs"]
    return [structs[n.removeprefix("NVSIM_VERSION_")]["version"] for n in generate._versions(name, types)]


def _plain(name: str, types: dict[str, Any]) -> bool:
    """Whether a type holds neither pointers, which would have to point somewhere, nor times to wait."""
    target = types["aliases"].get(name, name)
    if "*" in target:
        return False
    fields = types["structs"].get(target, {}).get("fields", "")
    if "*" in fields or "timeout" in fields.lower():
        return False
    return all(_plain(part, types) for part in re.findall(r"nvml\w+_t\b", fields))
