"""nvidia-ctk info: has no commands of its own in v1.20; it shows its help."""

from toolkit.cmd.ctk.frame import Command

COMMAND = Command(name="info", usage="Information about this machine")
