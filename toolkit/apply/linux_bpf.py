"""bpf(2) for the device cgroup of cgroup v2.  Numbers: linux/bpf.h.  Each call raises OSError."""

import ctypes

from toolkit.apply import linux

PROG_LOAD, PROG_ATTACH, PROG_DETACH, PROG_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD, PROG_QUERY = 5, 8, 9, 13, 15, 16
PROG_TYPE_CGROUP_DEVICE = 15
CGROUP_DEVICE = 6
ALLOW_OVERRIDE, ALLOW_MULTI = 1, 2
INSTRUCTION_BYTES = 8
_ATTRIBUTE_BYTES = 128
_LOG_BYTES = 64 * 1024


def bpf(command: int, attribute: bytes) -> tuple[int, bytes]:
    """bpf(2): its result and the attribute union as the kernel left it."""
    union = ctypes.create_string_buffer(attribute, _ATTRIBUTE_BYTES)
    return linux.syscall("bpf", command, union, _ATTRIBUTE_BYTES), union.raw


def _words(*values: tuple[int, int]) -> bytes:
    """(value, bytes) pairs in the machine's byte order (little-endian on x86-64 and aarch64)."""
    return b"".join(value.to_bytes(size, "little") for value, size in values)


def query_programs(cgroup_fd: int, room: int = 64) -> tuple[tuple[int, ...], int]:
    """Ids of the device programs attached to a cgroup itself, and their attach flags.  ENOSPC: more than `room`."""
    ids = (ctypes.c_uint32 * room)()
    pointer = ctypes.addressof(ids)
    _, union = bpf(PROG_QUERY, _words((cgroup_fd, 4), (CGROUP_DEVICE, 4), (0, 4), (0, 4), (pointer, 8), (room, 4)))
    count = int.from_bytes(union[24:28], "little")
    return tuple(ids[:count]), int.from_bytes(union[12:16], "little")


def program_by_id(program_id: int) -> int:
    """A descriptor of a loaded program.  Needs CAP_SYS_ADMIN (EPERM)."""
    return bpf(PROG_GET_FD_BY_ID, _words((program_id, 4)))[0]


def instructions_of(program_fd: int) -> bytes:
    """The translated instructions of a program, `INSTRUCTION_BYTES` each; empty when the kernel hides them.

    struct bpf_prog_info: xlated_prog_len at 20, xlated_prog_insns (pointer) at 32."""
    length = int.from_bytes(_program_description(program_fd, b"")[20:24], "little")
    if not length:
        return b""
    code = ctypes.create_string_buffer(length)
    wanted = bytes(20) + _words((length, 4)) + bytes(8) + _words((ctypes.addressof(code), 8))
    _program_description(program_fd, wanted)
    return code.raw


def _program_description(program_fd: int, wanted: bytes) -> bytes:
    size = 232
    description = ctypes.create_string_buffer(wanted, size)
    bpf(OBJ_GET_INFO_BY_FD, _words((program_fd, 4), (size, 4), (ctypes.addressof(description), 8)))
    return description.raw


def load_device_program(code: bytes, license_text: str = "Apache") -> int:
    """Loads a device filter and gives its descriptor.  When refused, the error's file name is the verifier's log."""
    try:
        return _load(code, license_text, None)
    except OSError as e:
        log = ctypes.create_string_buffer(_LOG_BYTES)  # only now: a log that outgrows its buffer fails the load
        try:
            return _load(code, license_text, log)
        except OSError:
            raise OSError(e.errno, e.strerror, log.value.decode("utf-8", "replace")) from None


def _load(code: bytes, license_text: str, log: "ctypes.Array[ctypes.c_char] | None") -> int:
    instructions = ctypes.create_string_buffer(code, len(code))
    terms = ctypes.create_string_buffer(license_text.encode())
    head = _words(
        (PROG_TYPE_CGROUP_DEVICE, 4), (len(code) // INSTRUCTION_BYTES, 4), (ctypes.addressof(instructions), 8),
        (ctypes.addressof(terms), 8),
    )
    logging = bytes(16) if log is None else _words((1, 4), (_LOG_BYTES, 4), (ctypes.addressof(log), 8))
    kind = _words((0, 4), (0, 4)) + bytes(16) + _words((0, 4), (CGROUP_DEVICE, 4))
    return bpf(PROG_LOAD, head + logging + kind)[0]


def attach(cgroup_fd: int, program_fd: int, flags: int = ALLOW_MULTI) -> None:
    """Attaches a device program to a cgroup."""
    bpf(PROG_ATTACH, _words((cgroup_fd, 4), (program_fd, 4), (CGROUP_DEVICE, 4), (flags, 4)))


def detach(cgroup_fd: int, program_fd: int) -> None:
    """Detaches a device program from a cgroup."""
    bpf(PROG_DETACH, _words((cgroup_fd, 4), (program_fd, 4), (CGROUP_DEVICE, 4), (0, 4)))
