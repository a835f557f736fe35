"""Which files tell ldconfig, inside a container, where the driver's libraries are.

Source: toolkit v1.20, internal/ldconfig (reference: 08-cdi-hook, §5 steps 5 to 10).
"""

from binascii import crc32

TOP = "/etc/ld.so.conf"
DROP_INS = "/etc/ld.so.conf.d"
TOP_CONTENT = b"include /etc/ld.so.conf.d/*.conf\n"

_DEBIAN = {
    "x86_64": ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"),
    "aarch64": ("/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib", "/usr/lib"),
}
_OTHER = {
    "x86_64": ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/libx32", "/usr/libx32"),
    "aarch64": ("/lib", "/usr/lib", "/lib64", "/usr/lib64"),
}


def system_folders(machine: str, *, debian_like: bool) -> tuple[str, ...]:
    """Where the loader of an image looks by itself; nothing for an architecture that upstream does not know."""
    return (_DEBIAN if debian_like else _OTHER).get(machine, ())


def musl_path_file(machine: str) -> str:
    """The file that lists the library folders for musl's loader."""
    return f"/etc/ld-musl-{machine}.path"


def directives(content: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The folders and the include patterns of an ld.so.conf file, each as written."""
    folders: list[str] = []
    includes: list[str] = []
    for line in content.decode("utf-8", "surrogateescape").split("\n"):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("include "):
            includes.append(line.removeprefix("include "))
        else:
            folders.append(line)
    return tuple(folders), tuple(includes)


def new_folders(folders: tuple[str, ...], listed: frozenset[str], system: tuple[str, ...]) -> tuple[str, ...]:
    """The folders that ldconfig would not look into yet, once each, in the order given."""
    return tuple(folder for folder in dict.fromkeys(folders) if folder not in listed and folder not in system)


def drop_ins(folders: tuple[str, ...], system: tuple[str, ...]) -> tuple[tuple[str, bytes], ...]:
    """The drop-in files, as (path, content): new folders first of all, the system's folders last.

    Upstream's names end in a random number, so that files pile up with each start of a container; ours end in a
    number made from the content, so that the same content is the same file."""
    files = [("00-nvcr", folders)] if folders else []
    files.append(("zz-nvcr", system))
    return tuple((f"{DROP_INS}/{prefix}-{crc32(_lines(paths))}.conf", _lines(paths)) for prefix, paths in files)


def musl_path(before: bytes, folders: tuple[str, ...]) -> bytes:
    """The content of musl's list with the folders added that it lacks; as it was when it has them all."""
    present = set(before.replace(b":", b"\n").split(b"\n"))
    missing = tuple(folder for folder in folders if folder.encode("utf-8", "surrogateescape") not in present)
    if not missing:
        return before
    separator = b"\n" if before and not before.endswith(b"\n") else b""
    return before + separator + _lines(missing)


def _lines(paths: tuple[str, ...]) -> bytes:
    return "".join(f"{path}\n" for path in paths).encode("utf-8", "surrogateescape")
