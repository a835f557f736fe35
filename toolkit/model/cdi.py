"""A CDI specification, as values.  Source of names and rules: CDI 1.1.0."""

from typing import NamedTuple

from toolkit.model.edits import Edits


class Device(NamedTuple):
    """A named device of a specification."""

    name: str
    edits: Edits
    annotations: tuple[tuple[str, str], ...] = ()


class Spec(NamedTuple):
    """One CDI document.  `version` "" means: the lowest that its content allows.  `path` is the file it came from."""

    kind: str
    devices: tuple[Device, ...] = ()
    edits: Edits = Edits()
    version: str = ""
    annotations: tuple[tuple[str, str], ...] = ()
    path: str = ""
