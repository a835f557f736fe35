"""Kernel modules that come, go and change under libraries that stay."""

import os
import subprocess
import sys

import pytest

from nvsim import board, build, profile
from nvsim.ctl import targets, verbs
from nvsim.errors import NvsimError


@pytest.fixture
def root(tmp_path):
    """A T4 with driver 550.54.15, in place."""
    path = str(tmp_path / "host")
    build.build(profile.load("t4x1"), path, nodes=False, dev_root=path)
    return path


def ctl(root, line):
    return verbs.parse(line.split()).apply(root)


def init(root):
    """What nvmlInit answers in a program that starts now."""
    path = next(path for path in targets.boards(root) if "nvidia-ml" in path)
    code = "import ctypes, sys; sys.exit(ctypes.CDLL(sys.argv[1]).nvmlInit_v2())"
    return subprocess.run([sys.executable, "-c", code, path], check=False).returncode


def text(root, path):
    with open(root + path) as f:
        return f.read()


def smi(root):
    done = subprocess.run([f"{root}/usr/bin/nvidia-smi"], capture_output=True, text=True, check=False,
                          env={"LD_LIBRARY_PATH": os.path.dirname(targets.boards(root)[0])})
    return done.returncode, done.stdout.split("\n")[:2]


def tree(root):
    """Every path of a built host with its text or target, without folders that are empty, which the packages share."""
    found = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != ".nvsim"]
        for name in [*files, *(name for name in folders if os.path.islink(f"{folder}/{name}"))]:
            path = f"{folder}/{name}"
            if os.path.islink(path):
                found[path.removeprefix(root)] = os.readlink(path)
            elif os.path.isfile(path) and ".so" not in name and name != "config":  # boards differ by driver branch
                with open(path, "rb") as f:
                    found[path.removeprefix(root)] = f.read()
            else:
                found[path.removeprefix(root)] = None
    return found


def tree_of(wanted, root):
    """The same of a host that was built so from the start."""
    other = f"{root}-{len(os.listdir(os.path.dirname(root)))}"
    build.build(wanted, other, nodes=False, dev_root=other)
    return tree(other)


def test_an_upgrade_of_the_kernel_modules_makes_libraries_that_do_not_fit(root):
    said = ctl(root, "driver upgrade 550.90.07")
    assert said[0] == "kernel modules 550.54.15 → 550.90.07; libraries 550.54.15"
    assert init(root) == 18
    assert smi(root) == (18, ["Failed to initialize NVML: Driver/library version mismatch",
                              "NVML library version: 550.54"])
    ctl(root, "driver upgrade 550.54.15")
    assert init(root) == 0


def test_the_kernel_shows_the_new_version_where_modules_show_theirs(root):
    bus_id = board.read(targets.boards(root)[0]).gpus[0].bus_id
    before = text(root, "/proc/driver/nvidia/version")
    ctl(root, "driver upgrade 550.90.07")
    first, compiler, _ = text(root, "/proc/driver/nvidia/version").split("\n")
    assert first.startswith("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.90.07  ")
    assert compiler == before.split("\n")[1]
    assert text(root, "/sys/module/nvidia/version") == text(root, "/sys/module/nvidia_uvm/version") == "550.90.07\n"
    assert "GPU Firmware: \t 550.90.07\n" in text(root, f"/proc/driver/nvidia/gpus/{bus_id}/information")
    assert "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  550.90.07  " in text(root, "/.nvsim/kernel.log")
    assert os.stat(f"{root}/proc/driver/nvidia/version").st_mode & 0o777 == 0o444
    ctl(root, "driver upgrade 550.54.15")
    assert text(root, "/proc/driver/nvidia/version") == before


def test_without_its_modules_there_is_no_driver_and_loading_brings_it_back(root):
    before = tree(root)
    ctl(root, "driver unload")
    assert init(root) == 9
    assert tree(root) == tree_of(profile.of({"profile": "t4x1", "kernel_driver": "none"}, "host"), root)
    ctl(root, "driver load")
    assert (init(root), tree(root)) == (0, before)


def test_a_driver_that_is_not_installed_yet_leaves_what_a_machine_without_one_has(tmp_path):
    def without(*keys):
        return profile.of({"profile": "t4x1-first-boot", "boot": "complete", **dict.fromkeys(keys, "none")}, "host")

    root = str(tmp_path / "host")
    built = build.build(profile.load("t4x1-first-boot"), root, nodes=False, dev_root=root)
    assert (built, built.boards) == (build.describe(root), ())
    assert tree(root) == tree_of(without("driver"), root)
    with pytest.raises(NvsimError, match="this host has no driver"):
        ctl(root, "set gpu=0 temperature=80")
    assert ctl(root, "driver install") == ["driver installed"]
    assert (init(root), tree(root)) == (
        9, tree_of(without("kernel_driver"), root))
    with pytest.raises(NvsimError, match="the driver's files are there"):
        ctl(root, "driver install")
    assert ctl(root, "driver load")[0] == "kernel modules loaded"
    assert (init(root), tree(root)) == (0, tree_of(without(), root))
    assert build.describe(root).boards


def test_a_driver_that_is_part_of_the_system_does_not_come_later(tmp_path):
    wanted = profile.of({"profile": "rtx4090-nixos", "boot": "no-driver"}, "host")
    with pytest.raises(NvsimError, match="cannot come later where they lie: /nix"):
        build.build(wanted, str(tmp_path / "host"), nodes=False)
    assert os.listdir(tmp_path) == []


def test_libraries_without_modules_get_those_of_their_version(tmp_path):
    root = str(tmp_path / "host")
    built = build.build(profile.load("libraries-only"), root, nodes=False, dev_root=root)
    assert (built.devices, built.modules, init(root)) == ((), (), 9)
    ctl(root, "driver load")
    assert (init(root), "550.54.15" in text(root, "/proc/driver/nvidia/version")) == (0, True)
    assert [device.path for device in build.describe(root).devices].count("/dev/nvidiactl") == 1


def test_a_part_that_cannot_be_moved_stays_whole(root, monkeypatch):
    before, moved = tree(root), []

    def rename(source, target, rename=os.rename):
        if source.endswith("/dev/nvidiactl") and not moved:
            moved.append(source)
            raise OSError(16, "Device or resource busy")
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(NvsimError, match=r"dev/nvidiactl: cannot move what the driver shows: Device or resource busy"):
        ctl(root, "driver unload")
    assert (moved != [], tree(root), init(root)) == (True, before, 0)


def test_an_upgrade_loads_modules_that_were_unloaded(root):
    ctl(root, "driver unload")
    ctl(root, "driver upgrade 535.261.03")
    assert (init(root), "535.261.03" in text(root, "/proc/driver/nvidia/version")) == (18, True)


@pytest.mark.parametrize("line", ["driver unload", "driver upgrade 550.90.07"])
def test_modules_that_processes_use_stay(root, line):
    board.edit(targets.boards(root)[0], 0, lambda gpu: {"process_pid": (4711,)})
    with pytest.raises(NvsimError, match="in use by process 4711"):
        ctl(root, line)
    assert (init(root), text(root, "/sys/module/nvidia/version")) == (0, "550.54.15\n")


@pytest.mark.parametrize(("line", "said"), [
    ("driver", "'' is not known"), ("driver upgrade", "expected upgrade VERSION"), ("driver unlod", "'unlod'"),
    ("driver upgrade new", "not a driver version"), ("driver load now", "expected upgrade VERSION"),
    ("driver upgrade 390.12.34", "older than the catalogue")])
def test_a_line_that_names_no_driver_is_an_error(line, said):
    with pytest.raises(NvsimError, match=said):
        verbs.parse(line.split())


def test_what_the_profile_adds_stays_where_the_kernel_modules_are_not(tmp_path):
    root = str(tmp_path / "host")
    build.build(profile.of({"profile": "t4x1", "kernel_driver": "none", "links": {"/run/of-another": "/etc"},
                            "files": {"/sys/module/nouveau/initstate": "live\n"}}, "host"),
                root, nodes=False, dev_root=root)
    assert text(root, "/sys/module/nouveau/initstate") == "live\n"
    assert os.readlink(f"{root}/run/of-another") == "/etc"
    assert not os.path.exists(f"{root}/sys/module/nvidia")
    ctl(root, "driver load")
    assert sorted(name for name in os.listdir(f"{root}/sys/module") if name in ("nouveau", "nvidia")) == [
        "nouveau", "nvidia"]
