"""The device cgroup, version 2: eBPF programs, extended in front of those that the low-level runtime attached."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from legacy_runc import Host

from toolkit.apply import cgroup, linux_bpf

pytestmark = pytest.mark.host
NODES = "nsenter --mount=/proc/$PID/ns/mnt mknod -m666 $ROOTFS/dev/nvidia0 c 195 0"
OPEN = "for n in 0 2; do cat /dev/nvidia$n; done"
_HAVE = "/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.controllers"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    from conftest import requires

    requires("root", "runc", "busybox", "zig")
    with Host(tmp_path_factory.mktemp("v2"), cgroup="v2") as machine:
        yield machine


def test_only_the_requested_gpu_may_be_opened(host: Host) -> None:
    outcome = host.run(host.bundle(f"{NODES}; configure --compute --device=2", OPEN))
    assert "/dev/nvidia0': Operation not permitted" in outcome.stderr, outcome.stderr
    assert "/dev/nvidia2': No such device or address" in outcome.stderr, outcome.stderr


def test_a_failure_restores_the_programs(host: Host) -> None:
    hook = "configure --compute --no-cgroups --device=2; configure --compute --device=2 --ldconfig=@/bin/busybox"
    outcome = host.run(host.bundle(f"{hook}; true", "cat /dev/nvidia2; cat /dev/null"))
    assert "/dev/nvidia2': Operation not permitted" in outcome.stderr
    assert "/dev/null" not in outcome.stderr


def test_a_second_configure_works_too(host: Host) -> None:
    outcome = host.run(host.bundle("configure --compute --device=0; configure --compute --device=2", OPEN))
    assert outcome.stderr.count("No such device or address") == 2, outcome.stderr


DENY_ALL = bytes((0xB7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0))


@pytest.fixture
def own_cgroup() -> Iterator[Path]:
    """A fresh cgroup without programs."""
    from conftest import requires

    requires("root")
    top = next((Path(path).parent for path in _HAVE if os.path.exists(path)), None)
    if not top:
        pytest.skip("no cgroup2 is mounted")
    place = top / f"nvsim-test-{os.getpid()}"
    place.mkdir()
    yield place
    place.rmdir()


def _programs(place: Path) -> list[bytes]:
    fd = os.open(place, os.O_RDONLY)
    try:
        return [linux_bpf.instructions_of(linux_bpf.program_by_id(i)) for i in linux_bpf.query_programs(fd)[0]]
    finally:
        os.close(fd)


@pytest.mark.parametrize("flags", [0, linux_bpf.ALLOW_OVERRIDE, linux_bpf.ALLOW_MULTI])
def test_programs_keep_their_flags_and_come_back_on_undo(own_cgroup: Path, flags: int) -> None:
    fd = os.open(own_cgroup, os.O_RDONLY)
    linux_bpf.attach(fd, linux_bpf.load_device_program(DENY_ALL), flags)
    access = cgroup.open_access(2, str(own_cgroup))
    access.allow(((195, 0), (510, 1)))
    (extended,) = _programs(own_cgroup)
    assert cgroup.split_program(extended) == (((195, 0), (510, 1)), DENY_ALL)
    assert linux_bpf.query_programs(fd)[1] == flags
    again = cgroup.open_access(2, str(own_cgroup))
    again.allow(((195, 0),))
    assert _programs(own_cgroup) == [extended]
    access.undo()
    assert _programs(own_cgroup) == [DENY_ALL]
    again.close()
    access.close()
    os.close(fd)


def test_a_cgroup_without_program_denies_nothing_and_is_left_alone(own_cgroup: Path) -> None:
    access = cgroup.open_access(2, str(own_cgroup))
    access.allow(((195, 0),))
    assert _programs(own_cgroup) == []
    access.close()
