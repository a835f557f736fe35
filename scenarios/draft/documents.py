"""Documents that a report may hold whole: config.toml, daemon.json, CDI specifications.

They are recognised by what is in them, since a paste rarely says which file it is.
"""

import json
import re
import tomllib

import yaml

from nvsim.errors import NvsimError
from scenarios import toml
from scenarios.draft.facts import Facts
from scenarios.fields import load

_CONFIG_KEYS = {"nvidia-container-cli", "nvidia-container-runtime", "nvidia-container-runtime-hook", "nvidia-ctk",
                "accept-nvidia-visible-devices-envvar-when-unprivileged", "disable-require",
                "accept-nvidia-visible-devices-as-volume-mounts", "supported-driver-capabilities", "swarm-resource"}
LARGEST_SPEC = 256 * 1024
_DRIVER = re.compile(r"/lib(?:cuda|nvidia-ml)\.so\.(\d{3}\.\d{2,3}(?:\.\d{2})?)")


def read(text: str) -> Facts:
    """The facts of one document; none if it is something else."""
    if "nvidia" not in text:
        return Facts()
    if "cdiVersion" in text:
        return _cdi(text)
    return _daemon(text) if text.lstrip().startswith("{") else _config(text)


def _config(text: str) -> Facts:
    """config.toml, from its first line that can be one: a paste may begin with the command that showed it."""
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if re.match(r"\s*(#|\[|[\w-]+\s*=)", line)), len(lines))
    try:
        table = tomllib.loads("\n".join(lines[first:]))
        toml.dumps(table)
    except (tomllib.TOMLDecodeError, NvsimError, RecursionError):
        return Facts()
    config = {key: value for key, value in table.items() if key in _CONFIG_KEYS}
    runtime = config.get("nvidia-container-runtime")
    mode = runtime.get("mode") if isinstance(runtime, dict) else None
    if isinstance(runtime, dict):  # the case gives these itself
        config["nvidia-container-runtime"] = {k: v for k, v in runtime.items() if k not in ("mode", "runtimes")}
    return Facts(config=_without_logs(config), mode=mode if isinstance(mode, str) and mode != "auto" else "",
                 found=("config.toml",) if config else ())


def _without_logs(config: dict[str, object]) -> dict[str, object]:
    """Without the files that logs go to, and tables that are empty then."""
    found: dict[str, object] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            value = {k: v for k, v in value.items() if k not in ("debug", "log-level", "load-kmods", "user")}
        if value != {}:
            found[key] = value
    return found


def _daemon(text: str) -> Facts:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Facts()
    if not isinstance(value, dict) or not isinstance(value.get("runtimes"), dict):
        return Facts()
    default = value.get("default-runtime")
    return Facts(default_runtime=default if isinstance(default, str) else "", found=("daemon.json",))


def _cdi(text: str) -> Facts:
    """A CDI specification, kept as it is; it may follow the command that showed it."""
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if re.match(r"---|\s*\{|cdiVersion\s*:|[a-z]\w*:( |$)", line)), 0)
    body = "\n".join(lines[first:]).strip("\n") + "\n"
    try:
        value = load(body, "CDI specification")
    except (NvsimError, yaml.YAMLError):
        return Facts()
    if not isinstance(value, dict) or not isinstance(value.get("devices"), list) or len(body) > LARGEST_SPEC:
        return Facts()
    driver = _DRIVER.search(body)
    root = re.search(r"hostPath:? *\"?(/run/nvidia/driver)/", body)
    cards = [int(number) for number in re.findall(r"/dev/dri/card(\d{1,2})\b", body)]
    return Facts(specs=(body,), first_card=min(cards, default=0),
                 driver=driver[1] if driver else "", driver_root=root[1] if root else "",
                 found=("a CDI specification",))
