"""Several hooks as one: the command line of `nvidia-cdi-hook sequence`, written and read.  Ours alone."""

from posixpath import basename

from toolkit.errors import ConfigError
from toolkit.model.edits import Edits, Hook

FEATURE = "combine-hooks"
NAME, THEN = "sequence", "--then"


def combined(edits: Edits) -> Edits:
    """The edits with each run of hooks of one program, stage and environment as a single hook.

    Applying it again changes nothing, and joins hooks that have come together since.
    """
    hooks: list[Hook] = []
    for hook in edits.hooks:
        joined = _joined(hooks[-1], hook) if hooks else None
        hooks[-1:] = [joined] if joined else [*hooks[-1:], hook]
    return edits._replace(hooks=tuple(hooks))


def steps_of(arguments: list[str]) -> list[list[str]]:
    """The hooks of a command line, each with its arguments.  Raises ConfigError for a step without a hook."""
    steps: list[list[str]] = [[]]
    for argument in arguments:
        if argument == THEN:
            steps.append([])
        else:
            steps[-1].append(argument)
    if not all(steps):
        raise ConfigError(
            "a sequence has a step without a hook", source=NAME, hint=f"write HOOK FLAGS {THEN} HOOK FLAGS"
        )
    return steps


def _joined(first: Hook, second: Hook) -> Hook | None:
    """One hook that does what both do, in their order; None if they cannot be one."""
    if first._replace(args=()) != second._replace(args=()):
        return None
    start, before = _split(first)
    other_start, after = _split(second)
    steps = (_steps(before), _steps(after))
    if start != other_start or not all(steps):
        return None
    return first._replace(args=(*start, NAME, *steps[0], THEN, *steps[1]))


def _split(hook: Hook) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The program's own words, "nvidia-cdi-hook" or "nvidia-ctk hook", and the hook with its arguments."""
    length = 2 if basename(hook.path) == "nvidia-ctk" and hook.args[1:2] == ("hook",) else 1
    return hook.args[:length], hook.args[length:]


def _steps(args: tuple[str, ...]) -> tuple[str, ...]:
    """The steps that a hook is; () for one whose arguments would read as several."""
    if args[:1] == (NAME,):
        return args[1:]
    return () if THEN in args else args
