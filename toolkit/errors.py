"""What can go wrong, as values: the failure, where it lies, what to do next.

Everything expected is a ToolkitError.  One `except` per binary, in `toolkit.cmd`, prints it and picks the exit code;
anything else is a bug of ours and keeps its traceback.
"""


class ToolkitError(Exception):
    """An expected failure.

    `message` says what failed, with upstream's stem where upstream has one; `source` names the file, key or variable;
    `hint` says what to do next.  `str()` is the message with its source in front: the line operators grep for.
    """

    exit_code = 1

    def __init__(self, message: str, *, source: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message, self.source, self.hint = message, source, hint

    def __str__(self) -> str:
        return f"{self.source}: {self.message}" if self.source else self.message

    def within(self, outer: str) -> "ToolkitError":
        """The same error, seen from the file or command that contains its source."""
        source = f"{outer}: {self.source}" if self.source else outer
        return type(self)(self.message, source=source, hint=self.hint)


class ConfigError(ToolkitError):
    """config.toml, a flag or an environment variable holds something that we cannot use."""


class SpecError(ToolkitError):
    """An OCI bundle, a hook state or a CDI specification cannot be used."""


class HostError(ToolkitError):
    """The driver, its devices or its files are missing, or do not fit together."""


class RequestError(ToolkitError):
    """A container asks for something that does not exist, or that it may not have."""


class ApplyError(ToolkitError):
    """The machine refused a change; everything done before it has been undone."""
