"""The probe in a real container: no libc, no loader, a device cgroup, mount points with odd names."""

import json
import shutil
import subprocess
import uuid

import pytest

from nvsim.native.compile import compile_all

pytestmark = pytest.mark.host
ODD = "/odd name\twith\\escapes\u00e9"


@pytest.fixture
def run(tmp_path, requires):
    """Runs the probe in an empty root file system with two NVIDIA nodes, of which the cgroup allows one; its report."""
    requires("runc", "root")
    tools, rootfs = tmp_path / "tools", tmp_path / "rootfs"
    tools.mkdir()
    shutil.copy(compile_all("nvsim-probe")[0], tools / "probe")
    shutil.copy(compile_all("nvsim-probe-dl")[0], tools / "probe-dl")
    for name in ("proc", "dev", ".nvsim"):
        (rootfs / name).mkdir(parents=True)

    def start(*args):
        subprocess.run(["runc", "spec"], cwd=tmp_path, check=True)
        spec = json.loads((tmp_path / "config.json").read_text())
        spec["process"] |= {"terminal": False, "args": ["/.nvsim/probe", *args], "env": ["A=b=c", "HOME=/"],
                            "cwd": "/dev"}
        spec["mounts"] = [m for m in spec["mounts"] if m["destination"] in ("/proc", "/dev")] + [
            {"destination": "/.nvsim", "source": str(tools), "type": "bind",
             "options": ["bind", "ro", "nosuid", "nodev"]},
            {"destination": ODD, "source": "tmpfs", "type": "tmpfs", "options": ["size=64k", "rprivate"]}]
        node = {"type": "c", "major": 195, "fileMode": 0o660, "uid": 0, "gid": 44}
        spec["linux"]["devices"] = [{"path": f"/dev/nvidia{n}", "minor": n, **node} for n in (0, 1)]
        spec["linux"]["resources"] = {"devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 195, "minor": 0, "access": "rw"}]}
        (tmp_path / "config.json").write_text(json.dumps(spec))
        command = ["runc", "--root", str(tmp_path / "state"), "run", f"probe-{uuid.uuid4().hex[:12]}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return start


def test_an_image_without_a_loader_is_reported_in_full(run):
    report = run("--lib", "libcuda.so.1", "--file", "/.nvsim/probe", "--file", "/etc/passwd", "--exec", "/bin/sh")
    assert report["env"] == {"A": "b=c", "HOME": "/"} and report["cwd"] == "/dev"
    assert (report["libraries"], report["nvml"]) == ({}, {"error": "no dynamic loader"})
    assert report["files"]["/.nvsim/probe"]["type"] == "file"
    assert report["files"]["/etc/passwd"] == {"type": "missing"}
    assert report["exec"]["error"] == "ENOENT"


def test_the_cgroup_decides_what_a_node_says(run):
    devices = {d["path"]: d for d in run()["devices"]}
    allowed, denied = devices["/dev/nvidia0"], devices["/dev/nvidia1"]
    assert (allowed["major"], allowed["minor"], allowed["mode"], allowed["gid"]) == (195, 0, 0o660, 44)
    # Without the driver in the kernel nobody answers for the number; with it and no such GPU, the driver refuses.
    assert allowed["open"] in ("ENXIO", "ENODEV", "EIO", "ok")
    assert denied["open"] == "EPERM"
    assert devices["/dev/null"]["open"] == "ok"


def test_mount_points_come_back_unescaped_with_their_options(run):
    mounts = {m["target"]: m for m in run()["mounts"]}
    assert mounts[ODD]["fstype"] == "tmpfs" and "size=64k" in mounts[ODD]["options"]
    assert {"ro", "nosuid", "nodev"} <= set(mounts["/.nvsim"]["options"])
    assert mounts["/.nvsim"]["root"].endswith("/tools")
    assert mounts["/"]["propagation"] in ("private", "slave", "shared,slave")
