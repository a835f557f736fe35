"""auto → jit-cdi | cdi | csv | legacy.  Source: toolkit v1.20, internal/info/auto.go, internal/runtime."""

from toolkit.errors import ConfigError
from toolkit.plan.cdi_names import is_qualified

MODES = ("legacy", "csv", "cdi", "jit-cdi")


def needs_platform(requested: str, devices: tuple[str, ...]) -> bool:
    """Whether the mode depends on what kind of machine this is.

    Without devices it does not matter: no mode then does more than the default one.
    """
    return requested == "auto" and bool(devices) and not _all_qualified(devices)


def mode_of(requested: str, devices: tuple[str, ...], *, platform: str, default: str = "jit-cdi") -> str:
    """The mode of a container.  `platform` counts only if `needs_platform`; the hook's `default` is "legacy".

    A mode other than "auto" is taken literally, valid or not: see `check_mode`.
    """
    if requested != "auto":
        return requested
    # 1. Every requested device is a fully-qualified CDI name.
    if _all_qualified(devices):
        return "cdi"
    # 2. to 4. Tegra is described by csv files; any other machine, known or not, gets the default.
    return "csv" if platform == "tegra" else default


def check_mode(mode: str) -> None:
    """Raises ConfigError for a mode that does not exist."""
    if not mode:
        raise ConfigError("a mode must be specified", source="nvidia-container-runtime.mode",
                          hint='write mode = "auto"')
    if mode not in MODES:
        raise ConfigError(f'invalid mode "{mode}"', source="nvidia-container-runtime.mode",
                          hint=f"one of auto, {', '.join(MODES)}")


def _all_qualified(devices: tuple[str, ...]) -> bool:
    return bool(devices) and all(map(is_qualified, devices))
