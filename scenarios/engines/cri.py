"""containerd as a kubelet calls it: the gRPC interface CRI, one pod and one container for each request.

A pod shares the machine's network, as a pod with hostNetwork does, so that no network plug-in is needed.  Facts:
kubernetes/cri-api v1 `api.proto`; containerd docs/cri/config.md; crictl prints the same errors.
"""

import contextlib
import functools
import importlib.util
import os
import threading
from collections.abc import Iterator
from typing import Any

from nvsim.errors import NvsimError
from scenarios import archive, cgroups
from scenarios.archive import Archive
from scenarios.engines import containerd
from scenarios.engines.containers import CannotExpress, EngineSession, Ran, with_environment
from scenarios.engines.on_machine import RUN, TIMEOUT, OnMachine, opened, unavailable, version_of
from scenarios.engines.session import Engine, Session, Tools
from scenarios.model import Case
from scenarios.request import RUNTIMES, Exec, Run
from scenarios.versions import at_least

CDI_SINCE = "1.7"
PAUSE = "localhost/nvsim/pause:latest"
NAMESPACE = ("--namespace", "k8s.io")
# restrict_oom_score_adj: a root without CAP_SYS_RESOURCE cannot lower the score of a pod.
PLUGIN = """[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
disable_apparmor = true
{cdi}
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{folder}/cni"
conf_dir = "{folder}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""
RUNTIME = """[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}]
runtime_type = "io.containerd.runc.v2"
{annotations}
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}.options]
BinaryName = "/usr/bin/{program}"
"""


def unready() -> str:
    """Why the CRI plug-in cannot be used here, "" if it can."""
    missing = unavailable("containerd", "ctr", "runc")
    if missing or importlib.util.find_spec("cri_api"):
        return missing
    return "no client of CRI is installed; pip install 'gpu-container-harness[engines]'"


def settings(folder: str) -> str:
    """The configuration of the plug-in, with the toolkit's runtimes as handlers.

    Where containerd does not read CDI annotations itself, it has to hand them on, as the toolkit's installer has it."""
    new = at_least(version_of("containerd"), "2.0")
    cdi = 'enable_cdi = true\ncdi_spec_dirs = ["/etc/cdi", "/var/run/cdi"]' \
        if at_least(version_of("containerd"), CDI_SINCE) and not new else ""
    annotations = "" if at_least(version_of("containerd"), CDI_SINCE) else 'container_annotations = ["cdi.k8s.io/*"]'
    handlers = [RUNTIME.format(name=name, program=program, annotations=annotations)
                for name, program in RUNTIMES.items()]
    return PLUGIN.format(pause=PAUSE, cdi=cdi, folder=folder) + "".join(handlers)


@contextlib.contextmanager
def _open(case: Case, folder: str, tools: Tools) -> Iterator[Session]:
    with opened("runc", "engine", case, folder, tools) as on, containerd.daemon(on, settings(folder)) as socket:
        driver = Cri(on, socket, tools)
        try:
            yield EngineSession(driver, on, tools)
        finally:
            driver.clear()


ENGINE = Engine(name="cri", level="engine", open=_open, unavailable=unready,
                version=functools.partial(version_of, "containerd"))
_PAUSE = threading.Lock()


def pause(tools: Tools) -> Archive:
    """The image of a pod's own container: it sleeps.  Made of the probe's static neighbour, once per run."""
    with _PAUSE:
        image = tools.images.get(None, "busybox", "the image of pods")
        path = f"{image.path}-pause.tar"
        if os.path.exists(path):
            return Archive(path=path, name=PAUSE, id="")
        return archive.write(image.path, path, PAUSE, env=(), command=("/bin/sleep", "1000000"))


class Cri:
    """The runtime service of containerd."""

    name = "cri"

    def __init__(self, on: OnMachine, socket: str, tools: Tools) -> None:
        import grpc
        from cri_api.v1 import api_pb2, api_pb2_grpc

        self.version = version_of("containerd")
        self._on, self._socket, self._pb, self._error = on, socket, api_pb2, grpc.RpcError
        self._channel = grpc.insecure_channel(f"unix:{on.outside(socket)}")
        stubs: Any = api_pb2_grpc
        self._runtime = stubs.RuntimeServiceStub(self._channel)
        self._label = os.path.basename(on.folder)
        self._logs = f"{on.folder}/pods"
        self._pods: dict[str, str] = {}  # pods by the container in them
        self._made = 0
        self.load(pause(tools))

    def _call(self, name: str, request: Any) -> Any:
        return getattr(self._runtime, name)(request, timeout=TIMEOUT)

    def load(self, image: Archive) -> None:
        """Into the namespace of Kubernetes; CRI itself only pulls."""
        done = self._on.command(["ctr", "--address", self._socket, *NAMESPACE, "image", "import", image.path])
        if done.returncode:
            raise NvsimError(f"ctr image import failed: {done.stderr.strip()}", source=image.path)

    def run(self, run: Run, image: Archive) -> Ran:
        """RunPodSandbox, CreateContainer, StartContainer; then the container's log, once it has ended."""
        if run.gpus:
            raise CannotExpress("CRI has no --gpus: devices are asked for by environment, annotation or CDI name")
        if run.cdi and not at_least(self.version, CDI_SINCE):
            raise CannotExpress(f"CRI of containerd {self.version} has no CDI; containerd {CDI_SINCE} knows it")
        self._made += 1
        pod = self._pod(run)
        container = pod_id = ""
        handler = {program: name for name, program in RUNTIMES.items()}.get(run.runtime, "")
        try:
            pod_id = self._call("RunPodSandbox", self._pb.RunPodSandboxRequest(
                config=pod, runtime_handler=handler)).pod_sandbox_id
            container = self._call("CreateContainer", self._pb.CreateContainerRequest(
                pod_sandbox_id=pod_id, config=self._container(run, image), sandbox_config=pod)).container_id
            self._pods[container] = pod_id
            self._call("StartContainer", self._pb.StartContainerRequest(container_id=container))
        except self._error as e:
            self._pods.setdefault(container or pod_id, pod_id)
            return Ran(id=container or pod_id, exit=125, stderr=str(e.details()))
        return Ran(id=container) if run.detach else self._ended(container)

    def _pod(self, run: Run) -> Any:
        """The PodSandboxConfig; a privileged container is possible in a privileged pod alone, as a kubelet makes it."""
        pb = self._pb
        context = pb.LinuxSandboxSecurityContext(
            namespace_options=pb.NamespaceOption(network=pb.NODE), privileged=run.privileged)
        return pb.PodSandboxConfig(
            metadata=pb.PodSandboxMetadata(name=f"p{self._made}", uid=f"u{self._made}", namespace="default", attempt=0),
            log_directory=self._logs,
            linux=pb.LinuxPodSandboxConfig(cgroup_parent=f"/{cgroups.name(self._label)}",
                                           security_context=context))

    def _container(self, run: Run, image: Archive) -> Any:
        """The ContainerConfig of a request."""
        pb = self._pb
        spread = {"private": pb.PROPAGATION_PRIVATE, "slave": pb.PROPAGATION_HOST_TO_CONTAINER,
                  "shared": pb.PROPAGATION_BIDIRECTIONAL}
        uid, _, gid = run.user.partition(":")
        context = pb.LinuxContainerSecurityContext(
            privileged=run.privileged, readonly_rootfs=run.read_only,
            namespace_options=pb.NamespaceOption(network=pb.NODE),
            capabilities=pb.Capability(add_capabilities=[name.removeprefix("CAP_") for name in run.cap_add]),
            **({"run_as_user": pb.Int64Value(value=int(uid))} if uid else {}),
            **({"run_as_group": pb.Int64Value(value=int(gid))} if gid else {}))
        return pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name="c"), image=pb.ImageSpec(image=image.name), command=list(run.command),
            working_dir=run.workdir, log_path=f"{self._made}.log", annotations=dict(run.annotations),
            envs=[pb.KeyValue(key=name, value=value) for name, value in run.env],
            mounts=[pb.Mount(host_path=bind.source, container_path=bind.target, readonly=bind.read_only,
                             propagation=spread[bind.propagation.removeprefix("r")]) for bind in run.binds],
            CDI_devices=[pb.CDIDevice(name=name) for name in run.cdi],
            linux=pb.LinuxContainerConfig(security_context=context))

    def _ended(self, container: str) -> Ran:
        """Waits until the container has ended: CRI tells that only to those who ask."""
        event, waited = threading.Event(), 0.0
        while True:
            status = self._call("ContainerStatus", self._pb.ContainerStatusRequest(container_id=container)).status
            if status.state == self._pb.CONTAINER_EXITED:
                break
            if waited > TIMEOUT:
                raise NvsimError(f"the container did not end within {TIMEOUT:.0f} seconds", source=self._on.case.path)
            event.wait(0.03)
            waited += 0.03
        with open(f"{self._logs}/{self._made}.log", encoding="utf-8", errors="replace") as f:
            out, err = streams(f.read())
        return Ran(id=container, exit=status.exit_code, stdout=out, stderr=err)

    def execute(self, container: str, run: Exec) -> Ran:
        """ExecSync, which takes no environment."""
        try:
            done = self._call("ExecSync", self._pb.ExecSyncRequest(
                container_id=container, cmd=with_environment(run), timeout=int(TIMEOUT)))
        except self._error as e:
            return Ran(id=container, exit=126, stderr=str(e.details()))
        return Ran(id=container, exit=done.exit_code, stdout=done.stdout.decode(errors="replace"),
                   stderr=done.stderr.decode(errors="replace"))

    def remove(self, container: str) -> None:
        """The container with its pod."""
        pod = self._pods.pop(container, "")
        if pod:
            with contextlib.suppress(self._error):
                self._call("StopPodSandbox", self._pb.StopPodSandboxRequest(pod_sandbox_id=pod))
                self._call("RemovePodSandbox", self._pb.RemovePodSandboxRequest(pod_sandbox_id=pod))

    def shell(self, container: str, *, terminal: bool) -> list[str]:
        """`ctr task exec`: CRI's own Exec needs a streaming client."""
        return ["ctr", "--address", self._socket, *NAMESPACE, "task", "exec", *(["--tty"] if terminal else []),
                "--exec-id", "shell", container, "/bin/sh"]

    def own(self, mount: str) -> bool:
        """A pod's /dev/shm goes with the pod, a moment after the call."""
        return mount.startswith(f"{RUN}/state/")

    def clear(self) -> None:
        """Removes all pods, then what is left of their control groups."""
        for container in list(self._pods):
            self.remove(container)
        self._channel.close()
        cgroups.remove_own(self._label)


def streams(log: str) -> tuple[str, str]:
    """stdout and stderr in a log of CRI's format: TIME STREAM TAGS CONTENT, where the tag P says that a line goes on.
    Fact: kubernetes/design-proposals, "CRI: Log management"."""
    found = {"stdout": "", "stderr": ""}
    for line in log.splitlines():
        _, stream, tag, content = (*line.split(" ", 3), "", "", "", "")[:4]
        if stream in found:
            found[stream] += content + ("" if tag == "P" else "\n")
    return found["stdout"], found["stderr"]
