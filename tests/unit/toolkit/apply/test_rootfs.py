"""A container root is changed inside, whatever its links say, and never outside."""

import os
import stat

import pytest

from toolkit.apply.rootfs import Rootfs, RootfsError
from toolkit.apply.rootview import RootView


@pytest.fixture
def tree(tmp_path):
    """A root with links of every kind, beside a directory of the host that must stay empty."""
    (tmp_path / "victim").mkdir()
    root = tmp_path / "c" / "rootfs"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "file").write_text("content")
    (root / "absolute").symlink_to(tmp_path / "victim")
    (root / "relative").symlink_to("../../../../../../../../../.." + str(tmp_path / "victim"))
    (root / "inside").symlink_to("/etc")
    (root / "dangling").symlink_to("nowhere/at/all")
    (root / "loop").symlink_to("loop")
    (root / "magic").symlink_to("/proc/self/root")
    os.mkfifo(root / "fifo")
    return root


@pytest.fixture
def rootfs(tree):
    with Rootfs(str(tree)) as opened:
        yield opened


def victim_of(tree):
    return sorted(os.listdir(tree.parents[1] / "victim"))


def error_of(call, *arguments, **named):
    with pytest.raises(RootfsError) as caught:
        call(*arguments, **named)
    return str(caught.value)


def test_a_link_inside_the_root_is_followed_as_if_the_root_were_slash(rootfs):
    assert rootfs.read_file("/inside/file") == b"content"
    assert rootfs.resolve("/inside/file") == "/etc/file"


@pytest.mark.parametrize("link", ["absolute", "relative"])
def test_a_link_out_of_the_root_leads_nowhere(rootfs, tree, link):
    assert not rootfs.exists(f"/{link}/anything")
    assert "not a directory" in error_of(rootfs.mkdirs, f"/{link}/new")
    assert "no such file or directory" in error_of(rootfs.touch, f"/{link}/new")
    assert "no such file or directory" in error_of(rootfs.write_file, f"/{link}/new", b"x")
    assert "no such file or directory" in error_of(rootfs.symlink, "target", f"/{link}/new")
    assert victim_of(tree) == []


def test_too_many_dots_are_refused_when_a_path_is_resolved_as_libnvidia_container_does(rootfs, tree):
    assert error_of(rootfs.resolve, "/relative/x") == f"path error: /relative/x resolves outside of {tree}"
    assert error_of(rootfs.resolve, "/../x") == f"path error: /../x resolves outside of {tree}"
    assert rootfs.resolve("/etc/../etc/./file") == "/etc/file"


def test_what_does_not_exist_is_resolved_as_text(rootfs, tree):
    assert rootfs.resolve("/dangling/x") == "/nowhere/at/all/x"
    assert rootfs.resolve("/absolute/x") == f"{tree.parents[1]}/victim/x"


def test_nineteen_links_are_followed_and_the_twentieth_is_not(rootfs, tree):
    for number in range(20):
        (tree / f"l{number}").symlink_to(f"l{number + 1}" if number < 19 else "etc")
    assert rootfs.resolve("/l1") == "/etc"
    assert error_of(rootfs.resolve, "/l0") == f"path error: {tree}//l0: too many levels of symbolic links"


def test_a_loop_is_an_error(rootfs, tree):
    assert error_of(rootfs.read_file, "/loop") == "/loop: too many levels of symbolic links"
    assert error_of(rootfs.resolve, "/loop/x") == f"path error: {tree}//loop/x: too many levels of symbolic links"


def test_a_strict_root_refuses_absolute_links_and_escapes_but_follows_links_that_stay(tree):
    (tree / "stays").symlink_to("etc")
    with RootView(str(tree), strict=True) as strict:
        assert strict.read_file("stays/file") == b"content"
        for link in ("inside/file", "relative/x", "../x"):
            assert "path escapes from parent" in error_of(strict.read_file, link)


def test_directories_are_made_one_by_one_and_reported(rootfs, tree):
    assert rootfs.mkdirs("/inside/a/b/c") == ("/inside/a", "/inside/a/b", "/inside/a/b/c")
    assert (tree / "etc/a/b/c").is_dir()
    assert rootfs.mkdirs("/inside/a/b/c") == ()


def test_directories_made_before_a_failure_are_removed(rootfs, tree):
    error_of(rootfs.mkdirs, "/etc/new/" + "x" * 256)
    assert not (tree / "etc/new").exists()


def test_a_dangling_link_is_not_followed_and_made(rootfs, tree):
    assert error_of(rootfs.mkdirs, "/dangling/new") == "/dangling: not a directory"
    assert not (tree / "nowhere").exists()


def test_a_placeholder_is_made_only_where_nothing_is(rootfs, tree):
    assert rootfs.touch("/etc/new", 0o600)
    assert stat.S_IMODE((tree / "etc/new").stat().st_mode) == 0o600
    assert not rootfs.touch("/etc/file")
    assert (tree / "etc/file").read_text() == "content"


def test_a_placeholder_does_not_wait_for_a_fifo(rootfs):
    assert not rootfs.touch("/fifo")
    assert "invalid argument" in error_of(rootfs.read_file, "/fifo")


def test_a_placeholder_is_not_made_through_a_dangling_link(rootfs, tree):
    assert error_of(rootfs.touch, "/dangling") == "/dangling: file exists"
    assert not (tree / "nowhere").exists()


def test_a_file_is_replaced_whole_and_a_link_in_its_place_is_not_followed(rootfs, tree):
    (tree / "etc/link").symlink_to(tree / "etc/file")
    rootfs.write_file("/etc/link", b"new", 0o640)
    assert (tree / "etc/file").read_text() == "content"
    assert (tree / "etc/link").read_text() == "new"
    assert stat.S_IMODE((tree / "etc/link").lstat().st_mode) == 0o640
    assert sorted(os.listdir(tree / "etc")) == ["file", "link"]


def test_an_exclusive_file_leaves_what_is_there(rootfs, tree):
    assert error_of(rootfs.write_file, "/etc/file", b"new", exclusive=True) == "/etc/file: file exists"
    assert (tree / "etc/file").read_text() == "content"
    assert os.listdir(tree / "etc") == ["file"]


def test_a_file_cannot_take_the_place_of_a_directory(rootfs, tree):
    assert error_of(rootfs.write_file, "/etc", b"new") == "/etc: is a directory"
    assert [name for name in os.listdir(tree) if name.startswith(".")] == []


def test_a_link_keeps_or_replaces_what_is_there_as_asked(rootfs, tree):
    assert not rootfs.symlink("target", "/etc/file")
    assert rootfs.symlink("/host/target", "/etc/file", replace=True)
    assert os.readlink(tree / "etc/file") == "/host/target"
    assert error_of(rootfs.symlink, "target", "/etc", replace=True) == "/etc: is a directory"
    assert sorted(os.listdir(tree / "etc")) == ["file"]


def test_a_link_is_read_as_text(rootfs):
    assert rootfs.readlink("/magic") == "/proc/self/root"
    assert error_of(rootfs.readlink, "/etc/file") == "/etc/file: invalid argument"


def test_taking_back_keeps_what_has_content(rootfs, tree):
    rootfs.mkdirs("/a/b")
    rootfs.touch("/a/b/empty")
    for path in ("/etc/file", "/etc", "/a/b", "/fifo", "/nothing/here"):
        rootfs.remove_created(path)
    assert (tree / "etc/file").exists()
    assert (tree / "a/b/empty").exists()
    for path in ("/a/b/empty", "/a/b", "/a"):
        rootfs.remove_created(path)
    assert not (tree / "a").exists()


@pytest.mark.parametrize("path", ["", "/", ".", "..", "/etc/.."])
def test_a_path_that_names_no_entry_cannot_be_made(rootfs, path):
    assert "invalid argument" in error_of(rootfs.symlink, "target", path)


@pytest.mark.parametrize("name", ["new\nline", "with space", "%s%n", "x" * 255, os.fsdecode(b"\xff\xfe")])
def test_any_name_that_the_kernel_takes_can_be_used(rootfs, tree, name):
    rootfs.mkdirs(f"/{name}")
    rootfs.write_file(f"/{name}/{name}", b"x")
    assert rootfs.listdir(f"/{name}") == [name]


def test_a_name_is_shown_as_the_container_sees_it(rootfs):
    fd = rootfs.open("/inside", os.O_PATH)
    try:
        assert rootfs.name_of(fd) == "/etc"
    finally:
        os.close(fd)


def test_a_root_that_is_no_directory_is_an_error(tree):
    assert error_of(Rootfs, str(tree / "etc/file")) == f"{tree}/etc/file: not a directory"
    assert error_of(Rootfs, str(tree / "none")) == f"{tree}/none: no such file or directory"


def test_no_descriptor_stays_open(tree):
    before = os.listdir("/proc/self/fd")
    with Rootfs(str(tree)) as opened:
        opened.mkdirs("/q/r")
        opened.touch("/q/file")
        opened.symlink("x", "/q/link", replace=True)
        opened.write_file("/q/file", b"x")
        opened.resolve("/inside/file")
        for failing in (opened.readlink, opened.listdir, opened.touch, opened.mkdirs):
            error_of(failing, "/absolute/x/y")
    assert os.listdir("/proc/self/fd") == before
