"""What an error text says about the machine it came from: conditions that a report shows only by its error."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from scenarios.draft.facts import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Keys of the profile, of config.toml, and of the image's environment that follow from an error, and why."""

    why: str
    host: dict[str, object] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    mode: str = ""


def of(error: str, facts: Facts) -> Cause | None:
    """The cause of an error, None where the text tells no more than what the report shows."""
    for text, cause in _CAUSES:
        found = re.search(text, error)
        if found:
            return cause(found, facts)
    return None


def _mismatch(found: re.Match[str], facts: Facts) -> Cause | None:
    """Libraries and kernel module differ; the report often shows one of the versions only."""
    if facts.driver and facts.kernel_driver and facts.driver != facts.kernel_driver:
        return None
    branch = (facts.driver or facts.kernel_driver or "550")[:3]
    return Cause(why="the error says that it is not the libraries' version; the report does not say which it is",
                 host={"kernel_driver": f"{branch}.40.01"})


def _no_library(found: re.Match[str], facts: Facts) -> Cause:
    if facts.driver_root not in ("", "/"):
        return Cause(why="the error says that the library is not there, and it is below the driver root",
                     config={} if facts.config else {"nvidia-container-cli": {"root": "/"}})
    if any(name.startswith("nvidia-smi") for name in facts.found):
        return Cause(why="the error says that the loader's cache does not name it, though nvidia-smi works",
                     host={"ldcache": {"state": "fresh", "lacks": [f"{found[1]}*"]}})
    return Cause(why="the error says that its library is missing, and nothing in the report shows a driver",
                 host={"driver": "none"})


def _no_module(found: re.Match[str], facts: Facts) -> Cause:
    return Cause(why="the error says that the kernel module does not answer", host={"kernel_driver": "none"})


def _no_file(found: re.Match[str], facts: Facts) -> Cause:
    return Cause(why="the error says that it is not there", host={"absent": [found[1]]})


def _no_ldconfig(found: re.Match[str], facts: Facts) -> Cause:
    return Cause(why="the error says that this program is configured and not there", host={"absent": [found[1]]},
                 config={"nvidia-container-cli": {"ldconfig": f"@{found[1]}"}})


def _requirement(found: re.Match[str], facts: Facts) -> Cause:
    host: dict[str, object] = {} if facts.driver or facts.kernel_driver else {"driver": "470.256.02"}
    return Cause(why="the error says that the image asks for it and the driver does not offer it", host=host,
                 env={"NVIDIA_REQUIRE_CUDA": f"{found[1]}"})


def _envvar(found: re.Match[str], facts: Facts) -> Cause:
    return Cause(why="the error says that unprivileged containers may not ask by environment variable",
                 config={"accept-nvidia-visible-devices-envvar-when-unprivileged": False})


def _direct_hook(found: re.Match[str], facts: Facts) -> Cause:
    return Cause(why="in this mode the hook refuses to be called by the engine", mode="cdi")


_CAUSES: tuple[tuple[str, Callable[[re.Match[str], Facts], Cause | None]], ...] = (
    (r"(?i)driver/library version mismatch", _mismatch),
    (r"load library failed: (lib[\w-]+\.so)", _no_library),
    (r"driver not loaded|driver rpc error|couldn't communicate with the NVIDIA driver", _no_module),
    (r"stat failed: (/dev/[\w./-]+): no such file", _no_file),
    (r'failed to stat CDI host device "(/dev/[\w./-]+)"', _no_file),
    (r"ldcache error: open failed: (/[\w./-]+): no such file", _no_ldconfig),
    (r"unsatisfied condition: (cuda[<>=]+\d+\.\d+)", _requirement),
    (r"insufficient privileges to read device list", _envvar),
    (r"invoking the NVIDIA Container Runtime Hook directly", _direct_hook),
)
