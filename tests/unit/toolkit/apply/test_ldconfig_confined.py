"""What is decided before ldconfig runs: its arguments, its filter of system calls, the copy that is executed.

The confinement itself is watched from inside in tests/host/test_hooks_in_containers.py."""

import errno
import fcntl
import os
import struct

import pytest

from toolkit.apply import confine, ldconfig, seccomp

ALLOW, REFUSE = 0x7FFF0000, 0x00050001
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(program, number, architecture):
    """What the kernel would return: an interpreter of the three instructions that the filter consists of."""
    words = {0: number, 4: architecture}
    accumulator, position = 0, 0
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    while True:
        operation, if_true, if_false, operand = code[position]
        position += 1
        if operation == 0x20:
            accumulator = words[operand]
        elif operation == 0x15:
            position += if_true if accumulator == operand else if_false
        else:
            assert operation == 0x06
            return operand


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_allows_what_ldconfig_needs_and_nothing_else(machine):
    program = seccomp.ldconfig_filter(machine)
    allowed = {n for n in range(1024) if verdict(program, n, ARCHITECTURES[machine]) == ALLOW}
    assert allowed == set(seccomp._NUMBERS[machine].values())
    assert {verdict(program, n, ARCHITECTURES[machine]) for n in range(1024)} == {ALLOW, REFUSE}


@pytest.mark.parametrize(("machine", "refused"), [
    ("x86_64", {"mount": 165, "ptrace": 101, "socket": 41, "clone": 56, "setns": 308, "openat2": 437, "futex": 202}),
    ("aarch64", {"mount": 40, "ptrace": 117, "socket": 198, "clone": 220, "setns": 268, "openat2": 437, "futex": 98}),
])
def test_the_filter_refuses_what_could_leave_the_root(machine, refused):
    program = seccomp.ldconfig_filter(machine)
    assert [n for n in refused.values() if verdict(program, n, ARCHITECTURES[machine]) != REFUSE] == []


def test_the_filter_refuses_the_calls_of_another_architecture():
    program = seccomp.ldconfig_filter("x86_64")
    assert verdict(program, 0, 0x40000003) == REFUSE  # i386
    assert verdict(program, 0x40000000, ARCHITECTURES["x86_64"]) == REFUSE  # x32


def test_the_arguments_name_the_container_s_own_files():
    assert ldconfig.arguments("/usr/lib64", "/usr/lib") == (
        "-f", "/etc/ld.so.conf", "-C", "/etc/ld.so.cache", "/usr/lib64", "/usr/lib")


@pytest.mark.parametrize("folder", ["-r/", "--help", "relative", ""])
def test_a_folder_cannot_pass_for_an_option(folder):
    with pytest.raises(ValueError, match="not an absolute path"):
        ldconfig.arguments(folder)


def test_the_copy_of_a_program_cannot_be_changed(tmp_path):
    (tmp_path / "program").write_bytes(b"\x7fELF" + bytes(100_000))
    warnings = []
    fd = confine.seal(str(tmp_path / "program"), warnings.append)
    try:
        assert os.pread(fd, 200_000, 0) == (tmp_path / "program").read_bytes()
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) == seals == 0xF
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"x", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 1)
        assert warnings == []
    finally:
        os.close(fd)


def test_a_program_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError):
        confine.seal("/no/such/program", print)


def test_without_memory_files_the_copy_is_an_unnamed_file_open_for_reading_only(tmp_path):
    (tmp_path / "program").write_bytes(b"content")
    source = os.open(tmp_path / "program", os.O_RDONLY)
    fd = confine._unnamed_copy(source, "program")
    try:
        assert os.pread(fd, 100, 0) == b"content"
        with pytest.raises(OSError) as caught:
            os.pwrite(fd, b"x", 0)
        assert caught.value.errno == errno.EBADF
        assert os.fstat(fd).st_nlink == 0
    finally:
        os.close(fd)
        os.close(source)


def test_a_child_s_exit_status_and_lines_come_back():
    lines = []
    status = confine.run_child(lambda: os.execv("/bin/sh", ["sh", "-c", "echo one; printf two >&2; exit 9"]), 0,
                               seconds=20, output=lines.append)
    assert (os.WEXITSTATUS(status), lines) == (9, ["one", "two"])


def test_a_child_that_cannot_start_says_why():
    def body():
        raise OSError(errno.ENOENT, "", "/no/program")

    with pytest.raises(confine.Unstarted) as caught:
        confine.run_child(body, 0, seconds=20)
    assert (caught.value.errno, str(caught.value)) == (errno.ENOENT, "/no/program: no such file or directory")


def test_a_child_that_does_not_end_is_ended():
    with pytest.raises(Exception, match="no end after 0.2 seconds"):
        confine.run_child(lambda: os.execv("/bin/sleep", ["sleep", "100"]), 0, seconds=0.2)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_child_gets_the_default_action_of_broken_pipes():
    lines = []
    confine.run_child(lambda: os.execv("/bin/sh", ["sh", "-c", "grep SigIgn /proc/self/status"]), 0, seconds=20,
                      output=lines.append)
    assert int(lines[0].split()[1], 16) & (1 << 12 | 1 << 24) == 0
