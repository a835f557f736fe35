"""nvidia-container-cli: global options, then one of info, list, configure."""

import os
import signal
import sys

from toolkit.cmd.cli import options
from toolkit.cmd.cli.debuglog import DebugLog
from toolkit.errors import ToolkitError

_TEGRA_EXIT = 255


def main(argv: list[str]) -> int:
    """The program.  Results go to stdout at once and at the end; a failure is one line on stderr, exit code 1."""
    name = os.path.basename(argv[0]) if argv else options.PROGRAM
    try:
        if error := _tegra_error():
            _write(2, f"{name}: Error: {error}\n")
            return _TEGRA_EXIT
        _write(1, _output(argv))
    except options.TextRequested as e:
        _write(1, e.message)
    except options.UsageError as e:
        _write(2, f"{e.message}\n")
        return e.exit_code
    except ToolkitError as e:
        _write(2, f"{name}: {e}\n")
        return e.exit_code
    return 0


def _output(argv: list[str]) -> str:
    given = options.parse(options.GLOBAL, argv[1:], called=argv[0])
    if not given.operands or given.operands[0] not in dict(options.GLOBAL.commands):
        raise options.usage_error(options.GLOBAL)
    command, words = given.operands[0], list(given.operands[1:])
    log = DebugLog(given.last("debug") or os.environ.get("NVC_DEBUG_FILE", ""))
    try:
        output = _command(command, given, words, log)
    except ToolkitError as e:
        log("E", f"{e}{f' ({e.hint})' if e.hint else ''}")
        raise
    log("I", "shutting down library context")
    return output


def _command(command: str, given: options.Parsed, words: list[str], log: DebugLog) -> str:
    # Each command imports what it needs, and no more: configure is on the path of every legacy container.
    if command == "info":
        from toolkit.cmd.cli import info

        return info.run(given, words, log)
    if command == "list":
        from toolkit.cmd.cli import list as listing

        return listing.run(given, words, log)
    from toolkit.cmd.cli import configure

    configure.run(given, words, log)
    return ""


def _tegra_error() -> str:
    """Why this Tegra cannot be served: without NVML, upstream loads a library of its own for it.  "" elsewhere."""
    try:
        with open("/sys/devices/soc0/family", encoding="ascii", errors="replace") as f:
            tegra = f.read(5).lower() == "tegra"
    except OSError:
        tegra = False
    if not tegra and not os.path.exists("/etc/nv_tegra_release"):
        return ""
    import ctypes

    for library in ("libnvidia-ml.so.1", "libnvidia-container.so.0"):
        try:
            ctypes.CDLL(library)
            return ""
        except OSError as e:
            error = str(e)
    return error


def _write(fd: int, text: str) -> None:
    """All of a text.  A reader that went away ends the program by SIGPIPE, as it would a C program; a full disk is
    not noticed, as upstream does not."""
    data = text.encode("utf-8", "surrogateescape")
    try:
        while data:
            data = data[os.write(fd, data):]
    except BrokenPipeError:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv))
