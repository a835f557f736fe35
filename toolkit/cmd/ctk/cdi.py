"""nvidia-ctk cdi: the group, and `cdi list`.  Source: toolkit v1.20, cmd/nvidia-ctk/cdi."""

from toolkit.cmd.ctk.cdi_generate import GENERATE
from toolkit.cmd.ctk.cdi_transform import TRANSFORM
from toolkit.cmd.ctk.frame import Command, Flag, Values
from toolkit.cmd.ctk.logs import log_of
from toolkit.errors import ConfigError

SPEC_DIRS = ("/etc/cdi", "/var/run/cdi")


def list_devices(values: Values) -> int:
    """Prints the qualified names of all CDI devices, sorted; what is wrong with a file is only a warning."""
    from toolkit.gather.cdi_dirs import read_documents
    from toolkit.plan.registry import registry_of

    folders = values.items("spec-dir")
    if not folders:
        raise ConfigError("at least one CDI specification directory must be specified", source="--spec-dir")
    log = log_of(values)
    registry = registry_of(read_documents(folders))
    if registry.errors:
        log.warning("The following registry errors were reported:")
        for path, errors in registry.errors.items():
            log.warning(f"{path}: [{' '.join(errors)}]")
    log.info(f"Found {len(registry.devices)} CDI devices")
    for name in sorted(registry.devices):
        print(name)
    return 0


LIST = Command(
    name="list",
    usage="Print the names of all devices that CDI files define",
    flags=(
        Flag(
            "spec-dir",
            "The folders to scan for CDI specifications, lowest priority first",
            SPEC_DIRS,
            env=("NVIDIA_CTK_CDI_SPEC_DIRS",),
        ),
    ),
    run=list_devices,
)
COMMAND = Command(
    name="cdi",
    usage="Make and inspect CDI specifications",
    commands=(GENERATE, LIST, TRANSFORM),
)
