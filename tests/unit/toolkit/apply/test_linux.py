"""System calls that os lacks: their errors are OSErrors with a name, their values are those of the kernel."""

import errno
import os
import subprocess
import sys

import pytest

from toolkit.apply import linux


def test_an_error_carries_number_text_and_path():
    with pytest.raises(OSError) as caught:
        linux.mount("none", "/nonexistent/target", "tmpfs")
    assert caught.value.errno in (errno.ENOENT, errno.EPERM)
    assert caught.value.filename == "/nonexistent/target" or caught.value.filename == b"/nonexistent/target"


def test_openat2_resolves_inside_its_directory(tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("inside")
    root = os.open(tmp_path, os.O_PATH)
    try:
        fd = linux.openat2(root, "link", os.O_RDONLY, 0, linux.RESOLVE_IN_ROOT)
        assert os.read(fd, 100) == b"inside"
        assert not os.get_inheritable(fd)
        os.close(fd)
        with pytest.raises(OSError) as caught:
            linux.openat2(root, "link", os.O_RDONLY, 0, linux.RESOLVE_BENEATH)
        assert (caught.value.errno, caught.value.filename) == (errno.EXDEV, "link")
    finally:
        os.close(root)


def test_a_magic_link_is_refused_when_asked():
    with pytest.raises(OSError) as caught:
        linux.openat2(-100, "/proc/self/exe", os.O_RDONLY, 0, linux.RESOLVE_NO_MAGICLINKS)
    assert caught.value.errno == errno.ELOOP


def test_an_unknown_call_is_not_implemented():
    with pytest.raises(OSError) as caught:
        linux.syscall("no_such_call")
    assert caught.value.errno == errno.ENOSYS


def test_capability_sets_are_those_that_proc_shows():
    with open("/proc/self/status") as f:
        shown = dict(line.split(":\t") for line in f.read().splitlines() if line.startswith("Cap"))
    assert linux.capget() == tuple(int(shown[name], 16) for name in ("CapEff", "CapPrm", "CapInh"))


def test_setting_the_same_capabilities_changes_nothing():
    before = linux.capget()
    linux.capset(*before)
    assert linux.capget() == before


def test_the_name_of_a_process_can_be_set():
    code = ("from toolkit.apply import linux; linux.set_name('nvc:[ldconfig]'); "
            "print(open('/proc/self/comm').read(), end='')")
    top = os.path.dirname(os.path.dirname(linux.__file__.replace("/apply", "")))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=top, check=True)
    assert done.stdout == "nvc:[ldconfig]\n"


def test_it_loads_without_site_and_without_what_hooks_must_not_import():
    top = os.path.dirname(os.path.dirname(linux.__file__.replace("/apply", "")))
    code = (f"import sys; sys.path.insert(0, {top!r}); import toolkit.apply.rootfs; "
            "print([m for m in ('dataclasses','inspect','logging','pathlib','subprocess','shutil','tempfile',"
            "'argparse','typing') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
