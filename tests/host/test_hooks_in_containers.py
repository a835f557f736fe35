"""The CDI hooks as createContainer hooks of real runc containers, and ldconfig's confinement seen from inside."""

import json
import os
import shutil
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from nvsim import elf
from scenarios import images

pytestmark = pytest.mark.host

TOP = Path(__file__).resolve().parents[2]
LAUNCH = (f"import sys; sys.path.insert(0, {str(TOP)!r}); from toolkit.cmd.cdi_hook.main import main; "
          "sys.exit(main(['nvidia-cdi-hook', *sys.argv[1:]]))")
FOLDER = "/opt/driver"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A glibc image with real loader and ldconfig, and one driver library outside the usual folders."""
    path = str(tmp_path_factory.mktemp("images") / "debian")
    images.compose(images.bases()["debian"], path)
    os.makedirs(path + FOLDER)
    Path(path + FOLDER + "/libcuda.so.550.54.15").write_bytes(elf.shared_object(soname="libcuda.so.1"))
    return path


# crun 1.8 refuses a machine with both kinds of cgroups, so it does not see the second.
COMMANDS = {
    "runc": ("runc",),
    "crun": ("unshare", "-m", "sh", "-c", 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"', "sh", "crun"),
}


@pytest.fixture(params=COMMANDS)
def container(image, tmp_path, requires, request):
    """`container(hooks, script)` runs a container with those createContainer hooks; its root stays to look at."""
    requires("root", "runc", request.param)
    root = tmp_path / "rootfs"
    images.clone(image, str(root))

    def run(hooks, script, *, prepare="", env=()):
        (tmp_path / "config.json").unlink(missing_ok=True)
        subprocess.run(["runc", "spec"], cwd=tmp_path, check=True)
        spec = json.loads((tmp_path / "config.json").read_text())
        spec["process"].update(terminal=False, args=["/bin/sh", "-c", script])
        spec["process"]["env"] += env
        spec["root"] = {"path": "rootfs", "readonly": False}
        first = [{"path": "/bin/sh", "args": ["sh", "-c", prepare]}] if prepare else []
        spec["hooks"] = {"createContainer": first + [
            {"path": sys.executable, "args": ["python3", "-IS", "-c", LAUNCH, *hook], "env": ["NVIDIA_CTK_DEBUG=false"]}
            for hook in hooks]}
        (tmp_path / "config.json").write_text(json.dumps(spec))
        name = f"hooks-{os.getpid()}-{tmp_path.name[-20:]}"
        command = [*COMMANDS[request.param], "--root", str(tmp_path / "state"), "run", "--bundle", str(tmp_path), name]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    run.root, run.passes_on_messages = root, request.param == "runc"  # crun drops what a hook says
    yield run
    shutil.rmtree(root, ignore_errors=True)


def assert_said(container, done, message):
    assert (message if container.passes_on_messages else "error executing hook") in done.stderr


def names_below(root):
    return {os.path.relpath(os.path.join(folder, name), root)
            for folder, folders, files in os.walk(root) for name in (*folders, *files)}


def test_the_loader_finds_the_driver_s_library(container):
    before = names_below(container.root)
    done = container([("update-ldcache", "--folder", FOLDER),
                      ("create-symlinks", "--link", f"libcuda.so.1::{FOLDER}/libcuda.so")],
                     "ldconfig -p; readlink /opt/driver/libcuda.so")
    assert done.returncode == 0, done.stderr
    assert f"libcuda.so.1 (libc6,x86-64) => {FOLDER}/libcuda.so.1" in done.stdout
    assert done.stdout.endswith("libcuda.so.1\n")
    new = names_below(container.root) - before
    drop_ins = {name for name in new if name.startswith("etc/ld.so.conf.d/")}
    assert {name[len("etc/ld.so.conf.d/"):][:8] for name in drop_ins} == {"00-nvcr-", "zz-nvcr-"}
    assert new - drop_ins <= {"opt/driver/libcuda.so", "opt/driver/libcuda.so.1", "etc/ld.so.cache", "dev/pts",
                              "dev/shm", "dev/mqueue", "sys/fs", "var/cache/ldconfig/aux-cache"}


def test_a_second_start_adds_no_file(container):
    hooks = [("update-ldcache", "--folder", FOLDER)]
    assert container(hooks, "true").returncode == 0
    before = names_below(container.root)
    assert container(hooks, "true").returncode == 0
    assert names_below(container.root) == before


def test_a_newer_library_of_the_image_comes_before_the_driver_s(container):
    compat = container.root / "usr/local/cuda/compat"
    compat.mkdir(parents=True)
    (compat / "libcuda.so.570.86.15").write_bytes(elf.shared_object(soname="libcuda.so.1"))
    done = container([("enable-cuda-compat", "--host-driver-version=550.54.15"),
                      ("update-ldcache", "--folder", FOLDER)], "ldconfig -p")
    assert done.returncode == 0, done.stderr
    found = [line.partition(" => ")[2] for line in done.stdout.splitlines() if "libcuda.so.1 " in line]
    assert found == ["/usr/local/cuda/compat/libcuda.so.1", f"{FOLDER}/libcuda.so.1"]


def test_the_driver_s_parameters_are_covered_and_cannot_be_written(container, tmp_path):
    host = tmp_path / "proc-driver"
    (host / "nvidia").mkdir(parents=True)
    (host / "nvidia/params").write_text("ResmanDebugLevel: 4\nModifyDeviceFiles: 1\n")
    cover = f"mount --bind {host} /proc/driver && mount --bind {host} {container.root}/proc/driver"
    done = container([("disable-device-node-modification",)],
                     "cat /proc/driver/nvidia/params; echo x > /proc/driver/nvidia/params; ls /run; cat /proc/mounts",
                     prepare=cover)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ResmanDebugLevel: 4\nModifyDeviceFiles: 0\n")
    assert "Read-only file system" in done.stderr
    mounts = [line.split() for line in done.stdout.splitlines() if "/proc/driver/nvidia" in line]
    assert [(fields[1], fields[3].split(",")[0]) for fields in mounts] == [("/proc/driver/nvidia/params", "ro")]
    assert "nvidia-ctk-hook" not in done.stdout
    assert (host / "nvidia/params").read_text().endswith("ModifyDeviceFiles: 1\n")


def test_a_container_without_the_parameters_file_fails_as_upstream_does(container, tmp_path):
    host = tmp_path / "proc-driver"
    (host / "nvidia").mkdir(parents=True)
    (host / "nvidia/params").write_text("ModifyDeviceFiles: 1\n")
    done = container([("disable-device-node-modification",)], "true", prepare=f"mount --bind {host} /proc/driver")
    assert done.returncode == 1
    assert_said(container, done, "failed to mount modified params file: open o_path procfd: open "
                                 f"{container.root}/proc/driver/nvidia/params: no such file or directory")


def test_the_profile_names_the_gpus_by_their_minors(container):
    nodes = f"cd {container.root}/dev && mknod nvidia0 c 195 3 && mknod nvidia7 c 195 0 && touch nvidia1"
    done = container([("update-application-profile",)],
                     "cat /etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf", prepare=nodes)
    assert done.returncode == 0, done.stderr
    assert '"EGLVisibleDGPUDevices",0x9]' in done.stdout
    made = container.root / "etc/nvidia/nvidia-application-profiles-rc.d"
    assert stat.S_IMODE(made.stat().st_mode) == 0o555
    assert stat.S_IMODE((made / "10-container.conf").stat().st_mode) == 0o444


def test_a_failing_hook_fails_the_container_with_its_message(container):
    (container.root / "usr/lib/libcuda.so").mkdir()
    done = container([("create-symlinks", "--link", "libcuda.so.1::/usr/lib/libcuda.so")], "true")
    assert done.returncode == 1
    assert_said(container, done, "failed to create link [libcuda.so.1 /usr/lib/libcuda.so]: failed to create symlink: "
                                 "is a directory")


def test_the_image_s_environment_loads_nothing_into_a_hook(container, tmp_path):
    (container.root / "json.py").write_text(f"open('{tmp_path}/owned', 'w')")
    done = container([("update-ldcache",)], "true", env=["PYTHONPATH=/", "LD_PRELOAD=/proc/self/cwd/evil.so"])
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "owned").exists()


WATCHED = ("Pid", "Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")


@pytest.fixture(scope="module")
def confined(image):
    """`confined(*argv, **options)` runs a program as `nvidia-container-cli` runs ldconfig: (result or error, lines,
    warnings).  It fails if a mount is left."""

    def run(program, *arguments, **options):
        code = textwrap.dedent(f"""
            import sys; sys.path.insert(0, {str(TOP)!r})
            import os, json
            from toolkit.apply import ldconfig, linux
            linux.unshare(linux.NEWNS); linux.mount(None, "/", None, linux.PRIVATE | linux.REC)
            before = open("/proc/self/mountinfo").read()
            lines, warnings = [], []
            options = dict(uid=0, gid=0) | {options!r}
            try:
                result = ldconfig.run_confined(
                    {program!r}, {arguments!r}, rootfs={image!r}, output=lines.append, warn=warnings.append,
                    mount_namespace=os.open("/proc/self/ns/mnt", os.O_RDONLY), **options)
            except Exception as e:
                result = f"{{type(e).__name__}}: {{e}}"
            assert open("/proc/self/mountinfo").read() == before
            print(json.dumps([result, lines, warnings]))
        """)
        done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize("pivot", [True, False])
@pytest.mark.parametrize("uid", [0, 1000])
def test_ldconfig_has_one_capability_no_way_up_and_its_own_processes(confined, requires, pivot, uid):
    requires("root")
    result, lines, warnings = confined("/bin/cat", "/proc/self/status", pivot=pivot, uid=uid, gid=uid)
    assert (result, warnings) == (True, [])
    status = dict(line.split(":", 1) for line in lines)
    shown = {name: status[name].split() for name in WATCHED}
    only_override, nothing = ["0000000000000002"], ["0000000000000000"]
    assert shown == {
        "Pid": ["1"], "Uid": [str(uid)] * 4, "Gid": [str(uid)] * 4, "CapInh": only_override, "CapPrm": only_override,
        "CapEff": only_override, "CapBnd": nothing, "CapAmb": only_override if uid else nothing, "NoNewPrivs": ["1"],
        "Seccomp": ["2"],
    }


@pytest.mark.parametrize("pivot", [True, False])
def test_ldconfig_sees_nothing_of_the_host(confined, requires, pivot, tmp_path):
    requires("root")
    (tmp_path / "secret").write_text("secret")
    secret = f"{tmp_path}/secret"
    script = (f"for p in {secret} /proc/1/root{secret} /..{secret} /proc/self/cwd{secret} /dev/* /sys/* /etc/passwd; "
              "do [ -e $p ] && echo $p; done; echo $PWD $LD_LIBRARY_PATH")
    assert confined("/bin/bash", "-c", script, pivot=pivot) == [True, ["/dev/fd", "/etc/passwd", "/"], []]


def test_ldconfig_is_limited_in_time_files_and_memory(confined, requires):
    requires("root")
    _, lines, _ = confined("/bin/cat", "/proc/self/limits")
    limits = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    assert limits["Max cpu time"] == ["10", "10"]
    assert limits["Max address space"] == [str(2 << 30)] * 2
    assert limits["Max open files"] == ["64", "64"]
    assert limits["Max file size"] == [str(2 << 20)] * 2


def test_a_status_a_signal_and_a_hang_are_told_apart(confined, image, requires):
    requires("root")
    stem = "ApplyError: ldcache error: process /bin/bash"
    assert confined("/bin/bash", "-c", "exit 7")[0] == f"{stem} failed with error code: 7"
    spin = confined("/bin/bash", "-c", "while :; do :; done", seconds=600)  # the limit is on processor time
    assert spin[0] == f"{stem} terminated with signal 9"
    os.mkfifo(f"{image}/fifo")
    try:
        assert confined("/bin/cat", "/fifo", seconds=0.5)[0] == (
            "ApplyError: ldcache error: process /bin/cat was stopped: no end after 0.5 seconds")
    finally:
        os.unlink(f"{image}/fifo")


def test_a_missing_host_program_is_an_error_and_a_missing_one_of_the_image_is_skipped(confined, requires):
    requires("root")
    assert confined("/no/ldconfig")[0] == (
        "ApplyError: ldcache error: open failed: /no/ldconfig: no such file or directory")
    result, _, warnings = confined("/no/ldconfig", host_program=False)
    assert result is False
    assert warnings[-1] == "could not start /no/ldconfig: process execution failed: no such file or directory"


def test_the_child_ends_with_its_parent(image, requires, tmp_path):
    requires("root")
    code = textwrap.dedent(f"""
        import sys; sys.path.insert(0, {str(TOP)!r})
        import os
        from toolkit.apply import confine, linux
        def body():
            os.write(1, b"started\\n")
            os.execv("/bin/sleep", ["sleep", "4321.{os.getpid()}"])
        confine.run_child(body, linux.NEWPID | linux.NEWNS, seconds=60)
    """)
    parent = subprocess.Popen([sys.executable, "-IS", "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"started\n"
    parent.kill()
    parent.wait()
    assert parent.stdout.read() == b""  # the child held the other end
