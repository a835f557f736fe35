"""Expected failures of the harness: what failed, where, what to do next."""


class NvsimError(Exception):
    """An expected failure.  `source` names the file and key, `hint` says what to do next."""

    def __init__(self, message: str, *, source: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message, self.source, self.hint = message, source, hint

    def __str__(self) -> str:
        return f"{self.source}: {self.message}" if self.source else self.message

    def within(self, outer: str) -> "NvsimError":
        """The same error, seen from the file that contains its source."""
        return type(self)(self.message, source=f"{outer}: {self.source}" if self.source else outer, hint=self.hint)
