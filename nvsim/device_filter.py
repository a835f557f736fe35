"""Device rules as a cgroup2 device program (eBPF), and putting one in the place of those attached.

Facts: include/uapi/linux/bpf.h (struct bpf_cgroup_dev_ctx, bpf_insn, bpf_attr) and kernel, bpf/prog_cgroup_device.
"""

import ctypes
import os
import platform
import struct
from typing import Any

_SYSCALL = {"x86_64": 321, "aarch64": 280}
_LOAD, _ATTACH, _DETACH, _FD_BY_ID, _QUERY = 5, 8, 9, 13, 16  # bpf_cmd
_TYPE_CGROUP_DEVICE, _ATTACH_DEVICE, _ALLOW_MULTI = 15, 6, 2
_KINDS, _ACCESS = {"b": 1, "c": 2}, {"m": 1, "r": 2, "w": 4}
_PROGRAMS = 64  # more than the kernel attaches to one group
_libc = ctypes.CDLL(None, use_errno=True)


def program(rules: list[dict[str, Any]]) -> bytes:
    """The instructions that allow what the rules allow; a rule that denies everything drops those before it.

    Registers: r2 the device's kind, r3 the access asked for, r4 major, r5 minor."""
    code = _insn(0x61, 2, 1, 0, 0) + _insn(0xBF, 3, 2, 0, 0)  # r2 = ctx->access_type; r3 = r2
    code += _insn(0x57, 2, 0, 0, 0xFFFF) + _insn(0x77, 3, 0, 0, 16)  # r2 &= 0xffff; r3 >>= 16
    code += _insn(0x61, 4, 1, 4, 0) + _insn(0x61, 5, 1, 8, 0)  # r4 = ctx->major; r5 = ctx->minor
    last_denial = max((i for i, rule in enumerate(rules) if not rule.get("allow")), default=-1)
    code += b"".join(_allowing(rule) for rule in rules[last_denial + 1:])
    return code + _insn(0xB7, 0, 0, 0, 0) + _insn(0x95, 0, 0, 0, 0)  # return 0


def _allowing(rule: dict[str, Any]) -> bytes:
    """Returns 1 if the rule is about the device and covers the access; else goes on behind."""
    tests: list[tuple[int, int]] = []  # register, value that it must have
    if rule.get("type") in _KINDS:
        tests.append((2, _KINDS[rule["type"]]))
    tests += [(register, rule[key]) for register, key in ((4, "major"), (5, "minor")) if rule.get(key, -1) >= 0]
    mask = sum(_ACCESS[letter] for letter in set(rule.get("access") or "rwm"))
    parts = [(_insn(0xBF, 6, 3, 0, 0) + _insn(0x57, 6, 0, 0, ~mask), 6, 0)]  # r6 = access not covered
    parts += [(b"", register, value) for register, value in tests]
    length = sum(len(prefix) // 8 + 1 for prefix, _, _ in parts) + 2
    code, done = b"", 0
    for prefix, register, value in parts:
        done += len(prefix) // 8 + 1
        code += prefix + _insn(0x55, register, 0, length - done, value)  # if rN != value goto behind
    return code + _insn(0xB7, 0, 0, 0, 1) + _insn(0x95, 0, 0, 0, 0)  # return 1


def _insn(opcode: int, target: int, source: int, offset: int, value: int) -> bytes:
    return struct.pack("<BBhi", opcode, target | source << 4, offset, value)


def replace(folder: str, code: bytes) -> None:
    """Attaches a program to a control group and detaches those that were attached before.  Raises OSError."""
    group = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fresh = _load(code)
        for number in _attached(group):
            old, _ = _bpf(_FD_BY_ID, struct.pack("<I", number))
            _bpf(_DETACH, struct.pack("<IIII", group, old, _ATTACH_DEVICE, 0))
            os.close(old)
        _bpf(_ATTACH, struct.pack("<IIII", group, fresh, _ATTACH_DEVICE, _ALLOW_MULTI))
        os.close(fresh)
    finally:
        os.close(group)


def _load(code: bytes) -> int:
    insns, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    attr = struct.pack("<IIQQ", _TYPE_CGROUP_DEVICE, len(code) // 8, ctypes.addressof(insns), ctypes.addressof(licence))
    return _bpf(_LOAD, attr)[0]


def _attached(group: int) -> list[int]:
    """The ids of the programs that are attached to a control group itself."""
    ids = (ctypes.c_uint32 * _PROGRAMS)()
    attr = struct.pack("<IIIIQI", group, _ATTACH_DEVICE, 0, 0, ctypes.addressof(ids), _PROGRAMS)
    count = struct.unpack_from("<I", _bpf(_QUERY, attr)[1], 24)[0]
    return list(ids)[:count]


def _bpf(command: int, attr: bytes) -> tuple[int, bytes]:
    """bpf(2); its result and the attributes as the kernel left them."""
    buffer = ctypes.create_string_buffer(attr, 128)
    result = _libc.syscall(_SYSCALL[platform.machine()], command, buffer, 128)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), f"bpf command {command}")
    return result, buffer.raw
