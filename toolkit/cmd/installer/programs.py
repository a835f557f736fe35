"""What the installer puts into its folder, and the CDI specification of management containers.

Source: toolkit v1.20, cmd/nvidia-ctk-installer/toolkit.
"""

import os
import posixpath
from typing import NamedTuple

from toolkit import launchers
from toolkit.cmd.installer.options import Options, chosen_of
from toolkit.errors import HostError, ToolkitError
from toolkit.gather import artifacts
from toolkit.log import Log
from toolkit.model.install import CONFIG, MODULES, PROGRAMS, Library, Part, Program, Settings, Text
from toolkit.plan import config_table, install
from toolkit.plan.toml_text import to_toml

# What `cdi generate` says before a failure, and the library that upstream's installer uses does not.
_STEPS = ("failed to create device CDI specs: ", "failed to create edits common for entities: ")


class Sources(NamedTuple):
    """What is installed.  `packages` are Python packages, where the programs are ours."""

    libraries: tuple[Library, ...]
    programs: tuple[Program, ...]
    packages: tuple[str, ...] = ()


def read_sources(options: Options, log: Log) -> Sources:
    """NVIDIA's or our own packages below the source root or, where nobody named one and there is none, this
    installation.  Raises HostError with upstream's texts."""
    root = options.source_root
    modules = artifacts.modules_of(root)
    if modules:
        return _ours(artifacts.packages_in(modules), options)
    if options.own_source and not os.path.isdir(root):
        log.info(f"There is no {root}; installing the programs of this installation")
        return _ours(launchers.sources(), options)
    found = artifacts.read_artifacts(root, os.environ)
    for error in found.missing:
        if not options.ignore_errors:
            raise _within("could not install toolkit components: ", error)
        log.error(f"Ignoring error: {error.message}")
    return Sources(found.libraries, found.programs)


def _ours(packages: tuple[str, ...], options: Options) -> Sources:
    """Our programs: launchers that find their modules in the installer's folder."""
    root = options.values.text("host-root")
    root = root if os.path.isdir(root) else "/"
    if not os.path.lexists(os.path.join(root, options.python.lstrip("/"))):
        raise HostError(f"could not install toolkit components: the host has no {options.python}", source="--python",
                        hint="install Python 3.11 or later on the host, or name the interpreter that it has")
    home = posixpath.join(options.folder, MODULES)
    programs = tuple(
        Program(name, "", 0o755, launchers.script(name, launchers.PROGRAMS[name], options.python, home=home))
        for name in PROGRAMS)
    return Sources((), programs, packages)


def plan_folder(options: Options, sources: Sources, runtimes: tuple[str, ...]) -> tuple[tuple[Part, ...], str]:
    """The parts of the folder, and the text of its config.toml."""
    default = runtimes[0] if runtimes else "crun" if options.engine_name == "crio" else "runc"
    parts = install.plan_parts(options.folder, sources.libraries, sources.programs, sources.packages, default)
    text = to_toml(_config(options, runtimes), indent="  ")
    return (*parts, Text(CONFIG, text, 0o644)), text


def _config(options: Options, runtimes: tuple[str, ...]) -> config_table.Table:
    from toolkit.gather.config import defaults, normalised_ldconfig

    values, built_in = options.values, defaults()
    root = values.text("driver-root")
    ldconfig = posixpath.join(root, built_in.nvidia_container_cli.ldconfig.removeprefix("@").lstrip("/"))
    settings = Settings(
        driver_root=root,
        ldconfig=normalised_ldconfig("@" + posixpath.normpath(ldconfig)),
        runtimes=runtimes,
        skip_mode_detection=values.switch("nvidia-container-runtime-hook.skip-mode-detection"),
        envvar_when_unprivileged=values.switch("accept-nvidia-visible-devices-envvar-when-unprivileged"),
        as_volume_mounts=values.switch("accept-nvidia-visible-devices-as-volume-mounts"),
        features=values.items("opt-in-features"),
        chosen=chosen_of(values),
    )
    return install.config_of(config_table.table_of(built_in), options.folder, settings)


def make_control_nodes(options: Options, log: Log) -> None:
    """The nodes that belong to no single GPU.  Raises ToolkitError with upstream's texts."""
    from toolkit.apply.char_devices import make_node
    from toolkit.gather.char_devices import read_majors
    from toolkit.gather.tree import Tree
    from toolkit.plan.char_devices import NONE, control_nodes

    root = options.values.text("dev-root-ctr-path")
    majors = read_majors(Tree())
    if not majors:
        raise HostError(f"error creating device nodes: failed to create library: failed to create devices info: {NONE}",
                        source="/proc/devices", hint="load the driver's kernel modules first")
    log.info(f"Creating control device nodes at {root}")
    try:
        for node in control_nodes(majors):
            path = posixpath.normpath(posixpath.join(root or "/", node.path.lstrip("/")))
            make_node(path, node.major, node.minor, log, dry=False)
    except ToolkitError as e:
        raise _within("error creating device nodes: failed to create control device nodes: ", e) from None


def management_spec(options: Options, log: Log) -> tuple[str, bytes]:
    """The file of the CDI specification for management containers, and its content.

    Raises ToolkitError with upstream's texts.
    """
    from toolkit.cmd.ctk.cdi_write import spec_bytes
    from toolkit.gather.host import read_host
    from toolkit.plan.generate import plan_spec
    from toolkit.plan.root_transform import with_driver_roots
    from toolkit.plan.transform import minimum_version

    log.info("Generating CDI spec for management containers")
    values, stem = options.values, "failed to genereate CDI spec for management containers: "
    driver_root, dev_root = values.text("driver-root-ctr-path"), values.text("dev-root-ctr-path")
    try:
        host = read_host(driver_root=driver_root or "/", dev_root=dev_root, want=("management",))
        spec, notes = plan_spec(host, ids=("all",), mode="management", vendor=options.vendor, class_=options.class_,
                                hook_path=posixpath.join(options.folder, "nvidia-cdi-hook"))
        for note in dict.fromkeys((*host.notes, *notes)):
            log.warning(note)
        stem = "failed to save CDI spec for management containers: failed to write spec: "
        spec = with_driver_roots(spec, driver_root, dev_root, values.text("driver-root"), values.text("dev-root"))
        data = spec_bytes(spec._replace(version=minimum_version(spec)), "yaml")
    except ToolkitError as e:
        message = e.message
        for step in _STEPS:
            message = message.removeprefix(step)
        stem = f"error generating CDI specification: {stem}"
        raise type(e)(stem + message, source=e.source, hint=e.hint) from None
    name = f"{options.vendor}-{options.class_}.yaml"
    return posixpath.join(values.text("cdi-output-dir"), name), data


def _within(stem: str, error: ToolkitError) -> ToolkitError:
    return type(error)(stem + error.message, source=error.source, hint=error.hint)
