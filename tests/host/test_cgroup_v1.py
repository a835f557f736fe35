"""The device cgroup, version 1: a node that is allowed answers ENXIO on a machine without the driver, another EPERM."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from legacy_runc import Host

pytestmark = pytest.mark.host
OPEN = "for n in 0 2; do cat /dev/nvidia$n; done"
# Nodes of GPUs that were not asked for come into the container as its own mknod would make them.
NODES = "nsenter --mount=/proc/$PID/ns/mnt mknod -m666 $ROOTFS/dev/nvidia0 c 195 0"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    from conftest import requires

    requires("root", "runc", "busybox", "zig")
    if not Path("/sys/fs/cgroup/devices").exists():
        pytest.skip("the devices controller of cgroup v1 is not mounted")
    with Host(tmp_path_factory.mktemp("v1"), cgroup="v1") as machine:
        yield machine


def test_only_the_requested_gpu_may_be_opened(host: Host) -> None:
    outcome = host.run(host.bundle(f"{NODES}; configure --compute --device=2", OPEN))
    assert "/dev/nvidia0': Operation not permitted" in outcome.stderr
    assert "/dev/nvidia2': No such device or address" in outcome.stderr


def test_without_cgroups_no_gpu_may_be_opened(host: Host) -> None:
    outcome = host.run(host.bundle("configure --compute --no-cgroups --device=2", "cat /dev/nvidia2"))
    assert "/dev/nvidia2': Operation not permitted" in outcome.stderr


RULES = "cat /sys/fs/cgroup/devices$(sed -n 's/.*:devices://p' /proc/$PID/cgroup)/devices.list"


def test_rules_allow_reading_and_writing_but_no_mknod(host: Host) -> None:
    bundle = host.bundle(f"configure --compute --device=2; {RULES} > $OUT/rules", "true")
    assert host.run(bundle).returncode == 0
    rules = [line for line in (bundle / "rules").read_text().splitlines() if line.startswith(("c 195", "c 510"))]
    assert rules == ["c 195:255 rw", "c 510:0 rw", "c 510:1 rw", "c 195:2 rw"]


def test_a_failure_takes_the_rules_back(host: Host) -> None:
    bundle = host.bundle(
        f"{RULES} > $OUT/before; configure --compute --device=2 --ldconfig=@/bin/busybox; {RULES} > $OUT/after", "true"
    )
    assert host.run(bundle).returncode == 0
    assert (bundle / "after").read_text() == (bundle / "before").read_text()


def test_rules_of_an_earlier_configure_survive_a_later_failure(host: Host) -> None:
    bundle = host.bundle(
        f"configure --compute --device=2; {RULES} > $OUT/before; "
        f"configure --compute --device=2,3 --ldconfig=@/bin/busybox; {RULES} > $OUT/after",
        "true",
    )
    assert host.run(bundle).returncode == 0
    assert "c 195:2 rw" in (bundle / "after").read_text()
    assert (bundle / "after").read_text() == (bundle / "before").read_text()


def test_a_missing_cgroup_directory_is_an_error_and_nothing_is_done(
    tmp_path: Path, requires: Callable[..., None]
) -> None:
    from toolkit.apply import cgroup
    from toolkit.errors import ApplyError

    with pytest.raises(ApplyError) as e:
        cgroup.open_access(1, str(tmp_path / "nosuch"))
    assert str(e.value) == (
        f"mount error: failed to add device rules: open {tmp_path}/nosuch/devices.allow: no such file or directory"
    )
