"""Every row of the error table of nvidia-container-cli, at the command line, on emulated hosts: `error_table/*.yaml`.

A row is a shell script (`run`, after `image` has prepared a root) and what has to come of it: the whole of stderr, of
stdout, and the exit code, which is 1 with an error and 0 without.  A new row is a new test.
"""

import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import pytest
import yaml

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit.launchers import install

pytestmark = pytest.mark.host
TABLE = Path(__file__).parent / "error_table"
NVML = "libnvidia-ml.so.1"
PROGRAMS = {
    "fails": b"\xbf\x03\0\0\0\xb8\x3c\0\0\0\x0f\x05",  # exit(3)
    "dies": b"\x31\xc0\x8b\x00",  # reads address 0
    "spins": b"\xeb\xfe",  # jumps to itself
}
SCRIPT = """
export PLACE=$1 CLI=$2 L=/usr/lib64
ENV=$(command -v env) ROOTFS=$PLACE/rootfs STUB=/mnt/whole STUB_WITHOUT_BRAND=/mnt/brandless PROBE=/mnt
mount --bind $3 /mnt
READ=+dac_read_search
CONFIGURE="$CLI configure --no-cgroups --compute --utility --ldconfig=@/sbin/ldconfig --pid=$$ $ROOTFS"
REQUIRE="$CLI configure --no-cgroups --ldconfig=@/sbin/ldconfig --pid=$$ $ROOTFS --require"
AS_NOBODY="setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=$READ --ambient-caps=$READ"
for folder in dev etc proc run sys tmp usr/bin usr/lib64; do mkdir -p $ROOTFS/$folder; done
mount --bind $ROOTFS $ROOTFS
mount --rbind /proc $ROOTFS/proc
echo $$ > $PLACE/pid
"""


class Row(NamedTuple):
    """One situation.  `differs` says what libnvidia-container does instead; no test reads it."""

    case: str
    run: str
    host: str = "a100x8"
    image: str = ""
    error: str = ""
    stdout: str = ""
    exit: int = -1
    differs: str = ""


def rows() -> list[Any]:
    """The rows of all files, each with its name."""
    found = []
    for path in sorted(TABLE.glob("*.yaml")):
        for entry in yaml.safe_load(path.read_text()):
            row = Row(**entry)
            found.append(pytest.param(row, id=f"{path.stem}-{row.case.replace(' ', '-')}"))
    return found


class Hosts:
    """The machines of the rows, each built and entered when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._machines: dict[str, Machine] = {}
        folder.chmod(0o755)
        install(str(folder / "bin"), sys.executable)

    @property
    def cli(self) -> str:
        return str(self._folder / "bin" / "nvidia-container-cli")

    def machine(self, name: str) -> Machine:
        if name not in self._machines:
            root = str(self._folder / name)
            build.build(profile.load(name), root)
            self._machines[name] = Machine(root).__enter__()
        return self._machines[name]

    def close(self) -> None:
        for machine in self._machines.values():
            machine.__exit__(None, None, None)
            build.remove(machine.root)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    from conftest import requires

    requires("root", "zig", "setpriv", "unshare")
    hosts = Hosts(tmp_path_factory.mktemp("table"))
    yield hosts
    hosts.close()


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two NVML stubs, an empty file of that name, and three programs in the place of ldconfig."""
    place = tmp_path_factory.mktemp("stubs")
    place.chmod(0o755)
    for name in ("whole", "brandless", "empty"):
        (place / name).mkdir()
    whole = place / "whole" / NVML
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu.2.17", "-shared", "-fPIC",
                    "-o", str(whole), str(TABLE / "stub.c")], check=True)
    renamed = whole.read_bytes().replace(b"\0nvmlDeviceGetBrand\0", b"\0nvmlDeviceGetBrood\0")
    (place / "brandless" / NVML).write_bytes(renamed)
    (place / "empty" / NVML).touch()
    for name, code in PROGRAMS.items():
        (place / name).write_bytes(program(code))
        (place / name).chmod(0o755)
    return place


def program(code: bytes) -> bytes:
    """A static ELF program for x86-64 that consists of one loaded segment."""
    size, base = 64 + 56, 0x400000
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, base + size, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size + len(code), size + len(code), 0x1000) + code


def carried_out(row: Row, machine: Machine, place: Path, cli: str, stubs: Path) -> "subprocess.CompletedProcess[str]":
    """The row's script in a mount namespace of its own: what it mounts is gone afterwards."""
    script = f"{SCRIPT}{row.image}\n{row.run}\n"
    command = ["unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh", str(place), cli, str(stubs)]
    return machine.run(command, timeout=60)


@pytest.mark.parametrize("row", rows())
def test_the_command_says_what_the_table_says(hosts: Hosts, stubs: Path, tmp_path: Path, row: Row) -> None:
    outcome = carried_out(row, hosts.machine(row.host), tmp_path, hosts.cli, stubs)
    names = {"PLACE": str(tmp_path), "ROOTFS": f"{tmp_path}/rootfs", "L": "/usr/lib64", "PROBE": "/mnt"}
    error, stdout = (Template(text).safe_substitute(names) for text in (row.error, row.stdout))
    error = error.replace("N: ", "nvidia-container-cli: ", 1) if error.startswith("N: ") else error
    error = error.replace("PID", (tmp_path / "pid").read_text().strip())
    if ".*" in error:
        assert re.fullmatch(error, outcome.stderr.rstrip("\n")), outcome.stderr
    else:
        assert outcome.stderr == (error + "\n" if error else "")
    assert outcome.stdout == stdout
    assert outcome.returncode == (row.exit if row.exit >= 0 else int(bool(error)))
