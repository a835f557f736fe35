"""Kubernetes objects become the lines that a device plugin and a runtime class amount to."""

from scenarios.draft import kubernetes

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: one
  annotations: {cdi.k8s.io/plugin: "nvidia.com/gpu=1,nvidia.com/gpu=2", team: "a b"}
spec:
  containers:
  - {name: a, image: "debian:12", command: [sh, -c], args: ["nvidia-smi -L; true"], securityContext: {privileged: true}}
"""
MANY = """
kind: List
items:
- kind: CronJob
  spec: {jobTemplate: {spec: {template: {spec: {
    initContainers: [{image: ubuntu, resources: {limits: {nvidia.com/mig-1g.5gb: "1"}}}],
    containers: [{image: ubuntu, env: [{name: NVIDIA_VISIBLE_DEVICES, value: all}, {name: TOKEN, value: x}]}]}}}}}
- kind: Deployment
  spec: {template: {spec: {containers: [{image: ubuntu, resources: {limits: {nvidia.com/gpu: 3, cpu: 4}}},
                                        {image: busybox}]}}}
---
kind: Pod
spec: {runtimeClassName: nvidia, containers: [{image: "nvidia/cuda:12.4.1-base-ubuntu22.04"}]}
"""


def lines(text: str) -> list[str]:
    return [found.line for found in kubernetes.find(text)]


def nothing(text: str) -> bool:
    return not lines(text) and not kubernetes.gpus(text)


def test_annotations_and_rights_of_a_pod_are_flags() -> None:
    assert lines("$ kubectl get pod one -o yaml\n" + POD) == [
        "docker run --rm --runtime=nvidia --annotation cdi.k8s.io/plugin=nvidia.com/gpu=1,nvidia.com/gpu=2 "
        "--privileged debian:12 sh -c 'nvidia-smi -L; true'"]


def test_whatever_makes_pods_is_looked_into_and_limits_choose_the_first_gpus() -> None:
    assert lines(MANY) == [
        "docker run --rm --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=0 ubuntu",
        "docker run --rm --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=all ubuntu",
        "docker run --rm --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=0,1,2 ubuntu",
        "docker run --rm --runtime=nvidia nvidia/cuda:12.4.1-base-ubuntu22.04"]
    assert kubernetes.gpus(MANY) == 3


def test_objects_without_gpus_and_texts_that_are_no_objects_give_nothing() -> None:
    assert nothing("kind: Pod\nspec: {containers: [{image: debian}]}")
    assert nothing("kind: Pod\nspec: [")
    assert nothing("kind: Pod\nspec: {containers: 5}")
    assert nothing("kind: Pod\nspec: {containers: [{image: [], resources: {limits: {nvidia.com/gpu: x}}}]}")
    assert nothing("no kind: Pod")
