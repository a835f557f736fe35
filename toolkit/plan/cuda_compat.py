"""Whether a container's CUDA compatibility library replaces the host's libcuda.

Source: toolkit v1.20, cmd/nvidia-cdi-hook/cudacompat (reference: 08-cdi-hook, §6).
"""

import json
import re
from binascii import crc32
from typing import Any, NamedTuple

from toolkit.errors import SpecError

LIBRARY_PREFIX = "libcuda.so."
_VERSION = re.compile(r"v?([0-9]{1,18})(?:\.([0-9]{1,18}))?(?:\.([0-9]{1,18}))?(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


class Note(NamedTuple):
    """What a library says of itself in its section `.note.cuda.fwd_compatibility`."""

    cuda_version: str = ""
    driver_majors: tuple[int, ...] = ()


class Version(NamedTuple):
    """Numbers that compare as a version does; a pre-release comes before its release."""

    major: int
    minor: int
    patch: int
    is_release: bool
    pre_release: str


def is_compat_library(name: str) -> bool:
    """Whether a file name matches `libcuda.so.*.*`."""
    return name.startswith(LIBRARY_PREFIX) and "." in name.removeprefix(LIBRARY_PREFIX)


def drop_in(folder: str) -> tuple[str, bytes]:
    """The file that puts a folder in front of all others, as (name, content).  Its name depends on the folder alone."""
    content = f"{folder}\n".encode("utf-8", "surrogateescape")
    return f"00-compat-{crc32(content):08x}.conf", content


def parse_note(description: bytes) -> Note:
    """The note's JSON: {"Format":1,"CUDA Version":"12.8","Driver":[535,550],"Device":[…]}.  SpecError otherwise."""
    try:
        value: Any = json.loads(description.rstrip(b"\0"))
    except (ValueError, RecursionError) as e:
        raise SpecError(f"failed to unmarshal the note: {e}") from None
    if not isinstance(value, dict):
        raise SpecError("failed to unmarshal the note: not an object")
    cuda, majors = value.get("CUDA Version") or "", value.get("Driver") or []
    if not isinstance(cuda, str) or not isinstance(majors, list) or any(type(major) is not int for major in majors):
        raise SpecError("failed to unmarshal the note: a value has the wrong type")
    return Note(cuda_version=cuda, driver_majors=tuple(majors))


def parse_version(text: str) -> Version | None:
    """One to three numbers, e.g. "535", "570.86.15", "12.8"; None for anything else."""
    match = _VERSION.fullmatch(text)
    if not match:
        return None
    major, minor, patch, pre_release, _ = match.groups()
    return Version(int(major), int(minor or 0), int(patch or 0), not pre_release, pre_release or "")


def wants_compat(library: str, note: Note | None, host_driver: str, host_cuda: str) -> tuple[bool, tuple[str, ...]]:
    """Whether to use the library of that file name, and the warnings that upstream gives on the way.

    A version that cannot be read counts as unknown, and so does one that was not given."""
    compat, driver, cuda = (parse_version(v) for v in (library.removeprefix(LIBRARY_PREFIX), host_driver, host_cuda))
    named = (("compat driver", library.removeprefix(LIBRARY_PREFIX), compat), ("host driver", host_driver, driver),
             ("host CUDA", host_cuda, cuda))
    warnings = tuple(f'failed to parse {what} version "{text}": invalid semantic version'
                     for what, text, version in named if version is None)
    return _decision(note, compat, driver, cuda, cuda_given=bool(host_cuda)), warnings


def _decision(
    note: Note | None, compat: Version | None, driver: Version | None, cuda: Version | None, *, cuda_given: bool
) -> bool:
    if note is not None:
        # Both driver versions known: if the host's major is listed and the library is newer.
        if compat and driver:
            return driver.major in note.driver_majors and compat > driver
        # Else, if the host's CUDA version is known: if the note's is above it.  Else no.
        noted = parse_version(note.cuda_version)
        return bool(cuda and noted and noted > cuda)
    # No note.  The host's CUDA version was given: no.  Driver versions unknown: no.  Else by major.
    if cuda_given or not compat or not driver:
        return False
    return driver.major < compat.major
