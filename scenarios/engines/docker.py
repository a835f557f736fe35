"""docker on an emulated machine: dockerd with everything of its own, called through the docker SDK.

A machine has its own daemon, because a daemon sees the host that it runs on: CDI specifications, the hook on its PATH,
device nodes, the paths of --volume.  Socket, data and state lie in the case's folder; its network namespace holds
nothing, so that no registry is asked for an image.  When the machine ends, by whatever cause, the daemon ends with it.
"""

import contextlib
import copy
import functools
import importlib.util
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from nvsim.errors import NvsimError
from scenarios import cgroups
from scenarios.archive import Archive
from scenarios.engines import docker_images
from scenarios.engines.containers import CannotExpress, EngineSession, Ran, image_of
from scenarios.engines.on_machine import RUN, TIMEOUT, OnMachine, kill, opened, search_path, unavailable, version_of
from scenarios.engines.session import Engine, Session, Tools
from scenarios.model import Case
from scenarios.request import RUNTIMES, Bind, Exec, Run
from scenarios.versions import at_least

CONFIG = "/etc/docker/daemon.json"
SOCKET = f"{RUN}/docker.sock"
CDI_SINCE = "25.0"  # behind features.cdi until 28.2: docs.docker.com, "dockerd", daemon configuration
ANNOTATIONS_SINCE = "24.0"
START = 30.0  # seconds


def unready() -> str:
    """Why dockerd cannot be used here, "" if it can."""
    missing = unavailable("dockerd", "containerd", "runc")
    if missing or importlib.util.find_spec("docker"):
        return missing
    return "the docker SDK is not installed; pip install 'gpu-container-harness[engines]'"


@contextlib.contextmanager
def _open(case: Case, folder: str, tools: Tools) -> Iterator[Session]:
    store = f"{tools.folder}/docker-images"
    with opened("runc", "engine", case, folder, tools) as on:
        images = (image_of(case, step.run, tools)[0] for step in case.steps if step.run)
        known = docker_images.lay(store, _data(on), images)
        with daemon(on, tools.toolkit) as socket:
            driver = Docker(on, socket, store=store, known=known)
            try:
                yield EngineSession(driver, on, tools)
            finally:
                driver.clear()


ENGINE = Engine(name="docker", level="engine", unavailable=unready, open=_open,
                version=functools.partial(version_of, "dockerd"))


def _data(on: OnMachine) -> str:
    """The daemon's data folder."""
    return f"{on.folder}/docker/data"


@contextlib.contextmanager
def daemon(on: OnMachine, toolkit: str) -> Iterator[str]:
    """dockerd on a machine, while the context lives: its socket as this process reaches it.

    Raises NvsimError if it does not start."""
    folder = os.path.dirname(_data(on))
    os.makedirs(folder, exist_ok=True)
    configure(on, toolkit)
    words = ["dockerd", "--config-file", CONFIG, "--data-root", _data(on), "--exec-root", f"{RUN}/x",
             "--pidfile", f"{folder}/pid", "--host", f"unix://{SOCKET}", "--iptables=false", "--ip6tables=false",
             "--ip-masq=false", "--bridge=none", "--storage-driver=overlay2"]
    with open(f"{folder}/log", "wb") as log:
        process = on.machine.popen(["unshare", "--net", *words], cwd="/", env=on.environment(), stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL)
    try:
        _wait(process, on.outside(SOCKET), f"{folder}/log")
        yield on.outside(SOCKET)
    finally:
        kill(process)


def _wait(process: "subprocess.Popen[str]", socket: str, log: str) -> None:
    """Until the daemon answers.  It says nothing when it is ready, and makes its socket before that."""
    deadline = time.monotonic() + START
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            _ping(socket)
            return
        time.sleep(0.03)
    with open(log, encoding="utf-8", errors="replace") as f:
        said = f.read().splitlines()[-5:]
    raise NvsimError("dockerd did not start: " + " | ".join(said), source=log)


def _ping(socket: str) -> str:
    """The newest version of its interface that a daemon speaks.  Raises OSError if none answers.

    To be asked for its own version, or for the one to speak by the SDK, costs a daemon two starts of runc."""
    import docker

    client = docker.APIClient(base_url=f"unix://{socket}", version=docker.constants.MINIMUM_DOCKER_API_VERSION)
    with contextlib.closing(client):
        return str(client.get(f"{client.base_url}/_ping").headers["Api-Version"])


def configure(on: OnMachine, toolkit: str) -> None:
    """Registers the toolkit's runtimes as its user does, by `nvidia-ctk runtime configure` where that is known, after
    what `before:` wrote; the real machine's own settings are hidden first."""
    kept = _settings(on)
    if knows_configure(toolkit):
        kept = _configured(on, toolkit) or kept
    runtimes = {name: {"path": f"/usr/bin/{program}"} for name, program in RUNTIMES.items()}
    kept["runtimes"] = runtimes | kept.get("runtimes", {})
    if at_least(version_of("dockerd"), CDI_SINCE):
        kept["features"] = {"cdi": True} | kept.get("features", {})
    on.write(CONFIG, json.dumps(kept))


_BY_TOOLKIT: dict[str, dict[str, Any]] = {}  # what a toolkit writes where the case has no daemon.json


def _configured(on: OnMachine, toolkit: str) -> dict[str, Any]:
    """daemon.json after `nvidia-ctk runtime configure`, which is run once per toolkit for all cases without such a file
    of their own."""
    plain = not on.made(CONFIG)
    if plain and toolkit in _BY_TOOLKIT:
        return copy.deepcopy(_BY_TOOLKIT[toolkit])
    on.command(["nvidia-ctk", "runtime", "configure", "--runtime=docker", f"--config={CONFIG}"])
    written = _settings(on)
    if plain and written:
        _BY_TOOLKIT[toolkit] = copy.deepcopy(written)
    return written


def _settings(on: OnMachine) -> dict[str, Any]:
    """daemon.json as the case made it: none of the real machine's."""
    if not on.made(CONFIG):
        return {}
    try:
        found = json.loads(on.read(CONFIG))
    except ValueError as e:
        raise NvsimError(f"daemon.json is not JSON: {e}", source=f"{on.case.path}: before") from e
    return found if isinstance(found, dict) else {}


@functools.cache
def knows_configure(toolkit: str) -> bool:
    """Whether nvidia-ctk of this folder has `runtime configure`."""
    try:
        done = subprocess.run([f"{toolkit}/nvidia-ctk", "runtime", "configure", "--help"], capture_output=True,
                              check=False, timeout=TIMEOUT)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"--runtime" in done.stdout


class Docker:
    """A daemon through the docker SDK.  What it says in an error is what `docker` prints."""

    name = "docker"

    def __init__(self, on: OnMachine, socket: str, *, store: str, known: set[str]) -> None:
        """`store` has the images that daemons of this run have loaded, `known` are those that this one started with."""
        import docker

        self._on, self._store, self._known = on, store, known
        self._api = docker.APIClient(base_url=f"unix://{socket}", version=_ping(socket), timeout=TIMEOUT)
        self._error = docker.errors.APIError
        self._label = os.path.basename(on.folder)
        self.version = version_of("dockerd")

    def load(self, image: Archive) -> None:
        """`docker load`, of an image that no daemon of this run has loaded before."""
        if image.name in self._known:
            return
        with open(image.path, "rb") as f:
            for line in self._api.load_image(f.read()):
                if "error" in line:
                    raise NvsimError(f"docker load failed: {line['error']}", source=image.path)
        docker_images.keep(self._store, _data(self._on), image)

    def run(self, run: Run, image: Archive) -> Ran:
        """What `docker run` asks the daemon for: create, start, wait, logs."""
        self._refuse(run)
        container = ""
        try:
            container = self._api.create_container(
                image.name, list(run.command), detach=True, environment=dict(run.env), user=run.user or None,
                working_dir=run.workdir if run.workdir != "/" else None, hostname="nvsim",
                host_config=self._host_config(run))["Id"]
            self._api.start(container)
            if run.detach:
                return Ran(id=container)
            code = self._api.wait(container)["StatusCode"]
            out, err = (self._api.logs(container, stdout=out, stderr=not out).decode(errors="replace")
                        for out in (True, False))
        except self._error as e:
            return Ran(id=container, exit=125, stderr=f"docker: Error response from daemon: {e.explanation}")
        return Ran(id=container, exit=code, stdout=out, stderr=err)

    def _refuse(self, run: Run) -> None:
        """Raises CannotExpress for what this version of docker has no words for."""
        if run.cdi and not at_least(self.version, CDI_SINCE):
            raise CannotExpress(f"docker {self.version} has no CDI devices; docker {CDI_SINCE} knows them")
        if run.annotations and not at_least(self.version, ANNOTATIONS_SINCE):
            raise CannotExpress(f"docker {self.version} has no --annotation; docker {ANNOTATIONS_SINCE} knows it")

    def _host_config(self, run: Run) -> dict[str, Any]:
        import docker

        asked = []
        if run.gpus:
            which: dict[str, Any] = {"count": -1} if run.gpus == "all" else {"device_ids": run.gpus.split(",")}
            asked.append(docker.types.DeviceRequest(capabilities=[["gpu", *run.gpu_capabilities]], **which))
        if run.cdi:
            asked.append(docker.types.DeviceRequest(driver="cdi", device_ids=list(run.cdi)))
        config: dict[str, Any] = self._api.create_host_config(
            runtime={program: name for name, program in RUNTIMES.items()}.get(run.runtime), network_mode="none",
            cgroup_parent=f"/{cgroups.name(self._label)}", device_requests=asked or None,
            binds=list(map(_bind, run.binds)), cap_add=list(run.cap_add) or None, privileged=run.privileged,
            read_only=run.read_only)
        if run.annotations:
            config["Annotations"] = dict(run.annotations)
        return config

    def execute(self, container: str, run: Exec) -> Ran:
        """`docker exec`.

        Not by the SDK's exec_start: it reads the bare socket, and misses what came along with the answer's head."""
        try:
            made = self._api.exec_create(container, list(run.command), environment=dict(run.env))["Id"]
            answer = self._api.post(f"{self._api.base_url}/v{self._api.api_version}/exec/{made}/start",
                                    json={"Detach": False, "Tty": False}, timeout=TIMEOUT)
            if not answer.ok:
                return Ran(id=container, exit=126, stderr=f"Error response from daemon: {answer.json()['message']}")
            code = self._api.exec_inspect(made)["ExitCode"]
        except self._error as e:
            return Ran(id=container, exit=126, stderr=f"Error response from daemon: {e.explanation}")
        out, err = streams(answer.content)
        return Ran(id=container, exit=code, stdout=out, stderr=err)

    def remove(self, container: str) -> None:
        """`docker rm --force`."""
        with contextlib.suppress(self._error):
            self._api.remove_container(container, force=True)

    def shell(self, container: str, *, terminal: bool) -> list[str]:
        """`docker exec`, where its command line is installed."""
        if not shutil.which("docker", path=search_path()):
            raise NvsimError("the command docker is not installed", source="docker", hint="apt-get install docker.io")
        return ["docker", "--host", f"unix://{SOCKET}", "exec", *(["--tty"] if terminal else []), "--interactive",
                container, "/bin/sh"]

    def own(self, mount: str) -> bool:
        """The daemon binds the network namespace that containers without a network share."""
        return mount.startswith(f"{RUN}/x/netns/")

    def clear(self) -> None:
        """Removes all containers, then what is left of their control groups."""
        with contextlib.suppress(Exception):  # a daemon that has died: its containers die with the machine
            for container in self._api.containers(all=True):
                self.remove(container["Id"])
        self._api.close()
        cgroups.remove_own(self._label)


def streams(content: bytes) -> tuple[str, str]:
    """stdout and stderr of a container, which come in frames: a byte for the stream (1 or 2), three without meaning,
    four for the length, then as many bytes.  Fact: docs.docker.com, API of the engine, "Attach to a container"."""
    found = {1: b"", 2: b""}
    while content:
        end = 8 + int.from_bytes(content[4:8], "big")
        found[content[0]] += content[8:end]
        content = content[end:]
    return found[1].decode(errors="replace"), found[2].decode(errors="replace")


def _bind(bind: Bind) -> str:
    return f"{bind.source}:{bind.target}:{'ro' if bind.read_only else 'rw'},{bind.propagation}"
