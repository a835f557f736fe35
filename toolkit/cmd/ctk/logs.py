"""The log of nvidia-ctk: lines on stderr, as many as --debug and --quiet ask for."""

from toolkit.cmd.ctk.frame import Values
from toolkit.log import Log


def log_of(values: Values) -> Log:
    """--quiet leaves errors only, and wins over --debug."""
    level = "error" if values.switch("quiet") else "debug" if values.switch("debug") else "info"
    return Log(2, level=level)
