"""What the probe printed in a container, as an Outcome.  Its JSON is described in nvsim/native/probe."""

import json
import re
from typing import Any

from nvsim.errors import NvsimError
from scenarios.bundle import PROBE
from scenarios.outcome import File, Mount

GPU_NODE = re.compile(r"/dev/(nvidia.*|dri/.*|dxg)")


def command(*, files: tuple[str, ...] = (), libraries: tuple[str, ...] = (),
            execute: tuple[str, ...] = ()) -> list[str]:
    """The probe's command line in a container; it looks, then runs `execute` and says how that went."""
    return [f"{PROBE}/probe", *(word for path in files for word in ("--file", path)),
            *(word for name in libraries for word in ("--lib", name)), *(["--exec", *execute] if execute else [])]


def parse(text: str, source: str) -> dict[str, Any]:
    """The probe's JSON.  Raises NvsimError if the text is none: something else wrote to the container's stdout."""
    try:
        value = json.loads(text)
    except ValueError as e:
        raise NvsimError(f"the probe's report cannot be read: {e}: {text[:200]!r}", source=source) from e
    if not isinstance(value, dict) or value.get("version") != 1:
        raise NvsimError(f"not a report of the probe: {text[:200]!r}", source=source)
    return value


def seen(report: dict[str, Any]) -> dict[str, Any]:
    """The fields of an Outcome that the probe saw."""
    ran = report.get("exec") or {"exit": 0, "stdout": "", "stderr": ""}
    return {
        "exit": ran["exit"], "stdout": ran["stdout"], "stderr": ran["stderr"],
        "gpus": _gpus(report.get("nvml", {})), "cuda": _cuda(report.get("cuda", {})), "environment": report["env"],
        "devices": {d["path"]: _right(d) for d in report["devices"]
                    if d["type"] in ("c", "b") and GPU_NODE.fullmatch(d["path"])},
        "mounts": {m["target"]: Mount(source=m["source"], fstype=m["fstype"], options=tuple(m["options"]))
                   for m in report["mounts"] if m["target"] != PROBE},
        "files": {path: _file(facts) for path, facts in report.get("files", {}).items()},
        "libraries": _libraries(report.get("libraries", {})),
    }


def _gpus(nvml: dict[str, Any]) -> tuple[str, ...] | None:
    """The UUIDs that NVML lists, for a GPU with MIG devices theirs, without GPUs that do not answer; none where it
    cannot be initialised; None in an image without a loader."""
    if nvml.get("error") == "no dynamic loader":
        return None
    return tuple(uuid for gpu in nvml.get("gpus", ()) if "uuid" in gpu for uuid in gpu.get("mig") or (gpu["uuid"],))


def _cuda(cuda: dict[str, Any]) -> tuple[str, ...] | None:
    """The UUIDs of CUDA's devices; none without a driver that starts; None in an image without a loader."""
    return None if cuda.get("error") == "no dynamic loader" else tuple(cuda.get("devices", ()))


def _right(device: dict[str, Any]) -> str:
    """rw if the kernel lets this process through to the driver: a node of a driver that is not there opens as ENXIO."""
    return "rw" if device["open"] in ("ok", "ENXIO", "ENODEV") else "denied"


def _file(facts: dict[str, Any]) -> File:
    return File(kind=facts["type"], size=facts.get("size", 0), mode=facts.get("mode", 0), uid=facts.get("uid", 0),
                gid=facts.get("gid", 0), link=facts.get("link") or "", sha256=facts.get("sha256") or "",
                text=facts.get("text"))


def _libraries(found: dict[str, Any]) -> dict[str, str] | None:
    """Where the loader found each library; one that it did not find is absent.  None where there is no loader."""
    return {name: one["path"] for name, one in found.items() if "path" in one} if found else None
