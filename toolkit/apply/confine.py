"""A child in namespaces of its own that becomes another program, watched by its parent.

Whatever the child does before it execs happens with the machine's Python still loaded, so it must import nothing:
once the root is the container's, a module, a locale or a time zone would come from the image.
"""

import errno
import os
import select
import signal
import time

from toolkit.apply import linux
from toolkit.apply.rootview import RootfsError, reason
from toolkit.errors import ApplyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_REPORT_LIMIT = 4096
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class Unstarted(ApplyError):
    """The child could not exec; `errno` says why (0 where no system call was to blame)."""

    def __init__(self, message: str, *, source: str = "", hint: str = "", errno: int = 0) -> None:
        super().__init__(message, source=source, hint=hint)
        self.errno = errno


def run_child(
    body: "Callable[[], NoReturn]", namespaces: int, *, seconds: float, output: "Callable[[str], None] | None" = None
) -> int:
    """Runs `body`, which execs, in a child with the new `namespaces` (NEWPID, NEWNS, …); its wait status.

    The child dies with this process, and after `seconds` of wall-clock time: a FIFO in an image can make a program
    wait for ever.  With `output` its stdout and stderr come there line by line, else it keeps ours.  Raises Unstarted
    when body raises, ApplyError when time is up."""
    report = report_end = lines = lines_end = -1
    try:
        try:
            report, report_end = os.pipe()
            lines, lines_end = os.pipe() if output else (-1, -1)
            pid = _fork(namespaces)
        except OSError as e:
            raise Unstarted(f"process creation failed: {reason(e.errno or 0)}", errno=e.errno or 0) from None
        if pid == 0:
            os.close(report)
            _child(body, namespaces, report_end, lines_end)
        os.close(report_end)
        report_end = -1
        if lines_end >= 0:
            os.close(lines_end)
            lines_end = -1
        status = _watch(pid, seconds, lines, output)
        _raise_reported(os.read(report, _REPORT_LIMIT))
        return status
    finally:
        for fd in (report, report_end, lines, lines_end):
            if fd >= 0:
                os.close(fd)


def _fork(namespaces: int) -> int:
    """fork(2) into a new PID namespace if asked; this process's later children stay in the old one."""
    if not namespaces & linux.NEWPID:
        return os.fork()
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux.unshare(linux.NEWPID)
        pid = -1
        try:
            pid = os.fork()
        finally:
            if pid:
                _return_to(own, pid)
        return pid
    finally:
        os.close(own)


def _return_to(pid_namespace: int, child: int) -> None:
    """Later children go where this process is again.

    An ordinary user who is root in a user namespace may not go back to the PID namespace of somebody else (EPERM);
    there this process has no later children.  On any other failure the child ends, for nobody could watch it."""
    try:
        linux.setns(pid_namespace, linux.NEWPID)
    except OSError as e:
        if e.errno == errno.EPERM:
            return
        if child > 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        raise


def _child(body: "Callable[[], NoReturn]", namespaces: int, report: int, lines: int) -> "NoReturn":
    try:
        linux.die_with_parent(signal.SIGKILL)
        if closed_by_reader(report):
            os._exit(1)
        if namespaces & ~linux.NEWPID:
            linux.unshare(namespaces & ~linux.NEWPID)
        if lines >= 0:
            os.dup2(lines, 1)
            os.dup2(lines, 2)
        for number in _IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_DFL)
        body()
    except RootfsError as e:
        _report(report, e.errno, str(e))
    except OSError as e:
        _report(report, e.errno or 0, f"{_text(e.filename)}: {reason(e.errno or 0)}" if e.filename else str(e.strerror))
    except BaseException as e:
        _report(report, 0, f"{type(e).__name__}: {e}")
    finally:
        os._exit(1)


def _text(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def closed_by_reader(fd: int) -> bool:
    """Whether the parent is gone.  In a new PID namespace getppid() is 0 either way; the pipe knows."""
    poll = select.poll()
    poll.register(fd, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _report(fd: int, code: int, text: str) -> None:
    os.write(fd, f"{code} {text}".encode("utf-8", "surrogateescape")[:_REPORT_LIMIT])


def _raise_reported(report: bytes) -> None:
    if report:
        code, _, text = report.decode("utf-8", "surrogateescape").partition(" ")
        raise Unstarted(text, errno=int(code))


def _watch(pid: int, seconds: float, lines: int, output: "Callable[[str], None] | None") -> int:
    """Waits for a child, passing on its lines; kills it when time is up or when we are interrupted."""
    ended = False
    handle = os.pidfd_open(pid)
    try:
        ended = _drain(handle, time.monotonic() + seconds, lines, output)
    finally:
        os.close(handle)
        if not ended:
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
    if not ended:
        raise ApplyError(f"no end after {seconds:g} seconds", hint="does the image hold a FIFO where a file belongs?")
    return status


def _drain(handle: int, deadline: float, lines: int, output: "Callable[[str], None] | None") -> bool:
    """Whether the child ended in time.  Its last lines are read after its end."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    if output:
        os.set_blocking(lines, False)
        poll.register(lines, select.POLLIN)
    rest = b""
    ended = False
    while not ended:
        left = deadline - time.monotonic()
        ready = poll.poll(max(0, left) * 1000)
        if not ready:
            return False
        ended = any(fd == handle for fd, _ in ready)
        if output:
            rest = _pass_on(lines, rest, output)
            if any(fd == lines and not events & select.POLLIN for fd, events in ready):
                poll.unregister(lines)
    if rest and output:
        output(rest.decode("utf-8", "backslashreplace"))
    return True


def _pass_on(lines: int, rest: bytes, output: "Callable[[str], None]") -> bytes:
    """Hands complete lines to `output`, an endless one in pieces; what remains of the last."""
    while True:
        try:
            more = os.read(lines, 65536)
        except BlockingIOError:
            return rest
        if not more:
            return rest
        *complete, rest = (rest + more).split(b"\n")
        if len(rest) > 65536:
            complete, rest = [*complete, rest], b""
        for line in complete:
            output(line.decode("utf-8", "backslashreplace"))


def enter_root(root: str | int, *, pivot: bool) -> None:
    """Makes a directory the root of this process's own mount namespace, and lets go of the old one.

    The directory must be a mount point.  `pivot=False` is for machines whose root is the initial RAM file system,
    which cannot be pivoted away: the new root is moved over it instead."""
    new = root if isinstance(root, int) else os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(new)
    if pivot:
        old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        linux.pivot_root(".", ".")
        os.fchdir(old)
        linux.mount(None, ".", None, linux.SLAVE | linux.REC)
        linux.umount2(".")
        os.close(old)
        os.fchdir(new)
    else:
        linux.mount(".", "/", None, linux.MOVE)
    os.chroot(".")
    os.chdir("/")


def seal(path: str, warn: "Callable[[str], None]") -> int:
    """A descriptor of a copy of a host program that no one can change, to exec from inside a container.

    A container that could reopen the host's own file through /proc/PID/exe would write to the host (CVE-2024-0135).
    Where the kernel has no sealable memory files, an unnamed copy on disk, open for reading only.  OSError."""
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            return _sealed_copy(source, path)
        except OSError as e:
            if e.errno not in (errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EINVAL):
                raise
            warn(f"failed to create a virtual copy of {path}: {reason(e.errno)}")
        return _unnamed_copy(source, path)
    finally:
        os.close(source)


def _sealed_copy(source: int, name: str) -> int:
    import fcntl  # 0.3 ms

    executable = 0x10  # MFD_EXEC: asked for since Linux 6.3, unknown before
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        copy = os.memfd_create(name[-200:], flags | executable)
    except OSError as e:
        if e.errno != errno.EINVAL:
            raise
        copy = os.memfd_create(name[-200:], flags)
    try:
        _copy(source, copy)
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS,
                    fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    except OSError:
        os.close(copy)
        raise
    return copy


def _unnamed_copy(source: int, path: str) -> int:
    for folder in ("/run", "/tmp", "/dev/shm"):
        try:
            writer = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o500)
        except OSError:
            continue
        try:
            if not os.fstatvfs(writer).f_flag & os.ST_NOEXEC:
                _copy(source, writer)
                return os.open(linux.at(writer), os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(writer)
    raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)


def _copy(source: int, target: int) -> None:
    offset, size = 0, os.fstat(source).st_size
    while offset < size:
        sent = os.sendfile(target, source, offset, size - offset)
        if not sent:
            break
        offset += sent
