"""Runs on a machine: asks every tool once and prints what each said, as JSON.

Its argument is JSON: `tools`, name → command line and environment variables that are added."""

import json
import os
import subprocess
import sys

# What an NVML program sees, printed by nvidia-ml-py in a process of its own.
NVML_CLIENT = """
import json, pynvml as n
def text(value): return value.decode() if isinstance(value, bytes) else value
def of(function, *arguments):
    try: return function(*arguments)
    except (n.NVMLError_NotSupported, n.NVMLError_InvalidArgument): return None
try: n.nvmlInit()
except n.NVMLError as e: print(json.dumps({"error": type(e).__name__.partition("_")[2]})); raise SystemExit
print(json.dumps({"driver": text(of(n.nvmlSystemGetDriverVersion)), "gpus": [{
    "uuid": text(of(n.nvmlDeviceGetUUID, d)), "name": text(of(n.nvmlDeviceGetName, d)),
    "minor": of(n.nvmlDeviceGetMinorNumber, d),
    "bus_id": of(lambda d: text(n.nvmlDeviceGetPciInfo(d).busId).lower()[4:], d),
    "serial": text(of(n.nvmlDeviceGetSerial, d)),
    "memory": of(lambda d: n.nvmlDeviceGetMemoryInfo(d).total, d),
    "power": of(n.nvmlDeviceGetPowerManagementDefaultLimit, d),
    "compute": of(n.nvmlDeviceGetCudaComputeCapability, d),
    "links": sum(bool(of(n.nvmlDeviceGetNvLinkState, d, link)) for link in range(18)),
} for d in map(n.nvmlDeviceGetHandleByIndex, range(n.nvmlDeviceGetCount()))]}))
"""


def ask(command: list[str], extra: dict[str, str]) -> dict[str, object]:
    """Exit code, standard output and standard error; 127 for a program that is not there."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace",
                              env={**os.environ, **extra})
    except FileNotFoundError as e:
        return {"code": 127, "out": "", "err": str(e)}
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


if __name__ == "__main__":
    print(json.dumps({name: ask(tool["command"], tool["env"]) for name, tool in json.loads(sys.argv[1]).items()}))
