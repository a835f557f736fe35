"""Building: the tree is the plan, complete or not there at all."""

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvsim import board, build, profile
from nvsim.errors import NvsimError
from nvsim.native.compile import artifact, compile_all
from nvsim.ops import BoardLibrary, CharDev, Dir, File, Socket, Symlink
from nvsim.plan import plan

LIB = "/usr/lib/x86_64-linux-gnu"


def kernel_only(**changes: object) -> profile.Profile:
    """A host without the driver's files: it needs no compiled part."""
    return profile.of({"profile": "t4x1", "driver": "none", "kernel_driver": "550.54.15", **changes}, "host")


@pytest.fixture(scope="session")
def compiled() -> None:
    """The parts that a host with a driver needs; an installed package brings them along."""
    for name in ("libnvidia-ml.so", "libcuda.so", "nvidia-smi"):
        try:
            artifact(name)
        except NvsimError:
            compile_all(name)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[str]:
    """A path where a host may be built; what is there afterwards is removed."""
    yield str(tmp_path / "host")
    build.remove(str(tmp_path / "host"))


META_FILES = ("machine.json", "capabilities.json", "parts.json", "kernel.log")


def tree(root: str) -> set[str]:
    """All paths below a root, as on the host."""
    return {os.path.join(folder, name)[len(root):] for folder, folders, files in os.walk(root)
            for name in folders + files} - {"/.nvsim", *(f"/.nvsim/{name}" for name in META_FILES)}


def test_the_tree_is_what_the_plan_says(root: str) -> None:
    wanted = kernel_only()
    build.build(wanted, root, nodes=False)
    planned = plan(wanted)
    assert tree(root) == {op.path for op in planned}
    for op in planned:
        found = os.lstat(root + op.path)
        mode = stat.S_IMODE(found.st_mode)
        match op:
            case Dir():
                assert (stat.S_ISDIR(found.st_mode), mode) == (True, op.mode), op.path
            case File():
                assert (mode, found.st_size) == (op.mode, max(op.size, len(op.data))), op.path
                if os.access(root + op.path, os.R_OK):
                    with open(root + op.path, "rb") as f:
                        assert f.read(len(op.data)) == op.data, op.path
            case Symlink():
                assert os.readlink(root + op.path) == op.target
            case Socket():
                assert (stat.S_ISSOCK(found.st_mode), mode) == (True, op.mode)
            case CharDev():
                assert (stat.S_ISREG(found.st_mode), mode, found.st_size) == (True, op.mode, 0)
            case _:
                pytest.fail(f"not expected without a driver: {op.describe()}")


def test_machine_json_says_what_was_built_and_is_read_back(root: str) -> None:
    wanted = profile.of({"profile": "a100x8", "driver": "none", "kernel_driver": "550.54.15"}, "host")
    machine = build.build(wanted, root, nodes=False)
    assert build.describe(root) == machine
    assert (machine.format, machine.profile, machine.layout, machine.driver_root) == (1, "a100x8", "ubuntu22.04", "/")
    assert [(gpu.index, gpu.minor, gpu.bus_id, gpu.board_index) for gpu in machine.gpus][2] == (2, 2, "0000:47:00.0", 2)
    devices = {device.path: device for device in machine.devices}
    assert devices["/dev/nvidia7"] == build.Device(path="/dev/nvidia7", major=195, minor=7, mode=0o666, uid=0, gid=0)
    assert set(machine.placeholders) == set(devices)
    assert ("/dev/dri/by-path/pci-0000:07:00.0-card", "../card1") in machine.links
    assert machine.modules == ("nvidia_uvm", "nvidia_drm", "nvidia_modeset", "nvidia")
    text = json.loads(Path(root, ".nvsim/machine.json").read_text())
    assert set(text) >= {"format", "profile", "about", "layout", "driver", "cuda", "driver_root", "gpus", "devices",
                         "links", "boards", "placeholders", "modules"}


def test_a_profile_may_want_no_placeholders(root: str) -> None:
    machine = build.build(kernel_only(placeholders="none"), root, nodes=False)
    assert machine.placeholders == ()
    assert machine.devices
    assert not os.path.exists(f"{root}/dev/nvidia0")


def test_modes_do_not_depend_on_the_umask(root: str) -> None:
    before = os.umask(0o077)
    try:
        build.build(kernel_only(), root, nodes=False)
    finally:
        os.umask(before)
    for path, mode in (("/etc", 0o755), ("/etc/ld.so.conf", 0o644), ("/dev/nvidia0", 0o666), ("/proc/devices", 0o444),
                       ("/proc/driver/nvidia", 0o555)):
        assert stat.S_IMODE(os.stat(root + path).st_mode) == mode, path


def test_an_empty_folder_is_built_in_and_kept_when_the_build_fails(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    root.mkdir(mode=0o700)
    with pytest.raises(NvsimError):
        build.build(kernel_only(files={"/etc/" + "x" * 300: ""}), str(root), nodes=False)
    assert list(root.iterdir()) == []
    build.build(kernel_only(), str(root), nodes=False)
    assert build.describe(str(root)).profile == "t4x1"
    build.remove(str(root))
    assert not root.exists()


def test_a_build_that_fails_leaves_nothing(root: str) -> None:
    with pytest.raises(NvsimError, match="File name too long") as caught:
        build.build(kernel_only(files={"/usr/share/" + "x" * 300: ""}), root, nodes=False)
    assert caught.value.source.startswith(f"{root}/usr/share/xxx")
    assert not os.path.lexists(root)


@pytest.mark.parametrize("name", ["file", ".nvsim-not"])
def test_a_folder_with_something_in_it_is_refused_and_untouched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(NvsimError, match="not empty"):
        build.build(kernel_only(), str(tmp_path), nodes=False)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_built_host_is_not_built_over(root: str) -> None:
    build.build(kernel_only(), root, nodes=False)
    with pytest.raises(NvsimError, match="not empty") as caught:
        build.build(kernel_only(), root, nodes=False)
    assert "remove the host" in caught.value.hint
    assert build.describe(root)


@pytest.mark.parametrize("path", ["file", "file/below", "missing/folder"])
def test_a_root_that_cannot_be_made_is_an_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NvsimError):
        build.build(kernel_only(), str(tmp_path / path), nodes=False)
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("files", [1, 7, 100, 200])
def test_a_killed_build_is_no_host_and_the_next_one_succeeds(root: str, files: int) -> None:
    child = os.fork()
    if child == 0:
        left = files

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            left -= event in ("open", "os.mkdir", "os.symlink")
            if left < 0 and event != "os.kill":
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        build.build(kernel_only(), root, nodes=False)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with pytest.raises(NvsimError, match="not a built host"):
        build.describe(root)
    build.build(kernel_only(), root, nodes=False)
    assert tree(root) == {op.path for op in plan(kernel_only())}


def test_a_root_that_another_process_builds_in_is_left_alone(root: str) -> None:
    os.makedirs(f"{root}/.nvsim")
    Path(root, "half").write_text("")
    lock = os.open(root, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    for attempt in (lambda: build.build(kernel_only(), root, nodes=False), lambda: build.remove(root)):
        with pytest.raises(NvsimError, match="another process is building"):
            attempt()
    assert os.path.exists(f"{root}/half")
    os.close(lock)


def test_many_builds_of_one_root_at_once_give_one_host(root: str) -> None:
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            try:
                build.build(kernel_only(), root, nodes=False)
            except NvsimError:
                os._exit(1)
            os._exit(0)
        children.append(child)
    exits = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert exits.count(0) == 1
    assert tree(root) == {op.path for op in plan(kernel_only())}


def test_a_root_may_be_given_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    build.build(kernel_only(), str(tmp_path / "link"), nodes=False)
    assert build.describe(str(tmp_path / "real")).profile == "t4x1"
    build.remove(str(tmp_path / "real"))


def test_removing_takes_everything_and_follows_no_link(root: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("")
    build.build(kernel_only(), root, nodes=False)
    os.symlink(outside, f"{root}/usr/outside")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(root)
        listener.bind("run.socket")
        os.chdir(tmp_path)
    build.remove(root)
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (outside / "kept").exists()
    build.remove(root)


def test_a_folder_that_nvsim_did_not_build_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NvsimError, match="did not build"):
        build.remove(str(tmp_path))
    assert (tmp_path / "file").exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}', '{"format": 1, "gpus": [3]}', "\xff"])
def test_a_machine_json_that_is_not_ours_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / ".nvsim").mkdir()
    (tmp_path / ".nvsim/machine.json").write_text(text, encoding="latin-1")
    with pytest.raises(NvsimError, match="machine.json"):
        build.describe(str(tmp_path))


@pytest.mark.parametrize("library", ["libnvidia-ml", "libcuda"])
def test_the_driver_libraries_carry_the_board(root: str, compiled: None, library: str) -> None:
    machine = build.build(profile.load("a100x8"), root, nodes=False, dev_root=root)
    assert machine.boards == (f"{LIB}/libnvidia-ml.so.550.54.15", f"{LIB}/libcuda.so.550.54.15")
    assert (machine.cuda, machine.gpus[0].name) == ("12.4", "NVIDIA A100-SXM4-40GB")
    read = board.read(f"{root}{LIB}/{library}.so.550.54.15")
    assert (read.dev_root, read.driver_version, read.cuda_version) == (root, "550.54.15", "12.4")
    assert [gpu.uuid for gpu in read.gpus] == [gpu.uuid for gpu in machine.gpus]
    planned = next(op for op in plan(profile.load("a100x8")) if isinstance(op, BoardLibrary))
    assert read.gpus == planned.board.gpus
    assert os.access(f"{root}/usr/bin/nvidia-smi", os.X_OK)


COUNT = """
import ctypes, sys
nvml = ctypes.CDLL(sys.argv[1])
count = ctypes.c_uint()
print(nvml.nvmlInit_v2(), nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)), count.value)
"""


def test_a_tree_used_in_place_shows_the_gpus_that_have_a_placeholder(root: str, compiled: None) -> None:
    machine = build.build(profile.load("a100x8"), root, nodes=False, dev_root=root)
    os.unlink(f"{root}/dev/nvidia3")
    done = subprocess.run([sys.executable, "-c", COUNT, root + machine.boards[0]], capture_output=True, text=True,
                          check=True)
    assert done.stdout.split() == ["0", "0", "7"]


def test_stubs_of_a_built_host_are_loaded_by_the_real_loader(root: str, compiled: None) -> None:
    build.build(profile.load("t4x1"), root, nodes=False)
    program = "import ctypes; print(ctypes.CDLL('libnvidia-encode.so.1').NvEncodeAPICreateInstance(), " \
              "ctypes.CDLL('libnvcuvid.so.1').cuvidCreateDecoder())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                          env={**os.environ, "LD_LIBRARY_PATH": root + LIB})
    assert done.stdout.split() == ["1", "100"]  # NV_ENC_ERR_NO_ENCODE_DEVICE, CUDA_ERROR_NO_DEVICE
