"""`create`: gather the bundle and the machine, plan the edits, write config.json.

What only a GPU container needs is imported where it is needed: most containers are not.
Source: toolkit v1.20, internal/runtime/runtime_factory.go, internal/modifier, internal/oci.
"""

import os
from typing import Any

from toolkit.apply.bundle import write_config
from toolkit.apply.lowlevel import find_program
from toolkit.errors import ToolkitError
from toolkit.gather.bundle import config_path, parse_json, read_file
from toolkit.log import Log
from toolkit.model.config import Config
from toolkit.model.request import Request
from toolkit.plan import inject, mode, oci, oci_codec
from toolkit.plan.request import Image, image_of, request_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.plan.edits import EditSet, Wanted

Spec = dict[str, Any]
CONSTRUCT = "failed to create NVIDIA Container Runtime: failed to construct OCI spec modifier: "
LOAD = "failed to load OCI spec: error loading OCI specification from file: "
MODIFY = "could not apply required modification to OCI specification: error modifying OCI spec: "
DEFAULT_CTK = "/usr/bin/nvidia-ctk"
DEFAULT_HOOK = "/usr/bin/nvidia-container-runtime-hook"


class _Step:
    """Puts the name of a step before the message of a ToolkitError, as upstream's chains do."""

    def __init__(self, stem: str) -> None:
        self._stem = stem

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ToolkitError):
            raise type(error)(self._stem + error.message, source=error.source, hint=error.hint) from error


def edit_bundle(bundle: str, config: Config, log: Log) -> None:
    """Writes the edited config.json of a bundle.  Raises ToolkitError; the file is then untouched."""
    path = config_path(bundle)
    log.debug(f"Using bundle directory: {bundle}")
    log.info(f"Using OCI specification file path: {path}")
    with _Step(CONSTRUCT + "failed to load OCI spec: error opening OCI specification file: "):
        data = read_file(path)
    with _Step(CONSTRUCT + LOAD + "error reading OCI specification: "):
        document = parse_json(data)
    spec = edited_spec(document, config, log)
    write_config(path, oci_codec.rendered(spec))
    log.debug("Applied required modification to OCI specification")


def edited_spec(document: Any, config: Config, log: Log, *, root: str = "/") -> Spec:
    """The configuration of a container with what it asks for, on the machine at `root`."""
    with _Step(CONSTRUCT):
        with _Step(LOAD + "error reading OCI specification: "):
            spec = oci_codec.checked(document, allow_unknown=config.features.allow_unknown_oci_spec_fields)
        image = image_of(spec)
        name, request = _mode_and_request(image, config, log, root)
        mode.check_mode(name)
    for note in request.notes:
        log.warning(note)
    log.debug("Create command detected; applying OCI specification modifications")
    with _Step(MODIFY):
        if name == "legacy":
            return _legacy(spec, request, config, log, root)
        if name == "csv":
            return _csv(spec, image, request, config, log, root)
        return _cdi(spec, request, config, log, root, name=name)


def _mode_and_request(image: Image, config: Config, log: Log, root: str) -> tuple[str, Request]:
    """The mode, and the request as that mode sees it: annotations help to choose it, but count in `cdi` alone."""
    runtime = config.nvidia_container_runtime
    prefixes = runtime.modes.cdi.annotation_prefixes
    request = request_of(image, config, prefixes=prefixes)
    platform = ""
    if mode.needs_platform(runtime.mode, request.devices):
        from toolkit.gather.host import read_platform  # ctypes and NVML: an explicit mode does without

        platform = read_platform(root=root)
    name = mode.mode_of(runtime.mode, request.devices, platform=platform)
    log.info(f"Auto-detected mode as '{name}'" if runtime.mode == "auto" else f"Using requested mode '{name}'")
    if name != "cdi" and prefixes:
        log.info(f"Using requested mode '{name}'")
        request = request_of(image, config)
    return name, request


def _legacy(spec: Spec, request: Request, config: Config, log: Log, root: str) -> Spec:
    """Feature-gated devices, graphics, then the prestart hook, which does the rest when the container starts."""
    if request.devices:
        spec = _applied(spec, _legacy_sets(request, config, log, root), root)
    else:
        log.info("No modification required; no devices requested")
        log.info("No graphics modifier required; no devices requested")
    if existing := oci.existing_prestart_hook(spec):
        log.info(f"Existing nvidia prestart hook ({existing}) found in OCI spec")
        return spec
    path = _helper(config.nvidia_container_runtime_hook.path, DEFAULT_HOOK, root)
    log.info(f"Using prestart hook path: {path}")
    return oci.with_prestart_hook(spec, path)


def _legacy_sets(request: Request, config: Config, log: Log, root: str) -> "tuple[EditSet, ...]":
    """Everything that legacy mode adds besides its hook, for a container that asks for devices."""
    from toolkit.gather.legacy_graphics import read_driver_version, read_graphics_host
    from toolkit.plan import gated
    from toolkit.plan.edits import EditSet

    ctk = _helper(config.nvidia_ctk.path, DEFAULT_CTK, root)
    sets = gated.without_void(_generated(gated.gated_wanted(request), request, config, log, root))
    if gated.wants_compat_hook(request, config):
        with _Step("failed to construct CUDA Compat discoverer: "):
            version = read_driver_version(driver_root=_driver_root(config), root=root)
        sets = (*sets, EditSet(gated.compat_edits(version, ctk)))
    if reason := gated.no_graphics_reason(request):
        log.info(f"No graphics modifier required; {reason}")
        return sets
    with _Step("failed to create mounts discoverer: failed to construct discoverer for graphics libraries: "):
        host = read_graphics_host(driver_root=_driver_root(config), root=root)
    for note in host.notes:
        log.warning(note)
    return (*sets, *gated.graphics_sets(host, request, config, hook_path=ctk))


def _csv(spec: Spec, image: Image, request: Request, config: Config, log: Log, root: str) -> Spec:
    """What a Tegra system's csv files list, if the system is what the image requires."""
    spec = oci.without_prestart_hooks(spec)
    if not request.devices:
        for _ in ("gated", "csv"):  # each says so
            log.info("No modification required; no devices requested")
        return spec
    from toolkit.plan.edits import Wanted
    from toolkit.plan.gated import gated_wanted

    with _Step("requirements not met: "):
        _check_requirements(image, log, root)
    ids = tuple(device for device in request.devices if device)
    return _applied(spec, _generated((*gated_wanted(request), Wanted("csv", ids)), request, config, log, root), root)


def _check_requirements(image: Image, log: Log, root: str) -> None:
    from toolkit.plan.request import requirements_of

    with _Step("failed to get image requirements: "):
        requirements = requirements_of(image)
    if not requirements:
        return
    from toolkit.gather.cuda import read_cuda
    from toolkit.gather.locate import Locator
    from toolkit.gather.tree import Tree
    from toolkit.plan.csv_requirements import Facts, check

    locator = Locator(Tree(root))
    cuda, capability = read_cuda(locator)
    for note in locator.notes:
        log.warning(note)
    check(requirements, Facts(cuda=cuda, arch=capability))


def _cdi(spec: Spec, request: Request, config: Config, log: Log, root: str, *, name: str) -> Spec:
    """Named devices out of the registry, or a specification generated for this container."""
    kind = config.nvidia_container_runtime.modes.cdi.default_kind if name == "cdi" else inject.AUTOMATIC_KIND
    names = inject.cdi_names(request.devices, kind)
    spec = oci.without_prestart_hooks(spec)
    if not names:
        log.debug("No devices requested; no modification required.")
        return spec
    log.debug(f"Creating CDI modifier for devices: [{' '.join(names)}]")
    ids = inject.automatic_ids(names)
    if not ids:
        return _injected(spec, names, config, log, root)
    from toolkit.plan.edits import wanted_of

    for note in request.imex_notes:  # channels are looked at in this mode alone
        log.warning(note)
    with _Step("failed to create the automatic CDI modifier: "):
        sets = _generated(wanted_of(request, ids), request, config, log, root, rights=True)
    return _applied(spec, sets, root)


def _generated(
    wanted: "tuple[Wanted, ...]", request: Request, config: Config, log: Log, root: str, *, rights: bool = False
) -> "tuple[EditSet, ...]":
    """The edits of specifications generated in memory, of the host as it is now.

    With `rights` the container may get the capabilities to configure or watch MIG."""
    if not wanted:
        return ()
    from toolkit.gather.host import NO_SANDBOXUTILS, CsvSources, read_host
    from toolkit.plan.edits import modes_to_read, plan_generated, plan_mig_rights

    csv = CsvSources(
        folder=config.nvidia_container_runtime.modes.csv.mount_spec_path,
        base_only=request.variable("NVIDIA_REQUIRE_JETPACK") != "csv-mounts=all",
    )
    flags = config.nvidia_container_runtime.modes.jit_cdi.nvcdi_feature_flags
    host = read_host(
        driver_root=_driver_root(config),
        root=root,
        want=modes_to_read(wanted),
        csv=csv,
        sandboxutils=not set(NO_SANDBOXUTILS) & set(flags),
    )
    ctk = _helper(config.nvidia_ctk.path, DEFAULT_CTK, root)
    sets, notes = plan_generated(host, wanted, config, hook_path=ctk)
    more, own = plan_mig_rights(host, request) if rights else ((), ())
    sets = (*sets, *more)
    for note in (*host.notes, *notes, *own):
        log.warning(note)
    return sets


def _injected(spec: Spec, names: tuple[str, ...], config: Config, log: Log, root: str) -> Spec:
    """The devices that specification files define.  A file that could not be read is worth a line if this fails."""
    from toolkit.gather.cdi_dirs import read_documents
    from toolkit.plan.edits import EditSet
    from toolkit.plan.registry import registry_of

    log.debug(f"Injecting devices using CDI: [{' '.join(names)}]")
    registry = registry_of(read_documents(config.nvidia_container_runtime.modes.cdi.spec_dirs, root=root))
    try:
        if unknown := [name for name in names if registry.find(name) is None]:
            log.warning(f"could not resolve CDI devices: [{' '.join(unknown)}]")
        with _Step("failed to inject CDI devices: "):
            edits = EditSet(inject.injected(names, registry.find), "failed to inject devices: ")
            return _applied(spec, (edits,), root)
    except ToolkitError:
        if registry.errors:
            errors = "\n".join(text for texts in registry.errors.values() for text in texts)
            log.warning(f"Refreshing the CDI registry generated errors: {errors}")
        raise


def _applied(spec: Spec, sets: "tuple[EditSet, ...]", root: str) -> Spec:
    from toolkit.gather.device_nodes import read_nodes

    for edits, stem in sets:
        with _Step(stem):
            spec = oci.with_edits(spec, read_nodes(edits, root=root))
    return spec


def _helper(path: str, default: str, root: str) -> str:
    """Where a program of the toolkit is: as configured if absolute, else by PATH, else where packages put it."""
    if path.startswith("/"):
        return path
    return find_program(path or os.path.basename(default), os.environ.get("PATH", ""), root=root) or default


def _driver_root(config: Config) -> str:
    return config.nvidia_container_cli.root or "/"
