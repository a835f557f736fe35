"""Runs a program as an ordinary user who is root in a user namespace: `python3 -IS rootless.py UID COUNT PROGRAM …`.

COUNT users are there: 1, the user alone, as `unshare -Ur` does it, or more with those of /etc/subuid, as rootless
engines do it; then the others are mapped to 100000 and up.
"""

import ctypes
import os
import sys

NEWUSER, NEWNS, PRIVATE_REC = 0x10000000, 0x00020000, 1 << 18 | 0x4000


def main(argv: list[str]) -> int:
    uid, count, command = int(argv[1]), int(argv[2]), argv[3:]
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        if libc.unshare(NEWUSER | NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        if libc.mount(None, b"/", None, PRIVATE_REC, None):
            raise OSError(ctypes.get_errno(), "mount")
        os.execvp(command[0], command)
    os.close(ready[1])
    if os.read(ready[0], 1):
        rest = f"1 100000 {count - 1}\n" if count > 1 else ""
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{name}", "w") as f:
                f.write(f"0 {uid} 1\n{rest}")
        os.write(done[1], b"x")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF


if __name__ == "__main__":
    sys.exit(main(sys.argv))
