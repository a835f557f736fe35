"""Command trees with the conventions of upstream's option parser, urfave/cli v3, without argparse's 6 ms.

A flag has one dash or two and its value behind "=" or in the next argument; a list may be repeated, and each value is
split at commas; the environment counts where the command line says nothing; the flags of outer commands are valid
further in, too.
"""

import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from toolkit.cmd.argv import FALSE, TRUE
from toolkit.errors import ToolkitError

Value = str | bool | tuple[str, ...]


class Flag(NamedTuple):
    """An option.  The type of `default` is its kind: text, switch or list.  Of `env` the first that is set counts.

    `shown` is what help puts in the place of the value.
    """

    name: str
    usage: str
    default: Value = ""
    aliases: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    hidden: bool = False
    shown: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


class Values(NamedTuple):
    """The values of all flags that a command may use, which of them were given, and the other arguments."""

    flags: Mapping[str, Value]
    given: frozenset[str]
    args: tuple[str, ...]

    def text(self, name: str) -> str:
        value = self.flags[name]
        assert isinstance(value, str)
        return value

    def switch(self, name: str) -> bool:
        value = self.flags[name]
        assert isinstance(value, bool)
        return value

    def items(self, name: str) -> tuple[str, ...]:
        value = self.flags[name]
        assert isinstance(value, tuple)
        return value


class Command(NamedTuple):
    """A command, or a group of commands if it has no `run`; one with both runs where no inner command is named.

    One that is `raw` parses its arguments itself, but for a request for help.
    """

    name: str
    usage: str
    flags: tuple[Flag, ...] = ()
    commands: "tuple[Command, ...]" = ()
    run: Callable[[Values], int] | None = None
    raw: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    def inner(self, name: str) -> "Command | None":
        return next((command for command in self.commands if name in command.names), None)


class Wrong(ToolkitError):
    """A command line that cannot be understood, met in the command `path`."""

    path: "tuple[Command, ...]" = ()


HELP = Flag("help", "show help", default=False, aliases=("h",))
HELP_WORDS = (["--help"], ["-h"], ["help"], ["h"])
Given = dict[Flag, list[str]]  # the texts of each flag on the command line; an inner flag may have an outer one's name


def run(root: Command, args: list[str], env: Mapping[str, str], *, version: str) -> int:
    """Runs the command that the arguments name.  Raises ToolkitError where that does; returns the exit status.

    Wrong usage prints the help of the command that it was met in, and is then raised as ToolkitError.
    """
    try:
        path, given, rest = _parsed(root, args)
        if HELP in given:
            return _show(path, version)
        if any(flag.name == "version" for flag in given):
            print(f"{root.name} version {version}")
            return 0
        values = _resolved(path, given, rest, env)
    except Wrong as e:
        if e.path:
            print(f"Incorrect Usage: {e.message}\n", file=sys.stderr)
            _show(e.path, version, wrong=True)
        raise ToolkitError(e.message, source=e.source, hint=e.hint) from None
    command = path[-1]
    if rest and rest[0] in ("help", "h") and (command.commands or command.run is None):
        return _help_on(path, rest[1:], version)
    if command.run is not None:
        return command.run(values)
    if rest:
        print(f"No help topic for '{rest[0]}'", file=sys.stderr)
        return 3
    return _show(path, version)


def _help_on(path: tuple[Command, ...], topics: list[str], version: str) -> int:
    for topic in topics:
        inner = path[-1].inner(topic)
        if inner is None:
            print(f"No help topic for '{topic}'", file=sys.stderr)
            return 3
        path = (*path, inner)
    return _show(path, version)


def _parsed(root: Command, args: list[str]) -> tuple[tuple[Command, ...], Given, list[str]]:
    """The commands from the root to the one named, the texts of each flag given, and the remaining arguments."""
    path: tuple[Command, ...] = (root,)
    given: Given = {}
    rest: list[str] = []
    position = 0
    while position < len(args):
        argument = args[position]
        position += 1
        if argument == "--":
            rest += args[position:]
            break
        if len(argument) < 2 or argument[0] != "-":
            inner = None if rest else path[-1].inner(argument)
            if inner and inner.raw and args[position : position + 1] not in HELP_WORDS:
                return (*path, inner), given, args[position:]
            path, rest = ((*path, inner), rest) if inner else (path, [*rest, argument])
            continue
        position = _take(path, argument, args, position, given)
    return path, given, rest


def _take(path: tuple[Command, ...], argument: str, args: list[str], position: int, given: Given) -> int:
    """Notes one flag and its value; the position behind them.

    A flag of an inner command hides one of the same name further out.
    """
    name, has_value, value = argument[2 if argument[1] == "-" else 1 :].partition("=")
    known = {n: flag for command in path for flag in (*command.flags, HELP) for n in flag.names}
    if name not in known and argument[1] != "-" and not has_value:
        letters = [known.get(letter) for letter in name]
        if all(flag is not None and isinstance(flag.default, bool) for flag in letters):
            given.update({flag: ["true"] for flag in letters if flag})
            return position
    if name not in known:
        raise _wrong(f"flag provided but not defined: -{name}", path)
    flag = known[name]
    if isinstance(flag.default, bool):
        value = value if has_value else "true"
        if value not in (*TRUE, *FALSE):
            raise _wrong(f'invalid value "{value}" for flag -{name}: parse error', path)
    elif not has_value:
        if position == len(args):
            raise _wrong(f"flag needs an argument: {argument}", path)
        value, position = args[position], position + 1
    given.setdefault(flag, []).append(value)
    return position


def _wrong(message: str, path: tuple[Command, ...]) -> Wrong:
    error = Wrong(message)
    error.path = path
    return error


def _resolved(path: tuple[Command, ...], given: Given, rest: list[str], env: Mapping[str, str]) -> Values:
    """Command line before environment before default."""
    values: dict[str, Value] = {}
    origins = set()
    for flag in {flag.name: flag for command in path for flag in command.flags}.values():
        values[flag.name] = flag.default
        variable = next((name for name in flag.env if name in env), "")
        if flag in given:
            values[flag.name] = _value(flag, given[flag])
            origins.add(flag.name)
        elif variable and (env[variable] or not isinstance(flag.default, tuple)):
            values[flag.name] = _environment_value(flag, variable, env[variable])
            origins.add(flag.name)
    return Values(flags=values, given=frozenset(origins), args=tuple(rest))


def _value(flag: Flag, texts: list[str]) -> Value:
    if isinstance(flag.default, bool):
        return texts[-1] in TRUE
    if isinstance(flag.default, str):
        return texts[-1]
    return tuple(item for text in texts for item in text.split(","))


def _environment_value(flag: Flag, variable: str, text: str) -> Value:
    if isinstance(flag.default, bool) and text not in (*TRUE, *FALSE, ""):
        raise ToolkitError(
            f'could not parse "{text}" as bool value from environment variable "{variable}" '
            f"for flag {flag.name}: parse error",
            hint=f"set {variable} to true or false, or unset it",
        )
    return _value(flag, [text])


def _show(path: tuple[Command, ...], version: str, *, wrong: bool = False) -> int:
    """Prints the help of a command.  After `wrong` usage upstream leaves out that a command has options."""
    command, title = path[-1], " ".join(c.name for c in path)
    options = " [command [command options]]" if command.commands else "" if wrong else " [options]"
    if len(path) == 1:
        options = f" [global options]{options}\n\nVERSION:\n   {version}"
    print(f"NAME:\n   {title} - {command.usage}\n\nUSAGE:\n   {title}{options}")
    if command.commands:
        rows = [(", ".join(c.names), c.usage) for c in command.commands]
        if len(path) == 1:
            rows.append(("help, h", "Shows a list of commands or help for one command"))
        print("\nCOMMANDS:\n" + _table(rows))
    if len(path) > 1:
        print("\nOPTIONS:\n" + _flag_table((*command.flags, HELP)))
        outer = tuple(flag for c in path[:-1] for flag in c.flags if flag.name != "version")
        print("\nGLOBAL OPTIONS:\n" + _flag_table(outer))
    else:
        print("\nGLOBAL OPTIONS:\n" + _flag_table((*command.flags[:-1], HELP, *command.flags[-1:])))
    return 0


def _flag_table(flags: tuple[Flag, ...]) -> str:
    return _table([_flag_row(flag) for flag in flags if not flag.hidden])


def _flag_row(flag: Flag) -> tuple[str, str]:
    kind = f" {flag.shown}" if flag.shown else "" if isinstance(flag.default, bool) else " string"
    spelled = ", ".join((f"--{name}" if len(name) > 1 else f"-{name}") + kind for name in flag.names)
    usage = flag.usage
    if isinstance(flag.default, tuple):
        spelled += f" [ {spelled} ]"
        usage += " (default: " + ", ".join(f'"{item}"' for item in flag.default) + ")" if flag.default else ""
    elif isinstance(flag.default, str) and flag.default:
        usage += f' (default: "{flag.default}")'
    if flag.env:
        usage += " [" + ", ".join(f"${name}" for name in flag.env) + "]"
    return spelled, usage


def _table(rows: list[tuple[str, str]]) -> str:
    width = max(len(left) for left, _ in rows)
    return "\n".join(f"   {left:<{width}}  {right}" for left, right in rows)
