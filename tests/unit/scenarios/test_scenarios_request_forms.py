"""Requests in other forms than docker's lead to the same values; what cannot be taken is named."""

import pytest

from nvsim.errors import NvsimError
from scenarios import model, request, request_forms
from scenarios.request import Bind


def like(run, **changes):
    """The parts that say what a container gets."""
    parts = ("image", "command", "runtime", "gpus", "gpu_capabilities", "cdi", "env", "binds", "privileged", "user")
    return {part: getattr(run, part) for part in parts} | changes


def docker(line):
    return request.parse_run(f"docker run --rm {line}", "case")


@pytest.mark.parametrize(("ctr", "same"), [
    ("ctr run --rm --gpus 0 --gpus 2 docker.io/library/debian:12 c1 nvidia-smi -L",
     """--gpus '"device=0,2"' debian nvidia-smi -L"""),
    ("ctr run --runc-binary /usr/bin/nvidia-container-runtime --env NVIDIA_VISIBLE_DEVICES=2 debian c1 true",
     "--runtime nvidia -e NVIDIA_VISIBLE_DEVICES=2 debian true"),
    ("ctr run --device nvidia.com/gpu=0 --privileged --user 5:6 debian c1",
     "--device nvidia.com/gpu=0 --privileged --user 5:6 debian"),
    ("ctr run --mount type=bind,src=/a,dst=/b,options=rbind:ro debian c1", "-v /a:/b:ro debian"),
])
def test_a_line_of_ctr_asks_for_what_docker_would(ctr, same):
    assert like(request.parse_run(ctr, "case")) == like(docker(same))


def test_a_ctr_container_that_is_detached_keeps_its_name():
    assert request.parse_run("ctr run -d debian c1 sleep 9", "case").name == "c1"
    assert request.parse_exec("ctr task exec --exec-id x c1 nvidia-smi -L", "case") == \
        request.parse_exec("docker exec c1 nvidia-smi -L", "case")


@pytest.mark.parametrize(("service", "same"), [
    ({"image": "debian", "runtime": "nvidia", "environment": ["NVIDIA_VISIBLE_DEVICES=2"], "command": "nvidia-smi -L"},
     "--runtime nvidia -e NVIDIA_VISIBLE_DEVICES=2 debian nvidia-smi -L"),
    ({"image": "debian", "environment": {"A": 1}, "volumes": ["/a:/b"], "user": "5"}, "-e A=1 -v /a:/b -u 5 debian"),
    ({"image": "debian", "gpus": "all"}, "--gpus all debian"),
    ({"image": "debian", "deploy": {"resources": {"reservations": {"devices": [
        {"driver": "nvidia", "device_ids": ["0", "2"], "capabilities": ["gpu", "utility"]}]}}}},
     """--gpus '"device=0,2","capabilities=utility"' debian"""),
    ({"image": "debian", "deploy": {"resources": {"reservations": {"devices": [
        {"driver": "cdi", "device_ids": ["nvidia.com/gpu=0"], "capabilities": ["gpu"]}]}}}},
     "--device nvidia.com/gpu=0 debian"),
    ({"image": "debian", "devices": ["nvidia.com/gpu=all"]}, "--device nvidia.com/gpu=all debian"),
])
def test_a_compose_service_asks_for_what_docker_would(service, same):
    assert like(request_forms.parse_service(service, "case: compose")) == like(docker(same))
    assert request_forms.parse_compose({"services": {"one": service}}, "case: compose")[0] == "one"


@pytest.mark.parametrize(("pod", "same"), [
    ({"image": {"image": "debian"}, "runtime_handler": "nvidia", "command": ["nvidia-smi"], "args": ["-L"],
      "envs": [{"key": "NVIDIA_VISIBLE_DEVICES", "value": "2"}]},
     "--runtime nvidia -e NVIDIA_VISIBLE_DEVICES=2 debian nvidia-smi -L"),
    ({"image": "debian", "annotations": {"cdi.k8s.io/plugin": "nvidia.com/gpu=0,nvidia.com/gpu=1"}},
     "--device nvidia.com/gpu=0 --device nvidia.com/gpu=1 debian"),
    ({"image": "debian", "CDI_devices": [{"name": "nvidia.com/gpu=0"}],
      "linux": {"security_context": {"privileged": True, "run_as_user": {"value": 5}}}},
     "--privileged -u 5 --device nvidia.com/gpu=0 debian"),
    ({"image": "debian", "mounts": [{"host_path": "/a", "container_path": "/b", "readonly": True}]},
     "-v /a:/b:ro debian"),
])
def test_a_container_of_a_pod_asks_for_what_docker_would(pod, same):
    assert like(request_forms.parse_pod(pod, "case: pod")) == like(docker(same))


def test_propagation_of_a_pods_mount_is_that_of_a_bind():
    pod = {"image": "debian", "mounts": [{"host_path": "/a", "container_path": "/b",
                                          "propagation": "PROPAGATION_HOST_TO_CONTAINER"}]}
    assert request_forms.parse_pod(pod, "case: pod").binds == (Bind(source="/a", target="/b", propagation="rslave"),)


CASE = "about: x\nhost: t4x1\nsteps:\n  - "


@pytest.mark.parametrize(("step", "said"), [
    ("run: ctr run --gpu 0 debian c1", "unknown flag '--gpu': did you mean '--gpus'?"),
    ("run: ctr run --gpus all debian c1", "expected the index of a GPU, got 'all'"),
    ("run: ctr run debian", "no image and container on the line"),
    ("run: ctr run --mount type=tmpfs,dst=/b debian c1", "expected a bind mount"),
    ("exec: ctr task exec c1 true", "expected --exec-id NAME"),
    ("compose: {image: debian, runtimes: nvidia}", "unknown key 'runtimes': did you mean 'runtime'?"),
    ("compose: {services: {a: {image: debian}, b: {image: debian}}}", "a step starts one service"),
    ("compose: {image: debian, gpus: 1}", "expected all, got 1"),
    ("compose: {image: debian, deploy: {resources: {reservations: {devices: [{count: 1}]}}}}",
     "'capabilities' is missing"),
    ("compose: {image: debian, deploy: {resources: {limits: {}}}}", "unknown key 'limits'"),
    ("pod: {image: debian, annotations: {cdi.k8s.io/x: gpu0}}", "not a CDI name: 'gpu0'"),
    ("pod: {image: debian, cdi_devices: []}", "unknown key 'cdi_devices': did you mean 'CDI_devices'?"),
    ("pod: {image: debian, mounts: [{host_path: a, container_path: /b}]}", "expected an absolute path"),
])
def test_what_cannot_be_taken_is_named_with_its_place(step, said):
    with pytest.raises(NvsimError) as caught:
        model.parse(CASE + step + "\n", "case.yaml")
    shown = f"{caught.value}: {caught.value.hint}"
    assert said.partition(": did")[0] in shown and "case.yaml: steps[0]" in shown
    assert said.partition(": ")[2] in shown or ": did" not in said


def test_flags_are_what_the_line_had():
    run = docker("--gpus '\"device=0,2\"' -e A=1 -v /a:/b:ro --cap-add SYS_ADMIN -u 5 -w /w --read-only debian true")
    assert request.flags(run) == ["--gpus", '"device=0,2"', "--env", "A=1", "--cap-add", "CAP_SYS_ADMIN", "--volume",
                                  "/a:/b:ro,rprivate", "--user", "5", "--workdir", "/w", "--read-only"]
    assert request.flags(docker("--gpus all debian")) == ["--gpus", "all"]
