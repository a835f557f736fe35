"""What one container asks for."""

from typing import NamedTuple

SUPPORTED_CAPABILITIES = ("compat32", "compute", "display", "graphics", "ngx", "utility", "video")
DEFAULT_CAPABILITIES = ("compute", "utility")


class Request(NamedTuple):
    """A container's request, after the rules on who may ask for what.

    `devices` is upstream's list to the letter: indices, UUIDs, "a:b", CDI names, "all", and "" for `none`.  An empty
    tuple means: not a GPU container.  `env` is the container's environment, the last of equal names winning.
    `notes` are the warnings that the decision on the devices produced, `imex_notes` those on the channels.
    """

    devices: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    privileged: bool = False
    requirements: tuple[str, ...] = ()
    imex_channels: tuple[str, ...] = ()
    gated_modes: tuple[str, ...] = ()  # gds, mofed, gdrcopy, nvswitch
    notes: tuple[str, ...] = ()
    imex_notes: tuple[str, ...] = ()

    def variable(self, name: str) -> str:
        """The value of a variable of the container, "" if unset."""
        return next((value for key, value in reversed(self.env) if key == name), "")
