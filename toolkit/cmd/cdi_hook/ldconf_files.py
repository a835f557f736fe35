"""The folders that an image's ld.so.conf and its includes name.

The files are the image's: whatever they include is read inside its root, plain files only, and no more than LIMITs.
"""

from fnmatch import fnmatchcase
from posixpath import dirname, join

from toolkit.apply.rootfs import Rootfs, RootfsError
from toolkit.plan.ldconf import directives

MOST_FILES, MOST_BYTES = 512, 1 << 20


def listed_folders(root: Rootfs, path: str) -> frozenset[str]:
    """All folders that the file and its includes list, as written.  What cannot be read lists nothing."""
    folders: set[str] = set()
    seen: set[str] = set()
    todo = [path]
    while todo and len(seen) < MOST_FILES:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        try:
            listed, includes = directives(root.read_file(current, MOST_BYTES))
        except RootfsError:
            continue
        folders.update(listed)
        for pattern in includes:
            todo += matches(root, join(dirname(current), pattern))
    return frozenset(folders)


def matches(root: Rootfs, pattern: str) -> list[str]:
    """The paths inside the root that a glob pattern names, sorted; none for a pattern with a NUL character."""
    found = ["/"]
    if "\0" in pattern:
        return []
    for component in pattern.split("/"):
        if component:
            found = [path for folder in found for path in _in_folder(root, folder, component)][:MOST_FILES]
    return found


def _in_folder(root: Rootfs, folder: str, component: str) -> list[str]:
    try:
        if not set("*?[") & set(component):
            path = join(folder, component)
            return [path] if root.exists(path) else []
        hidden = component.startswith(".")
        return [join(folder, name) for name in root.listdir(folder)
                if fnmatchcase(name, component) and (hidden or not name.startswith("."))]
    except RootfsError:
        return []
