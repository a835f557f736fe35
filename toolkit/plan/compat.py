"""CUDA compatibility libraries that an image brings: which of them to use.  Source: libnvidia-container 1.20."""

import posixpath
import re

from toolkit.errors import RequestError
from toolkit.model.driver_names import is_wanted_library, library_categories
from toolkit.model.native import Container, Request
from toolkit.model.ops import Bind, Op


def _major(path: str) -> str:
    """The leading digits of what follows the first ".so." of a library's name: "" for a name without them."""
    match = re.match(r"[0-9]*", posixpath.basename(path).partition(".so.")[2], re.ASCII)
    return match[0] if match else ""


def _differs(path: str, driver: str) -> bool:
    """Whether a library's major differs from the driver's, as text of the library's length: "5" and "55" equal 550."""
    major = _major(path)
    return ".so." not in posixpath.basename(path) or driver[: len(major)] != major


def _newer(path: str, driver: str) -> bool:
    """Whether a library's major is above the driver's.  By number, where upstream compares text and errs at 1000."""
    own = driver.partition(".")[0]
    major = _major(path)
    return bool(major) and own.isdigit() and len(major) < 20 and int(major) > int(own)


def kept(libraries: tuple[str, ...], driver: str, request: Request) -> tuple[str, ...]:
    """The compatibility libraries that the request's mode uses: none without CUDA."""
    if request.cuda_compat_mode == "disabled" or "compute" not in library_categories(request.capabilities):
        return ()
    fits = _newer if request.cuda_compat_mode == "ldconfig" else _differs
    return tuple(path for path in libraries if fits(path, driver))


def mounts(libraries: tuple[str, ...], container: Container, request: Request, flags: int) -> list[Op]:
    """Mode `mount`: the image's own files, seen again in the library directory, over the driver's."""
    if request.cuda_compat_mode != "mount":
        return []
    categories = library_categories(request.capabilities)
    return [
        Bind(source=path, path=posixpath.join(container.libs_dir, posixpath.basename(path)), flags=flags,
             kind="regular", origin="container")
        for path in libraries if is_wanted_library(posixpath.basename(path), categories)
    ]


def directories(libraries: tuple[str, ...], request: Request) -> tuple[str, ...]:
    """Mode `ldconfig`: the one directory to search before all others.  Raises RequestError for several.

    ldconfig reads "=" in an argument as the end of the directory's name, so such a name is refused too."""
    if request.cuda_compat_mode != "ldconfig" or not libraries:
        return ()
    found = sorted({posixpath.dirname(path) for path in libraries})
    if len(found) > 1 or "=" in found[0]:
        raise RequestError(f"unusable CUDA compat library directories: {', '.join(found)}", source="container error",
                           hint="the image's compat libraries have to lie in one plain directory; "
                                "--cuda-compat-mode=disabled ignores them")
    return (found[0],)
