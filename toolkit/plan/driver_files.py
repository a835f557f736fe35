"""The driver's files → Edits: libraries with their links and hooks, sockets, firmware, programs, graphics.

Source: toolkit v1.20, pkg/nvcdi/driver-nvml.go, internal/discover/{graphics,ipc,symlinks}.go.  The order is upstream's.
"""

import re
from collections.abc import Iterable
from posixpath import basename, dirname, join

from toolkit.errors import HostError
from toolkit.model.edits import Edits, Mount, merged
from toolkit.model.host import Driver, Library
from toolkit.plan.hooks import Hooks

OPTIONS = ("ro", "nosuid", "nodev", "rbind", "rprivate")
SOCKET_OPTIONS = ("nosuid", "nodev", "rbind", "rprivate", "noexec")
VERSIONED = re.compile(r".*\..*\..*", re.DOTALL)  # upstream's glob "*.*.*"

_FLOW = r"libnvidia-opticalflow\.so"
LINKS = (
    (re.compile(r"libcuda\.so\..*\..*", re.DOTALL), "libcuda.so.1", "libcuda.so"),
    (re.compile(r"libGLX_nvidia\.so\..*\..*", re.DOTALL), "", "libGLX_indirect.so.0"),
    (re.compile(_FLOW + r"\..*\..*", re.DOTALL), "libnvidia-opticalflow.so.1", "libnvidia-opticalflow.so"),
)
"""Links that every container gets, whether or not the host has them: name of the library, target ("": it), link."""


def driver_edits(
    driver: Driver, hooks: Hooks, *, features: tuple[str, ...] = (), ldconfig: str = "", profile_hook: bool = True
) -> Edits:
    """Everything of the driver but graphics.  Raises HostError if its version, and so its files, are unknown."""
    if driver.version_error:
        # With a version the files that should bear it are missing, without one there is nothing to look for.
        step = (
            "failed to create discoverer for driver libraries: failed to get libraries for driver version: "
            "failed to get driver library locator: failed to get libcuda.so parent directory: "
            if driver.version
            else f'failed to determine driver version ("{driver.version}"): '
        )
        raise HostError(
            step + driver.version_error,
            hint="install the driver's libraries below the driver root, or use --library-search-path",
        )
    return merged(
        _library_edits(driver, hooks, features, ldconfig),
        Edits() if "disable-ipc-discoverer" in features else _mounted(driver, driver.sockets, SOCKET_OPTIONS),
        _mounted(driver, driver.firmware),
        _mounted(driver, driver.binaries),
        Edits(hooks=hooks.hook("update-application-profile")) if profile_hook else Edits(),
    )


def graphics_edits(driver: Driver, hooks: Hooks) -> Edits:
    """Libraries, X.Org modules and configuration files of OpenGL, EGL and Vulkan, and their links."""
    files = [(library.name, library.path) for library in driver.graphics_libraries]
    files += [(basename(file.path), file.path) for file in driver.graphics_files]
    mounts = [_library_mount(driver, x) for x in driver.graphics_libraries if not _is(x.name, "libnvidia-allocator.so")]
    mounts += [Mount(host_path=f.host_path, container_path=f.path, options=OPTIONS) for f in driver.graphics_files]
    links = tuple(link for name, path in files for link in _graphics_links(name, dirname(path)))
    return Edits(mounts=tuple(dict.fromkeys(mounts)), hooks=hooks.symlinks(links))


def _library_edits(driver: Driver, hooks: Hooks, features: tuple[str, ...], ldconfig: str) -> Edits:
    explicit = driver.explicit_libraries if "enable-explicit-driver-libraries" in features else ()
    libraries = tuple({library.path: library for library in (*driver.libraries, *explicit)}.values())
    folders = dict.fromkeys(dirname(library.path) for library in libraries if is_library(library.name))
    return Edits(
        mounts=tuple(_library_mount(driver, library) for library in libraries),
        hooks=(
            *hooks.symlinks(library_links(libraries)),
            *hooks.cuda_compat(driver.version),
            *hooks.update_ldcache(tuple(folders), ldconfig),
            *hooks.hook("disable-device-node-modification"),
        ),
        env=(f"NVIDIA_CTK_LIBCUDA_DIR={':'.join(driver.library_dirs)}",),
    )


def library_links(libraries: Iterable[Library]) -> tuple[tuple[str, str], ...]:
    """The links to make in the container, (target, path) each, once each.

    Libraries are mounted under their full name only; programs and the loader ask for shorter ones.
    """
    links: dict[tuple[str, str], None] = {}
    for library in libraries:
        folder = dirname(library.path)
        for expression, target, link in LINKS:
            if expression.fullmatch(library.name):
                links[target or library.name, join(folder, link)] = None
        if not VERSIONED.fullmatch(library.name) or not library.soname:
            continue
        # The SONAME, and the SONAME up to ".so", if the host has such links.
        if library.soname != library.name and join(folder, library.soname) in library.links:
            links[library.name, join(folder, library.soname)] = None
        plain = library.soname[: library.soname.rfind(".so") + 3] if ".so" in library.soname else library.soname
        if plain != library.soname and join(folder, plain) in library.links:
            links[library.soname, join(folder, plain)] = None
    return tuple(links)


def is_library(name: str) -> bool:
    """The loader could look for a file of that name: "lib?*.so*", and nothing odd behind the last ".so"."""
    stem, dot, rest = name.rpartition(".so")
    return bool(dot) and len(stem) > 3 and stem.startswith("lib") and (not rest or rest.startswith("."))


def _graphics_links(name: str, folder: str) -> tuple[tuple[str, str], ...]:
    if _is(name, "libnvidia-allocator.so"):  # the GBM back end has no file of its own
        return (("../libnvidia-allocator.so.1", join(folder, "gbm/nvidia-drm_gbm.so")),)
    for plain in ("libnvidia-vulkan-producer.so", "libglxserver_nvidia.so"):
        if _is(name, plain):
            return ((name, join(folder, plain)),)
    return ()


def _is(name: str, plain: str) -> bool:
    return name.startswith(plain + ".")


def _library_mount(driver: Driver, library: Library) -> Mount:
    host_path = library.host_path or host_path_of(driver, library.path)
    return Mount(host_path=host_path, container_path=library.path, options=OPTIONS)


def _mounted(driver: Driver, paths: tuple[str, ...], options: tuple[str, ...] = OPTIONS) -> Edits:
    return Edits(
        mounts=tuple(Mount(host_path=host_path_of(driver, p), container_path=p, options=options) for p in paths)
    )


def host_path_of(driver: Driver, path: str) -> str:
    """Where a path of the driver root lies on the machine."""
    return path if driver.root.strip("/") == "" else driver.root.rstrip("/") + path
