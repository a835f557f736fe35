"""nvidia-container-cli --load-kmods on emulated hosts that lack nodes or modules."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit.launchers import install

pytestmark = pytest.mark.host
NODES = ("find /dev/nvidia* -type c ! -name '*nvswitch*' ! -name '*nvlink' -printf '%p %m %U:%G ' "
         "-exec stat -c %t:%T {} ';' | sort")
# The kernel has no module, and its loader is the script that stands on stdin; the variables are PATH and sh's own PWD.
UNLOADED = """mount -t tmpfs none /sys/module
cat > $PLACE/loader/$(basename $LOADER); chmod 755 $PLACE/loader/*; mount --bind $PLACE/loader $(dirname $LOADER)
"""
FAKE = """#!/bin/sh
echo $* PATH=$PATH $(/usr/bin/env | /bin/grep -c =) >> PLACE/calls
/bin/mkdir -p /sys/module/$(echo $1 | /usr/bin/tr - _)
"""


class World:
    """A machine with MIG devices, and the command."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.chmod(0o755)
        self._root = str(folder / "machine")
        build.build(profile.load(name), self._root)
        install(str(folder / "bin"), sys.executable)
        self.cli = str(folder / "bin" / "nvidia-container-cli")
        self.machine = Machine(self._root).__enter__()

    def close(self) -> None:
        self.machine.__exit__(None, None, None)
        build.remove(self._root)

    def sh(self, place: Path, script: str) -> str:
        """Runs a script apart, with a /dev of its own that has the machine's nodes; its output and the log."""
        setup = ("export PLACE=$1 CLI=$2\nmkdir $PLACE/dev $PLACE/dev/char $PLACE/loader\n"
                 "cp -a /dev/null /dev/urandom /dev/nvidia* $PLACE/dev; mount --bind $PLACE/dev /dev\n"
                 "LOADER=$(cat /proc/sys/kernel/modprobe 2> /dev/null || echo /sbin/modprobe)\n")
        done = self.machine.run(["unshare", "--mount", "--propagation=private", "sh", "-c", setup + script, "sh",
                                 str(place), self.cli], timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    from conftest import requires

    requires("root", "zig", "unshare")
    world = World(tmp_path_factory.mktemp("kmods"), "a100x8-mig")
    yield world
    world.close()


def test_nodes_that_are_missing_are_made_as_they_were(world: World, tmp_path: Path) -> None:
    before, after = world.sh(
        tmp_path, f"{NODES}; echo ---; rm -rf /dev/nvidia*; $CLI -k info > /dev/null; {NODES}").split("---\n")
    assert before == after and "/dev/nvidia-caps/nvidia-cap1 400 0:0 ed:1\n" in before


def test_low_level_runtimes_find_the_nodes_by_number(world: World, tmp_path: Path) -> None:
    script = "rm -rf /dev/nvidia* /dev/char/*; $CLI -k info > /dev/null; readlink /dev/char/195:254 /dev/char/237:21"
    assert world.sh(tmp_path, script) == "../nvidia-modeset\n../nvidia-caps/nvidia-cap21\n"


def test_a_node_of_another_number_is_replaced_and_its_rights_are_set(world: World, tmp_path: Path) -> None:
    script = ("umask 077; rm /dev/nvidia2 /dev/nvidia3; mknod /dev/nvidia2 c 1 3; touch /dev/nvidia3\n"
              f"chmod 600 /dev/nvidia4; $CLI -k info > /dev/null; {NODES} | grep 'nvidia[234]'")
    assert world.sh(tmp_path, script).splitlines() == [f"/dev/nvidia{n} 666 0:0 c3:{n}" for n in (2, 3, 4)]


def test_an_administrator_who_makes_the_nodes_is_left_to_it(world: World, tmp_path: Path) -> None:
    script = ("sed 's/ModifyDeviceFiles: 1/ModifyDeviceFiles: 0/' /proc/driver/nvidia/params > $PLACE/params\n"
              "mount --bind $PLACE/params /proc/driver/nvidia/params; rm /dev/nvidia5; $CLI -k info > /dev/null\n"
              "ls /dev/nvidia4 /dev/nvidia5 2> /dev/null; true")
    assert world.sh(tmp_path, script) == "/dev/nvidia4\n"


def test_the_kernels_loader_gets_each_module_and_an_empty_environment(world: World, tmp_path: Path) -> None:
    script = ("rm -rf /dev/nvidia*; $CLI -k info > /dev/null; cat $PLACE/calls; ls /dev/nvidia-modeset")
    unloaded = f"exec <<'END'\n{FAKE.replace('PLACE', str(tmp_path))}END\n{UNLOADED}"
    assert world.sh(tmp_path, unloaded + script).splitlines() == [
        *(f"{name} PATH=/sbin 2" for name in ("nvidia", "nvidia-uvm", "nvidia-modeset")),
        "/dev/nvidia-modeset",
    ]


def test_modules_that_stay_away_are_only_logged(world: World, tmp_path: Path) -> None:
    unloaded = f"exec <<'END'\n#!/bin/true\nEND\n{UNLOADED}"
    script = "$CLI -k -d $PLACE/log info > /dev/null; cut -d ']' -f 2 $PLACE/log | grep 'could not'"
    assert world.sh(tmp_path, unloaded + script).splitlines() == [
        f" could not load kernel module {name}" for name in ("nvidia", "nvidia_uvm", "nvidia_modeset")]


def test_in_a_user_namespace_nothing_is_loaded(world: World, tmp_path: Path) -> None:
    script = ("touch $PLACE/log; unshare --user --map-root-user $CLI -k --user -d $PLACE/log info > /dev/null\n"
              "grep -o 'skipping kernel modules.*' $PLACE/log")
    assert world.sh(tmp_path, script) == "skipping kernel modules load due to user namespace\n"


def test_channels_of_imex_are_made_unless_that_is_left_out(tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("root", "zig")
    (tmp_path / "host").mkdir()
    world = World(tmp_path / "host", "gb200x4")
    try:
        script = ("rm -rf /dev/nvidia-caps-imex-channels; $CLI -k --no-create-imex-channels list --imex-channel 7\n"
                  "ls /dev/nvidia-caps-imex-channels 2> /dev/null; $CLI -k list --imex-channel 7\n"
                  f"{NODES} | grep channel")
        path = "/dev/nvidia-caps-imex-channels/channel7"
        assert world.sh(tmp_path, script).splitlines()[:3:2] == [path, world_row(world, path)]
    finally:
        world.close()


def world_row(world: World, path: str) -> str:
    """The line of NODES for channel 7: the major is the one in /proc/devices."""
    text = world.machine.run(["cat", "/proc/devices"]).stdout
    major = next(int(line.split()[0]) for line in text.splitlines() if line.endswith(" nvidia-caps-imex-channels"))
    return f"{path} 666 0:0 {major:x}:7"
