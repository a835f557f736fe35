"""The commands of `before:`.  What `nvidia-ctk cdi generate` wrote on one fresh machine, it would write on each that is
like it, whatever the engine: the other machines of a run get the file without the command being run again.

That holds only while nothing but such commands came before it, and for the same host, config.toml and toolkit.
"""

import os
import re
import shlex
from typing import TYPE_CHECKING

from scenarios import hosts
from scenarios.outcome import Outcome

if TYPE_CHECKING:
    from scenarios.engines.on_machine import OnMachine
    from scenarios.engines.session import Tools

GENERATE = ["nvidia-ctk", "cdi", "generate"]
_PLAIN = re.compile(r"[A-Za-z0-9_./=:, @%+-]*")  # no quotes, variables, redirections or second commands


def done(on: "OnMachine", number: int, tools: "Tools") -> Outcome:
    """The outcome of a case's command of `before:`, by its number."""
    line = on.case.before[number]
    path = output_of(line)
    if not path or not all(map(output_of, on.case.before[:number])):
        return on.shell(line)
    config = hosts.config_of(on.case, ())
    key = (tools.toolkit, repr(on.case.host), repr(config), *on.case.before[:number + 1])
    if key in tools.generated:
        text, mode = tools.generated[key]
        on.write(path, text)
        os.chmod(on.outside(path), mode)
        return Outcome(level=on.level, exit=0)
    outcome = on.shell(line)
    if not outcome.exit and os.path.isfile(on.outside(path)):
        tools.generated[key] = on.read(path), os.stat(on.outside(path)).st_mode & 0o7777
    return outcome


def output_of(line: str) -> str:
    """The file that a plain `nvidia-ctk cdi generate --output=FILE …` writes, "" for any other command line."""
    words = shlex.split(line) if _PLAIN.fullmatch(line) else []
    given = [word.partition("=")[2] for word in words if word.startswith("--output=")]
    return given[0] if words[:3] == GENERATE and len(given) == 1 and given[0].startswith("/") else ""
