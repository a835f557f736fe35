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


class Document(NamedTuple):
    """A file of a CDI folder, parsed as JSON or YAML but not yet understood.

    `priority` is the position of its folder: later folders win.  `error` says why there is no content.
    """

    path: str
    priority: int = 0
    content: object = None
    error: str = ""
