"""The csv files of a Tegra system → what they list, as far as it is there.

A board's maker says in these files what a container needs: a line is a kind ("dev", "dir", "lib" or "sym") and a
path, which may be a pattern.  Source: toolkit v1.20, internal/platform-support/tegra.
"""

from collections.abc import Iterable
from posixpath import basename, join, normpath

from toolkit.gather.devices import read_devices
from toolkit.gather.driver import read_library
from toolkit.gather.locate import Locator, located
from toolkit.gather.tree import Tree
from toolkit.model.host import CharDevice, File, Library, Tegra

FOLDER = "/etc/nvidia-container-runtime/host-files-for-container.d"
BASE_FILES = ("devices.csv", "drivers.csv", "l4t.csv")
FILES = tuple(join(FOLDER, name) for name in BASE_FILES)
RELEASE = "/etc/nv_tegra_release"
KINDS = ("dev", "dir", "lib", "sym")
MAX_SIZE = 1 << 24  # of a csv file, in bytes


def list_csv_files(tree: Tree, folder: str, *, base_only: bool) -> tuple[str, ...]:
    """The csv files of a folder, sorted by name; () if there is no such folder.

    `base_only` leaves out those that add more than a container must have, such as cuda.csv.
    """
    names = tree.listing(tree.folder(folder)) or {}
    found = sorted(name for name in names if name != ".csv" and name.lower().endswith(".csv"))
    paths = (join(folder, name) for name in found if not base_only or name in BASE_FILES)
    return tuple(path for path in paths if not tree.is_directory(path))


def read_tegra(
    locator: Locator, *, files: tuple[str, ...] = (), ignore: tuple[str, ...] = (), dev_root: str = "/"
) -> tuple[Tegra, tuple[CharDevice, ...]]:
    """What the csv files list, and the device nodes among it.

    `files` are paths of the machine, () for the three usual ones.  `ignore` are patterns of "sym" entries to leave
    out: of their base name if they begin with "**/", else of the whole path.  What is listed and not there is a note
    of the locator, except for nodes: Tegra.devices has all entries.
    """
    entries = [entry for path in files or FILES for entry in _entries(locator, path)]
    of_kind = {kind: [path for k, path in entries if k == kind] for kind in KINDS}
    symbolic = [path for path in of_kind["sym"] if not _is_ignored(locator.tree, path, ignore)]
    nodes = {entry: _nodes(locator.tree, dev_root, entry) for entry in of_kind["dev"]}
    tegra = Tegra(
        devices=tuple((entry, tuple(node.path for node in nodes[entry])) for entry in of_kind["dev"]),
        directories=tuple(_file(locator, path) for path in located(
            locator, of_kind["dir"], lambda entry: locator.directories(normpath(entry), (locator.root,)))),
        libraries=tuple(_library(locator, path) for path in _resolved(locator, of_kind["lib"])),
        targets=tuple(_file(locator, path) for path in _resolved(locator, symbolic)),
        links=tuple(dict.fromkeys(link for entry in symbolic for link in _links(locator, entry))),
        release_file=RELEASE if locator.tree.is_file(RELEASE) else "",
        is_empty=not entries,
    )
    return tegra, tuple(dict.fromkeys(node for found in nodes.values() for node in found))


def _entries(locator: Locator, path: str) -> Iterable[tuple[str, str]]:
    """Kind and path of each line; a line of any other form is passed over, a file without any is a note."""
    data = locator.tree.read(path, limit=MAX_SIZE)
    if data is None:
        locator.notes.append(
            f"Skipping CSV file {path}: failed to parse CSV file: failed to open {path} for reading: "
            f"open {path}: no such file or directory"
        )
        return ()
    lines = (line.partition(",") for line in data.decode(errors="surrogateescape").split("\n"))
    pairs = ((kind.strip(), entry.strip()) for kind, _, entry in lines)
    entries = tuple(pair for pair in pairs if pair[0] in KINDS and pair[1])
    if not entries:
        locator.notes.append(f"Skipping CSV file {path}: CSV file is empty")
    return entries


def _is_ignored(tree: Tree, path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern matches; "*" does not cross "/"."""
    return any(
        tree.matcher(pattern.removeprefix("**/"))(basename(path) if pattern.startswith("**/") else path)
        for pattern in patterns
    )


def _nodes(tree: Tree, dev_root: str, entry: str) -> tuple[CharDevice, ...]:
    """The device nodes that an entry matches, from the root of devices or from its /dev."""
    path = normpath("/" + entry.lstrip("/"))
    return read_devices(tree, dev_root, (path, "/dev" + path))


def _resolved(locator: Locator, entries: list[str]) -> tuple[str, ...]:
    """What the entries lead to: below the search paths, if there are any, then below the driver root itself."""
    folders = (*map(locator.below, locator.library_folders), locator.root)
    return located(locator, entries, lambda entry: locator.resolved(normpath(entry), folders))


def _library(locator: Locator, path: str) -> Library:
    return read_library(locator, path)._replace(host_path=path)


def _file(locator: Locator, path: str) -> File:
    return File(host_path=path, path=locator.inside(path))


def _links(locator: Locator, entry: str) -> Iterable[tuple[str, str]]:
    """The symbolic links on the way from an entry to its file, the text and the path of each on the machine."""
    paths = locator.files(normpath(entry), (locator.root,))
    if not paths:
        locator.notes.append(f"Failed to locate symlink {entry}")
    for member in dict.fromkeys(member for path in paths for member in locator.tree.chain(path)):
        if target := locator.tree.readlink(member):
            yield target, member
