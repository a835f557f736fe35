"""The command line of `nvidia-container-cli`, by the rules of glibc's argp that its callers have come to rely on.

Global options come before the command and stop at the first word that is none; within a command options and operands
may be mixed.  Long options may be abbreviated while that is unambiguous, short ones may be grouped, `--` ends them, and
an optional argument counts only when attached.  Source: libnvidia-container 1.20; glibc argp and getopt_long.
"""

import os
import sys
import time
from typing import NamedTuple

from toolkit import __version__
from toolkit.errors import ToolkitError

PROGRAM = "nvidia-container-cli"
_COLUMNS = 79
_HELP_COLUMN = 29


class UsageError(ToolkitError):
    """A command line that cannot be understood: `str()` is all that goes to stderr."""


class Option(NamedTuple):
    """An option.  `value` names its argument, "" for none; `optional` arguments may be left out."""

    long: str
    short: str = ""
    value: str = ""
    optional: bool = False
    about: str = ""


class Parser(NamedTuple):
    """A command's options.  `name` is what messages call it, `operands` what usage lines show behind the options."""

    name: str
    about: str
    options: tuple[Option, ...]
    operands: str = ""
    in_order: bool = False
    commands: tuple[tuple[str, str], ...] = ()


class Parsed(NamedTuple):
    """What was given: (long name, argument) in order, "" where there is none; operands; what in_order left over."""

    values: tuple[tuple[str, str], ...]
    operands: tuple[str, ...]

    def has(self, name: str) -> bool:
        return any(given == name for given, _ in self.values)

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(value for given, value in self.values if given == name)

    def last(self, name: str, default: str = "") -> str:
        return (self.all(name) or (default,))[-1]

    def joined(self, name: str) -> str:
        """The arguments of a list option that may be repeated."""
        return ",".join(self.all(name))


_BUILT_IN = (
    Option("help", "?", about="Give this help list"),
    Option("usage", about="Give a short usage message"),
    Option("version", "V", about="Print program version"),
)
_SHARED = (
    Option("device", "d", "ID", about="Device UUID(s), PCI address(es) or index(es), or all"),
    Option("mig-config", "", "ID", about="Allow configuration of MIG devices (all)"),
    Option("mig-monitor", "", "ID", about="Allow monitoring of MIG devices (all)"),
    Option("imex-channel", "", "CHANNEL", about="IMEX channel number(s)"),
    Option("compat32", about="Include 32-bit libraries"),
    Option("no-persistenced", about="Leave out the socket of nvidia-persistenced"),
    Option("no-fabricmanager", about="Leave out the socket of the fabric manager"),
    Option("no-gsp-firmware", about="Leave out the GSP firmware"),
)

GLOBAL = Parser(
    name=PROGRAM, about="Shows the NVIDIA driver and its devices, and makes them usable in containers.",
    operands="COMMAND [ARG...]", in_order=True,
    commands=(("configure", "Place driver and devices in a container"),
              ("info", "Report the driver's versions and the GPUs"),
              ("list", "List the files and devices of the driver")),
    options=(
        Option("debug", "d", "FILE", about="Append a debug log to FILE"),
        Option("load-kmods", "k", about="Load the kernel modules and make the device nodes"),
        Option("no-pivot", "n", about="Do not use pivot_root"),
        Option("user", "u", "UID[:GID]", optional=True, about="User and group of the process that loads NVML"),
        Option("root", "r", "PATH", about="Root of the driver (/)"),
        Option("ldcache", "l", "FILE", about="The loader's cache below that root (/etc/ld.so.cache)"),
        Option("no-create-imex-channels", about="Do not make IMEX channel nodes"),
    ),
)
INFO = Parser(
    name=f"{PROGRAM} info", about="Report the driver's versions and the GPUs.",
    options=(Option("csv", about="Write comma-separated values"),),
)
LIST = Parser(
    name=f"{PROGRAM} list", about="List the files and devices of the driver, as a container would see them.",
    options=(
        Option("libraries", "l", about="List libraries"),
        Option("binaries", "b", about="List programs"),
        Option("ipcs", "i", about="List sockets"),
        Option("firmwares", "f", about="List firmware"),
        *_SHARED,
    ),
)
CONFIGURE = Parser(
    name=f"{PROGRAM} configure", about="Place driver and devices in a container whose root is ROOTFS.",
    operands="ROOTFS",
    options=(
        Option("pid", "p", "PID", about="First process of the container"),
        Option("require", "r", "EXPR", about="Fail unless the expression holds"),
        Option("ldconfig", "l", "PATH", about="ldconfig to run, @PATH for the host's"),
        Option("compute", "c", about="Enable compute"),
        Option("utility", "u", about="Enable utility"),
        Option("video", "v", about="Enable video"),
        Option("graphics", "g", about="Enable graphics"),
        Option("display", "D", about="Enable display"),
        Option("ngx", "n", about="Enable NGX"),
        Option("no-cgroups", about="Leave the device cgroup alone"),
        Option("no-devbind", about="Do not place device nodes"),
        Option("no-cntlibs", about="Leave out the image's CUDA compatibility libraries"),
        Option("cuda-compat-mode", "", "MODE", about="mount, ldconfig or disabled"),
        *_SHARED,
    ),
)


class TextRequested(ToolkitError):
    """--help, --usage or --version: the message is what goes to stdout, the exit code 0."""

    exit_code = 0


def parse(parser: Parser, words: list[str], *, called: str = "") -> Parsed:
    """The options and operands in `words`.  `called` is the program as its caller typed it, for getopt's messages.

    Raises UsageError, and TextRequested for the built-in options."""
    called = called or parser.name
    values: list[tuple[str, str]] = []
    operands: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            operands += left
            break
        if word.startswith("--"):
            _long(parser, word, left, values, called)
        elif word.startswith("-") and len(word) > 1:
            _short(parser, word[1:], left, values, called)
        elif parser.in_order:
            operands += [word, *left]
            break
        else:
            operands.append(word)
    return Parsed(values=tuple(values), operands=tuple(operands))


def _given(parser: Parser, option: Option, value: str, values: list[tuple[str, str]]) -> None:
    if option in _BUILT_IN:
        texts = {"help": help_text, "usage": usage_text, "version": version_text}
        raise TextRequested(texts[option.long](parser))
    values.append((option.long, value))


def _long(parser: Parser, word: str, left: list[str], values: list[tuple[str, str]], called: str) -> None:
    name, attached, value = word[2:].partition("=")
    known = parser.options + _BUILT_IN
    found = [option for option in known if option.long == name] or [o for o in known if o.long.startswith(name)]
    if not found:
        raise _refused(parser, called, f"unrecognized option '{word}'")
    if len(found) > 1:
        possible = " ".join(f"'--{option.long}'" for option in found)
        raise _refused(parser, called, f"option '{word}' is ambiguous; possibilities: {possible}")
    option = found[0]
    if attached and not option.value:
        raise _refused(parser, called, f"option '--{option.long}' doesn't allow an argument")
    if option.value and not attached and not option.optional:
        if not left:
            raise _refused(parser, called, f"option '--{option.long}' requires an argument")
        value = left.pop(0)
    _given(parser, option, value, values)


def _short(parser: Parser, letters: str, left: list[str], values: list[tuple[str, str]], called: str) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        option = next((o for o in parser.options + _BUILT_IN if o.short == letter), None)
        if not option:
            raise _refused(parser, called, f"invalid option -- '{letter}'")
        value = ""
        if option.value:
            value, letters = letters, ""
            if not value and not option.optional:
                if not left:
                    raise _refused(parser, called, f"option requires an argument -- '{letter}'")
                value = left.pop(0)
        _given(parser, option, value, values)


def _refused(parser: Parser, called: str, what: str) -> UsageError:
    return UsageError(f"{called}: {what}\n{try_text(parser)}")


def usage_error(parser: Parser) -> UsageError:
    """The operands are not what the command takes."""
    return UsageError(f"Usage: {' '.join([parser.name, '[OPTION...]', *parser.operands.split()])}\n{try_text(parser)}")


def too_many_arguments(parser: Parser) -> UsageError:
    """A command without operands was given one."""
    return UsageError(f"{parser.name}: Too many arguments\n{try_text(parser)}")


def _joined(words: list[str], indent: str = "") -> str:
    """Words in lines of less than 80 columns, later ones indented."""
    lines, line = [], ""
    for word in words:
        if line and len(line) + 1 + len(word) > _COLUMNS:
            lines.append(line)
            line = indent + word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])


def try_text(parser: Parser) -> str:
    """Where to find help, as argp says it."""
    return _joined(f"Try `{parser.name} --help' or `{parser.name} --usage' for more information.".split())


def _sorted(parser: Parser) -> list[Option]:
    """Alphabetically by letter, ignoring case: among equal ones long options, -x, -X.  -? comes first."""
    return sorted(parser.options + _BUILT_IN, key=lambda o: (
        o.short != "?", (o.short or o.long[0]).lower(), o.short != "", o.short.isupper(), o.long))


def _entry(option: Option) -> str:
    value = (f"[={option.value}]" if option.optional else f"={option.value}") if option.value else ""
    return f"  {f'-{option.short}, ' if option.short else '    '}--{option.long}{value}"


def _described(left: str, about: str) -> str:
    """An entry and what it does, in two columns; a wide entry moves its text to the right."""
    start = left.ljust(_HELP_COLUMN) if len(left) < _HELP_COLUMN else left + "   "
    first, *rest = about.split()
    return _joined([start + first, *rest], " " * _HELP_COLUMN)


def help_text(parser: Parser) -> str:
    """--help: commands, then options."""
    lines = [" ".join(["Usage:", parser.name, "[OPTION...]", *parser.operands.split()]), parser.about, ""]
    if parser.commands:
        lines += [" Commands:", *(_described(f"  {name}", about) for name, about in parser.commands), ""]
    lines += [" Options:", *(_described(_entry(option), option.about) for option in _sorted(parser))]
    if any(option.value for option in parser.options):
        lines += ["", "Mandatory or optional arguments to long options are also mandatory or optional",
                  "for any corresponding short options."]
    return "\n".join(lines) + "\n"


def usage_text(parser: Parser) -> str:
    """--usage: every option in brackets."""
    options = _sorted(parser)
    flags = "".join(option.short for option in options if option.short and not option.value)
    words = [f"[-{flags}]"]
    words += [f"[-{o.short}{f'[{o.value}]' if o.optional else f' {o.value}'}]"
              for o in options if o.short and o.value]
    words += ["[" + _entry(option).strip().split(", ")[-1] + "]" for option in options]
    operands = [parser.operands] if parser.operands else []  # argp never breaks a line within them
    return _joined(["Usage:", *parser.name.split(), *words, *operands], " " * 12) + "\n"


def version_text(_: Parser) -> str:
    """--version: upstream's seven lines.  Nothing is built, so the date is that of this file."""
    machine = os.uname().machine
    python = ".".join(map(str, sys.version_info[:3]))
    return "".join(f"{key}: {value}\n" for key, value in (
        ("cli-version", __version__), ("lib-version", __version__),
        ("build date", time.strftime("%Y-%m-%dT%H:%M+00:00", time.gmtime(os.stat(__file__).st_mtime))),
        ("build revision", "unknown"), ("build compiler", f"{sys.implementation.name} {python}"),
        ("build platform", machine), ("build flags", " ".join(f"-{c}" for c in "IS")),
    ))
