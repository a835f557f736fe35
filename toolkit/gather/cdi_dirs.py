"""CDI folders → parsed files.  JSON first, for it is a hundred times faster; YAML on demand.

Source: CDI 1.1.0, pkg/cdi/spec-dirs.go.  What the files mean, and which device wins, is `plan.registry`'s.
"""

import json
import os
import stat
from typing import Any

from toolkit.errors import SpecError
from toolkit.model.cdi import Document

EXTENSIONS = (".json", ".yaml")
LIMIT = 16 << 20  # bytes; a spec of 64 GPUs has 100 KB


def read_documents(folders: tuple[str, ...], *, root: str = "/") -> tuple[Document, ...]:
    """The files of the folders, lowest priority first, each folder's in lexical order.

    A missing folder has none; a file that cannot be read or parsed is a Document with an error.  `root` is where the
    machine's file system is mounted; paths in the result are the machine's.
    """
    found = []
    for priority, folder in enumerate(folders):
        real = folder if root in ("", "/") else root.rstrip("/") + "/" + folder.lstrip("/")
        try:
            names = sorted(os.listdir(real or "."))
        except (OSError, ValueError):
            continue
        for name in names:
            path = os.path.join(real, name)
            if name.endswith(EXTENSIONS) and not os.path.isdir(path):
                found.append(_document(path, os.path.join(folder, name), priority))
    return tuple(found)


def _document(real: str, path: str, priority: int) -> Document:
    """Upstream's error texts; the path is part of them."""
    try:
        data = _content(real)
    except OSError as e:
        cause = (e.strerror or str(e)).lower()
        return Document(path, priority, error=f'failed to read CDI Spec "{path}": open {path}: {cause}')
    try:
        content = parsed(data)
    except SpecError as e:
        return Document(
            path, priority, error=f'failed to parse CDI Spec "{path}": failed to unmarshal CDI Spec: {e.message}'
        )
    if content is None:
        return Document(path, priority, error=f'failed to parse CDI Spec "{path}", no Spec data')
    return Document(path, priority, content)


def _content(path: str) -> bytes:
    """The bytes of a regular file.  Opening does not wait: a named pipe in the folder must not stop a container."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as f:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a regular file")
        if status.st_size > LIMIT:
            raise OSError(f"larger than {LIMIT >> 20} MiB")
        return f.read(LIMIT)


def parsed(data: bytes) -> object:
    """The value in JSON or YAML text, None for an empty text.  Repeated keys are an error.  Raises SpecError."""
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        raise SpecError(f"invalid UTF-8 at byte {e.start}") from None
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError):
            pass  # YAML's own braces look the same
    return _yaml(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _refuse_repeated([name for name, _ in pairs])
    return dict(pairs)


def _refuse_repeated(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SpecError(f'key "{name}" already set in map')
        seen.add(name)


def _yaml(text: str) -> object:
    try:
        import yaml  # 14 ms with a spec of 10 KB; JSON specs skip it
    except ImportError:
        raise SpecError("it is YAML, and PyYAML is not installed here", hint="install PyYAML, or write JSON") from None

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]  # PyYAML has no types here
        """A safe loader that refuses repeated keys."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            pairs = node.value if isinstance(node, yaml.MappingNode) else ()
            names = [key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
            _refuse_repeated(names)
            mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
            return mapping

    loader = Loader(text)
    try:
        return loader.get_data() if loader.check_data() else None
    except yaml.YAMLError as e:
        raise SpecError(f"error converting YAML to JSON: yaml: {' '.join(str(e).split())}") from None
    except RecursionError:
        raise SpecError("error converting YAML to JSON: yaml: nested too deeply") from None
    except (ValueError, TypeError, OverflowError, AttributeError, KeyError) as e:  # a malformed date, number or tag
        raise SpecError(f"error converting YAML to JSON: yaml: {e}") from None
    finally:
        loader.dispose()
