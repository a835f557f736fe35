"""nvidia-ctk system on emulated hosts: the nodes and links that NVIDIA's own v1.20.0 makes there."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit.launchers import install

pytestmark = pytest.mark.host
System = Callable[..., tuple[int, list[str]]]


@pytest.fixture(scope="module", params=["a100x8-mig"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("system")
    install(str(folder / "bin"))
    build.build(profile.load(request.param), str(folder / "root"))
    with Machine(str(folder / "root")) as machine:
        yield machine


@pytest.fixture
def system(host: Machine) -> System:
    """`system(args…)` is the exit code and the log, without times, of `nvidia-ctk system …` on the machine."""
    tools = str(Path(host.root).parent / "bin")

    def run(*args: str, **env: str) -> tuple[int, list[str]]:
        done = host.run([f"{tools}/nvidia-ctk", "system", *args], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **env})
        assert done.stdout == ""
        return done.returncode, [line.partition(" ")[2] for line in done.stderr.splitlines()]

    return run


def said(text: str) -> str:
    return f'level=info msg="{text}"'


def test_control_nodes_are_made_once_for_everyone(system: System, tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    code, log = system("create-device-nodes", "--control-devices", "--dev-root", str(tmp_path))
    assert (code, log) == (0, [said(f"Creating control device nodes at {tmp_path}")])
    nodes = {name: os.stat(tmp_path / "dev" / name) for name in sorted(os.listdir(tmp_path / "dev"))}
    assert list(nodes) == ["nvidia-modeset", "nvidia-uvm", "nvidia-uvm-tools", "nvidiactl"]
    assert {stat.filemode(status.st_mode) for status in nodes.values()} == {"crw-rw-rw-"}
    assert [os.minor(status.st_rdev) for status in nodes.values()] == [254, 0, 1, 255]
    assert {os.major(nodes[name].st_rdev) for name in ("nvidiactl", "nvidia-modeset")} == {195}
    code, log = system("create-device-nodes", "--control-devices", "--dev-root", str(tmp_path))
    assert code == 0 and log[1] == said(f"Skipping: {tmp_path}/dev/nvidiactl already exists") and len(log) == 5


def test_a_dry_run_says_what_it_would_run(system: System, tmp_path: Path) -> None:
    code, log = system("create-device-nodes", "--control-devices", "--load-kernel-modules", DRY_RUN="1", ROOT="/x")
    assert code == 0 and log[:4] == [said('Using dev-root \\"/x\\"'), *(
        said(f"Running: chroot /x /sbin/modprobe {module}") for module in ("nvidia", "nvidia-uvm", "nvidia-modeset"))]
    assert log[5] == said("Running: mknod --mode=0666 /x/dev/nvidiactl c 195 255")


def test_a_folder_that_is_missing_is_an_error(system: System) -> None:
    code, log = system("create-device-nodes", "--control-devices", "--dev-root", "/none")
    assert code == 1 and "failed to create NVIDIA control device nodes: failed to create device node nvidiactl: " \
                         "no such file or directory" in log[1]


def test_every_node_gets_its_link_and_what_exists_is_left_alone(system: System, host: Machine, tmp_path: Path) -> None:
    folder = str(tmp_path / "char")
    code, log = system("create-dev-char-symlinks", "--dev-char-path", folder)
    assert code == 0 and said(f"Creating link {folder}/195:0 => /dev/nvidia0") in log
    listed = host.run(["sh", "-c", f"cd {folder} && for l in *; do echo $l $(readlink $l) $(stat -Lc %t:%T $l); done"])
    links = [line.split() for line in listed.stdout.splitlines()]
    assert len(links) == len(log) > 12
    assert all(name == ":".join(str(int(part, 16)) for part in number.split(":")) for name, _, number in links)
    code, log = system("create-dev-char-symlinks", "--dev-char-path", folder)
    assert code == 0 and sum("level=warning msg=\"Could not create symlink" in line for line in log) == len(links)


def test_all_possible_links_cover_the_mig_devices_that_may_come(system: System) -> None:
    code, log = system("create-dev-char-symlinks", "--create-all", "--dry-run")
    targets = [line.rpartition("=> ")[2].rstrip('"') for line in log]
    assert code == 0 and targets[:6] == [
        "/dev/nvidia-modeset", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools",
        "/dev/nvidia-caps/nvidia-cap1", "/dev/nvidia-caps/nvidia-cap2"]
    assert [target for target in targets if target.rstrip("0123456789") == "/dev/nvidia"] == [
        f"/dev/nvidia{number}" for number in range(8)]


def test_options_of_create_all_are_ignored_without_it(system: System) -> None:
    code, log = system("create-dev-char-symlinks", "--dry-run", "--load-kernel-modules", "--create-device-nodes")
    assert code == 0 and log[:2] == [
        f'level=warning msg="{name} is only applicable when create-all is set; ignoring"'
        for name in ("load-kernel-modules", "create-device-nodes")]


def test_a_machine_without_the_driver_says_so(tmp_path: Path) -> None:
    install(str(tmp_path / "bin"))
    build.build(profile.load("no-driver"), str(tmp_path / "root"))
    with Machine(str(tmp_path / "root")) as machine:
        for args, text in ((["create-device-nodes", "--control-devices"], "failed to create devices info"),
                           (["create-dev-char-symlinks", "--create-all"],
                            "failed to create symlink creator: failed to create all possible device lister: failed "
                            "reading device majors")):
            done = machine.run([f"{tmp_path}/bin/nvidia-ctk", "system", *args])
            assert done.returncode == 1 and f"{text}: no NVIDIA devices found" in done.stderr
