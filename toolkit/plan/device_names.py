"""How devices are named and annotated in a specification.  Source: toolkit v1.20, pkg/nvcdi."""

from toolkit.errors import ConfigError, HostError
from toolkit.model.host import Gpu

COHERENT = "gpu.nvidia.com/coherent"
NAMING = ("index", "type-index", "uuid")


def device_names(number: str, kind: str, uuid: str, naming: tuple[str, ...]) -> tuple[str, ...]:
    """The names of a device, by each strategy in turn.

    `number` is "0", or "0:1" for a MIG device; `kind` "gpu" or "mig".  A device without a UUID has no name of that
    kind.  Raises ConfigError for an unknown strategy, HostError if no name is left.
    """
    names = {"index": number, "type-index": kind + number, "uuid": uuid}
    if unknown := [strategy for strategy in naming if strategy not in names]:
        raise ConfigError(f"invalid device name strategy: {unknown[0]}", hint=f"one of {', '.join(NAMING)}")
    found = tuple(names[strategy] for strategy in naming if names[strategy])
    if not found:
        raise HostError("no names defined", hint="this device has no UUID: --device-name-strategy index")
    return found


def annotations_of(gpu: Gpu | None, features: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Whether a whole GPU shares its memory's addresses with the CPU, if the feature is on; () for other devices."""
    if gpu is None or "enable-coherent-annotations" not in features:
        return ()
    return ((COHERENT, "true" if gpu.coherent else "false"),)
