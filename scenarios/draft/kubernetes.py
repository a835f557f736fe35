"""Kubernetes objects of a report → the `docker run` lines that a device plugin and a runtime class amount to.

The device plugin's strategy `envvar`, its default, hands devices over by NVIDIA_VISIBLE_DEVICES; which ones it would
have chosen no object says: the first ones stand for them."""

import re
import shlex
from collections.abc import Iterator

import yaml

from nvsim.errors import NvsimError
from scenarios.draft.commands import Command
from scenarios.fields import load

_OBJECT = re.compile(r"^ *(?:- )?kind: *[\"']?(?:Pod|PodList|List|Deployment|DaemonSet|StatefulSet|ReplicaSet|Job|"
                     r"CronJob)\b", re.MULTILINE)
_RESOURCE = re.compile(r"nvidia\.com/(?:gpu|gpu\.shared|mig-.+)")
_CDI = re.compile(r"[\w.-]+/[\w.-]+=[\w.:-]+(?:,[\w.-]+/[\w.-]+=[\w.:-]+)*")
MOST_GPUS = 16
MOST_DEPTH = 12  # of objects in objects, of which the deepest is a CronJob in a List
_WHY = "a Pod, as a device plugin and the runtime class have it started"


def find(text: str) -> tuple[Command, ...]:
    """A line for each container, of a Pod or of what makes Pods, that asks for GPUs or for NVIDIA's runtime."""
    if not _OBJECT.search(text):
        return ()
    found: dict[str, Command] = {}
    for part in re.split(r"^---\s*$", text, flags=re.MULTILINE):
        for pod in _pods(_document(part), 0):
            for container in _mappings(pod["spec"].get("initContainers")) + _mappings(pod["spec"].get("containers")):
                if line := _line(pod, container):
                    found.setdefault(line, Command(line=line, why=_WHY))
    return tuple(found.values())


def _document(text: str) -> object:
    """A YAML document, from its first line that can be one: a paste may begin with the command that showed it."""
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if re.match(r"(?:apiVersion|kind|metadata|items) *:", line)), 0)
    try:
        return load("\n".join(lines[first:]), "Kubernetes object")
    except (NvsimError, yaml.YAMLError):
        return None


def _pods(value: object, depth: int) -> Iterator[dict[str, dict[str, object]]]:
    """Every object with a Pod's `spec.containers` in an object: itself, its template, the members of a list."""
    if not isinstance(value, dict) or depth > MOST_DEPTH:
        return
    spec = value.get("spec")
    if isinstance(spec, dict) and isinstance(spec.get("containers"), list):
        metadata = value.get("metadata")
        yield {"spec": spec, "metadata": metadata if isinstance(metadata, dict) else {}}
    for inner in (value.get("items"), spec, value.get("template"), value.get("jobTemplate")):
        for member in inner if isinstance(inner, list) else [inner]:
            yield from _pods(member, depth + 1)


def _mappings(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _line(pod: dict[str, dict[str, object]], container: dict[str, object]) -> str:
    """The `docker run` line of a container; empty for one that asks for no GPU, unless it is alone in a Pod of NVIDIA's
    runtime class: its image may ask."""
    image = container.get("image")
    flags = _gpus(pod, container)
    alone = len(_mappings(pod["spec"].get("containers"))) == 1 and "nvidia" in str(pod["spec"].get("runtimeClassName"))
    if not isinstance(image, str) or not (flags or alone):
        return ""
    security = container.get("securityContext")
    if isinstance(security, dict) and security.get("privileged") is True:
        flags.append("--privileged")
    words = [*_texts(container.get("command")), *_texts(container.get("args"))]
    return shlex.join(["docker", "run", "--rm", "--runtime=nvidia", *flags, image, *words])


def _gpus(pod: dict[str, dict[str, object]], container: dict[str, object]) -> list[str]:
    """The flags by which a container gets devices."""
    env = {str(item.get("name")): str(item.get("value", "")) for item in _mappings(container.get("env"))}
    flags = [word for name, value in env.items() if name.startswith("NVIDIA_") for word in ("-e", f"{name}={value}")]
    annotations = pod["metadata"].get("annotations")
    for name, value in annotations.items() if isinstance(annotations, dict) else ():
        if re.match(r"(?:nvidia\.)?cdi\.k8s\.io/", str(name)) and _CDI.fullmatch(str(value)):
            flags += ["--annotation", f"{name}={value}"]
    count = _asked_for(container)
    if count and "NVIDIA_VISIBLE_DEVICES" not in env:
        flags += ["-e", "NVIDIA_VISIBLE_DEVICES=" + ",".join(map(str, range(count)))]
    return flags


def _asked_for(container: dict[str, object]) -> int:
    """How many whole GPUs a container's limits name."""
    resources = container.get("resources")
    limits = resources.get("limits") if isinstance(resources, dict) else None
    counts = [str(value) for name, value in limits.items() if _RESOURCE.fullmatch(str(name))
              ] if isinstance(limits, dict) else []
    return min(sum(int(count) for count in counts if count.isdecimal() and len(count) < 4), MOST_GPUS)


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def gpus(text: str) -> int:
    """The most GPUs that one container of the objects asks for: so many its node has at least."""
    counts = [_asked_for(container) for part in re.split(r"^---\s*$", text, flags=re.MULTILINE)
              for pod in _pods(_document(part), 0) for container in _mappings(pod["spec"].get("containers"))
              ] if _OBJECT.search(text) else []
    return max(counts, default=0)
