"""Runs a program and makes one of its system calls fail: `python3 -IS faults.py OPTIONS PROGRAM ARGUMENT…`.

The kernel asks this process before it carries out one of the calls below (seccomp user notification), in the program
and in every process that it starts; so the calls of all of them have one order, and the N-th can be refused, or the
program be killed there.  OPTIONS is JSON: `at` (N, 0: none), `errno`, `kill` (instead of refusing), `report`: a file
for the names of the calls, what the N-th was, and whether all processes ended.
"""

import ctypes
import fcntl
import json
import os
import platform
import select
import signal
import socket
import struct
import sys

# name: (number on x86-64, number on aarch64 or -1, argument that is a path or -1); asm/unistd.h
CALLS = {
    "mount": (165, 40, 1), "umount2": (166, 39, 0), "setns": (308, 268, -1), "unshare": (272, 97, -1),
    "pivot_root": (155, 41, -1), "chroot": (161, 51, 0), "openat2": (437, 437, 1), "openat": (257, 56, 1),
    "mkdirat": (258, 34, 1), "mkdir": (83, -1, 0), "symlinkat": (266, 36, 2), "symlink": (88, -1, 1),
    "linkat": (265, 37, 3), "unlinkat": (263, 35, 1), "renameat": (264, 38, 3), "renameat2": (316, 276, 3),
    "mknodat": (259, 33, 1), "mknod": (133, -1, 0), "fchmod": (91, 52, -1), "move_mount": (429, 429, -1),
    "open_tree": (428, 428, 1), "fsopen": (430, 430, 0), "fsconfig": (431, 431, -1), "fsmount": (432, 432, -1),
    "mount_setattr": (442, 442, -1), "bpf": (321, 280, -1), "write": (1, 64, -1), "execve": (59, 221, 0),
    "execveat": (322, 281, 1),
    "clone": (56, 220, -1), "fork": (57, -1, -1), "memfd_create": (319, 279, 0), "sendfile": (40, 71, -1),
    "capset": (126, 91, -1), "setresuid": (117, 147, -1), "setresgid": (119, 149, -1), "setgroups": (116, 159, -1),
    "setfsuid": (122, 151, -1), "setfsgid": (123, 152, -1), "seccomp": (317, 277, -1), "pipe2": (293, 59, -1),
}
_X86 = platform.machine() == "x86_64"
NUMBERS = {number: (name, path) for name, (x86, arm, path) in CALLS.items() if (number := x86 if _X86 else arm) >= 0}
_AUDIT = 0xC000003E if _X86 else 0xC00000B7
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000  # linux/seccomp.h
_RECEIVE, _SEND, _CONTINUE = 0xC0502100, 0xC0182101, 1
SECONDS = 30  # until processes that are left are given up


def main(argv: list[str]) -> int:
    """The program's exit code, 128 + N after signal N."""
    options, command = json.loads(argv[1]), argv[2:]
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        socket.send_fds(theirs, [b"x"], [_filter()])
        theirs.close()
        os.execv(command[0], command)
    theirs.close()
    _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    watch = Watch(fds[0], child, options)
    ended = watch.run()
    status = os.waitpid(child, 0)[1]
    with open(options["report"], "w") as f:
        json.dump({"calls": watch.calls, "what": watch.what, "ended": ended}, f)
    return os.waitstatus_to_exitcode(status) if not os.WIFSIGNALED(status) else 128 + os.WTERMSIG(status)


class Watch:
    """Answers the kernel's questions until no process is left that it asks for."""

    def __init__(self, listener: int, child: int, options: dict) -> None:
        self._listener, self._child, self._options = listener, child, options
        self.calls: list[str] = []
        self.what = ""
        self._started = False  # the first call starts the program itself

    def run(self) -> bool:
        """Whether all processes ended."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        while True:
            events = poll.poll(SECONDS * 1000)
            if not events:
                return False
            if events[0][1] & select.POLLIN:
                self._answer()
            elif events[0][1] & select.POLLHUP:
                return True

    def _answer(self) -> None:
        asked = bytearray(80)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, asked)
        except OSError:  # who asked is gone
            return
        number, pid = struct.unpack_from("QI", asked)
        call, *arguments = struct.unpack_from("i4x8x6Q", asked, 16)
        error, flags = 0, _CONTINUE
        if self._counts(call, pid, arguments):
            name, path = NUMBERS[call]
            self.calls.append(name)
            if len(self.calls) == self._options["at"]:
                self.what = f"{name} {_text(pid, arguments[path])}" if path >= 0 else name
                if self._options.get("kill"):
                    os.kill(self._child, signal.SIGKILL)
                else:
                    error, flags = -self._options["errno"], 0
        try:
            fcntl.ioctl(self._listener, _SEND, struct.pack("QqiI", number, 0, error, flags))
        except OSError:
            return

    def _counts(self, call: int, pid: int, arguments: list[int]) -> bool:
        """Of `openat` those that make files, of `write` those to the device cgroup: the others change nothing."""
        name = NUMBERS[call][0]
        if not self._started:
            self._started = True
            return False
        if name == "openat":
            return bool(arguments[2] & os.O_CREAT)
        if name == "write":
            try:
                return "/devices." in os.readlink(f"/proc/{pid}/fd/{arguments[0]}")
            except OSError:
                return False
        return True


def _text(pid: int, address: int) -> str:
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as f:
            f.seek(address)
            return f.read(256).partition(b"\0")[0].decode(errors="replace")
    except (OSError, ValueError):
        return "?"


def _filter() -> int:
    """Puts the filter in front of this process's calls; the descriptor on which the kernel asks."""
    code = [(0x20, 0, 0, 4), (0x15, 1, 0, _AUDIT), (0x06, 0, 0, _ALLOW), (0x20, 0, 0, 0)]
    numbers = sorted(NUMBERS)
    code += [(0x15, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
    code += [(0x06, 0, 0, _ALLOW), (0x06, 0, 0, _NOTIFY)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in code))
    header = (ctypes.c_uint64 * 2)(len(code), ctypes.addressof(program))
    fd = ctypes.CDLL(None, use_errno=True).syscall(CALLS["seccomp"][0 if _X86 else 1], 1, 8, header)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    os.set_inheritable(fd, False)
    return fd


if __name__ == "__main__":
    sys.exit(main(sys.argv))
