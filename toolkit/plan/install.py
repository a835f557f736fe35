"""What the installer puts into its folder: programs, their wrappers, config.toml.

Source: toolkit v1.20, cmd/nvidia-ctk-installer/toolkit.
"""

import shlex
from posixpath import join
from typing import Any

from toolkit.model.install import (
    CDI_HOOK,
    CLI,
    CONFIG,
    HOOK,
    LINKS,
    MODULES,
    RUNTIMES,
    Copy,
    Library,
    Link,
    Package,
    Part,
    Program,
    Settings,
    Text,
)
from toolkit.plan.config_table import Table


def plan_parts(
    folder: str,
    libraries: tuple[Library, ...],
    programs: tuple[Program, ...],
    packages: tuple[str, ...],
    low_level: str,
) -> tuple[Part, ...]:
    """Everything below `folder` but config.toml.  `low_level` runs containers while the driver is not loaded."""
    parts: list[Part] = []
    for library in libraries:
        name = library.path.rpartition("/")[2]
        parts.append(Copy(name, library.path, library.mode))
        if name != library.soname:
            parts.append(Link(library.soname, name))
    for program in programs:
        wrapped = program.name != CDI_HOOK  # it runs at every start of a container, and needs no environment
        name = f"{program.name}.real" if wrapped else program.name
        parts.append(Text(name, program.text, program.mode) if program.text else
                     Copy(name, program.path, program.mode))
        if wrapped:
            parts.append(Text(program.name, wrapper(program.name, folder, low_level), program.mode | 0o111))
        if program.name in LINKS:
            parts.append(Link(LINKS[program.name], program.name))
    parts += [Package(join(MODULES, path.rpartition("/")[2]), path) for path in packages]
    return tuple(parts)


def wrapper(name: str, folder: str, low_level: str) -> str:
    """The script that gives a program its environment, and a runtime the way around a driver that is not loaded."""
    place = shlex.quote(folder)
    variables = {"PATH": f"{place}:$PATH"}
    if name in (*RUNTIMES, HOOK):
        variables["NVIDIA_CTK_CONFIG_FILE_PATH"] = f"{place}/{CONFIG}"
    if name == CLI:
        variables["LD_LIBRARY_PATH"] = f"{place}:$LD_LIBRARY_PATH"
    lines = ["#! /bin/sh"]
    if name in RUNTIMES:
        program = shlex.quote(low_level)
        lines += [
            'cat /proc/modules | grep -e "^nvidia " >/dev/null 2>&1',
            'if [ "${?}" != "0" ]; then',
            f'\techo "nvidia driver modules are not yet loaded, invoking {low_level} directly" >&2',
            f'\texec {program} "$@"',
            "fi",
        ]
    lines += [f"{variable}={variables[variable]} \\" for variable in sorted(variables)]
    return "\n".join([*lines, f"\t{place}/{name}.real \\", '\t\t"$@"', ""])


def config_of(defaults: Table, folder: str, settings: Settings) -> Table:
    """config.toml for what is installed in `folder`."""
    values: dict[str, Any] = {
        "accept-nvidia-visible-devices-envvar-when-unprivileged": settings.envvar_when_unprivileged,
        "accept-nvidia-visible-devices-as-volume-mounts": settings.as_volume_mounts,
        "nvidia-container-cli.root": settings.driver_root,
        "nvidia-container-cli.path": join(folder, CLI),
        "nvidia-container-cli.ldconfig": settings.ldconfig,
        "nvidia-ctk.path": join(folder, "nvidia-ctk"),
        f"{HOOK}.path": join(folder, HOOK),
        f"{HOOK}.skip-mode-detection": settings.skip_mode_detection,
        **{f"features.{name}": True for name in settings.features},
    }
    if settings.runtimes:
        values["nvidia-container-runtime.runtimes"] = list(settings.runtimes)
    table = defaults
    for key, value in (*values.items(), *settings.chosen):
        table = _with(table, tuple(key.split(".")), list(value) if isinstance(value, tuple) else value)
    return table


def _with(table: Table, path: tuple[str, ...], value: Any) -> Table:
    if len(path) == 1:
        return {**table, path[0]: value}
    return {**table, path[0]: _with(table.get(path[0], {}), path[1:], value)}
