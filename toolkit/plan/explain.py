"""Why a container gets what it gets: the stops of its way, what is added and from where, what is left out and why.

Pure: made from what the runtime, the hook and the CLI planned, for `nvidia-ctk explain`.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from toolkit.errors import ToolkitError
from toolkit.model import ops
from toolkit.model.config import Config
from toolkit.plan.cdi_names import is_qualified
from toolkit.plan.engine_line import FLAG
from toolkit.plan.request import IMEX_CHANNELS, VISIBLE_DEVICES, Image, request_of

MODES = {
    "legacy": "a prestart hook calls nvidia-container-cli, which mounts the driver when the container starts",
    "cdi": "devices are looked up in CDI specification files",
    "jit-cdi": "a CDI specification is made in memory for this container, from the machine as it is now",
    "csv": "the mount lists of a Tegra system say what a container gets",
}
CAPABILITIES = "NVIDIA_DRIVER_CAPABILITIES"
MODE = "nvidia-container-runtime.mode"


class Stop(NamedTuple):
    """One stop of the way: `stop` is engine, runtime, request, mode or outcome."""

    stop: str
    name: str
    because: str


class Given(NamedTuple):
    """One thing that the container gets: `kind` is device, mount, file, link, variable, hook, rule or group.

    `what` is its place or text in the container, `origin` where it comes from on the machine ("" where made)."""

    kind: str
    what: str
    origin: str = ""


class LeftOut(NamedTuple):
    """Something that somebody may have expected, and why the container does not get it."""

    what: str
    why: str


class Setting(NamedTuple):
    """A key of config.toml that decided something, its value, and where that comes from: file or default."""

    key: str
    value: str
    origin: str


class Explanation(NamedTuple):
    """The whole answer.  `error` is what the engine would show of a container that does not start."""

    stops: tuple[Stop, ...]
    given: tuple[Given, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    settings: tuple[Setting, ...] = ()
    log: tuple[str, ...] = ()
    error: ToolkitError | None = None


def request_stop(image: Image, config: Config, *, prefixes: tuple[str, ...] = ()) -> Stop:
    """What the container asks for, and where it says so.  Sources count in this order, the first that says anything
    alone: annotations (in mode cdi), mounts, variables."""
    devices = request_of(image, config, prefixes=prefixes).devices
    if not devices:
        return Stop("request", "no GPU", _why_nothing(image, config))
    shown = ", ".join(device or "none" for device in devices)
    if prefixes and request_of(Image({}, (), image.annotations), config, prefixes=prefixes).devices:
        keys = [key for key in sorted(image.annotations) if key.startswith(prefixes)]
        return Stop("request", shown, "by --device" if keys == [FLAG] else f"by annotation: {', '.join(keys)}")
    if request_of(Image({}, image.mounts), config).devices:
        return Stop("request", shown, "by mounts of /dev/null below /var/run/nvidia-container-devices")
    names = _variables(image, config)
    if not any(name in image.env for name in names):
        return Stop("request", shown, "by the image: it sets CUDA_VERSION and not NVIDIA_REQUIRE_CUDA, which images of "
                                      "old did that want every GPU")
    return Stop("request", shown, "by " + ", ".join(f"{name}={image.env[name]}" for name in names if name in image.env))


def _variables(image: Image, config: Config) -> tuple[str, ...]:
    swarm = (name.strip() for name in config.swarm_resource.split(","))
    return tuple(name for name in swarm if name and name in image.env) or (VISIBLE_DEVICES,)


def _why_nothing(image: Image, config: Config) -> str:
    names = _variables(image, config)
    if all(name not in image.env for name in names):
        return f"neither image nor command line sets {' or '.join(names)}"
    said = ", ".join(f"{name}={image.env.get(name, '')}" for name in names)
    unprivileged = not (image.privileged or config.accept_nvidia_visible_devices_envvar_when_unprivileged)
    if unprivileged and request_of(image._replace(privileged=True), config).devices:
        return (f"{said} does not count: the container has no CAP_SYS_ADMIN, and "
                "accept-nvidia-visible-devices-envvar-when-unprivileged is false")
    return f"{said} asks for nothing"


def mode_stop(name: str, requested: str, devices: tuple[str, ...], *, forced: str = "", tegra: bool = False) -> Stop:
    """The mode, and why it is that one.  `forced` is the runtime's program if its name forces the mode."""
    if forced:
        why = f"{forced} knows no other"
    elif requested != "auto":
        why = f'{MODE} = "{requested}"'
    elif devices and all(map(is_qualified, devices)):
        why = "every device is asked for by a CDI name"
    elif tegra:
        why = "this is a Tegra system"
    else:
        why = "mode = \"auto\", and nothing asks for another"
    return Stop("mode", name, f"{why}; {MODES.get(name, 'no such mode')}")


def given_by_spec(before: dict[str, Any], after: dict[str, Any]) -> tuple[Given, ...]:
    """What stands in the configuration after the runtime, and did not before."""
    return tuple(item for item in _items(after) if item not in set(_items(before)))


def _items(spec: dict[str, Any]) -> Iterable[Given]:
    process, linux = spec.get("process") or {}, spec.get("linux") or {}
    for device in linux.get("devices") or []:
        yield Given("device", device["path"], f"{device.get('type', 'c')} {device.get('major')}:{device.get('minor')}")
    for mount in spec.get("mounts") or []:
        yield Given("mount", mount["destination"], mount.get("source", ""))
    for stage, hooks in (spec.get("hooks") or {}).items():
        for hook in hooks:
            yield Given("hook", f"{stage}: {' '.join(hook.get('args') or [hook['path']])}", hook["path"])
    for text in process.get("env") or []:
        yield Given("variable", text)
    for group in (process.get("user") or {}).get("additionalGids") or []:
        yield Given("group", str(group))


def given_by_cli(operations: tuple[ops.Op, ...], driver_root: str) -> tuple[Given, ...]:
    """What nvidia-container-cli would do in the container."""
    return tuple(found for op in operations if (found := _operation(op, driver_root)))


def _operation(op: ops.Op, driver_root: str) -> Given | None:
    prefix = "" if driver_root == "/" else driver_root.rstrip("/")
    match op:
        case ops.Bind(kind="device"):
            return Given("device", op.path, f"c {op.major}:{op.minor}")
        case ops.Bind():
            return Given("mount", op.path, op.source if op.origin == "container" else prefix + op.source)
        case ops.Symlink():
            return Given("link", f"{op.path} -> {op.target}")
        case ops.WriteFile() | ops.AddToProfile():
            return Given("file", op.path)
        case ops.AllowDevice():
            return Given("rule", f"c {op.major}:{op.minor} rw")
        case ops.RunLdconfig():
            return Given("file", "/etc/ld.so.cache", f"made by {op.path} of the {'host' if op.host else 'image'}")
        case _:
            return None


def left_out_by_capabilities(asked: tuple[str, ...], known: tuple[str, ...], mode: str) -> tuple[LeftOut, ...]:
    """Driver capabilities that a container of legacy mode does not get the files of; the other modes give them all."""
    if mode != "legacy":
        return ()
    return tuple(LeftOut(f"files for {name}", f"{CAPABILITIES} does not name {name}")
                 for name in known if name not in asked)


def left_out_by_gpus(gpus: tuple[tuple[int, str], ...], given: tuple[Given, ...]) -> tuple[LeftOut, ...]:
    """The GPUs of the machine, as (minor, name), whose node the container does not get."""
    paths = {item.what for item in given if item.kind == "device"}
    return tuple(LeftOut(f"/dev/nvidia{minor} ({name})", "the request does not name it")
                 for minor, name in gpus if f"/dev/nvidia{minor}" not in paths)


def left_out_by_notes(notes: Iterable[str]) -> tuple[LeftOut, ...]:
    """Warnings of the runtime about things that it did not find or did not honour, each once."""
    found = []
    for note in dict.fromkeys(notes):
        what, missing, _ = note.removeprefix("Could not locate ").partition(": ")
        if note.startswith("Could not locate ") and missing:
            found.append(LeftOut(what, "not on this machine"))
        elif note.startswith("Ignoring "):
            found.append(LeftOut("a request", note))
    return tuple(found)


def outcome_stop(explanation: Explanation, *, any_image: bool = False) -> Stop:
    """The last stop, in a sentence.  `any_image`: the image's folders are not known."""
    if explanation.error:
        return Stop("outcome", "the container does not start", str(explanation.error))
    kinds = [item.kind for item in explanation.given]
    gpus = sum(item.kind == "device" and item.what.removeprefix("/dev/nvidia").isdigit() for item in explanation.given)
    if not explanation.given:
        return Stop("outcome", "nothing is added", "no part of the toolkit has anything to do here")
    counts = [f"{kinds.count(kind)} {kind}{'s' * (kinds.count(kind) != 1)}" for kind in dict.fromkeys(kinds)]
    text = f"the container gets {', '.join(counts)}"
    if any_image and "rule" in kinds:
        text += "\nlibraries are shown where they go in an image without Debian's folders"
    return Stop("outcome", f"{gpus} GPU{'s' * (gpus != 1)}", text)


def settings_of(config: Config, origins: dict[str, str]) -> tuple[Setting, ...]:
    """The keys of config.toml that decide how a request is read and served."""
    runtime, cli = config.nvidia_container_runtime, config.nvidia_container_cli
    values = {
        MODE: runtime.mode,
        "accept-nvidia-visible-devices-envvar-when-unprivileged":
            _flag(config.accept_nvidia_visible_devices_envvar_when_unprivileged),
        "accept-nvidia-visible-devices-as-volume-mounts": _flag(config.accept_nvidia_visible_devices_as_volume_mounts),
        "nvidia-container-cli.root": cli.root or "/",
        "nvidia-container-cli.no-cgroups": _flag(cli.no_cgroups),
        "nvidia-container-runtime.modes.cdi.spec-dirs": ", ".join(runtime.modes.cdi.spec_dirs),
        "swarm-resource": config.swarm_resource,
        "disable-require": _flag(config.disable_require),
    }
    return tuple(Setting(key, value, origins.get(key, "default")) for key, value in values.items() if value)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def as_text(explanation: Explanation) -> str:
    """The explanation for a person."""
    lines = []
    width = max(len(stop.stop) for stop in explanation.stops)
    for stop in explanation.stops:
        lines.append(f"{stop.stop:<{width}}  {stop.name}")
        lines += [f"{'':<{width}}    {line}" for line in stop.because.splitlines()]
    if explanation.error and explanation.error.hint:
        lines.append(f"{'':<{width}}    {explanation.error.hint}")
    lines += _section("the container gets", (
        f"{item.kind:<8}  {item.what}" + (f"  ({item.origin})" if item.origin and item.origin != item.what else "")
        for item in explanation.given))
    lines += _section("left out", (f"{item.what}: {item.why}" for item in explanation.left_out))
    lines += _section("config.toml", (f"{s.key} = {s.value}  ({s.origin})" for s in explanation.settings
                                      if s.origin == "file" or s.key == MODE))
    return "\n".join(lines) + "\n"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return ["", f"{title}:", *(f"  {line}" for line in found)] if found else []


def as_document(explanation: Explanation) -> dict[str, Any]:
    """The explanation for programs."""
    error = explanation.error
    return {
        "starts": error is None,
        "stops": [stop._asdict() for stop in explanation.stops],
        "given": [item._asdict() for item in explanation.given],
        "leftOut": [item._asdict() for item in explanation.left_out],
        "settings": [setting._asdict() for setting in explanation.settings],
        "log": list(explanation.log),
        "error": {"message": error.message, "source": error.source, "hint": error.hint} if error else None,
    }


def imex_left_out(image: Image, config: Config) -> tuple[LeftOut, ...]:
    """IMEX channels that are asked for and not given, because the configuration says so."""
    asked = image.env.get(IMEX_CHANNELS, "")
    if not asked or not config.features.ignore_imex_channel_requests:
        return ()
    return (LeftOut(f"IMEX channels {asked}", "features.ignore-imex-channel-requests = true"),)
