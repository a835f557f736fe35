"""What nvidia-smi printed: the table, -L, -q, -q -x.  Each may be pasted in part, or several into one text."""

import re
from dataclasses import replace

from scenarios.draft.facts import Facts, Gpu, bus_id_of

_VERSION = r"(\d{3}\.\d{2,3}(?:\.\d{2})?)"
_BUS = r"([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\.0)"
_UUID = r"(GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_HEAD = re.compile(rf"NVIDIA-SMI\s+{_VERSION}\s+(?:Kernel )?Driver Version:\s+{_VERSION}")
_ROW = re.compile(rf"\|\s+(\d{{1,2}})\s+(\S.*?)\s+(?:On|Off|N/A)\s*\|\s+{_BUS}\s")
_MEMORY = re.compile(r"\d+MiB\s*/\s*(\d+)MiB")
_LIST = re.compile(rf"\s*GPU (\d{{1,2}}): (.+?) \(UUID: {_UUID}\)")
_LIST_MIG = re.compile(r"\s*MIG (\S+)\s+Device\s+\d+:")
_MIG_NAME = re.compile(r"(?:\d+c\.)?\d+g\.\d+gb(?:\+[a-z.]+|-[a-z]+)?")
_QUERY_GPU = re.compile(rf"\s*GPU {_BUS}\s*$")
_QUERY_ROW = re.compile(r"\s*(\S[^:]*?)\s*:\s(.*\S)")
_XML_GPU = re.compile(rf'<gpu id="{_BUS}">')
_VIRTUALIZATION = {"Pass-Through": "passthrough", "VGPU": "vgpu-guest", "Host VGPU": "vgpu-host", "Host VSGA": "none"}


def readings(text: str) -> tuple[Facts, ...]:
    """Each kind of output by itself, for `facts.merged`."""
    lines = text.splitlines()
    return _table(lines), _listed(lines), _queried(lines), _xml(text)


def _table(lines: list[str]) -> Facts:
    gpus: list[Gpu] = []
    driver = loaded = ""
    for line in lines:
        head, row, memory = _HEAD.search(line), _ROW.match(line.strip()), _MEMORY.search(line)
        if head:
            driver, loaded, gpus = head[1], head[2], []
        elif row:
            gpus.append(Gpu(index=int(row[1]), name=row[2], bus_id=bus_id_of(row[3])))
        elif memory and gpus and not gpus[-1].memory_mib:
            gpus[-1] = replace(gpus[-1], memory_mib=int(memory[1]))
        elif gpus and re.search(r"\|\s+Enabled\s+\|\s*$", line):
            gpus[-1] = replace(gpus[-1], mig=())
    return Facts(gpus=_distinct(gpus), driver=driver, kernel_driver=loaded if loaded != driver else "",
                 found=("nvidia-smi",) if driver or gpus else ())


def _listed(lines: list[str]) -> Facts:
    gpus: list[Gpu] = []
    for line in lines:
        gpu, mig = _LIST.match(line), _LIST_MIG.match(line)
        if gpu:
            gpus.append(Gpu(index=int(gpu[1]), name=gpu[2], uuid=gpu[3]))
        elif mig and gpus and _MIG_NAME.fullmatch(mig[1]):
            gpus[-1] = replace(gpus[-1], mig=(*(gpus[-1].mig or ()), mig[1]))
    return Facts(gpus=_distinct(gpus), found=("nvidia-smi -L",) if gpus else ())


def _queried(lines: list[str]) -> Facts:
    gpus: list[Gpu] = []
    facts, section = Facts(), ""
    for line in lines:
        gpu, row = _QUERY_GPU.match(line), _QUERY_ROW.match(line)
        if gpu:
            gpus.append(Gpu(index=len(gpus), bus_id=bus_id_of(gpu[1])))
        elif row and row[1] == "Driver Version" and re.fullmatch(_VERSION, row[2]):
            facts = replace(facts, driver=row[2])
        elif row and gpus:
            gpus[-1] = _with_row(gpus[-1], section, row[1], row[2])
            if row[1] == "Virtualization Mode":
                facts = replace(facts, virtualization=_VIRTUALIZATION.get(row[2], ""))
        elif line.strip():
            section = line.strip()
    return replace(facts, gpus=_distinct(gpus), found=("nvidia-smi -q",)) if gpus else Facts()


def _with_row(gpu: Gpu, section: str, name: str, value: str) -> Gpu:
    if name == "Product Name":
        return replace(gpu, name=value)
    if name == "GPU UUID" and re.fullmatch(_UUID, value):
        return replace(gpu, uuid=value)
    if name == "Minor Number" and value.isdecimal():
        return replace(gpu, minor=int(value))
    if (section, name) == ("FB Memory Usage", "Total") and value.split()[0].isdecimal():
        return replace(gpu, memory_mib=int(value.split()[0]))
    if (section, name, value) == ("MIG Mode", "Current", "Enabled"):
        return replace(gpu, mig=gpu.mig or ())
    return gpu


def _xml(text: str) -> Facts:
    """Elements are looked for one by one, since a paste may end anywhere."""
    parts = _XML_GPU.split(text)
    gpus: list[Gpu] = []
    for number in range(1, len(parts), 2):
        body = parts[number + 1]
        minor, memory = _element(body, "minor_number"), re.search(r"<fb_memory_usage>\s*<total>(\d+) MiB", body)
        gpus.append(Gpu(
            index=len(gpus), bus_id=bus_id_of(parts[number]), name=_element(body, "product_name"),
            uuid=uuid if re.fullmatch(_UUID, uuid := _element(body, "uuid")) else "",
            minor=int(minor) if minor.isdecimal() else -1, memory_mib=int(memory[1]) if memory else 0,
            mig=() if _element(body, "current_mig") == "Enabled" else None))
    driver = _element(text, "driver_version")
    return Facts(gpus=_distinct(gpus), driver=driver if re.fullmatch(_VERSION, driver) else "",
                 virtualization=_VIRTUALIZATION.get(_element(text, "virtualization_mode"), "") if gpus else "",
                 found=("nvidia-smi -q -x",) if gpus else ())


def _element(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return found[1].strip() if found else ""


def _distinct(gpus: list[Gpu]) -> tuple[Gpu, ...]:
    """GPUs of the first output; the same command is often pasted twice, from the host and from a container."""
    seen: dict[str, Gpu] = {}
    for gpu in gpus:
        seen.setdefault(gpu.bus_id or gpu.uuid or str(gpu.index), gpu)
    return tuple(seen.values())
