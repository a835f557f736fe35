"""Calls every function of nvidia-ml-py, unmodified, on the machine whose driver library the loader finds, and prints
`function: type or error`, sorted.  Run as a program, without rights to change a GPU; see test_nvml_sweep.py."""

import ast
import ctypes
import inspect
import os
import re
from pathlib import Path

import pynvml

from nvsim.native import generate

CAPABILITY_VERSION_3 = 0x20080522
C_PARAMETERS = {f.name: generate._params(f.params) for f in generate.functions()}
TYPES = generate._load("nvml-types.yaml")
LINES = Path(pynvml.__file__).read_text().splitlines()
SOURCES = {node.name: "\n".join(LINES[node.lineno - 1:node.end_lineno])
           for node in ast.parse("\n".join(LINES)).body if isinstance(node, ast.FunctionDef)}


class Caller:
    """What a client holds: a GPU, another one, an event set, and what it knows of the GPU."""

    def __init__(self, device, other):
        memory_clocks = attempt(pynvml.nvmlDeviceGetSupportedMemoryClocks, device)
        pci = attempt(pynvml.nvmlDeviceGetPciInfo, device)
        self.known = {
            "handle": device, "device": device, "device1": device, "handle1": device, "migDevice": device,
            "device2": other, "handle2": other, "unit": None, "gpuInstance": None, "computeInstance": None,
            "eventSet": pynvml.nvmlEventSetCreate(), "setHandle": None, "gpmSample": None, "eventTypes": 8,
            "uuid": attempt(pynvml.nvmlDeviceGetUUID, device), "serial": attempt(pynvml.nvmlDeviceGetSerial, device),
            "pciInfo": pci, "pciBusId": pci and pci.busId, "pid": os.getpid(),
            "countRef": ctypes.byref(ctypes.c_uint(0)), "cpuSetSize": 16, "nodeSetSize": 1,
            "memoryClockMHz": memory_clocks[0] if memory_clocks else 0,
            "fieldIds": [pynvml.NVML_FI_DEV_POWER_INSTANT], "hostname": b"host", "c_nonce": bytes(32),
        }

    def arguments(self, function):
        """One value for each parameter without a default: what the caller holds, a struct, or 0."""
        source = SOURCES[function.__name__]
        symbols = re.findall(r'_nvmlGetFunctionPointer\("(\w+)"', source)  # the library's functions behind it
        parameters = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
        return [self.known[p.name] if p.name in self.known else value_for(p.name, place, symbols, source)
                for place, p in enumerate(parameters)]


def value_for(name, place, symbols, source):
    """A struct where pynvml hands the library's function what it was given there, ready for it; else 0."""
    c_parameters = C_PARAMETERS.get(symbols[-1], []) if symbols else []
    type_ = c_parameters[place][0] if place < len(c_parameters) else ""
    struct = type_.removesuffix("*").strip()
    struct = TYPES["aliases"].get(struct, struct)
    handed = {argument.strip() for call in re.findall(r"\bfn\((.*)\)", source) for argument in call.split(",")}
    if not type_.endswith("*") or struct not in TYPES["structs"] or not {name, f"byref({name})"} & handed:
        return None if name.endswith("Ref") else 0
    made = zeroed(struct_class(struct), TYPES["structs"][struct]["size"])
    if "version" in TYPES["structs"][struct]:
        ctypes.memmove(ctypes.byref(made), ctypes.byref(ctypes.c_uint(TYPES["structs"][struct]["version"])), 4)
    return made if f"byref({name})" in source else ctypes.byref(made)


def struct_class(struct):
    """pynvml's own type, or one of the same size where it has none."""
    size = TYPES["structs"][struct]["size"]
    found = getattr(pynvml, struct, getattr(pynvml, f"c_{struct}", None))
    return found or type(struct, (ctypes.Structure,), {"_fields_": [("bytes", ctypes.c_char * size)]})


def zeroed(class_, size):
    """An object whose constructor, which may want to know more, has not run."""
    return class_.from_buffer(bytearray(max(size, ctypes.sizeof(class_))))


def attempt(function, *arguments):
    try:
        return function(*arguments)
    except pynvml.NVMLError:
        return None


def outcome(function, arguments):
    """The type of the answer, NVML's error, or how pynvml fails by itself, if only by not looking at the code."""
    source = SOURCES[function.__name__]
    try:
        answer = kind(function(*arguments))
    except pynvml.NVMLError as e:
        return type(e).__name__
    except Exception as e:  # whatever the binding does by itself is its own business, and the golden file's
        return f"in pynvml: {type(e).__name__}"
    looks = "_nvmlCheckReturn" in source or "_nvmlGetFunctionPointer" not in source
    return answer if looks or answer != "int" else "in pynvml: code not looked at"


def kind(value):
    if isinstance(value, (list, tuple)):
        inside = sorted({kind(v) for v in value})
        return f"{type(value).__name__} of {' and '.join(inside)}" if inside else f"empty {type(value).__name__}"
    return type(value).__name__


def sweep(functions, device, other, prefix=""):
    """A line for each function."""
    for name, function in sorted(functions.items()):
        if name == "nvmlShutdown":
            pynvml.nvmlInit()  # so that the session goes on
        caller = Caller(device, other)
        print(f"{prefix}{name}: {outcome(function, caller.arguments(function))}")
        attempt(pynvml.nvmlEventSetFree, caller.known["eventSet"])


def without_capabilities():
    """Root may change a GPU, an ordinary user may not; here nobody does, so that each call finds the same machine."""
    if ctypes.CDLL(None).capset((ctypes.c_uint * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint * 6)()):
        raise OSError("capset failed")


def main():
    without_capabilities()
    pynvml.nvmlInit()
    devices = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    if not devices:
        print("no GPU")
        return
    functions = {n: f for n, f in vars(pynvml).items() if n.startswith("nvml") and inspect.isfunction(f)}
    sweep(functions, devices[0], devices[-1])
    mig = next(filter(None, (attempt(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, d, 0) for d in devices)), None)
    if mig:
        of_a_device = {n: f for n, f in functions.items()
                       if {"handle", "device", "migDevice"} & inspect.signature(f).parameters.keys()}
        sweep(of_a_device, mig, devices[-1], "MIG device: ")


if __name__ == "__main__":
    main()
