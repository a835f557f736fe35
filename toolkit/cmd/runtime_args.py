"""What nvidia-container-runtime takes from runc's command line, which it otherwise passes on unread.

Source: toolkit v1.20, internal/oci/args.go, internal/runtime/runtime.go and logger.go.  No attempt is made to know
runc's options: an argument that equals "create" counts, wherever it stands, unless it is the value of --bundle.
"""

from toolkit.errors import ConfigError


class LogFlags:
    """Where and how runc's flags want the log: `file` is "" for none."""

    __slots__ = ("debug", "file", "json", "version")

    def __init__(self) -> None:
        self.file, self.json, self.debug, self.version = "", False, False, False


def has_create(argv: list[str]) -> bool:
    """Whether this is the one verb that changes the bundle."""
    value_of_bundle = False
    for argument in argv:
        if value_of_bundle:
            value_of_bundle = False
        elif argument == "create":
            return True
        else:
            value_of_bundle = _is_bundle(argument)
    return False


def bundle_of(argv: list[str]) -> str:
    """The bundle folder, the last one given; "" means the current folder.  Raises ConfigError without its value."""
    bundle, wanted = "", False
    for argument in argv:
        if wanted:
            bundle, wanted = argument, False
            continue
        name, equals, value = argument.partition("=")
        if _is_bundle(name):
            bundle, wanted = (value, False) if equals else (bundle, True)
    if wanted:
        raise ConfigError("bundle option requires an argument", source="--bundle",
                          hint="the engine has to name the bundle: --bundle DIR")
    return bundle


def log_flags(argv: list[str]) -> LogFlags:
    """The values of --log, --log-format, --debug and --version, with any number of dashes, the last of each."""
    flags, wanted = LogFlags(), ""
    for argument in argv:
        if wanted:
            _set(flags, wanted, argument)
            wanted = ""
            continue
        name, equals, value = argument.partition("=")
        if not name.startswith("-"):
            continue
        name = name.lstrip("-")
        if name in ("log", "log-format"):
            if equals:
                _set(flags, name, value)
            else:
                wanted = name
        elif name == "debug":
            flags.debug = True
        elif name == "version":
            flags.version = True
    return flags


def _set(flags: LogFlags, name: str, value: str) -> None:
    if name == "log":
        flags.file = value
    else:
        flags.json = value == "json"


def _is_bundle(name: str) -> bool:
    return name.startswith("-") and name.lstrip("-") in ("b", "bundle")
