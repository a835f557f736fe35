"""The debug log of `nvidia-container-cli`, in the form that people paste into bug reports and scrapers parse.

    I1122 05:53:00.123456 4242 legacy.py:393] selecting /usr/bin/nvidia-smi

Source: libnvidia-container 1.20.  The file names are ours.
"""

import os
import sys
import time

_HEADER = b"\n-- WARNING, the following logs are for debugging purposes only --\n\n"


class DebugLog:
    """Appends lines to a file; "" or a file that cannot be opened: says nothing, as upstream does."""

    def __init__(self, path: str) -> None:
        self._fd = -1
        if not path:
            return
        try:
            # O_NONBLOCK: a FIFO that nobody reads is refused instead of waited for.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
            self._fd = os.open(path, flags, 0o644)
        except (OSError, ValueError):
            return
        self._write(_HEADER)

    def __call__(self, level: str, message: str) -> None:
        """One line: level "I", "W" or "E", and where in our code it was said."""
        if self._fd < 0:
            return
        frame = sys._getframe(1)
        now = time.time_ns()
        stamp = time.strftime("%m%d %H:%M:%S", time.gmtime(now // 10**9))
        place = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        text = message.replace("\n", "\\n")
        line = f"{level}{stamp}.{now // 1000 % 10**6:06d} {os.getpid()} {place}] {text}\n"
        self._write(line.encode("utf-8", "surrogateescape"))

    def _write(self, data: bytes) -> None:
        try:
            os.write(self._fd, data)
        except OSError:
            pass
