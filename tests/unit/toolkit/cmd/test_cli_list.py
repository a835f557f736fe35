"""list: which lines, in which order."""

import pytest

from toolkit.cmd.cli import options
from toolkit.cmd.cli.list import _with_defaults, paths
from toolkit.model.native import CAPABILITIES_DIR, Driver, Gpu, Host, MigDevice, Node

MIG = MigDevice(index=0, uuid="MIG-0", gpu_index=0, gpu_minor=4, gpu_instance=1, compute_instance=2)
GI, CI = MIG.access_files
HOST = Host(
    driver=Driver(
        libraries=("/l/libcuda.so.1",),
        libraries32=("/l32/libcuda.so.1",),
        binaries=("/usr/bin/nvidia-smi",),
        firmware=("/lib/firmware/x",),
        ipcs=("/run/socket",),
        devices=(Node("/dev/nvidiactl", 195, 255), Node("/dev/nvidia-modeset", 195, 254)),
    ),
    gpus=(
        Gpu(index=0, minor=4, uuid="GPU-0", bus_id="00000000:07:00.0", mig_capable=True, migs=(MIG,)),
        Gpu(index=1, minor=0, uuid="GPU-1", bus_id="00000000:08:00.0"),
    ),
    caps_major=237,
    cap_minors=((GI, 12), (CI, -1), (f"{CAPABILITIES_DIR}/mig/config", 1)),
    gpu_caps=((4, 12), (0, 30)),
)


def lines(*words: str, host: Host = HOST) -> list[str]:
    command = _with_defaults(options.parse(options.LIST, list(words)), list(words))
    return list(paths(command, tuple(map(int, filter(None, command.joined("imex-channel").split(",")))), host))


FILES = ["/usr/bin/nvidia-smi", "/l/libcuda.so.1", "/l32/libcuda.so.1", "/run/socket", "/lib/firmware/x"]
FIXED = ["/dev/nvidiactl", "/dev/nvidia-modeset"]
EVERYTHING = [*FIXED, "/dev/nvidia4", "/dev/nvidia0", GI, CI, "/dev/nvidia-caps/nvidia-cap12"]
CHANNEL = "/dev/nvidia-caps-imex-channels/channel5"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], EVERYTHING + FILES),
        (["--imex-channel=5"], [*EVERYTHING, CHANNEL, *FILES]),
        (["--imex-channel="], EVERYTHING + FILES),
        (["--imex-channel", "5"], [CHANNEL]),
        (["--compat32"], []),
        (["-l"], ["/l/libcuda.so.1"]),
        (["-l", "--compat32"], ["/l/libcuda.so.1", "/l32/libcuda.so.1"]),
        (["-bf"], ["/usr/bin/nvidia-smi", "/lib/firmware/x"]),
        (["-i"], ["/run/socket"]),
        (["-d1"], [*FIXED, "/dev/nvidia0"]),
        (["-d1", "-d0"], [*FIXED, "/dev/nvidia0", "/dev/nvidia4"]),
        (["-d", ""], FIXED),
        (["-d", "0:0"], [*FIXED, "/dev/nvidia4", GI, CI, "/dev/nvidia-caps/nvidia-cap12"]),
        (
            ["-dall", "--mig-config=all"],
            [
                *FIXED,
                "/dev/nvidia4",
                "/dev/nvidia0",
                f"{CAPABILITIES_DIR}/mig/config",
                "/dev/nvidia-caps/nvidia-cap1",
                f"{CAPABILITIES_DIR}/gpu4",
                "/dev/nvidia-caps",
                "/dev/nvidia-caps/nvidia-cap12",
            ],
        ),
        (["-d1", "--mig-monitor=all"], [*FIXED, "/dev/nvidia0"]),
    ],
)
def test_options_choose_the_lines(words: list[str], expected: list[str]) -> None:
    assert lines(*words) == expected


def test_without_capability_devices_only_files_are_listed() -> None:
    found = lines("-dall", "--mig-config=all", host=HOST._replace(caps_major=-1))
    assert found[4:] == [f"{CAPABILITIES_DIR}/mig/config", f"{CAPABILITIES_DIR}/gpu4"]
