"""The device cgroup of a container: read and write, not mknod, of character devices.

Version 1 takes rules as lines of a file, version 2 has eBPF programs, which we extend in front.  What a cgroup allowed
before is remembered, so that `undo` gives it back; a device that it allows already is left alone, so that a second
configure changes nothing.  Source: libnvidia-container 1.20, `nvcgo`; kernel documentation, cgroup-v1/devices.rst.
"""

import os

from toolkit.apply import linux_bpf
from toolkit.apply.rootview import reason
from toolkit.errors import ApplyError

Device = tuple[int, int]  # major, minor
_READ_WRITE = "rw"


def _failed(detail: str, hint: str = "") -> ApplyError:
    return ApplyError(f"failed to add device rules: {detail}", source="mount error",
                      hint=hint or "without rights on the cgroup, --no-cgroups leaves it alone")


class FileAccess:
    """Version 1: devices.allow, devices.deny and devices.list in a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._added: list[str] = []
        try:
            self._fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as e:
            raise _failed(f"open {directory}/devices.allow: {reason(e.errno or 0)}") from None

    def allow(self, devices: tuple[Device, ...]) -> None:
        """Adds a rule for each device that has none.  Raises ApplyError; rules already added wait for `undo`."""
        try:
            all_allowed, rules = self._rules()
            for device in dict.fromkeys(devices):
                missing = "".join(right for right in _READ_WRITE if right not in rules.get(device, ""))
                if not missing:
                    continue
                self._write("devices.allow", f"c {device[0]}:{device[1]} {_READ_WRITE}")
                if not all_allowed:  # else "deny" would take away what nobody gave
                    self._added.append(f"c {device[0]}:{device[1]} {missing}")
        except OSError as e:
            raise _failed(f"open {self._directory}/devices.allow: {reason(e.errno or 0)}") from None

    def _rules(self) -> tuple[bool, dict[Device, str]]:
        """Whether all devices are allowed, and the rights on single character devices.

        A line is `TYPE MAJOR:MINOR RIGHTS`, e.g. "c 195:0 rw"; "a *:* rwm" means all."""
        fd = os.open("devices.list", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._fd)
        with open(fd, encoding="ascii", errors="replace") as f:
            rows = [line.split() for line in f]
        rules = {}
        for kind, numbers, rights in (row for row in rows if len(row) == 3):
            major, _, minor = numbers.partition(":")
            if kind == "c" and major.isdigit() and minor.isdigit():
                rules[int(major), int(minor)] = rights
        return any(row[:1] == ["a"] for row in rows), rules

    def _write(self, name: str, rule: str) -> None:
        fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._fd)
        try:
            os.write(fd, rule.encode())
        finally:
            os.close(fd)

    def undo(self) -> None:
        """Takes the added rules back, newest first.  Raises ApplyError."""
        try:
            while self._added:
                self._write("devices.deny", self._added.pop())
        except OSError as e:
            raise _failed(f"open {self._directory}/devices.deny: {reason(e.errno or 0)}") from None

    def close(self) -> None:
        os.close(self._fd)


# struct bpf_insn: code, registers (source << 4 | destination), 16-bit offset, 32-bit value.  linux/bpf.h
_LOAD_HALF, _LOAD_WORD, _SHIFT_RIGHT, _MOVE, _AND = 0x69, 0x61, 0x77, 0xBF, 0x57
_IF_NOT_VALUE, _IF_NOT_REGISTER, _SET, _EXIT = 0x55, 0x5D, 0xB7, 0x95
_CHARACTER_DEVICE, _READ_OR_WRITE = 2, 6
_REPLACE = 4  # BPF_F_REPLACE
_BLOCK = 8  # instructions per device


def _instruction(code: int, destination: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    number = value - (1 << 32) if value >> 31 else value
    return bytes((code, source << 4 | destination)) + offset.to_bytes(2, "little") + number.to_bytes(4, "little",
                                                                                                     signed=True)


# struct bpf_cgroup_dev_ctx: access_type (access << 16 | type), major, minor.
_PROLOGUE = b"".join((
    _instruction(_LOAD_HALF, 2, 1, 0),
    _instruction(_LOAD_WORD, 3, 1, 0),
    _instruction(_SHIFT_RIGHT, 3, value=16),
    _instruction(_LOAD_WORD, 4, 1, 4),
    _instruction(_LOAD_WORD, 5, 1, 8),
))


def _block(device: Device) -> bytes:
    """Allows one device: any mismatch goes on behind the block."""
    return b"".join((
        _instruction(_IF_NOT_VALUE, 2, offset=7, value=_CHARACTER_DEVICE),
        _instruction(_MOVE, 6, 3),
        _instruction(_AND, 6, value=_READ_OR_WRITE),
        _instruction(_IF_NOT_REGISTER, 6, 3, offset=4),
        _instruction(_IF_NOT_VALUE, 4, offset=3, value=device[0]),
        _instruction(_IF_NOT_VALUE, 5, offset=2, value=device[1]),
        _instruction(_SET, 0, value=1),
        _instruction(_EXIT),
    ))


def split_program(code: bytes) -> tuple[tuple[Device, ...], bytes]:
    """The devices that an earlier run of ours allows in front of a program, and the program without that."""
    if not code.startswith(_PROLOGUE):
        return (), code
    size = _BLOCK * linux_bpf.INSTRUCTION_BYTES
    devices, at = [], len(_PROLOGUE)
    while at + size <= len(code):
        major, minor = (int.from_bytes(code[at + 8 * i + 4:at + 8 * i + 8], "little") for i in (4, 5))
        if code[at:at + size] != _block((major, minor)):
            break
        devices.append((major, minor))
        at += size
    return tuple(devices), code[at:] if devices else code


def extended_program(code: bytes, devices: tuple[Device, ...]) -> bytes:
    """A device program that allows `devices` as well; the same bytes where it does already."""
    present, original = split_program(code)
    wanted = tuple(dict.fromkeys(present + devices))
    return code if wanted == present else _PROLOGUE + b"".join(map(_block, wanted)) + original


class ProgramAccess:
    """Version 2: each program attached to the cgroup is replaced by one that first looks for our devices.

    All devices go into one new program, where upstream wraps the program once per device; the programs keep the flags
    that they were attached with.  A cgroup without a program denies nothing, so there is nothing to do, where upstream
    fails with the verifier's log."""

    def __init__(self, directory: str) -> None:
        self._replaced: list[tuple[int, int, int]] = []  # old program, new program, attach flags
        try:
            self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as e:
            raise _failed(f"unable to open the cgroup path: {reason(e.errno or 0)}") from None

    def allow(self, devices: tuple[Device, ...]) -> None:
        """Replaces the programs one by one.  Raises ApplyError; those already replaced wait for `undo`."""
        try:
            programs, flags = linux_bpf.query_programs(self._fd)
        except OSError as e:
            raise _failed("unable to find any existing device filters attached to the cgroup: "
                          f"bpf_prog_query(BPF_CGROUP_DEVICE) failed: {reason(e.errno or 0)}") from None
        if programs:
            _lift_memory_limit()
        for program in programs:
            try:
                old = linux_bpf.program_by_id(program)
                code = linux_bpf.instructions_of(old)
            except PermissionError:
                continue  # as upstream does: what we may not read, we cannot extend
            except OSError as e:
                raise _failed(f"unable to read device filter program: {reason(e.errno or 0)}") from None
            self._extend(old, code, flags, devices)

    def _extend(self, old: int, code: bytes, flags: int, devices: tuple[Device, ...]) -> None:
        wanted = extended_program(code, devices)
        if wanted == code:
            os.close(old)
            return
        try:
            new = linux_bpf.load_device_program(wanted)
        except OSError as e:
            os.close(old)
            raise _failed("unable to generate new device filter program from existing programs: unable to create new "
                          f"device filters program: load program: {reason(e.errno or 0)}") from None
        try:
            self._swap(old, new, flags)
        except OSError as e:
            os.close(old)
            os.close(new)
            raise _failed(f"unable to replace device filter program: {reason(e.errno or 0)}") from None
        self._replaced.append((old, new, flags))

    def _swap(self, old: int, new: int, flags: int) -> None:
        """Puts one program in the place of another at once: at no moment is more allowed than before or after."""
        if flags & linux_bpf.ALLOW_MULTI:
            numbers = (self._fd, new, linux_bpf.CGROUP_DEVICE, flags | _REPLACE, old)
            linux_bpf.bpf(linux_bpf.PROG_ATTACH, b"".join(number.to_bytes(4, "little") for number in numbers))
        else:
            linux_bpf.attach(self._fd, new, flags)

    def undo(self) -> None:
        """Puts the former programs back.  Raises ApplyError."""
        while self._replaced:
            old, new, flags = self._replaced.pop()
            try:
                self._swap(new, old, flags)
            except OSError as e:
                raise _failed(f"unable to restore device filter program: {reason(e.errno or 0)}") from None
            finally:
                os.close(old)
                os.close(new)

    def close(self) -> None:
        for old, new, _ in self._replaced:
            os.close(old)
            os.close(new)
        self._replaced.clear()
        os.close(self._fd)


Access = FileAccess | ProgramAccess


def open_access(version: int, directory: str) -> Access:
    """The device cgroup at a directory.  Open it before entering the container's namespaces.  Raises ApplyError."""
    return FileAccess(directory) if version == 1 else ProgramAccess(directory)


def _lift_memory_limit() -> None:
    """Kernels before 5.11 count programs as locked memory.  Refused without CAP_SYS_RESOURCE, which does not matter."""
    import resource  # 0.2 ms, and only version 2 needs it

    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError):
        pass
