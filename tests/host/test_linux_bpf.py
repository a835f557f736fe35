"""bpf(2) on a real cgroup v2: a device filter is loaded, attached, found again and detached."""

import errno
import os
import struct

import pytest

from toolkit.apply import linux_bpf

pytestmark = pytest.mark.host

ALLOW_ALL = struct.pack("=BBhi", 0xB7, 0, 0, 1) + struct.pack("=BBhi", 0x95, 0, 0, 0)  # r0 = 1; exit
NO_EXIT = struct.pack("=BBhi", 0xB7, 0, 0, 1)


@pytest.fixture
def cgroup(requires):
    requires("root")
    with open("/proc/self/mountinfo") as f:
        points = [fields[4] for fields in map(str.split, f) if fields[fields.index("-") + 1] == "cgroup2"]
    if not points:
        pytest.skip("no cgroup v2 mounted")
    path = f"{points[0]}/bpf-test-{os.getpid()}"
    os.mkdir(path)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)
    os.rmdir(path)


def test_a_program_is_attached_found_again_and_detached(cgroup):
    assert linux_bpf.query_programs(cgroup) == ((), 0)
    program = linux_bpf.load_device_program(ALLOW_ALL)
    linux_bpf.attach(cgroup, program)
    (number,), flags = linux_bpf.query_programs(cgroup)
    assert flags == linux_bpf.ALLOW_MULTI
    again = linux_bpf.program_by_id(number)
    assert linux_bpf.instructions_of(again) == ALLOW_ALL
    linux_bpf.detach(cgroup, again)
    assert linux_bpf.query_programs(cgroup)[0] == ()
    for fd in (program, again):
        os.close(fd)


def test_a_refused_program_comes_with_the_verifier_s_log(requires):
    requires("root")
    with pytest.raises(OSError) as caught:
        linux_bpf.load_device_program(NO_EXIT)
    assert caught.value.errno in (errno.EINVAL, errno.EACCES)
    assert "last insn" in caught.value.filename
