"""Which drop-in files ldconfig finds in a container."""

from hypothesis import given
from hypothesis import strategies as st

from toolkit.plan import ldconf


def test_folders_and_includes_are_told_apart_as_upstream_does():
    content = b"# comment\n\n /usr/local/lib \ninclude /etc/ld.so.conf.d/*.conf\ninclude\t/tab\ninclude  /two\n/opt=x\n"
    assert ldconf.directives(content) == (
        ("/usr/local/lib", "include\t/tab", "/opt=x"), ("/etc/ld.so.conf.d/*.conf", " /two"))


def test_listed_system_and_repeated_folders_are_not_added():
    system = ldconf.system_folders("x86_64", debian_like=True)
    assert ldconf.new_folders(("/usr/lib", "/new", "/listed", "/new"), frozenset({"/listed"}), system) == ("/new",)


def test_system_folders_follow_the_image_s_kind_and_architecture():
    assert "/usr/lib/aarch64-linux-gnu" in ldconf.system_folders("aarch64", debian_like=True)
    assert ldconf.system_folders("x86_64", debian_like=False) == (
        "/lib", "/usr/lib", "/lib64", "/usr/lib64", "/libx32", "/usr/libx32")
    assert ldconf.system_folders("riscv64", debian_like=True) == ()


def test_new_folders_come_first_and_the_system_s_last():
    (first, folders), (last, system) = ldconf.drop_ins(("/a", "/b"), ("/lib", "/usr/lib"))
    assert first.startswith("/etc/ld.so.conf.d/00-nvcr-")
    assert last.startswith("/etc/ld.so.conf.d/zz-nvcr-")
    assert (folders, system) == (b"/a\n/b\n", b"/lib\n/usr/lib\n")


def test_without_new_folders_only_the_system_s_are_written():
    assert [path[18:26] for path, _ in ldconf.drop_ins((), ("/lib",))] == ["zz-nvcr-"]


def test_the_same_content_is_the_same_file_so_that_restarts_do_not_pile_up():
    assert ldconf.drop_ins(("/a",), ("/lib",)) == ldconf.drop_ins(("/a",), ("/lib",))
    assert ldconf.drop_ins(("/a",), ("/lib",))[0][0] != ldconf.drop_ins(("/b",), ("/lib",))[0][0]


def test_musl_s_list_gets_what_it_lacks_once():
    once = ldconf.musl_path(b"/lib:/usr/local/lib", ("/new", "/lib"))
    assert once == b"/lib:/usr/local/lib\n/new\n"
    assert ldconf.musl_path(once, ("/new", "/lib")) == once
    assert ldconf.musl_path(b"", ("/new",)) == b"/new\n"


@given(st.binary())
def test_any_bytes_are_folders_and_includes(content):
    folders, includes = ldconf.directives(content)
    assert all(folder and folder == folder.strip() for folder in folders)
    assert len(folders) + len(includes) <= content.count(b"\n") + 1
