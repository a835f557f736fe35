"""nvidia-docker: docker with the NVIDIA runtime, as nvidia-docker 2 has it.

The first "run" or "create" among the arguments gets --runtime=nvidia behind it, and the devices that NV_GPU names.
Source: NVIDIA/nvidia-docker v2.9.1.
"""

import os
import sys

from toolkit.apply.lowlevel import given_environment
from toolkit.errors import HostError, ToolkitError

VERBS = ("run", "create")


class NotStarted(HostError):
    """docker could not be executed; the exit codes are a shell's."""

    def __init__(self, message: str, *, found: bool) -> None:
        super().__init__(message, source="NV_DOCKER", hint="install docker, or name the program in NV_DOCKER")
        self.exit_code = 126 if found else 127


def main(argv: list[str]) -> int:
    """Returns only on failure: else this process becomes docker."""
    environment = given_environment()
    command = docker_command(argv[1:], environment)
    if first_word(argv[1:]) == "version":
        from toolkit import __version__

        print(f"NVIDIA Docker: {__version__}", flush=True)
    if environment.get("NV_DEBUG"):
        import shlex

        print(f"+ exec {shlex.join(command)}", file=sys.stderr, flush=True)
    try:
        _become(command, environment)
    except ToolkitError as e:
        print(f"nvidia-docker: {e.message}\n{e.source}: {e.hint}", file=sys.stderr)
        return e.exit_code
    return 0


def first_word(args: list[str]) -> str:
    """The first argument that decides what happens: a verb, "version" or "--"; "" if there is none."""
    return next((arg for arg in args if arg in (*VERBS, "version", "--")), "")


def docker_command(args: list[str], environment: dict[str, str]) -> list[str]:
    """The command line of docker.  NV_DOCKER may hold several words; NV_GPU's blanks become commas."""
    docker = environment.get("NV_DOCKER", "").split() or ["docker"]
    verb = first_word(args)
    if verb not in VERBS:
        return [*docker, *args]
    behind = args.index(verb) + 1
    devices = environment.get("NV_GPU", "").replace(" ", ",")
    own = ["--runtime=nvidia", *(["-e", f"NVIDIA_VISIBLE_DEVICES={devices}"] if devices else [])]
    return [*docker, *args[:behind], *own, *args[behind:]]


def _become(command: list[str], environment: dict[str, str]) -> None:
    try:
        os.execvpe(command[0], command, environment)
    except (OSError, ValueError) as e:
        found = isinstance(e, OSError) and not isinstance(e, FileNotFoundError)
        cause = (e.strerror or "failed").lower() if found and isinstance(e, OSError) else "not found"
        raise NotStarted(f"{command[0]}: {cause}", found=found) from None


if __name__ == "__main__":
    sys.exit(main(sys.argv))
