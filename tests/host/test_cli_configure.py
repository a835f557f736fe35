"""nvidia-container-cli configure in real containers: what it places, and that a failure leaves nothing behind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from legacy_runc import Host

pytestmark = pytest.mark.host
CUDA = "--compute --utility"
NVRM = "550.54.15"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    from conftest import requires

    requires("root", "runc", "busybox", "zig")
    with Host(tmp_path_factory.mktemp("legacy")) as machine:
        yield machine


def mounts(bundle: Path, name: str) -> list[tuple[str, str]]:
    """(mount point below the container's root, options) of each mount there, in order."""
    root = str(bundle / "rootfs")
    rows = [line.split() for line in (bundle / f"{name}.mounts").read_text().splitlines()]
    return [(row[4].removeprefix(root), row[5]) for row in rows if row[4].startswith(root)]


def files(bundle: Path, name: str) -> set[str]:
    return set((bundle / f"{name}.files").read_text().split())


def test_one_gpu_gets_its_node_its_proc_directory_and_the_soname_links(host: Host) -> None:
    command = "ls /dev /proc/driver/nvidia /proc/driver/nvidia/gpus; readlink /usr/lib64/libcuda.so.1"
    outcome = host.run(host.bundle(f"configure {CUDA} --device=2", command))
    assert outcome.returncode == 0, outcome.stderr
    words = outcome.stdout.split()
    assert [word for word in words if word.startswith("nvidia") and not word.endswith(":")] == [
        "nvidia-uvm",
        "nvidia-uvm-tools",
        "nvidia2",
        "nvidiactl",
    ]
    assert "0000:47:00.0" in words and "0000:07:00.0" not in words
    assert words[-1] == f"libcuda.so.{NVRM}"


def test_mounts_come_in_upstreams_order_with_upstreams_flags(host: Host, golden: Callable[[str, str], None]) -> None:
    bundle = host.bundle(
        f"look before; configure {CUDA} --graphics --display --compat32 --device=0,3 --imex-channel=; look after",
        "true",
    )
    assert host.run(bundle).returncode == 0
    new = mounts(bundle, "after")[len(mounts(bundle, "before")) :]
    golden("cli/configure-mounts.txt", "".join(f"{point} {options}\n" for point, options in new))


def test_params_forbid_to_make_device_nodes(host: Host) -> None:
    outcome = host.run(host.bundle(f"configure {CUDA} --device=0", "grep ModifyDeviceFiles /proc/driver/nvidia/params"))
    assert outcome.stdout.strip() == "ModifyDeviceFiles: 0"


def test_the_application_profile_names_the_minors(host: Host) -> None:
    outcome = host.run(
        host.bundle(
            "configure --graphics --device=1,3", "cat /etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf"
        )
    )
    assert '"EGLVisibleDGPUDevices", 0xa]' in outcome.stdout


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (f"{CUDA} --device=9", "device error: 9: unknown device"),
        (
            f"{CUDA} --device=0 --require='cuda>=99'",
            "requirement error: unsatisfied condition: cuda>=99, please update",
        ),
        (
            f"{CUDA} --device=0 --imex-channel=7",
            "mount error: stat failed: /dev/nvidia-caps-imex-channels/channel7: no su",
        ),
        (
            f"{CUDA} --device=0 --ldconfig=@/bin/busybox",
            "ldcache error: process /bin/busybox failed with error code: 127",
        ),
        (f"{CUDA} --device=0 --ldconfig=@/nosuch", "ldcache error: open failed: /nosuch: no such file or directory"),
    ],
)
def test_a_failed_configure_leaves_the_container_as_it_was(host: Host, options: str, error: str) -> None:
    bundle = host.bundle(f"look before; configure {options} 2> $OUT/error; look after", "ls /dev")
    outcome = host.run(bundle)
    assert (bundle / "error").read_text().startswith(f"nvidia-container-cli: {error}")
    assert mounts(bundle, "after") == mounts(bundle, "before")
    assert files(bundle, "after") == files(bundle, "before")
    assert "nvidia" not in outcome.stdout


def test_a_second_configure_does_not_stack_mounts(host: Host) -> None:
    once = f"configure {CUDA} --graphics --device=0"
    bundle = host.bundle(f"{once}; look one; {once} 2> $OUT/error; look two", "true")
    assert host.run(bundle).returncode == 0
    assert (bundle / "error").read_text() == ""
    assert mounts(bundle, "two") == mounts(bundle, "one")


def test_a_second_configure_adds_what_is_new(host: Host) -> None:
    bundle = host.bundle(f"configure {CUDA} --device=0; look one; configure {CUDA} --device=4; look two", "true")
    assert host.run(bundle).returncode == 0
    new = [point for point, _ in mounts(bundle, "two") if (point, _) not in mounts(bundle, "one")]
    assert new == ["/dev/nvidia4", "/proc/driver/nvidia/gpus/0000:87:00.0"]


ATTACKS = {
    "firmware directory is a link to the host": {"/lib/firmware": "-> {victim}"},
    "firmware directory climbs out": {"/lib/firmware": "-> ../../../../../../../..{victim}"},
    "library is a link to the host": {f"/usr/lib64/libcuda.so.{NVRM}": "-> {victim}/made"},
    "library directory is a link to the host": {"/usr/lib64": "-> {victim}"},
    "run is a link that climbs out": {"/run": "-> ../../../../../../../../..{victim}"},
    "links made by us are there and lead out": {"/usr/lib64/libcuda.so": "-> {victim}/made"},
    "CVE-2024-0132": {
        "/usr/local/cuda/compat/libcuda.so.99": "-> /usr/lib64/libcuda.so/libcuda.so.99",
        "/usr/lib64/libcuda.so.1": "-> ../../evil",
        "/evil/libcuda.so.99": "-> /",
    },
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_image_cannot_reach_the_host(host: Host, tmp_path: Path, attack: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "secret").write_text("SECRET")
    image = {path: content.replace("{victim}", str(victim)) for path, content in ATTACKS[attack].items()}
    if "/usr/lib64" in image or "/run" in image:
        bundle = host.bundle(f"configure {CUDA} --device=0 2> $OUT/error; look after", "true")
        for path, content in image.items():
            place = bundle / "rootfs" / path.lstrip("/")
            place.rmdir()
            place.symlink_to(content[3:])
    else:
        bundle = host.bundle(f"configure {CUDA} --device=0 2> $OUT/error; look after", "true", files=image)
    host.run(bundle)
    assert {path.name: path.read_text() for path in victim.iterdir()} == {"secret": "SECRET"}
    root = str(bundle / "rootfs")
    lines = [line.split() for line in (bundle / "after.mounts").read_text().splitlines()]
    assert not [row[4] for row in lines if str(victim) in (row[3], row[4]) and not row[4].startswith(root)]
    error = (bundle / "error").read_text()
    assert not error or error.startswith("nvidia-container-cli: mount error: path error: "), error


def test_a_fifo_in_the_image_does_not_stop_us(host: Host) -> None:
    bundle = host.bundle(f"mkfifo $ROOTFS/usr/bin/nvidia-smi; configure {CUDA} --device=0", "ls -l /usr/bin/nvidia-smi")
    outcome = host.run(bundle)
    assert outcome.returncode == 0 and outcome.stdout.startswith("-rwx"), outcome.stderr


def test_crun_runs_the_same_hook(tmp_path: Path, requires: Callable[..., None]) -> None:
    requires("root", "crun", "busybox")
    with Host(tmp_path, cgroup="v1") as host:
        bundle = host.bundle(f"configure {CUDA} --device=5", "ls /dev; cat /dev/nvidia5")
        outcome = host.run(bundle, "crun")
    assert "nvidia5" in outcome.stdout.split() and "nvidia0" not in outcome.stdout
    assert "/dev/nvidia5': No such device or address" in outcome.stderr


def test_without_a_pid_the_container_is_that_of_the_caller(host: Host) -> None:
    inside = f"{host.cli} configure --no-cgroups --compute --device=1 --ldconfig=@/sbin/ldconfig $ROOTFS; true"
    bundle = host.bundle(f'nsenter --mount --pid --target=$PID sh -c "{inside}"', "ls /dev")
    outcome = host.run(bundle)
    assert "nvidia1" in outcome.stdout.split(), outcome.stderr
