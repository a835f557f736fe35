"""nvidia-ctk config: shows and changes config.toml.  Source: toolkit v1.20, cmd/nvidia-ctk/config, api/config/v1."""

import os
import sys

from toolkit.cmd.ctk.frame import Command, Flag, Values
from toolkit.errors import ConfigError, ToolkitError
from toolkit.gather.config import config_path, defaults, read_table


def change(values: Values) -> int:
    """The file, or the defaults where there is none, with the settings of --set."""
    from toolkit.plan import config_table

    separator = values.text("set-list-separator")
    if not separator:
        raise ConfigError("set-list-separator must be set", source="--set-list-separator")
    path = values.text("config-file")
    try:
        table, text = read_table(path)
    except ToolkitError as e:
        raise _within("unable to create config: ", e) from None
    present = frozenset(config_table.paths_of(table or {}))
    table, done = config_table.with_settings(
        config_table.table_of(defaults()) if table is None else table, values.items("set"), separator
    )
    output = path if values.switch("in-place") else values.text("output")
    return _write(_rendered(table, text, present | done), output, make_folders=True)


def show_defaults(values: Values) -> int:
    """The built-in configuration of this machine."""
    from toolkit.plan.config_table import table_of

    return _write(_rendered(table_of(defaults()), "", frozenset()), values.text("output"), make_folders=False)


def _rendered(table: dict[str, object], text: str, present: frozenset[tuple[str, ...]]) -> bytes:
    """config.toml as upstream writes it, with the comments of the text that it was read from."""
    from toolkit.cmd.ctk.remarks import remarks_of
    from toolkit.plan import config_table
    from toolkit.plan.toml_text import to_toml, value_text

    shown = {(path[:-1], f"#{path[-1]} = {value_text(value)}"): path for path, value in config_table.SHOWN.items()}
    suse = defaults().nvidia_container_cli.user == config_table.SUSE_USER
    table = config_table.with_shown_defaults(table, present=present, suse=suse)
    return to_toml(table, remarks=remarks_of(text, shown)).encode("utf-8", "surrogateescape")


def _write(data: bytes, output: str, *, make_folders: bool) -> int:
    from toolkit.apply.config_file import write_files

    if not output:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return 0
    try:
        write_files({output: data}, make_folders=make_folders)
    except ToolkitError as e:
        made = e.message.startswith("mkdir ")
        raise _within(f"failed to {'create output directory' if made else 'open output file'}: ", e) from None
    return 0


def _within(stem: str, error: ToolkitError) -> ToolkitError:
    return type(error)(stem + error.message, source=error.source, hint=error.hint)


OUTPUT = Flag("output", "The file to write. Empty: standard output", aliases=("o",))


def command() -> Command:
    """The command; the default of its --config-file depends on the environment."""
    return Command(
        name="config",
        usage="Show and change the configuration of the NVIDIA Container Toolkit",
        flags=(
            Flag("config-file", "The configuration file", config_path(os.environ)[0], aliases=("config", "c")),
            Flag(
                "set",
                "A setting KEY=VALUE, with dots in KEY for its tables; KEY alone switches on. May be repeated: the "
                "last one of a key counts. The items of a list are separated by colons",
                (),
            ),
            Flag("set-list-separator", "What separates the items of a list", ":", hidden=True),
            Flag("in-place", "Write the configuration file itself", False, aliases=("i",)),
            OUTPUT,
        ),
        commands=(
            Command(
                name="default",
                usage="Show the built-in configuration",
                flags=(OUTPUT,),
                aliases=("create-default", "generate-default"),
                run=show_defaults,
            ),
        ),
        run=change,
    )
