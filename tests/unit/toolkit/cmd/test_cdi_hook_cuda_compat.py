"""enable-cuda-compat and update-ldcache's files, on roots of an ordinary user."""

import json
import os

import pytest

from toolkit.apply.rootfs import Rootfs
from toolkit.cmd.cdi_hook.ldconf_files import listed_folders, matches
from toolkit.cmd.cdi_hook.main import main

ALONE = 'warning msg="failed to parse host CUDA version \\"\\": invalid semantic version"'
NO_NOTE = "warning msg=\"failed to get ELF header from CUDA compat library: bad magic number, not an ELF file\""


@pytest.fixture
def world(tmp_path, capfd):
    root = tmp_path / "rootfs"
    (root / "etc").mkdir(parents=True)
    (root / "usr/local/cuda-12.8/compat").mkdir(parents=True)
    (root / "usr/local/cuda").symlink_to("/usr/local/cuda-12.8")
    (tmp_path / "victim").mkdir()
    (tmp_path / "config.json").write_text(json.dumps({"root": {"path": "rootfs"}}))
    (tmp_path / "state").write_text(json.dumps({"bundle": str(tmp_path)}))

    def run(*arguments):
        status = main(["nvidia-cdi-hook", *arguments, "--container-spec", str(tmp_path / "state")])
        err = capfd.readouterr().err
        return status, [line.partition(" level=")[2] or line for line in err.splitlines()]

    run.root, run.compat = root, root / "usr/local/cuda-12.8/compat"
    return run


def drop_ins(world):
    folder = world.root / "etc/ld.so.conf.d"
    return {name: (folder / name).read_text() for name in os.listdir(folder)} if folder.exists() else {}


def test_a_newer_library_s_folder_is_put_first_by_its_resolved_name(world):
    (world.compat / "libcuda.so.570.86.15").write_bytes(b"no ELF")
    (world.compat / "libcuda.so.1").symlink_to("libcuda.so.570.86.15")
    assert world("enable-cuda-compat", "--host-driver-version=550.54.15") == (0, [ALONE, NO_NOTE])
    written = drop_ins(world)
    assert list(written.values()) == ["/usr/local/cuda-12.8/compat\n"]
    assert next(iter(written)).startswith("00-compat-")
    world("enable-cuda-compat", "--host-driver-version=550.54.15")
    assert drop_ins(world) == written


@pytest.mark.parametrize("arguments", [(), ("--host-driver-version=580.1",), ("--host-cuda-version=12.4",)])
def test_nothing_is_written_when_the_host_s_driver_serves(world, arguments):
    (world.compat / "libcuda.so.570.86.15").write_bytes(b"no ELF")
    assert world("enable-cuda-compat", *arguments)[0] == 0
    assert drop_ins(world) == {}


def test_several_libraries_are_none(world):
    for version in ("570.1.1", "575.1.1"):
        (world.compat / f"libcuda.so.{version}").write_bytes(b"")
    status, log = world("enable-cuda-compat", "--host-driver-version=550.1")
    assert status == 0
    folder = "/usr/local/cuda-12.8/compat"
    assert log == ['warning msg="Unexpected number of CUDA compat libraries in container: '
                   f'[{folder}/libcuda.so.570.1.1 {folder}/libcuda.so.575.1.1]"']
    assert drop_ins(world) == {}


@pytest.mark.parametrize("hostile", ["link", "fifo", "directory"])
def test_only_plain_files_count_as_libraries(world, hostile):
    path = world.compat / "libcuda.so.570.86.15"
    make = {"link": lambda: path.symlink_to("/etc/passwd"), "fifo": lambda: os.mkfifo(path), "directory": path.mkdir}
    make[hostile]()
    assert world("enable-cuda-compat", "--host-driver-version=550.1") == (0, [])
    assert drop_ins(world) == {}


def test_a_huge_sparse_library_is_not_read_whole(world):
    with open(world.compat / "libcuda.so.570.86.15", "wb") as f:
        f.truncate(10 << 30)
    assert world("enable-cuda-compat", "--host-driver-version=550.1") == (0, [ALONE, NO_NOTE])


@pytest.mark.parametrize("folder", ["etc/ld.so.conf.d", "etc"])
def test_configuration_is_not_written_through_links_out_of_the_root(world, folder):
    (world.compat / "libcuda.so.570.86.15").write_bytes(b"")
    victim = world.root.parent / "victim"
    if folder == "etc":
        (world.root / "etc").rmdir()
    (world.root / folder).symlink_to(victim)
    status, log = world("enable-cuda-compat", "--host-driver-version=550.1")
    assert status == 1
    assert log[-1] == (f'error msg="failed to create ld.so.conf.d: openat2 {world.root}/{folder}: not a directory"')
    assert os.listdir(victim) == []


def test_update_ldcache_refuses_the_system_s_root(world):
    (world.root.parent / "config.json").write_text('{"root":{"path":"/"}}')
    assert world("update-ldcache")[1][0] == 'error msg="failed to determined container root: <nil>"'
    assert world("update-ldcache", "--ldconfig-path", "")[1][0] == 'error msg="ldconfig-path must be specified"'


def test_update_ldcache_names_a_missing_host_program_and_takes_its_files_back(world):
    before = sorted(str(path) for path in world.root.rglob("*"))
    status, log = world("update-ldcache", "--folder", "/opt/x", "--ldconfig-path", "/no/ldconfig")
    assert status == 1
    assert log[0].endswith("Error updating ldcache: error reading host ldconfig: stat /no/ldconfig: "
                           "no such file or directory")
    assert log[-1] == "exit status 1"
    assert sorted(str(path) for path in world.root.rglob("*")) == before


def test_update_ldcache_reports_a_dangling_etc_as_upstream_does(world):
    (world.root / "etc").rmdir()
    (world.root / "etc").symlink_to("/nowhere")
    status, log = world("update-ldcache")
    assert status == 1
    assert log[0].endswith("Error updating ldcache: failed to ensure ld.so.conf file: failed to create top-level "
                           "ld.so.conf file: open /etc/ld.so.conf: no such file or directory")


def conf(world, files):
    for name, text in files.items():
        path = world.root / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_listed_folders_are_found_through_includes(world):
    conf(world, {"ld.so.conf": "/a\ninclude /etc/ld.so.conf.d/*.conf\n", "ld.so.conf.d/1.conf": "/b\n",
                 "ld.so.conf.d/2.conf": "include extra.conf\n", "ld.so.conf.d/extra.conf": "/c\n",
                 "ld.so.conf.d/readme": "/d\n"})
    with Rootfs(str(world.root)) as root:
        assert listed_folders(root, "/etc/ld.so.conf") == {"/a", "/b", "/c"}


def test_includes_that_loop_block_or_escape_end_soon(world):
    conf(world, {"ld.so.conf": "include /etc/*.conf\ninclude /../victim/*\ninclude /etc/fifo\ninclude /esc/*\n/a\n"})
    os.mkfifo(world.root / "etc/fifo")
    victim = world.root.parent / "victim"
    (victim / "secret").write_text("/secret\n")
    (world.root / "esc").symlink_to(victim)
    with Rootfs(str(world.root)) as root:
        assert listed_folders(root, "/etc/ld.so.conf") == {"/a"}


@pytest.mark.parametrize(("pattern", "expected"), [
    ("/etc/ld.so.conf.d/[12].conf", ["/etc/ld.so.conf.d/1.conf", "/etc/ld.so.conf.d/2.conf"]),
    ("/etc/*/1.conf", ["/etc/ld.so.conf.d/1.conf"]),
    ("/etc/none", []), ("/none/*", []), ("/etc/\0", []), ("/etc/[", []),
])
def test_patterns_are_matched_inside_the_root(world, pattern, expected):
    conf(world, {"ld.so.conf.d/1.conf": "", "ld.so.conf.d/2.conf": "", "ld.so.conf.d/.hidden.conf": ""})
    with Rootfs(str(world.root)) as root:
        assert matches(root, pattern) == expected
