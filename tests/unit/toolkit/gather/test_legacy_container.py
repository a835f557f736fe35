"""A container as it is found: directories by image, compat libraries, cgroup."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import HostError, ToolkitError
from toolkit.gather.legacy_cgroup import read_cgroup
from toolkit.gather.legacy_container import process, spec_container

V1 = "4:devices:/docker/abc\n1:name=systemd:/x\n0::/unified/abc\n"
V2 = "0::/system.slice/abc.scope\n"
MOUNTS = (
    "30 20 0:26 / /sys/fs/cgroup/devices rw,relatime shared:1 - cgroup cgroup rw,devices\n"
    "31 20 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
ONLY_V2 = "31 20 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


def image(place: Path, *entries: str) -> str:
    """A root of directories ("x/"), links ("x -> y") and empty files."""
    for entry in entries:
        name, _, target = entry.partition(" -> ")
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        if target:
            (place / name).symlink_to(target)
        elif name.endswith("/"):
            (place / name).mkdir(parents=True, exist_ok=True)
        else:
            (place / name).touch()
    return str(place)


@pytest.mark.parametrize(
    ("entries", "libs", "libs32"),
    [
        (["etc/debian_version"], "/usr/lib/x86_64-linux-gnu", "/usr/lib/i386-linux-gnu"),
        (["usr/lib32/", "usr/lib64/"], "/usr/lib64", "/usr/lib32"),
        (["usr/lib/", "usr/lib64/"], "/usr/lib64", "/usr/lib"),
        (["usr/lib/", "usr/lib64 -> lib"], "/usr/lib64", "/usr/lib32"),
        (["etc/debian_version -> /gone"], "/usr/lib64", "/usr/lib32"),
        ([], "/usr/lib64", "/usr/lib32"),
    ],
)
def test_library_directories_follow_the_image(tmp_path: Path, entries: list[str], libs: str, libs32: str) -> None:
    found = spec_container(image(tmp_path, *entries), machine="x86_64")
    assert (found.libs_dir, found.libs32_dir) == (libs, libs32)


def test_a_link_out_of_the_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="path error: /etc/debian_version resolves outside of"):
        spec_container(image(tmp_path, "etc/debian_version -> ../../../../etc/hostname"))


def test_ldconfig_real_is_preferred(tmp_path: Path) -> None:
    assert spec_container(image(tmp_path, "sbin/ldconfig.real", "sbin/ldconfig")).ldconfig == "/sbin/ldconfig.real"


def test_compat_libraries_are_resolved_and_counted_once(tmp_path: Path) -> None:
    root = image(
        tmp_path,
        "usr/local/cuda -> cuda-12.6",
        "usr/local/cuda-12.6/compat/libcuda.so.560.1",
        "usr/local/cuda-12.6/compat/libcuda.so.1 -> libcuda.so.560.1",
        "usr/local/cuda-12.6/compat/readme",
    )
    assert spec_container(root).compat == ("/usr/local/cuda-12.6/compat/libcuda.so.560.1",)


def test_a_compat_library_that_does_not_exist_yet_is_not_there(tmp_path: Path) -> None:
    root = image(tmp_path, "usr/local/cuda/compat/libcuda.so.99 -> /usr/lib64/libcuda.so/libcuda.so.99")
    assert spec_container(root).compat == ()


def test_without_a_pid_the_parent_is_looked_up_in_the_container() -> None:
    assert process(5, 77, "/c").namespace == "/proc/5/ns/mnt"
    assert process(0, 77, "/c/").namespace == process(-3, 77, "/c").namespace == "/c/proc/77/ns/mnt"


def found(tmp_path: Path, membership: str, mountinfo: str) -> tuple[int, str]:
    for name, text in (("5/cgroup", membership), ("6/mountinfo", mountinfo)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tuple(read_cgroup(proc=str(tmp_path), pid=5, mounts_of=6))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("membership", "mountinfo", "result"),
    [
        (V1, MOUNTS, (1, "/sys/fs/cgroup/devices/docker/abc")),
        (V2, MOUNTS, (2, "/sys/fs/cgroup/unified/system.slice/abc.scope")),
        (V1, ONLY_V2, (2, "/sys/fs/cgroup/unified/abc")),
        ("4:cpu,devices:/x\n0::/y\n", ONLY_V2, (2, "/sys/fs/cgroup/y")),
        (V1, MOUNTS.replace("0:26 / ", "0:26 /docker "), (1, "/sys/fs/cgroup/devices/abc")),
    ],
)
def test_the_device_cgroup_is_found(tmp_path: Path, membership: str, mountinfo: str, result: tuple[int, str]) -> None:
    assert found(tmp_path, membership, mountinfo) == result


PREFIX = "container error: failed to get device cgroup mount path: "


@pytest.mark.parametrize(
    ("membership", "mountinfo", "error"),
    [
        ("", MOUNTS, PREFIX + "unable to create cgroupv0 interface: invalid version"),
        ("junk\n", MOUNTS, PREFIX + "unable to create cgroupv0 interface: invalid version"),
        (V1, "", PREFIX + "no cgroup filesystem mounted for the devices subsytem in mountinfo file"),
        (V2, "", PREFIX + "no cgroup2 filesystem in mountinfo file"),
        (V2, "a b\n", PREFIX + "malformed mountinfo entry: a b"),
        (V1, MOUNTS.replace("0:26 / ", "0:26 /../.. "), PREFIX + "relative path in mount prefix: /../.."),
        (
            "1:devices:/../../etc\n",
            MOUNTS,
            PREFIX.replace("mount", "root") + "relative path in cgroup entry: /../../etc",
        ),
    ],
)
def test_a_cgroup_that_cannot_be_found_is_an_error(tmp_path: Path, membership: str, mountinfo: str, error: str) -> None:
    with pytest.raises(HostError) as e:
        found(tmp_path, membership, mountinfo)
    assert str(e.value) == error


@given(
    st.text(alphabet="0:devics/. \n-cgroup2", max_size=60), st.text(alphabet="/ .-cgroup2deviceis\n\\040", max_size=120)
)
def test_any_proc_text_gives_a_directory_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, membership: str, mountinfo: str
) -> None:
    try:
        version, _ = found(tmp_path_factory.mktemp("proc"), membership, mountinfo)
    except ToolkitError:
        return
    assert version in (1, 2)
