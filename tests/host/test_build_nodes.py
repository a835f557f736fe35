"""Building with real device nodes, and where the kernel refuses them."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from nvsim import build, profile
from nvsim.errors import NvsimError

pytestmark = pytest.mark.host


@pytest.fixture(autouse=True)
def _as_root(requires: Callable[..., None]) -> None:
    requires("root")


def kernel_only() -> profile.Profile:
    return profile.of({"profile": "a100x8", "driver": "none", "kernel_driver": "550.54.15"}, "host")


def test_root_gets_nodes_with_numbers_modes_and_groups(tmp_path: Path) -> None:
    root = str(tmp_path / "host")
    machine = build.build(kernel_only(), root, nodes=True)
    assert machine.placeholders == ()
    for device in machine.devices:
        found = os.lstat(root + device.path)
        assert stat.S_ISCHR(found.st_mode), device.path
        assert (os.major(found.st_rdev), os.minor(found.st_rdev)) == (device.major, device.minor)
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (device.mode, device.uid, device.gid)
    assert {device.gid for device in machine.devices if "dri" in device.path} == {44, 109}
    build.remove(root)


def test_nodes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    root = str(tmp_path / "host")
    before = os.umask(0o077)
    try:
        build.build(kernel_only(), root)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(f"{root}/dev/nvidia0").st_mode) == 0o666
    build.remove(root)


WITHOUT_PRIVILEGES = """
import sys
from nvsim import build, profile
from nvsim.errors import NvsimError
wanted = profile.of({"profile": "a100x8", "driver": "none", "kernel_driver": "550.54.15"}, "host")
try:
    build.build(wanted, sys.argv[1] + "-strict", nodes=True)
except NvsimError as e:
    print("refused", e.hint)
machine = build.build(wanted, sys.argv[1])
print(len(machine.placeholders), len(machine.devices))
build.remove(sys.argv[1])
"""


def test_a_user_namespace_gets_placeholders_or_the_reason(tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("unshare")
    done = subprocess.run(["unshare", "-Ur", sys.executable, "-c", WITHOUT_PRIVILEGES, str(tmp_path / "host")],
                          capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    refused, counts = done.stdout.splitlines()
    assert refused.startswith("refused be root")
    assert counts.split()[0] == counts.split()[1] != "0"
    assert list(tmp_path.iterdir()) == []


def test_an_ordinary_user_gets_the_same_and_can_remove_it(requires: Callable[..., None]) -> None:
    requires("setpriv")
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        os.chmod(folder, 0o777)
        checkout = Path(__file__).parents[2]
        if subprocess.run([*user, "test", "-r", str(checkout / "nvsim/build.py")], check=False).returncode:
            pytest.skip("other users cannot read this checkout")
        done = subprocess.run([*user, sys.executable, "-c", WITHOUT_PRIVILEGES, f"{folder}/host"], capture_output=True,
                              text=True, check=True, cwd=checkout)
        refused, counts = done.stdout.splitlines()
        assert refused.startswith("refused be root")
        assert counts.split()[0] == counts.split()[1] != "0"
        assert os.listdir(folder) == []


REMOVE_MOUNTED = """
mount -t tmpfs none "$1/usr" && touch "$1/usr/theirs" && "$2" -c '
import sys
from nvsim import build
from nvsim.errors import NvsimError
try:
    build.remove(sys.argv[1])
except NvsimError as e:
    print(e)
' "$1"; ls "$1/usr"
"""


def test_a_host_in_which_something_is_mounted_is_not_removed(tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("unshare")
    root = str(tmp_path / "host")
    build.build(kernel_only(), root)
    done = subprocess.run(["unshare", "-m", "sh", "-c", REMOVE_MOUNTED, "sh", root, sys.executable],
                          capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.splitlines() == [f"{root}/usr: something is mounted here", "theirs"]
    build.remove(root)  # the remains are still recognised
    assert not os.path.exists(root)


BUILD_OR_SAY = """
import os, sys
from nvsim import build, profile
from nvsim.errors import NvsimError
wanted = profile.of({"profile": "a100x8", "driver": "none", "kernel_driver": "550.54.15"}, "host")
try:
    build.build(wanted, sys.argv[1])
except NvsimError as e:
    print(e, os.listdir(sys.argv[1]))
"""


def test_a_file_system_without_room_leaves_nothing(tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("unshare")
    mount = 'mount -t tmpfs -o size=256k none "$0" && exec "$1" -c "$2" "$0"'
    done = subprocess.run(["unshare", "-m", "sh", "-c", mount, str(tmp_path), sys.executable, BUILD_OR_SAY],
                          capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert "No space left on device" in done.stdout
    assert done.stdout.strip().endswith("[]")


def test_nodes_that_must_be_real_are_refused_with_a_hint_where_they_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(NvsimError):
        build.build(kernel_only(), str(tmp_path / "missing" / "host"), nodes=True)


def test_an_ordinary_user_can_remove_what_was_built_with_rm() -> None:
    wanted = profile.load("t4x1")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        os.chmod(folder, 0o777)
        child = os.fork()  # what it needs is imported: other users may be unable to read this interpreter's files
        if child == 0:
            os.setuid(65534)
            build.build(wanted, f"{folder}/host")
            os._exit(subprocess.call(["rm", "-r", f"{folder}/host"]))
        assert os.waitpid(child, 0)[1] == 0
        assert os.listdir(folder) == []
