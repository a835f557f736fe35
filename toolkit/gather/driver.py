"""Driver root → version, libraries, programs, firmware, sockets, graphics files.

Source: toolkit v1.20, internal/discover and pkg/nvcdi/driver-nvml.go.  Whatever is missing is a note and no error,
except that without a version there is nothing to look for.
"""

import os
from collections.abc import Callable
from posixpath import basename, dirname, join

from toolkit.errors import HostError
from toolkit.gather.elf import read_elf
from toolkit.gather.locate import Locator, located, not_found
from toolkit.model.host import Driver, File, Library

ANY = "*.*"
BINARIES = (
    "nvidia-smi",
    "nvidia-debugdump",
    "nvidia-persistenced",
    "nvidia-cuda-mps-control",
    "nvidia-cuda-mps-server",
    "nvidia-imex",
    "nvidia-imex-ctl",
)
EXPLICIT_LIBRARIES = (
    "libEGL.so",
    "libGL.so",
    "libGLESv1_CM.so",
    "libGLESv2.so",
    "libGLX.so",
    "libGLdispatch.so",
    "libOpenCL.so",
    "libOpenGL.so",
    "libnvidia-api.so",
    "libnvidia-egl-xcb.so",
    "libnvidia-egl-xlib.so",
)
GRAPHICS_LIBRARIES = ("libnvidia-egl-gbm.so.*.*", "libnvidia-egl-wayland.so.*.*", "libnvidia-egl-wayland2.so.*.*")
GRAPHICS_CONFIGS = (
    "glvnd/egl_vendor.d/10_nvidia.json",
    "egl/egl_external_platform.d/15_nvidia_gbm.json",
    "egl/egl_external_platform.d/10_nvidia_wayland.json",
    "egl/egl_external_platform.d/09_nvidia_wayland2.json",
    "nvidia/nvoptix.bin",
    "X11/xorg.conf.d/10-nvidia.conf",
    "X11/xorg.conf.d/nvidia-drm-outputclass.conf",
    "OpenCL/vendors/nvidia.icd",
)
VULKAN = (
    "vulkan/icd.d/nvidia_icd.json",
    "vulkan/icd.d/nvidia_layers.json",
    "vulkan/implicit_layer.d/nvidia_layers.json",
)
VULKAN_BY_MACHINE = {"x86_64": "vulkan/icd.d/nvidia_icd.x86_64.json", "aarch64": "vulkan/icd.d/nvidia_icd.aarch64.json"}
XORG_BASES = ("/usr/lib/xorg", "/usr/lib64/xorg", "/usr/X11R6/lib", "/usr/X11R6/lib64")
XORG_FOLDERS = ("modules/drivers", "modules/extensions", "modules/updates/drivers", "modules/updates/extensions")
FIRMWARE_CLASS = "/sys/module/firmware_class/parameters/path"


def read_driver(locator: Locator, *, version: str = "", dev_root: str = "/", graphics: bool = True) -> Driver:
    """The driver below the locator's root.

    `version` is NVML's, "" if unknown.  Where no file bears it, `version_error` says so, nothing else is read, and
    the caller decides whether that matters.
    """
    driver = Driver(root=locator.root, dev_root=dev_root, version=version)
    try:
        version = _version(locator, version)
    except HostError as e:
        return driver._replace(version_error=e.message)
    folders = _library_folders(locator, version)
    driver = driver._replace(
        version=version,
        libraries=_libraries(locator, folders, version),
        library_dirs=tuple(dict.fromkeys(map(locator.inside, folders))),
        explicit_libraries=_explicit_libraries(locator, folders),
        binaries=tuple(map(locator.inside, located(locator, BINARIES, _executable(locator)))),
        firmware=_firmware(locator, version),
        sockets=_sockets(locator),
    )
    return _with_graphics(locator, driver, folders) if graphics else driver


def _version(locator: Locator, known: str) -> str:
    """The version that the name of libcuda, else of libnvidia-ml, ends in."""
    errors = []
    for prefix in ("libcuda.so.", "libnvidia-ml.so."):
        pattern = prefix + (known or ANY)
        if found := locator.libraries(pattern):
            version = basename(found[0]).removeprefix(prefix)
            if known and version != known:
                raise HostError(f"unexpected version detected: {version} != {known}")
            return version
        errors.append(f'failed to locate "{prefix}": {not_found(pattern, 1 if locator.library_folders else 2)}')
    raise HostError("\n".join(errors))


def _library_folders(locator: Locator, version: str) -> tuple[str, ...]:
    """The folders, on the machine, that hold a library of this version."""
    return tuple(dict.fromkeys(map(dirname, locator.libraries(f"lib*.so.{version}"))))


def _libraries(locator: Locator, folders: tuple[str, ...], version: str) -> tuple[Library, ...]:
    everywhere = (*folders, *(join(folder, "vdpau") for folder in folders))
    versioned = locator.resolved(f"*.so.{version}", everywhere)
    # It does not bear the driver's version: NVIDIA/nvidia-container-toolkit#1875.
    nvvm = locator.resolved("libnvidia-nvvm70.so.*", folders)
    return tuple(read_library(locator, path) for path in dict.fromkeys((*versioned, *nvvm)))


def _explicit_libraries(locator: Locator, folders: tuple[str, ...]) -> tuple[Library, ...]:
    found = (path for name in EXPLICIT_LIBRARIES for path in locator.resolved(name, folders))
    return tuple(read_library(locator, path) for path in dict.fromkeys(found))


def read_library(locator: Locator, path: str) -> Library:
    """A library, with the links beside it that bear its SONAME or its SONAME up to ".so"."""
    name, soname = basename(path), ""
    if locator.tree.matcher("*.*.*")(name):
        try:
            soname = _soname(locator.tree.real(path), name)
        except HostError as e:
            locator.notes.append(f"Failed to get soname symlinks for {path}: {e.message}")
    plain = soname[: soname.rfind(".so") + 3] if ".so" in soname else ""
    candidates = (join(dirname(path), link) for link in dict.fromkeys((soname, plain)) if link and link != name)
    return Library(
        name=name,
        path=locator.inside(path),
        soname=soname,
        links=tuple(locator.inside(link) for link in candidates if locator.tree.is_link(link)),
        host_path=_outside(locator, path),
    )


def _outside(locator: Locator, path: str) -> str:
    """The path, if it lies outside the driver root; "" for all others, whose place there says the same."""
    return path if locator.below(locator.inside(path)) != path else ""


def _soname(path: str, name: str) -> str:
    """The SONAME that the file declares, else its own name."""
    sonames = read_elf(path).sonames
    if len(sonames) > 1:
        raise HostError(f"multiple sonames: {' '.join(sonames)}", source=path)
    return sonames[0] if sonames else name


def _sockets(locator: Locator) -> tuple[str, ...]:
    run = (locator.below("/run"), locator.below("/var/run"))
    wanted = {
        "/nvidia-persistenced/socket": run,
        "/nvidia-fabricmanager/socket": run,
        "/tmp/nvidia-mps": (locator.below("/"),),
    }
    found = located(locator, wanted, lambda name: locator.files(name, wanted[name])[:1])
    return tuple(map(locator.inside, found))


def _firmware(locator: Locator, version: str) -> tuple[str, ...]:
    release = os.uname().release
    folders = ["/lib/firmware/updates/" + release, "/lib/firmware/updates", "/lib/firmware/" + release, "/lib/firmware"]
    custom = locator.tree.read(FIRMWARE_CLASS)
    if custom is None:
        locator.notes.append(
            f"failed to get custom firmware class path: open {FIRMWARE_CLASS}: no such file or directory"
        )
    elif custom.strip():
        folders.insert(0, custom.decode(errors="surrogateescape").strip())
    below = tuple(map(locator.below, folders))
    found = located(locator, (f"nvidia/{version}/gsp*.bin",), lambda name: locator.files(name, below))
    return tuple(map(locator.inside, found))


def _with_graphics(locator: Locator, driver: Driver, folders: tuple[str, ...]) -> Driver:
    version = driver.version
    names = (*GRAPHICS_LIBRARIES, f"libnvidia-allocator.so.{version}", f"libnvidia-vulkan-producer.so.{version}")
    libraries = located(locator, names, locator.libraries, errors=2)
    xorg = located(
        locator,
        ("nvidia_drv.so", f"libglxserver_nvidia.so.{version}"),
        lambda name: locator.files(name, _xorg_folders(locator, folders))[:1],
    )
    configs = located(locator, GRAPHICS_CONFIGS, locator.configs)
    vulkan_names = (*VULKAN, *(name for machine, name in VULKAN_BY_MACHINE.items() if machine == os.uname().machine))
    vulkan = [(name, located(locator, (name,), lambda n: _some(locator.config(n)))) for name in vulkan_names]
    return driver._replace(
        graphics_libraries=tuple(
            Library(name=basename(path), path=locator.inside(path), host_path=_outside(locator, path))
            for path in libraries
        ),
        graphics_files=(
            *(File(host_path=path, path=locator.inside(path)) for path in dict.fromkeys((*xorg, *configs))),
            *(File(host_path=path, path="/etc/" + name) for name, found in vulkan for path in found),
        ),
        configuration=tuple(map(locator.inside, configs)),
    )


def _xorg_folders(locator: Locator, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Upstream's list: each library folder's own places, followed each time by those of the X server."""
    fixed = tuple(locator.below(join(base, folder)) for base in XORG_BASES for folder in XORG_FOLDERS)
    own = ("nvidia/xorg", *(f"xorg/{folder}" for folder in XORG_FOLDERS))
    places = (place for folder in folders for place in (*(join(folder, name) for name in own), *fixed))
    return tuple(dict.fromkeys(places))


def _executable(locator: Locator) -> Callable[[str], tuple[str, ...]]:
    return lambda name: _some(locator.executable(name))


def _some(path: str) -> tuple[str, ...]:
    return (path,) if path else ()
