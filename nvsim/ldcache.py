"""Which libraries `ldconfig` would index below a root, and the bytes of the ld.so.cache that it would write.

The format is the new one ("glibc-ld.so.cache1.1" alone), which ldconfig writes by default since glibc 2.32, or the one
before, in which a table of the old format precedes it.  Facts: glibc's documentation of ldconfig(8), and runs of
ldconfig 2.36 over trees made for the purpose; the host tests repeat them.
"""

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from posixpath import basename, normpath

_MAGIC = b"glibc-ld.so.cache1.1"
_OLD_MAGIC = b"ld.so-1.7.0"
_LITTLE_ENDIAN = 2
_EXTENSION_MAGIC = 0xEAA42174
_GENERATOR = 0  # tag of the extension that names the program which wrote the file

FLAGS = {"x86_64": 0x0303, "i386": 0x0003, "aarch64": 0x0A03}  # libc6 (3) and the architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of `ldconfig -p`.  `key` is what programs ask for, `path` where the loader finds it.

    `osversion` is the kernel version that the library's ABI note asks for, `2.3.99` as 0x020363; glibc before 2.36
    records it."""

    key: str
    path: str
    flags: int = FLAGS["x86_64"]
    osversion: int = 0
    hwcap: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """A shared object as ldconfig sees it: SONAME, architecture, ABI note."""

    soname: str = ""
    flags: int = FLAGS["x86_64"]
    osversion: int = 0


def index(directories: Iterable[str], objects: Mapping[str, Object], links: Mapping[str, str]) -> tuple[Entry, ...]:
    """The entries for the directories, in the order in which ldconfig reads them.

    `objects` are the shared objects and `links` the symbolic links of the tree, by absolute path.  A directory reached
    through a link (`/lib` on a merged /usr) is named as given; the same directory under a second name is left out."""
    seen: set[str] = set()
    entries: list[Entry] = []
    by_folder = _by_folder([*objects, *links])
    for directory in directories:
        real = resolve(directory, links)
        if real and real not in seen:
            seen.add(real)
            entries += _index_directory(directory, real, by_folder.get(real, ()), objects, links)
    return tuple(entries)


def _index_directory(directory: str, real: str, names: Iterable[str], objects: Mapping[str, Object],
                     links: Mapping[str, str]) -> list[Entry]:
    found: dict[tuple[str, int], Object] = {}
    for name in names:
        target = resolve(f"{real}/{name}", links)
        if not re.match(r"(lib|ld-).*\.so", name) or target not in objects:
            continue  # ldconfig looks at lib*.so* and ld-*.so* alone, and skips links that lead nowhere
        library = objects[target]
        key = library.soname or basename(target)
        # A link that bears neither the SONAME nor the name for the compile-time linker makes no entry of its own.
        if f"{real}/{name}" in links and name.endswith(".so") and name != key and key.startswith(name):
            key = name
        found[key, library.flags] = library
    return [Entry(key=key, path=f"{directory}/{key}", flags=library.flags, osversion=library.osversion)
            for (key, _), library in found.items()]


def _by_folder(paths: Iterable[str]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, []).append(name)
    return folders


def resolve(path: str, links: Mapping[str, str]) -> str:
    """The path without symbolic links; empty for a loop."""
    for _ in range(40):
        parts = path.split("/")
        for end in range(2, len(parts) + 1):
            prefix = "/".join(parts[:end])
            if prefix in links:
                target = links[prefix]
                start = target if target.startswith("/") else "/".join([*parts[: end - 1], target])
                path = normpath("/".join([start, *parts[end:]]))
                break
        else:
            return path
    return ""


def cache(entries: Iterable[Entry], *, generator: str = "", compat: bool = False) -> bytes:
    """The file.  `generator` is the text that names the ldconfig which wrote it (glibc 2.33 and later; else empty);
    `compat`: with the table of the old format first (glibc before 2.32)."""
    ordered = sorted(entries, key=_order, reverse=True)
    # Entries that compare equal keep the order of the directories: sort is stable under `reverse`.
    strings, places = _strings({text for entry in ordered for text in (entry.key, entry.path)})
    start = 48 + 24 * len(ordered)
    records = b"".join(struct.pack("<iIIIQ", entry.flags, start + places[entry.key], start + places[entry.path],
                                   entry.osversion, entry.hwcap) for entry in ordered)
    old = _old_table(ordered, start, places) if compat else b""
    end = len(old) + start + len(strings)
    extension_at = end + -end % 4 if generator else 0
    header = struct.pack("<20sIIB3xI12x", _MAGIC, len(ordered), len(strings), _LITTLE_ENDIAN, extension_at)
    extension = bytes(extension_at - end) + _extension(extension_at, generator) if generator else b""
    return old + header + records + strings + extension


def read(data: bytes) -> tuple[Entry, ...]:
    """The entries of a cache; a table of the old format in front of them is passed over.

    Raises ValueError for one that is cut short or has neither format."""
    start = data.find(_MAGIC)
    if start < 0:
        raise ValueError(f"no {_MAGIC.decode()} in it")

    def text(at: int) -> str:
        return data[start + at:data.index(b"\0", start + at)].decode()

    try:
        count = struct.unpack_from("<I", data, start + len(_MAGIC))[0]
        records = [struct.unpack_from("<iIIIQ", data, start + 48 + 24 * n) for n in range(count)]
    except struct.error as e:
        raise ValueError(str(e)) from e
    return tuple(Entry(key=text(key), path=text(path), flags=flags, osversion=osversion, hwcap=hwcap)
                 for flags, key, path, osversion, hwcap in records)


def _old_table(ordered: list[Entry], start: int, places: Mapping[str, int]) -> bytes:
    """The table of the old format.  Its names are those of the new one behind it, counted from the table's end.

    The last of an odd number of entries is there twice, so that the new table begins at a multiple of 8."""
    entries = [*ordered, *ordered[-1:]] if len(ordered) % 2 else ordered
    table = b"".join(struct.pack("<iII", entry.flags, start + places[entry.key], start + places[entry.path])
                     for entry in entries)
    return struct.pack("<11sxI", _OLD_MAGIC, len(entries)) + table


def _order(entry: Entry) -> tuple[tuple[tuple[int, int], ...], int, int, int]:
    """Keys compare as names and numbers in turn: a run of digits by its value, and above any other character."""
    parts = re.findall(r"[0-9]+|[^0-9]", entry.key)
    name = tuple((1, int(part)) if part.isdigit() else (0, ord(part)) for part in parts)
    return name, entry.flags, entry.osversion, entry.hwcap


def _strings(texts: set[str]) -> tuple[bytes, dict[str, int]]:
    """The string table, ordered by the reversed string, greatest first; a string that ends another lies inside it."""
    data, places, previous, previous_at = b"", {}, b"", 0
    for text in sorted((text.encode() for text in texts), key=lambda text: text[::-1], reverse=True):
        if previous.endswith(text) and previous:
            at = previous_at + len(previous) - len(text)
        else:
            at = len(data)
            data += text + b"\0"
        places[text.decode()] = at
        previous, previous_at = text, at
    return data, places


def _extension(offset: int, generator: str) -> bytes:
    """The extension directory with its one section."""
    text = generator.encode()
    return struct.pack("<IIIIII", _EXTENSION_MAGIC, 1, _GENERATOR, 0, offset + 24, len(text)) + text
