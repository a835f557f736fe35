"""What the files of a machine tell: read from hosts that lie in a folder, and from trees made for the purpose."""

import pytest

from nvsim import build, profile, record_facts
from nvsim.record_facts import PciGpu, Processors


def near(*cpus: str) -> tuple[PciGpu, ...]:
    return tuple(PciGpu(bus_id=f"0000:0{n}:00.0", device=0, numa_node=n, cpus=text) for n, text in enumerate(cpus))


@pytest.mark.parametrize(("gpus", "wanted"), [
    ((), Processors()),
    (near(""), Processors()),
    (near("0-7"), Processors(nodes=1, cpus=8)),
    (near("0"), Processors(nodes=1, cpus=1)),
    (near("0-63", "64-127"), Processors(nodes=2, cpus=128)),
    (near("0-31,64-95"), Processors(nodes=2, cpus=128, threads=2)),
])
def test_processors_follow_from_the_cpus_near_gpus(gpus, wanted):
    assert record_facts.near_gpus(gpus) == wanted


def test_a_real_machine_has_the_processors_that_its_kernel_lists(tmp_path):
    for path, text in {"node/node0/cpulist": "0-1,4-5\n", "node/node1/cpulist": "2-3,6-7\n", "node/node2/cpulist": "\n",
                       "cpu/cpu0/topology/thread_siblings_list": "0,4\n"}.items():
        file = tmp_path / "sys/devices/system" / path
        file.parent.mkdir(parents=True)
        file.write_text(text)
    assert record_facts.gather(str(tmp_path)).processors == Processors(nodes=2, cpus=8, threads=2)


@pytest.mark.parametrize(("line", "version", "kind"), [
    ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024", "550.54.15", "closed"),
    ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.105.08  Release Build  (dvs-builder@U22-I3-B17-02-5)"
     "  Wed Oct 29 22:15:28 UTC 2025", "580.105.08", "open"),
    ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  565.77  Wed Nov 27 23:33:08 UTC 2024", "565.77", "closed"),
    ("", "", "closed"),
])
def test_the_kernel_module_is_told_by_its_version_file(tmp_path, line, version, kind):
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text(f"{line}\nGCC version:  gcc version 12.3.0\n")
    found = record_facts.gather(str(tmp_path))
    assert (found.kernel_driver, found.kernel_module) == (version, kind)


def test_virtual_functions_of_a_gpu_are_no_gpus(tmp_path):
    for name, entry in {"0000:3b:00.0": "", "0000:3b:00.4": "physfn"}.items():
        folder = tmp_path / "sys/bus/pci/devices" / name
        folder.mkdir(parents=True)
        for file, text in {"vendor": "0x10de", "device": "0x2235", "class": "0x030200"}.items():
            (folder / file).write_text(text + "\n")
        if entry:
            (folder / entry).symlink_to("../0000:3b:00.0")
    assert [gpu.bus_id for gpu in record_facts.gather(str(tmp_path)).gpus] == ["0000:3b:00.0"]


def test_a_hosts_daemons_switches_cards_and_gpus_are_found(tmp_path):
    one = profile.load("h100x8")
    build.build(one, str(tmp_path / "host"), nodes=False)
    found = record_facts.gather(str(tmp_path / "host"))
    assert (found.nvswitches, found.persistenced, found.fabricmanager, found.other_cards) == (True, True, True, 1)
    assert [(gpu.bus_id, gpu.minor, gpu.uuid) for gpu in found.gpus] == [
        (gpu.bus_id, gpu.minor, gpu.uuid) for gpu in one.gpus]


def test_addresses_and_host_names_of_imex_are_replaced_each_by_its_own():
    assert record_facts.scrubbed({
        "/etc/nvidia-imex/config.cfg": "# of rack 7\nIMEX_CMD_ENABLED=1\nBIND_IP=192.0.2.1\nLISTEN=0.0.0.0\n",
        "/etc/nvidia-imex/nodes_config.cfg": "tray1.example.com\n192.0.2.1\ntray1.example.com\n",
    }) == {
        "/etc/nvidia-imex/config.cfg": "IMEX_CMD_ENABLED=1\nBIND_IP=10.0.0.1\nLISTEN=0.0.0.0\n",
        "/etc/nvidia-imex/nodes_config.cfg": "10.0.0.2\n10.0.0.1\n10.0.0.2\n"}
