"""Every engine by name, and which of them a run uses."""

import os
import sys

from nvsim.errors import NvsimError
from scenarios.engines import containerd, cri, docker, oci, podman, podman_rootless, spec
from scenarios.engines.session import Engine
from scenarios.model import Case

ENGINES = {engine.name: engine for engine in (
    spec.ENGINE, oci.engine("runc"), oci.engine("crun"), podman.ENGINE, podman_rootless.ENGINE,
    docker.ENGINE, containerd.ENGINE, cri.ENGINE)}
DEFAULT = ("runc", "crun", "podman", "docker")


def chosen(names: list[str] | None, levels: list[str] | None) -> tuple[Engine, ...]:
    """The engines asked for; by default those of DEFAULT that work here, else level spec.  In CI all of DEFAULT: one
    that is missing there is a failure.  Says on stderr what is left out, and why.

    Raises NvsimError if no engine named has one of the levels."""
    if names or levels:
        asked = [e for e in ENGINES.values() if e.name in (names or ENGINES) and (not levels or e.level in levels)]
        if not asked:
            raise NvsimError("no engine has this level", source="nvsim run --engine, --level",
                             hint=", ".join(f"{e.name} has {e.level}" for e in ENGINES.values()))
        return tuple(asked)
    wanted = [ENGINES[name] for name in DEFAULT]
    reasons = {engine.name: engine.unavailable() for engine in wanted}
    ready = tuple(engine for engine in wanted if not reasons[engine.name])
    if os.environ.get("CI") or len(ready) == len(wanted):
        return tuple(wanted)
    for reason in dict.fromkeys(reasons.values()):
        if reason:
            without = ", ".join(name for name, one in reasons.items() if one == reason)
            print(f"nvsim: without {without}: {reason}", file=sys.stderr)
    if not ready:
        print("nvsim: level spec only", file=sys.stderr)
    return ready or (ENGINES["spec"],)


def named_alone(case: Case, chosen: tuple[Engine, ...]) -> tuple[Engine, ...]:
    """The engines of a case that makes sense on none of those that a run has chosen by itself."""
    if not case.engines.names or any(engine.name in case.engines.names for engine in chosen):
        return ()
    return tuple(ENGINES[name] for name in case.engines.names)
