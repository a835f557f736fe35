"""nvidia-cdi-hook, and `nvidia-ctk hook`: what low-level runtimes run for a CDI specification.

A specification outlives the toolkit that wrote it, so a hook that is not known is a warning, not an error.
Source: toolkit v1.20, cmd/nvidia-cdi-hook (reference: 08-cdi-hook).
"""

import os
import sys

from toolkit import __version__
from toolkit.cmd.cdi_hook.flags import Command, Flag, UsageError, Values, help_text, parse
from toolkit.errors import ToolkitError
from toolkit.log import Log

HOOKS = {
    "create-symlinks": "Make symbolic links below the container's root",
    "chmod": "Give paths below the container's root other permissions",
    "update-ldcache": "Write the container's ld.so.cache anew, with folders that hold driver libraries",
    "enable-cuda-compat": "Let the loader prefer the image's CUDA compatibility libraries if they are newer",
    "disable-device-node-modification": "Cover the driver's params file, so that nothing in the container makes device "
                                        "nodes",
    "update-application-profile": "Updates the NVIDIA application profile with the GPUs of the container",
    "sequence": "Run several hooks, separated by --then, in one process",
    "noop": "",
}
_GLOBAL = (
    Flag("debug", "d", kind=bool, about="log more", env=("NVIDIA_CTK_DEBUG", "NVIDIA_CDI_DEBUG")),
    Flag("quiet", kind=bool, about="log errors only; stronger than --debug",
         env=("NVIDIA_CTK_QUIET", "NVIDIA_CDI_QUIET")),
    Flag("help", "h", kind=bool, about="show help"),
    Flag("version", "v", kind=bool, about="print the version"),
)
_TITLES = {"nvidia-ctk hook": "NVIDIA Container Toolkit CLI hook"}
_TITLE = "NVIDIA CDI Hook"
_ABOUT = "What CDI specifications have done in a container while it is created: links, loader's cache, permissions"
_HELP = ("help", "h")
_EXIT_SUCCESS, _EXIT_FAILURE = 0, 1


def main(argv: list[str]) -> int:
    """Runs one hook.  `argv[0]` is "nvidia-cdi-hook", or "nvidia-ctk hook" when nvidia-ctk calls."""
    try:
        return _run(_TITLES.get(argv[0], _TITLE), argv[1:])
    except ToolkitError as e:
        log = Log(2)
        log.error(str(e))
        if e.hint:
            log.info(f"hint: {e.hint}")
        return e.exit_code
    except BrokenPipeError:
        return _EXIT_FAILURE


def _run(title: str, arguments: list[str]) -> int:
    before, name, after = _split(arguments)
    values, unknown = _known_only(before, _GLOBAL)
    if not name or unknown:
        return _without_hook(title, before)
    if name in _HELP and (not after or after[0] in HOOKS):
        return _run(title, [*before, *after[:1], "--help"])
    if after[:1] and after[0] in _HELP:
        after = ["--help"]
    if name not in HOOKS:
        _log(values).warning(f"Unsupported CDI hook: {name}")
        return _EXIT_SUCCESS
    if name == "noop":
        return _EXIT_SUCCESS
    if name == "sequence":
        from toolkit.cmd.cdi_hook import sequence

        return sequence.run(after, lambda step: _run(title, [*before, *step]))
    command = _command(name)
    flags = (*command.flags, *_GLOBAL)
    usage = help_text(f"{title} {name}", HOOKS[name], (*command.flags, _GLOBAL[2]))
    try:
        values = parse([*before, *after], flags, dict(os.environ))
    except UsageError as e:
        sys.stderr.write(f"Incorrect Usage: {e.message}\n\n")
        sys.stderr.flush()
        _print(usage)
        raise
    if values.is_set("help"):
        _print(usage)
        return _EXIT_SUCCESS
    return command.run(values, _log(values))


def _without_hook(title: str, arguments: list[str]) -> int:
    values, unknown = _known_only(arguments, _GLOBAL)
    if not unknown and values.is_set("version"):
        _print(f"NVIDIA CDI Hook version {__version__}\ncommit: unknown\n")
    elif not unknown and values.is_set("help"):
        shown = tuple((name, about) for name, about in HOOKS.items() if about)
        _print(help_text(title, _ABOUT, _GLOBAL, shown))
    else:
        _log(values).warning("No CDI hook specified")
    return _EXIT_SUCCESS


def _split(arguments: list[str]) -> tuple[list[str], str, list[str]]:
    """What stands before the hook's name, the name, what stands after it.  No flag up here takes a value."""
    for position, argument in enumerate(arguments):
        if argument == "--":
            continue
        if not argument.startswith("-"):
            return arguments[:position], argument, arguments[position + 1 :]
    return arguments, "", []


def _known_only(arguments: list[str], flags: tuple[Flag, ...]) -> tuple[Values, bool]:
    """The values of the flags that are known, and whether there are others."""
    known = {name for flag in flags for name in flag.names}
    arguments = [argument for argument in arguments if argument != "--"]
    kept = [argument for argument in arguments if argument.lstrip("-").partition("=")[0] in known]
    return parse(kept, flags, dict(os.environ)), len(kept) < len(arguments)


def _log(values: Values) -> Log:
    """Our lines on stderr: warnings and what was done, more with --debug, errors alone with --quiet."""
    return Log(2, level="error" if values.is_set("quiet") else "debug" if values.is_set("debug") else "info")


def _command(name: str) -> Command:
    module = __import__("toolkit.cmd.cdi_hook." + name.replace("-", "_"), fromlist=["COMMAND"])
    command = module.COMMAND
    assert isinstance(command, Command)
    return command


def _print(text: str) -> None:
    os.write(1, text.encode())
