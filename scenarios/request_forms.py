"""Requests that are not docker's: `ctr run` and `ctr task exec` lines, compose services, pods' containers.

Facts: containerd `ctr run --help`; compose-spec, "deploy.resources.reservations.devices" and "devices";
kubernetes/cri-api v1, ContainerConfig, in the JSON form that crictl reads; annotations of container-device-interface.
"""

import re
from dataclasses import replace

from nvsim.errors import NvsimError
from scenarios import request
from scenarios.fields import Fields, describe, mapping_of, nearest, path_of, text_of
from scenarios.request import CDI_NAME, Bind, Exec, Run

CTR_SWITCHES = {"--rm": "", "-t": "", "--tty": "", "--net-host": "", "-d": "detach", "--detach": "detach",
                "--privileged": "privileged", "--read-only": "read_only"}
CTR_VALUES = {"--runc-binary": "runtime", "--gpus": "gpus", "--env": "env", "--mount": "mount", "--device": "device",
              "--cap-add": "cap_add", "-u": "user", "--user": "user", "--annotation": "annotation", "--cwd": "workdir",
              "--snapshotter": "", "--runtime": ""}
SERVICE = ("image", "command", "entrypoint", "environment", "runtime", "gpus", "devices", "volumes", "cap_add",
           "privileged", "read_only", "user", "working_dir", "container_name", "annotations", "deploy", "network_mode")
RESERVED = ("driver", "count", "device_ids", "capabilities")
POD = ("image", "command", "args", "envs", "mounts", "annotations", "CDI_devices", "working_dir", "linux",
       "runtime_handler", "name")


def parse_ctr_run(words: list[str], source: str) -> Run:
    """The words of `ctr run` after it: flags, image, container, command.  Raises NvsimError naming the flag."""
    given, rest = request.read_flags(words, source, CTR_SWITCHES, CTR_VALUES)
    if len(rest) < 2:
        raise NvsimError("no image and container on the line", source=source, hint="ctr run [FLAGS] IMAGE ID [COMMAND]")
    asked = {kind: [word for value in given.get(kind, []) for word in (flag, value)]
             for kind, flag in (("env", "--env"), ("device", "--device"), ("cap_add", "--cap-add"), ("user", "--user"),
                                ("annotation", "--annotation"), ("workdir", "--workdir"))}
    gpus = given.get("gpus", [])
    odd = next((index for index in gpus if not re.fullmatch(r"[0-9]{1,3}", index)), None)
    if odd is not None:
        raise NvsimError(f"expected the index of a GPU, got {describe(odd)}", source=f"{source}: --gpus",
                         hint="once per GPU: --gpus 0 --gpus 1")
    like = request.parse_docker(
        "docker", [*(word for words in asked.values() for word in words), rest[0], *rest[2:]], source)
    detach = "detach" in given
    return replace(
        like, engine="ctr", gpus=",".join(gpus), name=rest[1] if detach else "", detach=detach,
        binds=tuple(_ctr_mount(value, f"{source}: --mount") for value in given.get("mount", [])),
        privileged="privileged" in given, read_only="read_only" in given,
        runtime=request.runtime_of(given["runtime"][-1], f"{source}: --runc-binary") if "runtime" in given else "")


def parse_ctr_exec(words: list[str], source: str) -> Exec:
    """The words of `ctr task exec` after it."""
    given, rest = request.read_flags(words, source, {"-t": "", "--tty": ""}, {"--exec-id": "id", "--cwd": ""})
    if "id" not in given or len(rest) < 2:
        raise NvsimError("expected --exec-id NAME, a container and a command", source=source,
                         hint="ctr task exec --exec-id one CONTAINER COMMAND")
    return Exec(name=rest[0], command=tuple(rest[1:]))


def _ctr_mount(value: str, source: str) -> Bind:
    given = dict(part.partition("=")[::2] for part in value.split(","))
    options = given.get("options", "").split(":")
    spread = [o for o in options if o.lstrip("r") in ("private", "shared", "slave")]
    if given.get("type") != "bind" or not {"rbind", "bind"} & set(options):
        raise NvsimError(f"expected a bind mount, got {describe(value)}", source=source,
                         hint="type=bind,src=/HOST,dst=/CONTAINER,options=rbind:ro")
    return Bind(source=path_of(given.get("src", ""), source), target=path_of(given.get("dst", ""), source),
                read_only="ro" in options, propagation=spread[0] if spread else "rprivate")


def parse_service(value: object, source: str) -> Run:
    """One service of a compose file, as the words of `docker run` that compose makes of it.

    A service with `container_name` stays, like `docker run -d --name`."""
    fields = Fields(value, source, SERVICE)
    words: list[str] = []
    for key, flag in (("runtime", "--runtime"), ("user", "--user"), ("working_dir", "--workdir"),
                      ("network_mode", "--network")):
        words += [flag, fields.text(key)] if key in fields else []
    for key, flag in (("volumes", "--volume"), ("devices", "--device"), ("cap_add", "--cap-add")):
        words += [word for item in fields.texts(key) for word in (flag, item)]
    for key, flag in (("environment", "--env"), ("annotations", "--annotation")):
        words += [word for item in _pairs(fields, key) for word in (flag, item)]
    words += ["--privileged"] if fields.flag("privileged") else []
    words += ["--read-only"] if fields.flag("read_only") else []
    gpus, capabilities, cdi = _compose_gpus(fields)
    entrypoint = fields.texts("entrypoint")
    words += ["--entrypoint", entrypoint[0]] if entrypoint else []
    name = fields.text("container_name", "")
    words += ["--detach", "--name", name] if name else []
    command = fields.any("command", [])
    split = request.split(command, fields.at("command")) if isinstance(command, str) else fields.texts("command")
    run = request.parse_docker("docker", [*words, fields.text("image"), *entrypoint[1:], *split], source)
    return replace(run, gpus=gpus, gpu_capabilities=capabilities, cdi=(*run.cdi, *cdi))


def _pairs(fields: Fields, key: str) -> list[str]:
    """NAME=VALUE items of a list or a mapping."""
    if isinstance(fields.any(key), list):
        return list(fields.texts(key))
    return [f"{name}={text_of(item, fields.at(key))}" for name, item in fields.mapping(key).items()]


def _compose_gpus(fields: Fields) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """`gpus: all` or `deploy.resources.reservations.devices` as --gpus has it: devices and capabilities; then the CDI
    devices that driver cdi names."""
    if "gpus" in fields:
        if fields.any("gpus") != "all":
            raise NvsimError(f"expected all, got {describe(fields.any('gpus'))}", source=fields.at("gpus"),
                             hint="deploy.resources.reservations.devices names single GPUs")
        return "all", (), ()
    here: object = fields.any("deploy", {})
    at = fields.at("deploy")
    for key in ("resources", "reservations"):
        here, at = Fields(here, at, (key,)).any(key, {}), f"{at}.{key}"
    inner = Fields(here, at, ("devices",))
    wanted = inner.items("devices")
    if not wanted:
        return "", (), ()
    if len(wanted) > 1:
        raise NvsimError("one reservation of devices is known", source=inner.at("devices"))
    one = Fields(wanted[0][0], wanted[0][1], RESERVED)
    if "capabilities" not in one:
        raise NvsimError("'capabilities' is missing", source=one.source, hint="capabilities: [gpu]")
    ids, count = one.texts("device_ids"), one.text("count", "")
    if (ids and count) or (not ids and one.text("driver", "") == "cdi"):
        raise NvsimError("expected either count or device_ids", source=one.source)
    if one.text("driver", "") == "cdi":
        return "", (), ids
    if count not in ("", "all") and not count.isdigit():
        raise NvsimError(f"expected all or a number, got {describe(count)}", source=one.at("count"))
    gpus = ",".join(ids) or (",".join(map(str, range(int(count)))) if count not in ("", "all") else "all")
    return gpus, tuple(c for c in one.texts("capabilities") if c != "gpu"), ()


def parse_pod(value: object, source: str) -> Run:
    """A container of a pod, as CRI's ContainerConfig in the form that crictl reads, and `runtime_handler` of its pod.

    Annotations cdi.k8s.io/… and CDI_devices both name CDI devices.  With `name` it stays, for `exec` steps."""
    fields = Fields(value, source, POD)
    nested = isinstance(fields.any("image"), dict)
    image = Fields(fields.any("image"), fields.at("image"), ("image",)) if nested else fields
    pairs = [Fields(item, at, ("key", "value")) for item, at in fields.items("envs")]
    devices = [Fields(item, at, ("name",)).text("name") for item, at in fields.items("CDI_devices")]
    plain, names = annotations(fields.mapping("annotations"), fields.at("annotations"))
    context = _context(fields)
    user = context.text("run_as_user", "") if context else ""
    handler = fields.text("runtime_handler", "")
    name = fields.text("name", "")
    words = [*(["--runtime", handler] if handler else []), *(["--user", user] if user else []), image.text("image")]
    run = request.parse_docker("docker", words, source)
    for device in devices:
        if not CDI_NAME.fullmatch(device):
            raise NvsimError(f"not a CDI name: {describe(device)}", source=fields.at("CDI_devices"))
    return replace(
        run, engine="cri", command=(*fields.texts("command"), *fields.texts("args")), annotations=plain,
        env=tuple((p.text("key"), p.text("value", "")) for p in pairs), cdi=tuple(dict.fromkeys([*names, *devices])),
        binds=tuple(_pod_mount(item, at) for item, at in fields.items("mounts")), name=name, detach=bool(name),
        privileged=bool(context and context.flag("privileged")), workdir=fields.text("working_dir", "/"),
        read_only=bool(context and context.flag("readonly_rootfs")))


def annotations(found: dict[str, object], source: str) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Annotations, and the CDI names in those of cdi.k8s.io/, which commas separate.  Fact: container-device-interface,
    pkg/cdi/annotations.go."""
    plain, names = [], []
    for key, value in found.items():
        text = text_of(value, f"{source}.{key}")
        if not key.startswith("cdi.k8s.io/"):
            plain.append((key, text))
            continue
        for name in text.split(","):
            if not CDI_NAME.fullmatch(name):
                raise NvsimError(f"not a CDI name: {describe(name)}", source=f"{source}.{key}",
                                 hint="cdi.k8s.io/anything: nvidia.com/gpu=0")
            names.append(name)
    return tuple(plain), tuple(names)


def _context(fields: Fields) -> Fields | None:
    if "linux" not in fields:
        return None
    linux = Fields(fields.any("linux"), fields.at("linux"), ("security_context",))
    known = ("privileged", "readonly_rootfs", "run_as_user")
    value = linux.any("security_context", {})
    if isinstance(value, dict) and isinstance(value.get("run_as_user"), dict):  # JSON form of a wrapped number
        value = {**value, "run_as_user": Fields(value["run_as_user"], linux.at("security_context.run_as_user"),
                                                ("value",)).any("value")}
    return Fields(value, linux.at("security_context"), known)


def _pod_mount(value: object, source: str) -> Bind:
    fields = Fields(value, source, ("host_path", "container_path", "readonly", "propagation"))
    spread = {"PROPAGATION_PRIVATE": "rprivate", "PROPAGATION_HOST_TO_CONTAINER": "rslave",
              "PROPAGATION_BIDIRECTIONAL": "rshared"}
    word = fields.text("propagation", "PROPAGATION_PRIVATE")
    if word not in spread:
        raise NvsimError(f"unknown value {describe(word)}", source=fields.at("propagation"), hint=nearest(word, spread))
    return Bind(source=path_of(fields.text("host_path"), fields.at("host_path")),
                target=path_of(fields.text("container_path"), fields.at("container_path")),
                read_only=fields.flag("readonly"), propagation=spread[word])


def parse_compose(value: object, source: str) -> tuple[str, Run]:
    """{services: {NAME: …}}, as in a compose file, or one service in place; its name, "" in place."""
    if isinstance(value, dict) and "services" in value:
        services = mapping_of(Fields(value, source, ("services", "version", "name")).any("services"), source)
        if len(services) != 1:
            raise NvsimError("a step starts one service", source=source, hint="a step for each")
        name, service = next(iter(services.items()))
        return name, parse_service(service, f"{source}.services.{name}")
    return "", parse_service(value, source)


