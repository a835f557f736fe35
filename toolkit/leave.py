"""The end of a program that a launcher started."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def leave(code: int) -> "NoReturn":
    """Ends a program with its exit code, once what it said is written.  To take the interpreter apart as well, which
    nothing here needs, would cost a hook an eighth of its time.

    Output that cannot be written makes 0 a 1; a reader that has gone is no news, any other cause is told on stderr."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream:
                stream.flush()
        except OSError as e:
            code = code or 1
            if not isinstance(e, BrokenPipeError) and stream is sys.stdout:
                os.write(2, f"cannot write the output: {e.strerror}\n".encode())
    os._exit(code)
