"""Finds the low-level runtime, or another program, and becomes it.  Source: toolkit v1.20, internal/oci, pkg/lookup."""

import os

from toolkit.errors import ApplyError, HostError

FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def search_path(path: str) -> tuple[str, ...]:
    """The folders that programs are searched in: those of a PATH value, then the usual ones that it lacks."""
    folders = path.split(":") if path else []
    return tuple(dict.fromkeys([*folders, *FOLDERS]))


def find_program(name: str, path: str, *, root: str = "/") -> str:
    """Where a program is: `name` itself if it contains "/", else the first hit on the path `path`; "" if nowhere.

    It has to be executable and no directory.  `root` is where the machine is mounted; the result is without it.
    """
    below = "" if root in ("", "/") else root.rstrip("/")
    candidates = (name,) if "/" in name else tuple(f"{folder or '.'}/{name}" for folder in search_path(path))
    for candidate in candidates if name else ():
        try:
            mode = os.stat(below + candidate).st_mode
        except (OSError, ValueError):
            continue
        if mode & 0o170000 != 0o040000 and mode & 0o111:
            return candidate
    return ""


def find_runtime(candidates: tuple[str, ...], path: str) -> str:
    """The absolute path of the first low-level runtime that exists.  Raises HostError."""
    hint = "install runc, or name your runtime in nvidia-container-runtime.runtimes of config.toml"
    stem = ("failed to create NVIDIA Container Runtime: error constructing low-level runtime: "
            "error locating runtime: ")
    if not candidates:
        raise HostError(stem + "at least one runtime candidate must be specified", hint=hint)
    for candidate in candidates:
        if found := find_program(candidate, path):
            return os.path.abspath(found)
    raise HostError(f"{stem}no runtime binary found from candidate list: [{' '.join(candidates)}]", hint=hint)


def given_environment() -> dict[str, str]:
    """The environment as this process was given it.

    In the C locale the interpreter sets LC_CTYPE for itself and its children (PEP 538); nobody else is to see that.
    """
    environment = dict(os.environ)
    if environment.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8"):
        try:
            with open("/proc/self/environ", "rb") as f:  # as it was at the start
                given = b"\0" + f.read()
        except OSError:
            return environment
        if b"\0LC_CTYPE=" not in given:
            del environment["LC_CTYPE"]
    return environment


def execute(path: str, argv: list[str], environment: dict[str, str]) -> None:
    """Replaces this process.  Returns only by raising ApplyError "could not exec '<path>': …"."""
    try:
        os.execve(path, argv, environment)
    except (OSError, ValueError) as e:
        cause = (e.strerror or "failed").lower() if isinstance(e, OSError) else "invalid argument"
        raise ApplyError(f"could not exec '{path}': {cause}", hint="check that it is a program of this machine") from e
