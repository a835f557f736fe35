"""The small decisions of the CDI hooks: links, driver parameters, application profile, modes.

Source: toolkit v1.20, cmd/nvidia-cdi-hook (reference: 08-cdi-hook, §3, §4, §7, §8).
"""

from toolkit.errors import ConfigError

PARAMS = "/proc/driver/nvidia/params"
PROFILE_FOLDER = "/etc/nvidia/nvidia-application-profiles-rc.d"
PROFILE_FILE = "10-container.conf"
_LAST_MINOR = 63  # the profile's mask has 64 bits


def links_of(specifications: list[str]) -> tuple[tuple[str, str], ...]:
    """`target::link` each, once, in order.  ConfigError unless there are exactly two parts."""
    links = []
    for specification in dict.fromkeys(specifications):
        parts = specification.split("::")
        if len(parts) != 2:
            raise ConfigError(f"invalid symlink specification {specification}", hint="write --link TARGET::LINK")
        links.append((parts[0], parts[1]))
    return tuple(links)


def mode_of(text: str) -> int:
    """The permission bits of an octal number; bits above them have no effect.  ConfigError."""
    if not text:
        raise ConfigError("a non-empty mode must be specified", hint="for example --mode 755")
    if not set(text) <= set("01234567"):
        raise ConfigError(f'failed to parse mode as octal: strconv.ParseUint: parsing "{text}": invalid syntax',
                          hint="for example --mode 755")
    if int(text, 8) > 0xFFFFFFFF:
        raise ConfigError(f'failed to parse mode as octal: strconv.ParseUint: parsing "{text}": value out of range',
                          hint="for example --mode 755")
    return int(text, 8) & 0o777


def without_node_modification(params: bytes) -> bytes:
    """The driver's parameters with `ModifyDeviceFiles` off; empty when there is nothing to change."""
    lines = params.split(b"\n")
    if b"ModifyDeviceFiles: 0" in lines or b"ModifyDeviceFiles: 1" not in lines:
        return b""
    return b"\n".join(b"ModifyDeviceFiles: 0" if line == b"ModifyDeviceFiles: 1" else line for line in lines)


def is_gpu_node(name: str) -> bool:
    """Whether a name in /dev is that of a GPU: `nvidia` and a number."""
    number = name.removeprefix("nvidia")
    return name.startswith("nvidia") and number.isascii() and number.isdigit()


def profile_mask(minors: tuple[int, ...]) -> tuple[int, tuple[str, ...]]:
    """The mask of GPUs that EGL may use, a bit per minor, and a warning for each minor that has none."""
    mask = 0
    warnings = []
    for minor in minors:
        if minor > _LAST_MINOR:
            warnings.append(f"dropping invalid minor number {minor}: must be in range [0, {_LAST_MINOR}]")
        else:
            mask |= 1 << minor
    return mask, tuple(warnings)


def profile_text(mask: int) -> bytes:
    """The application profile: the driver's relaxed JSON, with a bare hexadecimal number."""
    return (
        '{"profiles":[{"name":"_container_","settings":["EGLVisibleDGPUDevices",' + f"0x{mask:x}"
        ']}],"rules":[{"pattern":[],"profile":"_container_"}]}'
    ).encode()
