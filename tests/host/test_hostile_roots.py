"""Images that attack: links out of the root, FIFOs, huge files, and paths that change while a hook works.

After each attack the host's tree is as it was (names, inodes, times, content), no mount lies outside the root, and
nothing of the host can be read below the root.
"""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile import ATTACKS, HOOKS, SWAPPER, Attack

pytestmark = pytest.mark.host

@pytest.fixture
def attack(tmp_path, requires):
    requires("root", "ldconfig")
    return Attack(tmp_path)


@pytest.mark.parametrize("name", ATTACKS)
def test_no_hook_touches_the_host(attack, name):
    ATTACKS[name](attack)
    statuses, log = attack.run_hooks(*HOOKS)
    assert set(statuses) <= {0, 1}, log


def test_without_an_attack_every_hook_works(attack):
    statuses, log = attack.run_hooks(*HOOKS)
    assert statuses == [0] * len(HOOKS), log
    assert os.readlink(attack.root / "usr/lib/libcuda.so") == "libcuda.so.1"
    assert (attack.root / "etc/ld.so.cache").stat().st_size > 0


@pytest.mark.parametrize("name", ["the cache is a link", "the cache is a relative link"])
def test_a_cache_that_is_a_link_is_replaced_by_a_file(attack, name):
    ATTACKS[name](attack)
    assert attack.run_hooks(HOOKS[-1])[0] == [0]
    assert stat.S_ISREG((attack.root / "etc/ld.so.cache").lstat().st_mode)


@pytest.mark.parametrize(("name", "message"), [
    ("proc is a link", "Error updating ldcache: error mounting /proc: mkdirat proc: path escapes from parent"),
    ("etc is a loop", "too many levels of symbolic links"),
    ("ld.so.conf.d is a link", "not a directory"),
])
def test_an_escape_is_named(attack, name, message):
    ATTACKS[name](attack)
    statuses, log = attack.run_hooks(HOOKS[-1])
    assert statuses == [1]
    assert message in log


@pytest.mark.parametrize("place", ["etc/ld.so.cache~", "etc/ld.so.conf", "etc/ld.so.conf.d/a.conf"])
def test_a_fifo_where_ldconfig_opens_a_file_is_given_up(attack, place):
    (attack.root / place).unlink(missing_ok=True)
    os.mkfifo(attack.root / place)
    started = time.monotonic()
    (text,), _ = attack.run("""
        try:
            result.append(ldconfig.run_in_root(root, "/sbin/ldconfig", ldconfig.arguments(), seconds=1))
        except Exception as e:
            result.append(str(e))
    """)
    assert text == "process /sbin/ldconfig was stopped: no end after 1 seconds"
    assert time.monotonic() - started < 20


def test_the_host_s_program_cannot_be_opened_for_writing_from_inside(attack):
    (attack.root / "etc/ld.so.conf").write_text("include /proc/1/exe\ninclude /proc/self/exe\n/opt/driver\n")
    before = Path("/sbin/ldconfig").read_bytes()
    assert attack.run_hooks(HOOKS[-1])[0] == [0]
    assert Path("/sbin/ldconfig").read_bytes() == before


def test_the_image_s_own_ldconfig_is_never_run(attack):
    (attack.root / "sbin").mkdir()
    (attack.root / "sbin/ldconfig").write_text("#!/bin/sh\ntouch /ran\n")
    os.chmod(attack.root / "sbin/ldconfig", 0o755)
    assert attack.run_hooks(HOOKS[-1])[0] == [0]
    assert not (attack.root / "ran").exists()


@pytest.fixture
def swapping(attack):
    """`swapping(path, target)`: another process changes a path of the image to a link and back, without pause."""
    def start(path, target):
        other = attack.root / "tmp/other"
        other.symlink_to(target)
        number = {"x86_64": 316, "aarch64": 276}[os.uname().machine]
        process = subprocess.Popen([sys.executable, "-IS", "-c", SWAPPER.format(renameat2=number),
                                    str(attack.root / path), str(other)], stdout=subprocess.PIPE)
        attack.accomplices.append(process)
        assert process.stdout.readline() == b"ready\n"

    yield start
    attack.calm()


def quiet(attack, *hook):
    return ["nvidia-cdi-hook", "--quiet", *hook, "--container-spec", str(attack.home / "bundle/state")]


@pytest.mark.parametrize("hook", [0, 1, 2])
@pytest.mark.parametrize("path", ["usr/lib", "etc/ld.so.conf.d", "run"])
def test_a_folder_that_becomes_a_link_meanwhile_does_not_lead_out(attack, swapping, path, hook):
    swapping(path, attack.victim)
    attack.run(f"result = [main({quiet(attack, *HOOKS[hook])!r}) for _ in range(300)]")


def test_a_mount_point_that_becomes_a_link_meanwhile_does_not_lead_out(attack, swapping):
    (attack.root / "opt/driver/file").write_text("")
    swapping("opt/driver/file", attack.victim / "f")
    (attack.home / "library").write_text("library")
    (outcomes,), _ = attack.run(f"""
        done = failed = 0
        with Rootfs(root) as rootfs:
            for _ in range(1000):
                try:
                    rootfs.bind({str(attack.home / "library")!r}, "/opt/driver/file", linux.RDONLY | linux.NODEV)
                    done += 1
                except RootfsError:
                    failed += 1
                while names := [l.split()[4] for l in open("/proc/self/mountinfo") if " " + root + "/" in l]:
                    try:
                        linux.umount2(names[0])
                    except OSError:  # it has another name by now
                        continue
        result = [[done, failed]]
    """)
    assert sum(outcomes) == 1000
    assert outcomes[0] > 0
