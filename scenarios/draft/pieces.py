"""Files and folders → texts: what is fenced in Markdown comes as pieces of its own beside the whole text."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from nvsim.errors import NvsimError

LARGEST = 4 * 1024 * 1024  # bytes of a file; a must-gather's larger ones are logs of other things
MOST_FILES = 2000
_LONGEST = 2000  # characters of a line that anything but a document is looked for in
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[^`]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One text.  `whole`: all of a file, as opposed to one fenced block of it."""

    source: str
    text: str
    whole: bool = True


def read(paths: list[str]) -> tuple[Piece, ...]:
    """The texts of files, of folders with all below them, and of the standard input ("-").

    Raises NvsimError for a path that cannot be read or is too large; in a folder such files are passed over."""
    pieces: list[Piece] = []
    for path in paths:
        if os.path.isdir(path):
            for inner in _below(path):
                pieces += _pieces(inner, Path(inner).read_bytes())
        else:
            pieces += _pieces(path, _content(path))
    return tuple(pieces)


def _content(path: str) -> bytes:
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as f:
            content = f.read(LARGEST + 1)
    except (OSError, ValueError) as e:
        raise NvsimError(f"cannot read the report: {getattr(e, 'strerror', None) or e}", source=path) from e
    if len(content) > LARGEST:
        raise NvsimError(f"larger than {LARGEST >> 20} MiB", source=path, hint="cut out what is about GPUs")
    return content


def _below(folder: str) -> list[str]:
    """Regular files that can be read and are not too large, in order; links are not followed out of the folder."""
    found = []
    for at, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(at, name)
            if os.path.isfile(path) and not os.path.islink(path) and os.access(path, os.R_OK):
                if os.path.getsize(path) <= LARGEST:
                    found.append(path)
    if len(found) > MOST_FILES:
        raise NvsimError(f"more than {MOST_FILES} files", source=folder, hint="name the folders that are about GPUs")
    return found


def _pieces(source: str, content: bytes) -> list[Piece]:
    text = decoded(content)
    fenced = [Piece(source=source, text=block, whole=False) for block in blocks(text)]
    return [Piece(source=source, text=text), *fenced]


def decoded(content: bytes) -> str:
    """Bytes as text: UTF-8, or UTF-16 as a Windows shell writes it; without colours and control characters."""
    codec = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = content.decode(codec, errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"\x1b\[[0-9;?]{0,20}[A-Za-z]", "", text).replace("\u00a0", " ").replace("\t", "    ")
    return "".join(c for c in text if c == "\n" or c.isprintable())


def shortened(text: str) -> str:
    """A text without the ends of very long lines, which are no output that a person pastes, and without empty ones of
    which there are many in a row."""
    return "\n".join(line[:_LONGEST] for line in re.sub(r"\n{3,}", "\n\n", text).split("\n"))


def blocks(text: str) -> list[str]:
    """The fenced code blocks of a Markdown text; one that is not closed ends with the text."""
    found: list[list[str]] = []
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.fullmatch(line)
        if fence and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        elif not fence and mark:
            fence = mark[1]
            found.append([])
        elif fence:
            found[-1].append(line)
    return ["\n".join(lines) for lines in found]
