"""Where upstream looks for what: the locators of the toolkit, over a Tree.

Source: toolkit v1.20, pkg/lookup and internal/lookup/root.  Paths in and out are those of the machine, driver root
included; `Locator.inside` takes the driver root off again.
"""

from collections.abc import Callable, Iterable, Mapping
from posixpath import basename, join

from toolkit.errors import HostError
from toolkit.gather import ldcache
from toolkit.gather.tree import Tree

LIBRARY_FOLDERS = (
    "/",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib/aarch64-linux-gnu/nvidia/current",
    "/lib64",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/lib/x86_64-linux-gnu/nvidia/current",
    "/lib/aarch64-linux-gnu/nvidia/current",
)
EXECUTABLE_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class Locator:
    """Look-ups below one driver root.

    `library_folders` and `config_folders`, where given, replace the built-in folders: they are paths of the machine,
    and the ld.so.cache is then not consulted.  `notes` collects the warnings of the look-ups, in order.
    """

    def __init__(
        self,
        tree: Tree,
        driver_root: str = "/",
        *,
        library_folders: tuple[str, ...] = (),
        config_folders: tuple[str, ...] = (),
        environment: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.tree, self.root = tree, "/" + driver_root.strip("/")
        self.notes: list[str] = []
        self.library_folders, self._configs = library_folders, config_folders
        self._environment = dict(environment)
        self._cached: list[tuple[str, ...]] | None = None

    def below(self, path: str) -> str:
        """A path of the driver root as a path of the machine."""
        return path if self.root == "/" else self.root + "/" + path.lstrip("/")

    def inside(self, path: str) -> str:
        """A path of the machine as a container shall see it: without the driver root, a plain prefix of its text."""
        return path if self.root == "/" else path.removeprefix(self.root)

    def files(self, pattern: str, folders: tuple[str, ...]) -> tuple[str, ...]:
        """Everything but directories that matches in the folders of the machine, in their order; links not resolved."""
        return tuple(
            path
            for folder in folders
            for path in self.tree.glob(join(folder, pattern.lstrip("/")))
            if self.tree.is_file(path)
        )

    def directories(self, pattern: str, folders: tuple[str, ...]) -> tuple[str, ...]:
        """The directories that match in the folders of the machine, in their order; links not resolved."""
        paths = (path for folder in folders for path in self.tree.glob(join(folder, pattern.lstrip("/"))))
        return tuple(path for path in paths if self.tree.is_directory(path))

    def resolved(self, pattern: str, folders: tuple[str, ...]) -> tuple[str, ...]:
        """As `files`, but what the links lead to, each once."""
        return tuple(dict.fromkeys(map(self.tree.resolve, self.files(pattern, folders))))

    def libraries(self, pattern: str) -> tuple[str, ...]:
        """The libraries that match, links resolved, each once.

        Fixed folders come before the ld.so.cache, which counts only if none of them has a match.
        """
        if self.library_folders:
            return self.resolved(pattern, self.library_folders)
        folders = tuple(map(self.below, LIBRARY_FOLDERS))
        return self.resolved(pattern, folders) or self._from_cache(pattern)

    def configs(self, name: str) -> tuple[str, ...]:
        """All files of that name below /etc and the data folders of XDG, in this order."""
        return self.files(name, self._configs or self._config_folders())

    def config(self, name: str) -> str:
        """The first of `configs`, else the file at the driver root itself; "" if there is none."""
        return next(iter((*self.configs(name), *self.files(name, (self.root,)))), "")

    def executable(self, name: str) -> str:
        """A program of the driver root by its name, "" if there is none.

        Folders are those of PATH, then the usual ones, each below the driver root.
        """
        path = self._environment.get("PATH", "")
        folders = dict.fromkeys((*(folder for folder in path.split(":") if folder), *EXECUTABLE_FOLDERS))
        for folder in folders:
            for found in self.files(name, (self.below(folder),)):
                status = self.tree.status(found)
                if status is not None and status.st_mode & 0o111:
                    return found
        return ""

    def _config_folders(self) -> tuple[str, ...]:
        data = self._environment.get("XDG_DATA_DIRS", "") or "/usr/local/share:/usr/share"
        return tuple(map(self.below, ("/etc", *data.split(":"))))

    def _from_cache(self, pattern: str) -> tuple[str, ...]:
        """Libraries of the ld.so.cache: a match with any link on the way to the file counts."""
        expressions = self.tree.matcher(self.below(pattern) if "/" in pattern else pattern)
        found = dict.fromkeys(
            self.tree.resolve(chain[-1])
            for chain in self._cache_chains()
            if any(expressions(path if "/" in pattern else basename(path)) for path in chain)
        )
        return tuple(filter(None, found))

    def _cache_chains(self) -> list[tuple[str, ...]]:
        """The path of each 64-bit library of the cache, and those that its links lead to; it need not exist."""
        if self._cached is None:
            path = self.below("/etc/ld.so.cache")
            self._cached = []
            try:
                data = self.tree.read(path, limit=1 << 26)
                if data is None:
                    raise HostError(f"open {path}: no such file or directory")
                entries = ldcache.parse(data, path)
            except HostError as e:
                self.notes.append(f"Failed to load ldcache: {e}")
                return self._cached
            for value in dict.fromkeys(entry.path for entry in entries if entry.bits == 64):
                self._cached.append(tuple(self.tree.chain(self.below(value))))
        return self._cached


def located(
    locator: Locator, names: Iterable[str], search: Callable[[str], tuple[str, ...]], *, errors: int = 1
) -> tuple[str, ...]:
    """What a search finds for each name, each path once; a name without a match is a note of the locator.

    `errors` is how many places the search asks: upstream's message repeats itself for each.
    """
    found: dict[str, None] = {}
    for name in names:
        paths = search(name)
        if not paths:
            locator.notes.append(f"Could not locate {name}: {not_found(name, errors)}")
        found.update(dict.fromkeys(paths))
    return tuple(found)


def not_found(pattern: str, times: int = 2) -> str:
    return "\n".join([f"{pattern}: not found"] * times)


def find_hook(given: str, environment: Mapping[str, str], *, root: str = "/") -> tuple[str, str]:
    """The program to name in generated hooks, and a warning if it could only be guessed.

    An absolute path is taken as it is; a name is searched on PATH, then in the usual folders; what is not found gets
    the place that packages install it to.
    """
    default = "/usr/bin/nvidia-ctk" if basename(given) == "nvidia-ctk" else "/usr/bin/nvidia-cdi-hook"
    if given.startswith("/"):
        return given, ""
    name = given or basename(default)
    locator = Locator(Tree(root), environment=(("PATH", environment.get("PATH", "")),))
    found = locator.executable(name)
    return (found, "") if found else (default, f"Failed to locate {name}: {name}: not found")
