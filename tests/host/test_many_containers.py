"""Fifty containers at once: none fails, none gets another's devices."""

import json
import os
import shutil
import subprocess

import pytest

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit import launchers

pytestmark = pytest.mark.host
CONTAINERS = 50


def bundle_for(folder, gpu):
    os.makedirs(f"{folder}/rootfs/bin")
    shutil.copy(shutil.which("busybox"), f"{folder}/rootfs/bin/sh")
    subprocess.run(["runc", "spec"], cwd=folder, check=True)
    with open(f"{folder}/config.json") as f:
        spec = json.load(f)
    spec["process"].update(terminal=False, args=["/bin/sh", "-c", "echo /dev/nvidia[0-9]*"])
    spec["process"]["env"].append(f"NVIDIA_VISIBLE_DEVICES={gpu}")
    spec["root"]["readonly"] = False
    with open(f"{folder}/config.json", "w") as f:
        json.dump(spec, f)
    return folder


LIFE = """
"$0" create -b "$1" "$2" || exit 1
"$0" start "$2" || exit 1
until "$0" state "$2" | grep -q '"status": "stopped"'; do sleep 0.05; done
"$0" delete "$2"
"""


def test_fifty_containers_created_at_once_get_what_each_asked_for(tmp_path, requires):
    requires("root", "runc", "busybox")
    build.build(profile.load("a100x8"), str(tmp_path / "root"))
    launchers.install(str(tmp_path / "bin"))
    bundles = [bundle_for(str(tmp_path / f"bundle{i}"), i % 8) for i in range(CONTAINERS)]
    with Machine(str(tmp_path / "root"), cgroup="v1") as machine:
        runtime = str(tmp_path / "bin" / "nvidia-container-runtime")
        installed = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}:/usr/sbin"}
        running = [machine.popen(["sh", "-c", LIFE, runtime, bundle, f"nvsim-many-{os.getpid()}-{i}"],
                                 env=installed, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                   for i, bundle in enumerate(bundles)]
        ended = [(process.communicate(timeout=240), process.returncode) for process in running]
    assert [err for (_, err), code in ended if code] == []
    assert [out.strip() for (out, _), _ in ended] == [f"/dev/nvidia{i % 8}" for i in range(CONTAINERS)]
