"""The kernel log of an emulated host: DIR/.nvsim/kernel.log, on an entered machine /run/nvsim-kernel.log.

The real log belongs to this machine's kernel, and nothing can be put into it without being seen there by everyone."""

import os
import time

from nvsim.errors import NvsimError

KERNEL_LOG = ".nvsim/kernel.log"  # nvsim/enter.py shows it on the machine


def append(root: str, line: str) -> str:
    """Adds a line, with the time since boot in front as dmesg prints it; gives it back.

    Raises NvsimError if the file cannot be written."""
    stamped = f"[{time.clock_gettime(time.CLOCK_BOOTTIME):12.6f}] {line}"
    path = f"{root}/{KERNEL_LOG}"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with open(fd, "w", encoding="utf-8") as f:
            f.write(stamped + "\n")
    except OSError as e:
        raise NvsimError(f"cannot write the kernel log: {e.strerror}", source=path) from e
    return stamped
