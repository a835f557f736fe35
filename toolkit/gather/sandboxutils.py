"""libnvidia-sandboxutils.so.1 through ctypes: the files of a GPU as the driver itself lists them (565 and later).

Source: toolkit v1.20, internal/nvsandboxutils and internal/platform-support/dgpu.
"""

import ctypes
import struct
from collections.abc import Iterator
from typing import NamedTuple

from toolkit.gather.nvml import closed

LIBRARY = "libnvidia-sandboxutils.so.1"
VERSION, ROOT_PATH = 1, 1  # of every structure; what nvSandboxUtilsInit is given
BY_GPU_UUID, BY_MIG_UUID = 0, 1
NODE, CARD, RENDER, CARD_LINK, RENDER_LINK, CAPABILITY = 0, 1, 2, 3, 4, 10  # kinds of files that matter here
HAS_CONTENT = 4  # flag: the text of a link is to be asked for
INPUT = 256  # bytes
MAX_PATH, MAX_FILES = 4096, 1024

_INIT = struct.Struct(f"=II{INPUT}s")
_REQUEST = struct.Struct(f"=II{INPUT}sQ")
_FILE = struct.Struct("=QIIIIQ")  # next, type, kind, module, flags, path


class Listed(NamedTuple):
    """What the driver says that a device needs: paths of nodes, those of them for graphics, links as (text, path)."""

    nodes: tuple[str, ...] = ()
    graphics: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


def read_listed(path: str, root: str, uuids: tuple[str, ...]) -> dict[str, Listed]:
    """The files of each device by its UUID; one that the library says nothing of is not in it.

    `path` is the library's file, `root` the driver root as this process sees it.  Nothing is raised: without the
    library's answer NVML and /dev tell.
    """
    try:
        library = ctypes.CDLL(path)
    except OSError:
        return {}
    try:
        if _call(library, "nvSandboxUtilsInit", _INIT.pack(VERSION, ROOT_PATH, root.encode(errors="surrogateescape"))):
            return {}
        try:
            answers = ((uuid, _listed(library, uuid)) for uuid in uuids)
            return {uuid: answer for uuid, answer in answers if answer is not None}
        finally:
            _call(library, "nvSandboxUtilsShutdown")
    finally:
        closed(library)


def _listed(library: ctypes.CDLL, uuid: str) -> Listed | None:
    kind = BY_MIG_UUID if uuid.startswith("MIG-") else BY_GPU_UUID
    request = ctypes.create_string_buffer(_REQUEST.pack(VERSION, kind, uuid.encode(), 0), _REQUEST.size)
    if _call(library, "nvSandboxUtilsGetGpuResource", request):
        return None
    nodes, graphics, links = [], [], []
    for file_kind, flags, path in _files(_REQUEST.unpack(request.raw)[-1]):
        if file_kind in (NODE, CAPABILITY):
            nodes.append(path)
        elif file_kind in (CARD, RENDER):
            graphics.append(path)
        elif file_kind in (CARD_LINK, RENDER_LINK) and flags == HAS_CONTENT:
            text = _content(library, path)
            if text is None:
                return None
            links.append((text, path))
    return Listed(nodes=tuple(nodes), graphics=tuple(graphics), links=tuple(links))


def _files(address: int) -> Iterator[tuple[int, int, str]]:
    """Kind, flags and path of each entry of a linked list in the library's memory."""
    for _ in range(MAX_FILES):
        if not address:
            return
        address, _type, kind, _module, flags, name = _FILE.unpack(ctypes.string_at(address, _FILE.size))
        yield kind, flags, ctypes.string_at(name).decode(errors="surrogateescape") if name else ""


def _content(library: ctypes.CDLL, path: str) -> str | None:
    content, size = ctypes.create_string_buffer(MAX_PATH), ctypes.c_uint(MAX_PATH)
    name = ctypes.create_string_buffer(path.encode(errors="surrogateescape"))
    if _call(library, "nvSandboxUtilsGetFileContent", name, content, ctypes.byref(size)):
        return None
    return content.value.decode(errors="surrogateescape")


def _call(library: ctypes.CDLL, name: str, *args: object) -> int:
    """The library's return code; 7, function not found, where it has none of that name."""
    function = getattr(library, name, None)
    return int(function(*args)) if function else 7
