"""The system calls that ldconfig may make inside a container, as a classic BPF program.

Source: libnvidia-container's list (reference: 06-configure, §10 step 6).  Everything else fails with EPERM, and so does
a call made by the convention of another architecture.  Instruction format: linux/bpf_common.h; `struct seccomp_data`
(number at 0, architecture at 4) and return values: linux/seccomp.h; architectures: linux/audit.h.
"""

import struct

_LOAD_WORD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL_WITH_EPERM = 0x7FFF0000, 0x00050000 | 1
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET = 0, 4

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_NUMBERS = {
    "x86_64": {
        "access": 21, "arch_prctl": 158, "brk": 12, "chdir": 80, "chmod": 90, "clock_gettime": 228, "close": 3,
        "execve": 59, "execveat": 322, "exit": 60, "exit_group": 231, "fcntl": 72, "fdatasync": 75, "fstat": 5,
        "fsync": 74, "ftruncate": 77, "getcwd": 79, "getdents": 78, "getdents64": 217, "getegid": 108, "geteuid": 107,
        "getgid": 104, "getpgrp": 111, "getpid": 39, "gettid": 186, "gettimeofday": 96, "getuid": 102, "lseek": 8,
        "lstat": 6, "memfd_create": 319, "mkdir": 83, "mmap": 9, "mprotect": 10, "mremap": 25, "munmap": 11,
        "newfstatat": 262, "open": 2, "openat": 257, "pread64": 17, "read": 0, "readlink": 89, "readv": 19,
        "rename": 82, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sendfile": 40, "stat": 4,
        "symlink": 88, "tgkill": 234, "time": 201, "uname": 63, "unlink": 87, "write": 1, "writev": 20,
    },
    "aarch64": {
        "brk": 214, "chdir": 49, "clock_gettime": 113, "close": 57, "execve": 221, "execveat": 281, "exit": 93,
        "exit_group": 94, "faccessat": 48, "fchmodat": 53, "fcntl": 25, "fdatasync": 83, "fstat": 80, "fsync": 82,
        "ftruncate": 46, "getcwd": 17, "getdents64": 61, "getegid": 177, "geteuid": 175, "getgid": 176, "getpid": 172,
        "gettid": 178, "gettimeofday": 169, "getuid": 174, "lseek": 62, "memfd_create": 279, "mkdirat": 34,
        "mmap": 222, "mprotect": 226, "mremap": 216, "munmap": 215, "newfstatat": 79, "openat": 56, "pread64": 67,
        "read": 63, "readlinkat": 78, "readv": 65, "renameat": 38, "rt_sigaction": 134, "rt_sigprocmask": 135,
        "rt_sigreturn": 139, "sendfile": 71, "symlinkat": 36, "tgkill": 131, "uname": 160, "unlinkat": 35, "write": 64,
        "writev": 66,
    },
}


def ldconfig_filter(machine: str) -> bytes:
    """The program for `linux.load_seccomp`.  KeyError for an architecture that we have no numbers for."""
    numbers = sorted(_NUMBERS[machine].values())
    code = [_instruction(_LOAD_WORD, _ARCHITECTURE_OFFSET)]
    code.append(_instruction(_JUMP_EQUAL, _ARCHITECTURES[machine], skip_if_true=1))
    code.append(_instruction(_RETURN, _FAIL_WITH_EPERM))
    code.append(_instruction(_LOAD_WORD, _NUMBER_OFFSET))
    for index, number in enumerate(numbers):  # the last two instructions: refuse, allow
        code.append(_instruction(_JUMP_EQUAL, number, skip_if_true=len(numbers) - index))
    code.append(_instruction(_RETURN, _FAIL_WITH_EPERM))
    code.append(_instruction(_RETURN, _ALLOW))
    return b"".join(code)


def _instruction(operation: int, operand: int, *, skip_if_true: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, skip_if_true, 0, operand)
