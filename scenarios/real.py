"""The target `real`: the same cases on the GPUs of this machine, which gives its own devices, versions and UUIDs.

The machine itself is not changed: containers run in namespaces where config.toml, the toolkit under test and what
`before:` writes lie over the real /etc, /usr and /run.
"""

import dataclasses
import json
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvsim import build, models
from nvsim.errors import NvsimError
from nvsim.profile import Profile
from scenarios import images, model
from scenarios.model import Case
from scenarios.request import Run

QUERY = ("--query-gpu=index,uuid,driver_version,pci.bus_id,mig.mode.current,name", "--format=csv,noheader")
# What may be said of the machine of a case that any machine with enough GPUs can stand for.
PLAIN = ("name", "about", "layout", "driver", "gpus", "cpus", "threads", "numa_nodes", "compat32", "persistenced",
         "kernel_module", "nvlinks", "fabricmanager", "nvswitches", "other_cards", "dev_char_links")
HINT = "without a GPU: nvsim run, or tox -e emulated, on machines that are not there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU of this machine, as nvidia-smi has it."""

    uuid: str
    minor: int
    bus_id: str
    mig: bool
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """This machine: GPUs by index, the version of its driver."""

    gpus: tuple[Gpu, ...]
    driver: str


def look() -> Real:
    """What this machine has.  Raises NvsimError if there is no GPU, or no driver that answers."""
    program = shutil.which("nvidia-smi")
    if not program:
        raise NvsimError("there is no nvidia-smi on this machine, and so no NVIDIA driver", source="--target real",
                         hint=HINT)
    try:
        done = subprocess.run([program, *QUERY], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise NvsimError(f"nvidia-smi does not answer: {e}", source="--target real", hint=HINT) from e
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()]
    if done.returncode or not rows or any(len(row) != 6 for row in rows):
        said = (done.stdout + done.stderr).strip().splitlines()
        raise NvsimError(f"no GPU answers: {said[0] if said else 'nvidia-smi says nothing'}", source="--target real",
                         hint=HINT)
    return Real(driver=rows[0][2], gpus=tuple(
        Gpu(uuid=row[1], minor=_minor(row[3]), bus_id=row[3].lower()[-12:], mig=row[4] == "Enabled", name=row[5])
        for row in rows))


def _minor(bus_id: str) -> int:
    """The device minor of a GPU.  Source: /proc/driver/nvidia/gpus/BUS-ID/information, "Device Minor"."""
    path = Path(f"/proc/driver/nvidia/gpus/{bus_id.lower()[-12:]}/information")
    found = re.search(r"^Device Minor:\s*([0-9]+)", path.read_text(encoding="ascii", errors="replace"), re.M) \
        if path.exists() else None
    return int(found[1]) if found else -1


def unfit(case: Case, here: Real) -> str:
    """Why a case cannot be shown on this machine, "" if it can."""
    host = case.host
    if any(step.kind == "ctl" for step in case.steps):
        return "it changes the machine while it runs"
    odd = [field.name for field in dataclasses.fields(Profile)
           if field.name not in PLAIN and getattr(host, field.name) != _default(field)
           and (field.name, host.kernel_driver) != ("kernel_driver", host.driver)]
    if odd:
        return f"it needs a machine of its kind: {', '.join(odd)}"
    if any(gpu.mig for gpu in host.gpus) or any(gpu.mig for gpu in here.gpus):
        return "MIG layouts of a real machine are left as they are"
    if any(gpu.minor != gpu.index for gpu in host.gpus):
        return "it needs GPUs whose minors are not their indices"
    if not host.gpus or not host.driver:
        return f"it needs a machine without {'a driver' if host.gpus else 'GPUs'}"
    if len(host.gpus) > len(here.gpus):
        return f"it needs {len(host.gpus)} GPUs; this machine has {len(here.gpus)}"
    if len(host.gpus) != len(here.gpus) and any(step.run and asks_for_all(case, step.run) for step in case.steps):
        return f"it asks for all of {len(host.gpus)} GPUs; this machine has {len(here.gpus)}"
    return "" if case.cgroup == "host" else f"it needs a machine with control groups {case.cgroup} alone"


def asks_for_all(case: Case, run: Run) -> bool:
    """Whether a request is for every GPU, by itself or by its image."""
    env = {**dict(images.described(case.image, run.image, case.path).env), **dict(run.env)}
    named = env.get("NVIDIA_VISIBLE_DEVICES", "").split(",")
    return run.gpus == "all" or "all" in named or any(name.endswith("=all") for name in run.cdi)


def _default(field: "dataclasses.Field[Any]") -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def translated(case: Case, here: Real) -> Case:
    """The case with this machine's product names, UUIDs, bus ids and driver version in `before` and `steps`.

    Raises NvsimError for a case whose file cannot be read any more."""
    words = {case.host.driver: here.driver} if case.host.driver else {}
    for there, real in zip(case.host.gpus, here.gpus, strict=False):
        words |= {there.uuid: real.uuid, str(models.model(there.model)["name"]): real.name}
        words |= {there.bus_id.lower(): real.bus_id} if there.bus_id else {}
    words = {word: other for word, other in words.items() if word}
    if not words or not os.path.exists(case.path):
        return case
    pattern = re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)))
    lines, inside = [], False
    for line in Path(case.path).read_text(encoding="utf-8").splitlines(keepends=True):
        inside = line.startswith(("before:", "steps:")) or (inside and line[:1] in (" ", "-", "#", "\n"))
        lines.append(pattern.sub(lambda found: words[found[0]], line) if inside else line)
    again = model.parse("".join(lines), case.path, case.name.partition("@")[0])
    return next(one for one in again if one.name == case.name)


def lay(root: str) -> None:
    """Makes the folder that is laid over this machine: it has nothing of a host but the mark of a real one."""
    plain: dict[str, Any] = {"int": 0, "str": ""}
    described = {field.name: plain.get(getattr(field.type, "__name__", ""), ()) for field in
                 dataclasses.fields(build.Machine)}
    described |= {"format": build.FORMAT, "profile": "this machine", "driver_root": "/", "elf": platform.machine()}
    os.makedirs(f"{root}/.nvsim")
    for name, text in (("real", ""), ("kernel.log", ""), ("machine.json", json.dumps(described))):
        Path(f"{root}/.nvsim/{name}").write_text(text, encoding="ascii")
