"""Flag parser of the hot binaries: argparse costs 6 ms before it has read an argument.

The conventions are those of Go's flag package, which upstream's commands share: one dash or two, `-name value` or
`-name=value`, a boolean takes its value only after "=", and parsing stops at the first argument that is no flag.
"""

from toolkit.errors import ToolkitError

TRUE = ("1", "t", "T", "TRUE", "true", "True")
FALSE = ("0", "f", "F", "FALSE", "false", "False")


class UsageError(ToolkitError):
    """The command line cannot be understood; the caller prints its usage and picks the exit code."""

    exit_code = 2


class HelpRequested(UsageError):
    """-h or -help, where the command has no such flag of its own."""

    exit_code = 0


def parse(
    args: list[str], flags: dict[str, type], aliases: dict[str, str] | None = None
) -> tuple[dict[str, list[str]], list[str]]:
    """The values of each flag in the order given, and the arguments from the first that is no flag.

    `flags` maps a name without dashes to `bool` or `str`; `aliases` maps another name to one of those.  A boolean's
    values are "true" and "false".  A flag that was not given is not in the result, so `values.get(name)` tells.
    Raises UsageError with Go's text, HelpRequested for -h and -help.
    """
    values: dict[str, list[str]] = {}
    position = 0
    while position < len(args):
        argument = args[position]
        if len(argument) < 2 or argument[0] != "-":
            break
        position += 1
        if argument == "--":
            break
        name, has_value, value = argument[2 if argument[1] == "-" else 1 :].partition("=")
        if not name or name[0] == "-":
            raise UsageError(f"bad flag syntax: {argument}")
        known = (aliases or {}).get(name, name)
        if known not in flags:
            if name in ("h", "help"):
                raise HelpRequested("help requested")
            raise UsageError(f"flag provided but not defined: -{name}")
        if flags[known] is bool:
            value = _boolean(name, value) if has_value else "true"
        elif not has_value:
            if position == len(args):
                raise UsageError(f"flag needs an argument: -{name}")
            value, position = args[position], position + 1
        values.setdefault(known, []).append(value)
    return values, args[position:]


def last(values: dict[str, list[str]], name: str, default: str = "") -> str:
    """The value of a flag that may be repeated but counts once: the last one."""
    return values[name][-1] if name in values else default


def _boolean(name: str, value: str) -> str:
    if value in TRUE:
        return "true"
    if value in FALSE:
        return "false"
    raise UsageError(f'invalid boolean value "{value}" for -{name}: parse error')
