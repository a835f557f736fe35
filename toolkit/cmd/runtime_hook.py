"""nvidia-container-runtime-hook, also called nvidia-container-toolkit: the prestart hook of the legacy mode.

Reads the container's state, works out what the container may have, and becomes nvidia-container-cli.
Source: toolkit v1.20, cmd/nvidia-container-runtime-hook.
"""

import os
import sys

from toolkit import log as logs
from toolkit.cmd import argv as flags
from toolkit.errors import ToolkitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from toolkit.model.config import Config
    from toolkit.model.request import Request

NAME = "nvidia-container-runtime-hook"
CLI = "nvidia-container-cli"
USAGE = """Usage of {name}:
  -config string
    \tconfiguration file
  -debug
    \tenable debug output
  -version
    \tenable version output

Commands:
  prestart
        run the prestart hook
  poststart
        no-op
  poststop
        no-op
"""


class _Log(logs.Log):
    """Warnings as everywhere, the mode as a bare line: engines show what a hook prints."""

    def info(self, message: str) -> None:
        os.write(2, message.encode("utf-8", "surrogateescape") + b"\n")


def main(argv: list[str]) -> int:
    """Returns only if there is nothing to do or something failed: else this process becomes nvidia-container-cli."""
    usage = USAGE.format(name=os.path.basename(argv[0]) if argv else NAME)
    values: dict[str, list[str]] = {}
    try:
        values, rest = flags.parse(argv[1:], {"config": str, "debug": bool, "version": bool})
        if flags.last(values, "version") == "true":
            return _print_version()
        if rest[:1] == ["prestart"]:
            _prestart(flags.last(values, "config"), debug=flags.last(values, "debug") == "true")
            return 0
        if rest[:1] in (["poststart"], ["poststop"]):
            return 0
        raise flags.UsageError("")
    except ToolkitError as e:
        return _failed(e, usage, debug=flags.last(values, "debug") == "true")


def planned(
    spec: "dict[str, Any]", config: "Config", *, rootfs: str, pid: int = 1, root: str = "/", debug: bool = False,
    log: logs.Log | None = None
) -> tuple[str, ...]:
    """The arguments of nvidia-container-cli for a container, after its name; () for one that asks for no GPU.

    `spec` is the container's configuration, `rootfs` its root folder.  The machine at `root` is read, nothing written.
    What the hook says on the way goes to `log`.  Raises ToolkitError as the hook fails.
    """
    from toolkit.gather.config import normalised_ldconfig
    from toolkit.plan import hook_args
    from toolkit.plan.request import image_of, request_of, requirements_of

    log = log or logs.Log()
    supported = hook_args.supported_capabilities(config.supported_driver_capabilities)
    privileged = hook_args.is_privileged(spec["ociVersion"], spec["process"].get("capabilities"))
    image = image_of(spec, privileged=privileged)
    request = request_of(image, config)
    for note in request.notes:
        log.warning(note)
    if not request.devices:
        return ()
    for note in request.imex_notes:
        log.warning(note)
    mig = hook_args.mig_flags(image)
    capabilities = hook_args.capabilities_of(image, supported)
    try:
        request = request._replace(requirements=requirements_of(image, disabled=config.disable_require))
    except ToolkitError as e:
        raise hook_args.within("failed to get requirements ", e) from e
    _check_mode(config, request, log, root)
    ldconfig = normalised_ldconfig(config.nvidia_container_cli.ldconfig, root)
    return hook_args.cli_args(request, config, capabilities=capabilities, mig=mig, ldconfig=ldconfig, pid=pid,
                              rootfs=rootfs, debug=debug)


def _prestart(config_file: str, *, debug: bool) -> None:
    """Raises ToolkitError.  Returns for a container that asks for no GPU."""
    from toolkit.plan.hook_args import cli_environment

    config = _config(config_file)
    pid, spec, rootfs = _container()
    args = planned(spec, config, rootfs=rootfs, pid=pid, debug=debug, log=_Log(2))
    if args:
        path, environment = _cli(config)
        _become(path, [path, *args], cli_environment(config, environment))


def _cli(config: "Config") -> tuple[str, dict[str, str]]:
    """Where nvidia-container-cli is, and the environment that it gets: the PATH it was searched on is its own too."""
    from toolkit.apply.lowlevel import find_program, given_environment, search_path
    from toolkit.errors import HostError

    environment, cli = given_environment(), config.nvidia_container_cli
    if cli.path:
        return cli.path, environment
    path = environment["PATH"] = ":".join(_below_root(search_path(environment.get("PATH", "")), cli.root))
    found = find_program(CLI, path)
    if not found:
        raise HostError(f'couldn\'t find binary {CLI} in PATH: exec: "{CLI}": executable file not found in $PATH',
                        source=path, hint="install it, or set nvidia-container-cli.path in config.toml")
    return found, environment


def _config(path: str) -> "Config":
    """The configuration; a file that is named must exist."""
    from toolkit.gather.config import read_config
    from toolkit.plan.hook_args import within

    required = bool(path or os.environ.get("NVIDIA_CTK_CONFIG_FILE_PATH"))
    try:
        return read_config(path, required=required).config
    except ToolkitError as e:
        unread = e.message.startswith(("file does not exist", "failed to load specified config file"))
        stem = "couldn't open required configuration file: " if unread else ""
        raise within(f"error getting hook config: failed to load config: {stem}", e) from e


def _container() -> "tuple[int, dict[str, Any], str]":
    """The container of the state on stdin: its pid, its configuration, its root folder."""
    from toolkit.errors import SpecError
    from toolkit.gather.bundle import config_path, parse_json, read_file
    from toolkit.plan.hook_args import within
    from toolkit.plan.oci_codec import checked

    try:
        state = checked(parse_json(sys.stdin.buffer.read()), "HookState", allow_unknown=True)
    except ToolkitError as e:
        raise within("could not decode container state: ", e) from e
    path = config_path(state.get("bundle") or state.get("bundlePath") or "")
    try:
        data = read_file(path)
    except ToolkitError as e:
        raise within("could not open OCI spec: ", e) from e
    try:
        spec: dict[str, Any] = checked(parse_json(data), "HookSpec", allow_unknown=True)
    except ToolkitError as e:
        raise within("could not decode OCI spec: ", e) from e
    for key, name in (("ociVersion", "Version"), ("process", "Process"), ("root", "Root")):
        if key not in spec:
            raise SpecError(f"{name} is empty in OCI spec", source=f"{path}: {key}",
                            hint="the engine has to write a complete configuration")
    # Relative to the current folder: runc runs prestart hooks in the bundle.
    return state.get("pid", 0), spec, os.path.abspath(spec["root"].get("path", ""))


def _check_mode(config: "Config", request: "Request", log: logs.Log, root: str) -> None:
    """Raises RequestError where the runtime, in another mode, does this hook's work."""
    if config.nvidia_container_runtime_hook.skip_mode_detection:
        return
    from toolkit.plan import hook_args, mode

    requested, platform = config.nvidia_container_runtime.mode, ""
    if mode.needs_platform(requested, request.devices):
        from toolkit.gather.host import read_platform  # ctypes, 5 ms

        platform = read_platform(root=root)
    found = mode.mode_of(requested, request.devices, platform=platform, default="legacy")
    log.info(f"Auto-detected mode as '{found}'" if requested == "auto" else f"Using requested mode '{found}'")
    hook_args.check_mode(found)


def _below_root(folders: tuple[str, ...], root: str) -> tuple[str, ...]:
    """The search path, that of the driver root before that of the host."""
    root = root.rstrip("/")
    return (*(root + "/" + folder.lstrip("/") for folder in folders), *folders) if root else folders


def _become(path: str, argv: list[str], environment: dict[str, str]) -> None:
    try:
        os.execve(path, argv, environment)
    except (OSError, ValueError) as e:
        cause = (e.strerror or "failed").lower() if isinstance(e, OSError) else "invalid argument"
        raise ToolkitError(f"exec failed: {cause}", source=path, hint="check nvidia-container-cli.path") from e


def _print_version() -> int:
    from toolkit import __version__

    print(f"NVIDIA Container Runtime Hook version {__version__}")
    return 0


def _failed(error: ToolkitError, usage: str, *, debug: bool) -> int:
    """Says on stderr what failed and what to do next; with -debug also where in the program."""
    lines = [error.message] if error.message and not isinstance(error, flags.HelpRequested) else []
    if isinstance(error, flags.UsageError):
        lines.append(usage.rstrip("\n"))
    elif error.hint:
        lines.append(": ".join(part for part in (error.source, error.hint) if part))
    if debug and not isinstance(error, flags.UsageError):
        import traceback  # 5 ms; for a failure under -debug only

        lines.extend(line.rstrip("\n") for line in traceback.format_exception(error))
    os.write(2, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
