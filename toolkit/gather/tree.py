"""The file system of a machine, read once: what exists, where links lead, what matches a pattern.

Paths are the machine's own ("/usr/lib64/libcuda.so.1"); where the machine is mounted is known here alone.  Directories
are listed once and remembered, for a look-up of thirty libraries in eleven folders asks the same question often: a
Tree is a snapshot for one plan, not something to keep.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import lru_cache
from posixpath import dirname, join, normpath

MAX_LINKS = 255  # as Go's filepath.EvalSymlinks


class Tree:
    """The machine whose root directory is at `mount` ("/": this one).

    Symbolic links, absolute ones too, are followed within the machine.  Nothing here raises for what is missing:
    absence is an answer.
    """

    def __init__(self, mount: str = "/") -> None:
        self._mount = "" if mount in ("", "/") else mount.rstrip("/")
        self._listings: dict[str, dict[str, bool] | None] = {}
        self._folders: dict[str, str] = {"/": "/"}

    def real(self, path: str) -> str:
        """Where this process finds a path of the machine whose folder has been resolved."""
        return self._mount + path

    def resolve(self, path: str) -> str:
        """The path with every link followed; "" if it does not exist, or if its links form a loop."""
        for _ in range(MAX_LINKS):
            parent, _, name = path.rpartition("/")
            if name in ("", ".", ".."):
                return self.folder(path)
            folder = self.folder(parent)
            is_link = self._is_link(folder, name) if folder else None
            if is_link is None:
                return ""
            path = _joined(folder, name)
            if not is_link:
                return path
            path = join(folder, self._target(path))
        return ""

    def folder(self, path: str) -> str:
        """A directory with every link followed; "" if there is none."""
        if path in self._folders:
            return self._folders[path]
        path = "/" + path.strip("/")
        if path not in self._folders:
            self._folders[path] = ""  # what a loop of links through this folder finds
            try:
                found = self._folder(path)
            except RecursionError:  # hundreds of folders deep, or as many links: none that a driver has
                found = ""
            self._folders[path] = found if found and self.listing(found) is not None else ""
        return self._folders[path]

    def _folder(self, path: str) -> str:
        parent, _, name = path.rpartition("/")
        if name in (".", ".."):
            found = self.folder(parent or "/")
            return dirname(found) if name == ".." else found
        return self.resolve(path)

    def listing(self, folder: str) -> dict[str, bool] | None:
        """The names in a resolved directory, and whether each is a symbolic link; None if it is no directory.

        A directory that may be entered but not read lists nothing: its files are then not found.
        """
        if folder not in self._listings:
            try:
                with os.scandir(self.real(folder)) as entries:
                    self._listings[folder] = {entry.name: entry.is_symlink() for entry in entries}
            except PermissionError:
                self._listings[folder] = {}
            except (OSError, ValueError):
                self._listings[folder] = None
        return self._listings[folder]

    def lstat(self, path: str) -> os.stat_result | None:
        """The status of a path, of the link itself if it is one; None if there is nothing."""
        parent, _, name = path.rpartition("/")
        folder = self.folder(parent)
        try:
            return os.lstat(self.real(_joined(folder, name))) if folder else None
        except (OSError, ValueError):
            return None

    def status(self, path: str) -> os.stat_result | None:
        """The status of what a path leads to."""
        found = self.resolve(path)
        return self.lstat(found) if found else None

    def is_file(self, path: str) -> bool:
        """It exists and is no directory: sockets and devices count."""
        status = self.status(path)
        return status is not None and not stat.S_ISDIR(status.st_mode)

    def is_directory(self, path: str) -> bool:
        return bool(self.folder(path))

    def is_link(self, path: str) -> bool:
        """It is a symbolic link, wherever that leads."""
        parent, _, name = path.rpartition("/")
        folder = self.folder(parent)
        return bool(folder and self._is_link(folder, name))

    def readlink(self, path: str) -> str:
        """The text of a link; "" if it is none."""
        parent, _, name = path.rpartition("/")
        return self._target(_joined(self.folder(parent), name)) if self.is_link(path) else ""

    def chain(self, path: str) -> Iterator[str]:
        """The path, and each one that its links lead to, up to the last; made absolute, folders as written."""
        seen: set[str] = set()
        while path not in seen:
            seen.add(path)
            yield path
            if target := self.readlink(path):
                path = normpath(join(dirname(path), target))

    def read(self, path: str, limit: int = 1 << 20) -> bytes | None:
        """The content of a file, at most `limit` bytes of it; None if it cannot be read."""
        found = self.resolve(path)
        try:
            with open(self.real(found), "rb") as f:
                return f.read(limit)
        except (OSError, ValueError):
            return None

    def glob(self, pattern: str) -> tuple[str, ...]:
        """The paths that match, sorted, links not resolved.

        Rules of Go's filepath.Glob: "*", "?" and "[…]" do not match "/"; a leading dot is nothing special.
        """
        first = _MAGIC.search(pattern)
        plain, _, rest = pattern[: first.start() if first else len(pattern)].rpartition("/")
        found = ["/" + plain.strip("/") if plain.strip("/") else ""]
        for part in (rest + (pattern[first.start() :] if first else "")).split("/"):
            found = [f"{parent}/{name}" for parent in found for name in self._matches(parent, part)]
        return tuple(found)

    @staticmethod
    def matcher(pattern: str) -> Callable[[str], object]:
        """A test of names against a pattern, by the rules of `glob`."""
        return _expression(pattern).fullmatch

    def _matches(self, parent: str, part: str) -> list[str]:
        folder = self.folder(parent or "/")
        names = self.listing(folder) if folder else None
        if not names:
            return []
        if not _MAGIC.search(part):
            return [part] if part in names else []
        expression = _expression(part)
        return sorted(name for name in names if expression.fullmatch(name))

    def _is_link(self, folder: str, name: str) -> bool | None:
        names = self.listing(folder)
        return None if names is None else names.get(name)

    def _target(self, path: str) -> str:
        try:
            return os.readlink(self.real(path))
        except (OSError, ValueError):
            return ""


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder != "/" else f"/{name}"


_MAGIC = re.compile(r"[*?\[\\]")
_TOKEN = re.compile(r"\[\^?(?:\\.|[^\\\]])+\]|\\.|.", re.DOTALL)
_IN_SET = re.compile(r"[\[&|~]|(?<=-)-")  # what means something in a set to Python alone
_MEANING = {"*": "[^/]*", "?": "[^/]"}


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str]:
    """A name pattern of Go's path.Match as a regular expression; a malformed one matches nothing."""
    out = ""
    for token in _TOKEN.findall(pattern):
        if token in ("[", "\\"):
            return re.compile("(?!)")
        if token in _MEANING:
            out += _MEANING[token]
        elif len(token) > 1:  # a set of characters, or one behind a backslash
            out += "[" + _IN_SET.sub(r"\\\g<0>", token[1:]) if token[0] == "[" else re.escape(token[1])
        else:
            out += re.escape(token)
    try:
        return re.compile(out, re.DOTALL)
    except re.error:  # a range that runs backwards
        return re.compile("(?!)")
