"""sequence: several hooks in one process, one after the other, as the low-level runtime would run them.

    nvidia-cdi-hook sequence create-symlinks --link a::b --then update-ldcache --folder /usr/lib64

Each start of a program costs more than what most hooks do.  Specifications have it only if generated with the feature
flag `combine-hooks`: an nvidia-cdi-hook that does not know it does nothing.  Ours alone.
"""

import os

from toolkit.plan.hook_sequence import steps_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def run(arguments: list[str], run_hook: "Callable[[list[str]], int]") -> int:
    """The exit status of the first hook that fails; those after it do not run.  Errors go through as they are.

    Every hook reads the container's state on stdin as if it were alone.
    """
    steps = steps_of(arguments)
    if len(steps) > 1:
        _make_stdin_repeatable()
    for position, step in enumerate(steps):
        if position:
            _rewind()
        if status := run_hook(step):
            return status
    return 0


def _make_stdin_repeatable() -> None:
    """Puts what stdin holds into memory, and that in place of stdin."""
    copy = os.memfd_create("state", os.MFD_CLOEXEC)
    try:
        while data := os.read(0, 1 << 16):
            view = memoryview(data)
            while view:
                view = view[os.write(copy, view) :]
        os.lseek(copy, 0, os.SEEK_SET)
        os.dup2(copy, 0)
    except OSError:
        pass  # no stdin: the hook that needs it says so
    finally:
        os.close(copy)


def _rewind() -> None:
    try:
        os.lseek(0, 0, os.SEEK_SET)
    except OSError:
        pass
