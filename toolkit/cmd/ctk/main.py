"""nvidia-ctk: the tools around the runtime.

`nvidia-ctk hook …` runs inside the creation of every container and is passed on before anything else is imported.
Source: toolkit v1.20, cmd/nvidia-ctk.
"""

import os
import sys

from toolkit.errors import ToolkitError

NAME = "NVIDIA Container Toolkit CLI"


def main(argv: list[str]) -> int:
    """Runs one command; argv[0] is the program's name.  Results are on stdout, everything else on stderr."""
    if argv[1:2] == ["hook"] and argv[2:3] not in (["--help"], ["-h"], ["help"], ["h"]):
        return _hook(argv[2:])
    from toolkit import __version__
    from toolkit.cmd.cdi_hook.main import HOOKS
    from toolkit.cmd.ctk import cdi, config, doctor, explain, info, runtime_configure, system
    from toolkit.cmd.ctk.frame import Command, Flag, run

    root = Command(
        name=NAME,
        usage="Configure the NVIDIA Container Toolkit and look into it",
        flags=(
            Flag("debug", "Log more: what is done, and why", False, aliases=("d",), env=("NVIDIA_CTK_DEBUG",)),
            Flag("quiet", "Log errors only; stronger than --debug", False, env=("NVIDIA_CTK_QUIET",)),
            Flag(
                "config",
                "The config.toml that `cdi generate` takes the default driver root from",
                env=("NVIDIA_CTK_CONFIG",),
            ),
            Flag("version", "print the version", False, aliases=("v",)),
        ),
        commands=(
            Command("hook", "The CDI hooks, as nvidia-cdi-hook has them", run=_outer_hook, raw=True,
                    commands=tuple(Command(name, about, run=_outer_hook) for name, about in HOOKS.items() if about)),
            runtime_configure.COMMAND,
            info.COMMAND,
            cdi.COMMAND,
            system.COMMAND,
            config.command(),
            explain.COMMAND,
            doctor.COMMAND,
        ),
    )
    try:
        return run(root, argv[1:], os.environ, version=__version__)
    except ToolkitError as e:
        return _failed(e, hint="--quiet" not in argv)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _outer_hook(values: "Values") -> int:
    """`hook` behind global flags: those that the hooks know go with it."""
    switches = [f"--{name}" for name in ("debug", "quiet") if values.switch(name)]
    return _hook([*switches, *values.args])


def _hook(args: list[str]) -> int:
    from toolkit.cmd.cdi_hook.main import main as cdi_hook

    return cdi_hook(["nvidia-ctk hook", *args])


def _failed(error: ToolkitError, *, hint: bool) -> int:
    """The error in upstream's form, one line that operators grep for; where and what to do about it on another."""
    from toolkit.log import Log

    sys.stdout.flush()
    log = Log(2)
    log.error(error.message)
    if hint and error.hint:
        log.info(f"{error.source}: {error.hint}" if error.source else error.hint)
    return error.exit_code


TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.cmd.ctk.frame import Values
