"""Hostile images in real containers, in legacy and jit-cdi mode: docs/security.md lists the attacks by their names.

After each: the host's tree around the container's root is as it was (names, inodes, times, content), no file of it can
be read in the container, the host's mounts are the same, and nobody waits for ever.
"""

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from hostile import COMPAT, SECRET, SWAPPER, Attack

from nvsim import build, elf, profile
from nvsim.machine import Machine
from scenarios import bundle, hosts, request, toml
from toolkit import launchers

pytestmark = pytest.mark.host
V = "550.54.15"
L = "usr/lib/x86_64-linux-gnu"
MODES = ("legacy", "jit-cdi")
SKIPPED = ("proc", "sys", "dev/pts", "dev/mqueue")  # of a container: the kernel's, which are as in every container
Fate = Literal["starts", "refused", "either"]


class Row(NamedTuple):
    """What an image holds, and what becomes of a container of it in both modes; None: runc makes those mounts alone."""

    prepare: Callable[[Attack], object]
    legacy: Fate
    jit: Fate | None


def chain(last: str) -> Callable[[Attack], object]:
    """The three links of CVE-2024-0132; the toolkit itself makes the one in the middle, libcuda.so."""
    def prepare(a: Attack) -> None:
        (a.root / COMPAT).unlink()
        a.put("usr/local/cuda/compat/libcuda.so.999", f"/{L}/libcuda.so/libcuda.so.999")
        a.put(f"{L}/libcuda.so.1", "../../../evil")
        a.put("evil/libcuda.so.999", last.format(home=a.home))
    return prepare


def special(kind: int, path: str) -> Callable[[Attack], object]:
    def prepare(a: Attack) -> None:
        place = a.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        os.mknod(place, kind | 0o666, os.makedev(1, 3))
    return prepare


def many_compat(a: Attack) -> None:
    for number in range(3000):
        (a.root / f"usr/local/cuda/compat/libcuda.so.999.{number}").touch()


def links_in_a_row(a: Attack, hops: int) -> None:
    target = "usr/real"
    (a.root / target).mkdir(parents=True, exist_ok=True)
    for number in range(hops):
        a.put(f"hop{number}", target if not number else f"hop{number - 1}")
    a.put("lib/firmware", f"/hop{hops - 1}")


def odd_names(a: Attack) -> None:
    for name in (b"lib\nnew.so.1", b"lib space.so.1", b"lib%s%n.so.1", b"lib\xff\xfe.so.1", b"x" * 255):
        Path(os.fsdecode(bytes(a.root / "usr/local/cuda/compat") + b"/" + name)).touch()


def hard_link(a: Attack) -> None:
    (a.root / L).mkdir(parents=True, exist_ok=True)
    (a.root / "usr/kept").write_text("content of the image")
    os.link(a.root / "usr/kept", a.root / L / f"libcuda.so.{V}")


def text(path: str, content: str) -> Callable[[Attack], object]:
    def prepare(a: Attack) -> None:
        place = a.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content.format(victim=a.victim, home=a.home))
    return prepare


def put(path: str, target: str) -> Callable[[Attack], object]:
    return lambda a: a.put(path, target.format(victim=a.victim, home=a.home))


def up(path: str, target: str) -> Callable[[Attack], object]:
    return lambda a: a.up(path, target.format(victim=a.victim, home=a.home))


ROWS: dict[str, Row] = {
    # Targets of mounts and links
    "target: firmware is a link to the host": Row(put("usr/lib/firmware", "{victim}"), "starts", None),
    "target: firmware climbs out": Row(up("usr/lib/firmware", "{victim}"), "refused", None),
    "target: a library is a link to the host": Row(put(f"{L}/libcuda.so.{V}", "{home}/etc/shadow"), "starts", None),
    "target: a library climbs out": Row(up(f"{L}/libcuda.so.{V}", "{home}/etc/shadow"), "refused", None),
    "target: the folder of libraries is a link": Row(put(L, "{victim}"), "starts", None),
    "target: the folder of libraries climbs out": Row(up(L, "{victim}"), "refused", None),
    "target: the folder of libraries dangles": Row(put(L, "/nowhere"), "either", None),
    "target: the folder of libraries is a loop": Row(put(L, "x86_64-linux-gnu"), "refused", "either"),
    "target: programs by a magic link": Row(put("usr/bin", "/proc/self/root{victim}"), "either", None),
    "target: programs by somebody's directory": Row(put("usr/bin", "/proc/1/cwd"), "either", None),
    "target: a library is a directory": Row(lambda a: (a.root / L / f"libcuda.so.{V}").mkdir(parents=True), "refused",
                                            ""),
    "target: a library is a FIFO": Row(special(stat.S_IFIFO, f"{L}/libcuda.so.{V}"), "starts", None),
    "target: a library is a device": Row(special(stat.S_IFCHR, f"{L}/libcuda.so.{V}"), "starts", None),
    "target: a library is a socket": Row(special(stat.S_IFSOCK, f"{L}/libcuda.so.{V}"), "starts", None),
    "target: a library has another name in the image": Row(hard_link, "starts", "starts"),
    "target: our links lead out": Row(lambda a: (put(f"{L}/libcuda.so", "{victim}/x")(a), up(
        f"{L}/libGLX_indirect.so.0", "{victim}/x")(a)), "starts", "either"),
    "target: run climbs out": Row(up("run", "{victim}"), "refused", None),
    "target: the profile's folder is a link": Row(put("etc/nvidia", "{victim}"), "starts", "either"),
    "target: proc is a link": Row(put("proc", "{victim}"), "either", "either"),
    "target: many links in a row": Row(lambda a: links_in_a_row(a, 60), "refused", "either"),
    "target: debian_version climbs out": Row(up("etc/debian_version", "{home}/etc/shadow"), "refused", None),
    "target: debian_version dangles": Row(put("etc/debian_version", "/nowhere"), "starts", None),
    # Compatibility libraries of the image
    "compat: the chain to the host's root": Row(chain("/"), "starts", "starts"),
    "compat: the chain to a folder": Row(chain("{home}/etc"), "starts", "starts"),
    "compat: the chain to a file": Row(chain("{home}/etc/shadow"), "starts", "starts"),
    "compat: the chain that climbs": Row(chain("../" * 40), "starts", "starts"),
    "compat: a link to a file of the host": Row(put(COMPAT, "{home}/etc/shadow"), "starts", "starts"),
    "compat: the folder is the host's": Row(up("usr/local/cuda/compat", "{victim}/lib"), "refused", "either"),
    "compat: cuda is the root": Row(put("usr/local/cuda", "/"), "starts", "starts"),
    "compat: a FIFO": Row(special(stat.S_IFIFO, COMPAT), "starts", "starts"),
    "compat: a device": Row(special(stat.S_IFCHR, COMPAT), "starts", "starts"),
    "compat: a huge file": Row(lambda a: os.truncate(a.root / COMPAT, 10 << 30), "starts", "starts"),
    "compat: thousands of files": Row(many_compat, "either", "either"),
    "compat: odd names": Row(odd_names, "either", "either"),
    # ldconfig
    "ldconfig: the cache is a link": Row(put("etc/ld.so.cache", "{victim}/f"), "starts", "starts"),
    "ldconfig: the cache climbs out": Row(up("etc/ld.so.cache", "{victim}/f"), "starts", "starts"),
    "ldconfig: its temporary file is a link": Row(put("etc/ld.so.cache~", "{victim}/f"), "either", "either"),
    "ldconfig: the cache is a directory": Row(lambda a: (a.root / "etc/ld.so.cache").mkdir(), "refused", "refused"),
    "ldconfig: includes the host": Row(text("etc/ld.so.conf", "include {victim}/*\ninclude /../../..{victim}/*\n"
                                            "include /proc/1/root{victim}/*\ninclude /etc/ld.so.conf\n"), "starts",
                                       "starts"),
    "ldconfig: ld.so.conf is a link": Row(put("etc/ld.so.conf", "{home}/etc/shadow"), "starts", "either"),
    "ldconfig: sys is a link": Row(up("sys", "{victim}"), "either", "either"),
    "ldconfig: etc is a link": Row(put("etc", "{victim}"), "either", "either"),
    "ldconfig: the image's own program": Row(lambda a: (text("sbin/ldconfig", "#!/bin/sh\ntouch /ran {victim}/ran\n")(
        a), (a.root / "sbin/ldconfig").chmod(0o755)), "starts", "starts"),
    "ldconfig: the image preloads": Row(text("etc/ld.so.preload", "/evil.so\n"), "starts", "starts"),
}


class Place:
    """One machine with the toolkit, and containers whose roots are attacks."""

    def __init__(self, folder: Path, machine: Machine, evil: Path) -> None:
        self.folder, self._machine, self.evil = folder, machine, evil

    def image(self) -> Attack:
        """A small Debian-like image that runs a shell, in a host tree of its own."""
        home = self.folder / uuid.uuid4().hex[:8]
        home.mkdir()
        attack = Attack(home)
        for name in (L, "bin", "usr/bin"):
            (attack.root / name).mkdir(parents=True, exist_ok=True)
        shutil.copy("/bin/busybox", attack.root / "bin/sh")
        (attack.root / "etc/debian_version").write_text("12.5\n")
        (attack.root / COMPAT).write_bytes(elf.shared_object(soname="libcuda.so.1"))
        shutil.copy(self.evil, attack.root / "evil.so")
        return attack

    def create(self, attack: Attack, mode: str, *env: str) -> tuple[bool, str]:
        """Whether the container could be created, and what was said; checks the host and the container."""
        config = {"nvidia-container-runtime": {"mode": mode, "runtimes": ["runc"]}}
        run = request.parse_run("docker run --rm --runtime=nvidia debian", "attack")
        name = f"attack-{attack.home.name}"
        given = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility,graphics",
                 **dict(item.split("=", 1) for item in env)}
        spec = bundle.spec_of(run, env=tuple(given.items()), command=("/bin/sh", "-c", "true"),
                              rootfs=str(attack.root), cgroup=f"/nvsim-{name}",
                              capabilities=bundle.own_capabilities())
        (attack.home / "bundle/config.json").write_text(json.dumps(spec))
        self._run(["sh", "-c", f"cat > {hosts.CONFIG}"], input=toml.dumps(config))  # type: ignore[arg-type]
        before, mounts = outside(attack), self._mounts()
        log = self.folder / f"{name}.log"
        state = ["--root", str(self.folder / "state")]
        try:
            with log.open("w") as out:
                started = self._machine.popen(
                    ["nvidia-container-runtime", *state, "create", "--bundle", str(attack.home / "bundle"), name],
                    stdin=subprocess.DEVNULL, stdout=out, stderr=out).wait(60) == 0
            attack.calm()
            if started:
                self._look(attack, json.loads(self._run(["runc", *state, "state", name]).stdout)["pid"])
        finally:
            self._run(["runc", *state, "delete", "--force", name])
        assert outside(attack) == before, f"the host has changed: {mode}"
        assert self._mounts() == mounts
        assert attack.leaks() == []
        return started, log.read_text(errors="replace")

    def _look(self, attack: Attack, pid: int) -> None:
        """No file of the host's tree can be read in the container, whatever is mounted there."""
        root = f"/proc/{self._machine.pid}/root/proc/{pid}/root"
        forbidden = {(one.st_dev, one.st_ino) for path in outside(attack) for one in [os.lstat(path)]
                     if not path.startswith(str(attack.home / "c"))}
        for folder, folders, files in os.walk(root):
            inside = os.path.relpath(folder, root)
            folders[:] = [name for name in folders if os.path.normpath(f"{inside}/{name}") not in SKIPPED]
            for name in (*folders, *files):
                found = os.lstat(f"{folder}/{name}")
                assert (found.st_dev, found.st_ino) not in forbidden, f"{inside}/{name} is the host's"
                if stat.S_ISREG(found.st_mode) and found.st_size < 1 << 12:
                    with contextlib.suppress(OSError):
                        assert SECRET.strip().encode() not in Path(folder, name).read_bytes(), f"{inside}/{name}"

    def _mounts(self) -> str:
        return Path(f"/proc/{self._machine.pid}/mountinfo").read_text()

    def _run(self, command: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        return self._machine.run(command, timeout=60, **options)


def outside(attack: Attack) -> dict[str, object]:
    """The host's tree without the bundle, whose config.json is the runtime's to write."""
    return {path: facts for path, facts in attack.host().items() if "/bundle" not in path}


EVIL = """
int rename(const char *, const char *);
__attribute__((constructor)) static void f(void) {{ rename("{0}/bait", "{0}/caught"); }}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    from conftest import requires

    requires("root", "runc", "busybox", "zig")
    folder = tmp_path_factory.mktemp("attacks")
    folder.chmod(0o755)
    (folder / "evil.c").write_text(EVIL.format(folder))
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-target", f"{os.uname().machine}-linux-gnu.2.17", "-shared",
                    "-fPIC", "-o", str(folder / "evil.so"), str(folder / "evil.c")], check=True)
    (folder / "bait").touch()
    subprocess.run(["true"], env={**os.environ, "LD_PRELOAD": str(folder / "evil.so")}, check=True)
    assert (folder / "caught").exists(), "the library that no program must load does nothing"
    (folder / "caught").unlink()
    build.build(profile.load("t4x1"), str(folder / "machine"))
    config = folder / f"machine{hosts.CONFIG}"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.touch()
    launchers.install(str(folder / "machine/usr/bin"), sys.executable)
    with Machine(str(folder / "machine")) as machine:
        yield Place(folder, machine, folder / "evil.so")
    build.remove(str(folder / "machine"))


def fate(started: bool) -> str:
    return "starts" if started else "refused"


@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name, row in ROWS.items() for mode in MODES
                                            if mode == "legacy" or row.jit])
def test_the_host_is_untouched(place: Place, name: str, mode: str) -> None:
    attack = place.image()
    ROWS[name].prepare(attack)
    started, said = place.create(attack, mode)
    wanted = ROWS[name].legacy if mode == "legacy" else ROWS[name].jit
    assert wanted in ("either", fate(started)), said
    assert "Traceback" not in said
    assert not (attack.root / "ran").exists()


def test_without_an_attack_a_container_of_this_image_starts(place: Place) -> None:
    for mode in MODES:
        started, said = place.create(place.image(), mode)
        assert started, said


ENVIRONMENTS = {
    "environment: the loader": ["LD_PRELOAD=/proc/self/cwd/evil.so", "LD_LIBRARY_PATH=/proc/self/cwd",
                                "LD_AUDIT=/proc/self/cwd/evil.so"],
    "environment: Python": ["PYTHONPATH=/proc/self/cwd", "PYTHONHOME=/proc/self/cwd", "PYTHONSTARTUP=/evil.py",
                            "PYTHONINSPECT=1", "PYTHONWARNINGS=error", "PYTHONBREAKPOINT=evil.f"],
    "environment: the C library": ["GCONV_PATH=/proc/self/cwd", "LOCPATH=/proc/self/cwd", "NLSPATH=/proc/self/cwd/%N",
                                   "TMPDIR=/proc/self/cwd", "HOSTALIASES=/etc/shadow"],
    "environment: the driver's files": ["CUDA_MPS_PIPE_DIRECTORY=/etc", "NVC_DEBUG_FILE=/etc/passwd",
                                        "NVIDIA_CTK_CONFIG_FILE_PATH=/evil.toml", "XDG_CONFIG_HOME=/proc/self/cwd"],
    "environment: options in values": ["NVIDIA_DRIVER_CAPABILITIES=compute --ldconfig=/evil",
                                       "NVIDIA_REQUIRE_X=--root=/"],
    "environment: requests": ["NVIDIA_VISIBLE_DEVICES=0,--mig-config=all,../../etc,%n%s,\n"],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_environment_of_an_image_reaches_no_program_of_the_host(place: Place, name: str, mode: str) -> None:
    attack = place.image()
    bait = place.folder / "bait"
    bait.touch()
    for module in ("os", "json", "sitecustomize", "encodings", "ctypes"):
        (attack.root / f"{module}.py").write_text(f"open({str(place.folder / 'caught')!r}, 'w')\n")
    started, said = place.create(attack, mode, *ENVIRONMENTS[name])
    assert bait.exists() and not (place.folder / "caught").exists(), said
    assert started or "options" in name or "requests" in name, said


@pytest.mark.parametrize("path", [L, "usr/local/cuda/compat", "run"])
def test_a_path_that_changes_meanwhile_does_not_lead_out(place: Place, path: str) -> None:
    """In legacy mode, where all mounts are ours: runc before 1.1.14 loses this race itself (CVE-2024-45310)."""
    attack = place.image()
    other = attack.root / "tmp/other"
    other.symlink_to(attack.victim)
    number = {"x86_64": 316, "aarch64": 276}[os.uname().machine]
    swapper = subprocess.Popen([sys.executable, "-IS", "-c", SWAPPER.format(renameat2=number),
                                str(attack.root / path), str(other)], stdout=subprocess.PIPE)
    attack.accomplices.append(swapper)
    assert swapper.stdout and swapper.stdout.readline() == b"ready\n"
    _, said = place.create(attack, "legacy", "NVIDIA_DRIVER_CAPABILITIES=compute,utility")
    assert "Traceback" not in said


def test_every_attack_is_in_the_documentation() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/security.md").read_text()
    assert [name for name in (*ROWS, *ENVIRONMENTS) if name not in text] == []
