"""The device rules of a container, applied again as systemd does on daemon-reload (toolkit#48).

systemd knows the rules that the engine gave it, which are those of config.json.  Rules that a hook added behind the
engine's back are not among them, and are gone afterwards.
"""

import os
from typing import Any

from nvsim import device_filter
from nvsim.errors import NvsimError

MOUNT = "/sys/fs/cgroup"
# What a low-level runtime allows without being told: OCI runtime specification, config-linux.md, "Default Devices".
_DEFAULTS = (("c", 1, 3), ("c", 1, 5), ("c", 1, 7), ("c", 1, 8), ("c", 1, 9), ("c", 5, 0), ("c", 5, 2), ("c", 136, -1))


def of_spec(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The rules that the engine asked for in an OCI specification, with those that the runtime adds to any."""
    asked = ((spec.get("linux") or {}).get("resources") or {}).get("devices") or []
    defaults = [{"allow": True, "type": kind, "major": major, "minor": minor, "access": "rwm"}
                for kind, major, minor in _DEFAULTS]
    return [*asked, *defaults, *({"allow": True, "type": kind, "access": "m"} for kind in "cb")]


def apply_again(cgroup: str, rules: list[dict[str, Any]]) -> None:
    """Brings a control group, named below the root of its hierarchy, to exactly these rules.

    Raises NvsimError if it has neither a v1 `devices` folder nor one in cgroup2, or if the kernel refuses."""
    v1 = f"{MOUNT}/devices/{cgroup}"
    try:
        if os.path.isdir(v1):
            for rule in rules:
                with open(f"{v1}/devices.{'allow' if rule.get('allow') else 'deny'}", "w", encoding="ascii") as f:
                    f.write(v1_line(rule))
            return
        for v2 in (f"{MOUNT}/{cgroup}", f"{MOUNT}/unified/{cgroup}"):
            if os.path.isdir(v2):
                device_filter.replace(v2, device_filter.program(rules))
                return
    except OSError as e:
        raise NvsimError(f"cannot apply the device rules again: {e}", source=cgroup) from e
    raise NvsimError("the container has no control group for devices", source=cgroup)


def v1_line(rule: dict[str, Any]) -> str:
    """A rule as devices.allow takes it, e.g. "c 195:255 rw".  Fact: kernel, cgroup-v1/devices.rst."""
    numbers = [str(rule[key]) if rule.get(key, -1) >= 0 else "*" for key in ("major", "minor")]
    return f"{rule.get('type') or 'a'} {':'.join(numbers)} {rule.get('access') or 'rwm'}"
