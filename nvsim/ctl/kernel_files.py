"""Files of a built host below /proc and /sys, changed as the kernel changes its own: in place.

On an entered machine and in its containers these very files are shown, by binds and overlays, so a file that took
their place would not be seen.
"""

import os


def overwrite(path: str, data: bytes) -> None:
    """New content of a file.  Its mode is the kernel's, so a user who is not root has to make it writable for a moment.

    Raises OSError."""
    mode = os.stat(path).st_mode & 0o7777
    os.chmod(path, mode | 0o200)
    try:
        with open(path, "r+b") as f:
            f.write(data)
            f.truncate()
    finally:
        os.chmod(path, mode)
