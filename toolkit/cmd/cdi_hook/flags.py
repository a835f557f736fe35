"""The command line of hooks: urfave/cli's conventions, which upstream's commands share.

`-x` and `--x` alike, a value after "=" or as the next argument, flags and arguments in any order, `--` ends the flags.
A list flag may be repeated and each value is split at commas.  (`cmd/argv.py` has Go's own, which differ.)
"""

from toolkit.cmd.argv import FALSE, TRUE
from toolkit.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.log import Log


class UsageError(ConfigError):
    """The command line cannot be understood; the help of the command follows it."""


class Flag:
    """One flag: its names, the first of which is its key; bool, str or list; what its help says."""

    def __init__(self, *names: str, kind: type, about: str, default: str = "", env: tuple[str, ...] = (),
                 hidden: bool = False) -> None:
        self.names, self.kind, self.about = names, kind, about
        self.default, self.env, self.hidden = default, env, hidden


class Values:
    """What was given: `text` for the last value of a flag or its default, `items` for all values of a list."""

    def __init__(self, flags: tuple[Flag, ...]) -> None:
        self._given: dict[str, list[str]] = {}
        self._defaults = {flag.names[0]: flag.default for flag in flags}
        self.arguments: list[str] = []

    def add(self, name: str, value: str) -> None:
        self._given.setdefault(name, []).append(value)

    def text(self, name: str) -> str:
        return self._given[name][-1] if name in self._given else self._defaults[name]

    def items(self, name: str) -> list[str]:
        return [item for value in self._given.get(name, []) for item in value.split(",")]

    def is_set(self, name: str) -> bool:
        return self.text(name) in TRUE


class Command:
    """A hook: its flags, and what runs it: exit status out of values and log."""

    def __init__(self, flags: tuple[Flag, ...], run: "Callable[[Values, Log], int]") -> None:
        self.flags, self.run = flags, run


CONTAINER_SPEC = "config.json of the container; without it, or with -, the container's state is read from stdin"


def container_spec(*, hidden: bool) -> Flag:
    """The flag that all hooks have: where the container's state is."""
    return Flag("container-spec", kind=str, about=CONTAINER_SPEC, hidden=hidden)


def parse(arguments: list[str], flags: tuple[Flag, ...], environment: dict[str, str]) -> Values:
    """The values on a command line, above those in the environment, above defaults.  Raises UsageError."""
    values = Values(flags)
    for flag in flags:
        variable = next((name for name in flag.env if name in environment), "")
        if variable:
            values.add(flag.names[0], _boolean_of(environment[variable], flag, variable))
    known = {name: flag for flag in flags for name in flag.names}
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        position += 1
        if argument == "--":
            values.arguments += arguments[position:]
            break
        if len(argument) < 2 or argument[0] != "-":
            values.arguments.append(argument)
            continue
        name, has_value, value = argument.lstrip("-").partition("=")
        if name not in known:
            raise UsageError(f"flag provided but not defined: -{name}")
        given = known[name]
        if given.kind is bool:
            value = _boolean(value, name) if has_value else "true"
        elif not has_value:
            if position == len(arguments):
                raise UsageError(f"flag needs an argument: {argument}")
            value, position = arguments[position], position + 1
        values.add(given.names[0], value)
    return values


def _boolean(value: str, name: str) -> str:
    if value in TRUE or value in FALSE:
        return value
    raise UsageError(f'invalid value "{value}" for flag -{name}: parse error')


def _boolean_of(value: str, flag: Flag, variable: str) -> str:
    if not value or value in FALSE:
        return "false"
    if value in TRUE:
        return "true"
    raise ConfigError(f'could not parse "{value}" as bool value from environment variable "{variable}" '
                      f"for flag {flag.names[0]}: parse error", hint="use true or false")


def help_text(name: str, about: str, flags: tuple[Flag, ...], commands: tuple[tuple[str, str], ...] = ()) -> str:
    """The help of a command, in urfave's layout."""
    use = "[global options] [command [command options]]" if commands else "[options]"
    lines = ["NAME:", f"   {name} - {about}", "", "USAGE:", f"   {name} {use}", ""]
    if commands:
        width = max(len(command) for command, _ in commands)
        lines += ["COMMANDS:", *(f"   {command:<{width}}  {what}" for command, what in commands), ""]
    shown = [(_spelling(flag), _meaning(flag)) for flag in flags if not flag.hidden]
    width = max(len(spelling) for spelling, _ in shown)
    lines += ["GLOBAL OPTIONS:" if commands else "OPTIONS:"]
    lines += [f"   {spelling:<{width}}  {meaning}".rstrip() for spelling, meaning in shown]
    return "\n".join(lines) + "\n"


def _spelling(flag: Flag) -> str:
    value = {bool: "", str: " string"}.get(flag.kind, " string [ " + f"--{flag.names[0]} string" + " ]")
    return ", ".join(("--" if len(name) > 1 else "-") + name for name in flag.names) + value


def _meaning(flag: Flag) -> str:
    default = f' (default: "{flag.default}")' if flag.default else ""
    env = " [" + ", ".join(f"${name}" for name in flag.env) + "]" if flag.env else ""
    return flag.about + default + env
