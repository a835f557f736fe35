"""Every change that configure makes is made to fail once; the container's root has to come out as it went in.

The executor gets a Rootfs whose n-th change is refused, in a private mount namespace with a tree of our own.
"""

import errno
import os
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.apply import linux
from toolkit.apply.ops import Executor
from toolkit.apply.rootfs import Rootfs, RootfsError
from toolkit.apply.rootview import RootView
from toolkit.errors import ApplyError, ToolkitError
from toolkit.model import ops

pytestmark = pytest.mark.host
CHANGES = ("mkdirs", "touch", "symlink", "write_file", "bind", "mount_tmpfs", "remount")
PROC = "/proc/driver/nvidia"
PLAN: tuple[ops.Op, ...] = (
    ops.MountTmpfs(path=PROC),
    ops.WriteFile(path=f"{PROC}/params", content=b"ModifyDeviceFiles: 0\n", mode=0o444),
    ops.Remount(path=PROC, flags=0xE),
    ops.MountTmpfs(path="/etc/nvidia/profiles", create=True),
    ops.Remount(path="/etc/nvidia/profiles", flags=0xE),
    ops.MakeDir(path="/usr/lib/deep/er"),
    ops.Bind(source="/lib.so", path="/usr/lib/deep/er/lib.so", flags=7, kind="regular"),
    ops.Bind(source="/lib.so", path="/usr/bin/empty", flags=7, kind="regular"),
    ops.Symlink(path="/usr/lib/deep/er/lib", target="lib.so"),
    ops.Symlink(path="/usr/bin/there", target="elsewhere"),
    ops.Bind(source="/compat.so", path="/usr/lib/compat.so", flags=7, kind="regular", origin="container"),
    ops.Bind(source="/socket", path="/run/x/socket", flags=0xE),
    ops.Bind(source="/null", path="/dev/nvidia0", flags=0xB, kind="device", major=1, minor=3),
    ops.AllowDevice(major=1, minor=3),
    ops.Bind(source="/gpus", path=f"{PROC}/gpus/0", flags=0xF),
    ops.AddToProfile(path="/etc/nvidia/profiles/10-container.conf", minor=3),
    ops.AddToProfile(path="/etc/nvidia/profiles/10-container.conf", minor=5),
    ops.RunLdconfig(path="/sbin/ldconfig", dirs=("/usr/lib",)),
)


class Failing:
    """A Rootfs whose n-th change is refused with EIO."""

    def __init__(self, rootfs: Rootfs, n: int) -> None:
        self._rootfs, self.left = rootfs, n

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._rootfs, name)
        return self._counted(found) if name in CHANGES else found

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise RootfsError("input/output error", errno=errno.EIO)
            return call(*arguments, **options)

        return counted


class Cgroup:
    """A device cgroup in memory, which may refuse."""

    def __init__(self, refuses: bool = False) -> None:
        self.allowed: tuple[tuple[int, int], ...] = ()
        self._refuses = refuses

    def allow(self, devices: tuple[tuple[int, int], ...]) -> None:
        self.allowed = devices
        if self._refuses:
            raise ApplyError("failed to add device rules: refused", source="mount error")

    def undo(self) -> None:
        self.allowed = ()


def world(place: Path) -> tuple[Path, Path]:
    """A driver root and a container root; the latter holds empty files and directories that have to survive."""
    driver, root = place / "driver", place / "root"
    for path in (
        "driver/gpus",
        "root/proc/driver/nvidia",
        "root/usr/bin",
        "root/usr/lib/empty",
        "root/dev",
        "root/run",
    ):
        (place / path).mkdir(parents=True)
    (driver / "lib.so").write_text("lib")
    os.mknod(driver / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(driver / "socket", 0o666 | stat.S_IFSOCK)
    (root / "compat.so").write_text("compat")
    (root / "usr/bin/empty").touch()
    (root / "usr/bin/there").symlink_to("kept")
    return driver, root


def snapshot(root: Path) -> tuple[list[tuple[str, int, str]], list[str]]:
    """What lies below a root, and what is mounted there."""
    found = []
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = (
                os.readlink(path)
                if stat.S_ISLNK(status.st_mode)
                else str(status.st_size * stat.S_ISREG(status.st_mode))
            )
            found.append((path, status.st_mode, content))
    with open("/proc/self/mountinfo") as f:
        mounts = [line.split(" ", 1)[1] for line in f if str(root) in line]
    return sorted(found), mounts


def apart(body: Callable[[], None]) -> None:
    """Runs a test's body in a child with a mount namespace of its own, so that nothing of it stays."""
    child = os.fork()
    if not child:
        try:
            linux.unshare(linux.NEWNS)
            linux.mount(None, "/", None, linux.PRIVATE | linux.REC)
            body()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0, "see the traceback of the child in the captured stderr"


def attempt(driver: Path, root: Path, n: int, *, cgroup: Cgroup, ldconfig: Callable[[ops.RunLdconfig], None]) -> int:
    """One run whose n-th change fails (0: none); how many changes were left when it ended.  Raises ToolkitError."""
    with Rootfs(str(root)) as real, RootView(str(driver)) as view:
        failing = Failing(real, n)
        Executor(failing, view, access=cgroup, ldconfig=ldconfig).run(PLAN)  # type: ignore[arg-type]
        return failing.left


def nothing(_: ops.RunLdconfig) -> None:
    pass


def refuse(_: ops.RunLdconfig) -> None:
    raise ApplyError("ldcache error: process /sbin/ldconfig failed with error code: 1")


def test_each_change_that_fails_is_as_if_nothing_had_been_done(tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("root")
    driver, root = world(tmp_path)

    def body() -> None:
        before = snapshot(root)
        n = 1
        while True:
            cgroup = Cgroup()
            try:
                if attempt(driver, root, n, cgroup=cgroup, ldconfig=nothing) > 0:
                    break
            except ToolkitError as e:
                assert "input/output error" in str(e) and str(e).startswith("mount error: "), e
            assert snapshot(root) == before, f"change {n}"
            assert cgroup.allowed == ()
            n += 1
        assert n > 25
        assert cgroup.allowed == ((1, 3),)
        assert snapshot(root) != before

    apart(body)


def test_a_refused_right_and_a_failed_ldconfig_undo_everything(tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("root")
    driver, root = world(tmp_path)

    def body() -> None:
        before = snapshot(root)
        for cgroup, ldconfig in ((Cgroup(refuses=True), nothing), (Cgroup(), refuse)):
            with pytest.raises(ToolkitError):
                attempt(driver, root, 0, cgroup=cgroup, ldconfig=ldconfig)
            assert snapshot(root) == before
            assert cgroup.allowed == ()

    apart(body)


def test_a_second_run_that_fails_leaves_the_first_in_place(tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("root")
    driver, root = world(tmp_path)

    def body() -> None:
        attempt(driver, root, 0, cgroup=Cgroup(), ldconfig=nothing)
        before = snapshot(root)
        with pytest.raises(ToolkitError):
            attempt(driver, root, 0, cgroup=Cgroup(), ldconfig=refuse)
        assert snapshot(root) == before
        profile = (root / "etc/nvidia/profiles/10-container.conf").read_text()
        assert "0x28]" in profile

    apart(body)


@pytest.mark.parametrize(
    ("op", "error"),
    [
        (
            ops.Bind(source="/gpus", path="/usr/lib/x", flags=7, kind="regular"),
            "mount error: unexpected source file mode 40755 for /gpus",
        ),
        (
            ops.Bind(source="/link", path="/usr/lib/x", flags=7, kind="regular"),
            "mount error: unexpected source file mode 120777 for /link",
        ),
        (
            ops.Bind(source="/gone", path="/usr/lib/x", flags=7, kind="regular"),
            "mount error: lstat failed: {driver}/gone: no such file or directory",
        ),
        (
            ops.Bind(source="/null", path="/dev/x", flags=7, kind="device", major=195, minor=0),
            "mount error: invalid device node: {driver}/null",
        ),
        (
            ops.Bind(source="/lib.so", path="/dev/x", flags=7, kind="device", major=195, minor=0),
            "mount error: invalid device node: {driver}/lib.so",
        ),
        (
            ops.Bind(source="/lib.so", path="/usr/lib/empty", flags=7),
            "mount error: file creation failed: {root}/usr/lib/empty: is a directory",
        ),
        (
            ops.Bind(source="/gpus", path="/usr/bin/empty", flags=7),
            "mount error: file creation failed: {root}/usr/bin/empty: not a directory",
        ),
        (
            ops.MountTmpfs(path="/proc/driver/none"),
            "mount error: mount operation failed: {root}/proc/driver/none: no such file or directory",
        ),
        (ops.AddToProfile(path="/compat.so", minor=1), "mount error: invalid application profile: {root}/compat.so"),
        (
            ops.Bind(source="/lib.so", path="/out/x", flags=7),
            "mount error: path error: /out/x resolves outside of {root}",
        ),
    ],
)
def test_errors_name_what_upstream_names(tmp_path: Path, requires: Callable[..., None], op: ops.Op, error: str) -> None:
    requires("root")
    driver, root = world(tmp_path)
    (driver / "link").symlink_to("lib.so")
    (root / "out").symlink_to("../../../../../../../../etc")

    def body() -> None:
        before = snapshot(root)
        with Rootfs(str(root)) as rootfs, RootView(str(driver)) as view, pytest.raises(ToolkitError) as e:
            Executor(rootfs, view, ldconfig=nothing).run((op,))
        assert str(e.value) == error.format(driver=driver, root=root)
        assert snapshot(root) == before

    apart(body)


def test_files_belong_to_the_containers_owner(tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("root")
    driver, root = world(tmp_path)
    os.chown(root / "usr/lib", 1000, 1000)

    def body() -> None:
        with Rootfs(str(root)) as rootfs, RootView(str(driver)) as view:
            Executor(rootfs, view, uid=1000, gid=1000, ldconfig=nothing).run(
                (ops.MakeDir(path="/usr/lib/new"), ops.Symlink(path="/usr/lib/new/link", target="x"))
            )
        assert {
            (os.lstat(path).st_uid, os.lstat(path).st_gid) for path in (root / "usr/lib/new", root / "usr/lib/new/link")
        } == {(1000, 1000)}
        assert os.getuid() == 0 and linux.capget()[0] == linux.capget()[1]

    apart(body)


def test_the_process_that_loads_nvml_does_not_outlive_a_killed_command(requires: Callable[..., None]) -> None:
    requires("root")
    import signal
    import subprocess
    import sys
    import time

    program = (
        "import os, time\nfrom toolkit.apply import privileges\nfrom toolkit.gather.legacy_nvml import read_nvml\n"
        "me = os.getpid()\n"
        "def enter():\n    privileges.confine(me, '/', 65534, 65534); print(os.getpid(), flush=True); time.sleep(60)\n"
        "read_nvml(enter)\n"
    )
    command = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert command.stdout
    helper = int(command.stdout.readline())
    status = Path(f"/proc/{helper}/status").read_text()
    assert "Name:\tnvc:[driver]" in status and "Uid:\t65534\t65534\t65534" in status
    assert "CapPrm:\t0000000000000000" in status and "NoNewPrivs:\t1" in status
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    for _ in range(100):
        if not os.path.exists(f"/proc/{helper}") or "State:\tZ" in Path(f"/proc/{helper}/status").read_text():
            return
        time.sleep(0.02)
    os.kill(helper, signal.SIGKILL)
    pytest.fail("the helper is still there")
