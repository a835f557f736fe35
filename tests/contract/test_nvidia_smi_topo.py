"""nvidia-smi topo and nvlink.  Lines, messages and statuses were observed of NVIDIA's 550.163.01."""

import pytest

from nvsim import board

H100, A100 = "H100-SXM5-80GB", "A100-SXM4-40GB"


@pytest.mark.parametrize(("name", "models"), [("h100x8", (H100,) * 8), ("a100x2", (A100,) * 2), ("t4x1", ("T4",))])
@pytest.mark.parametrize("option", ["-m", "-mp"])
def test_the_matrix_has_a_row_for_each_gpu(host, golden, name, models, option):
    status, text = host(*models).says("topo", option)
    assert status == 0
    golden(f"nvidia-smi/topo{option}-{name}.txt", text)


def test_links_that_are_down_do_not_count(host):
    smi = host(H100, H100)
    board.update(smi.library, 0, nvlink_active=0b101)
    rows = [line.split("\t")[:3] for line in smi.says("topo", "-m")[1].splitlines()[1:3]]
    assert rows == [["GPU0", " X ", "NV2"], ["GPU1", "NV18", " X "]]
    board.update(smi.library, 0, nvlink_active=0)
    board.update(smi.library, 1, nvlink_active=0)
    assert "NV18" not in smi.says("topo", "-m")[1]


@pytest.mark.parametrize("capability", ["r", "w", "n", "a", "p"])
def test_peers_are_told_by_capability(host, golden, capability):
    golden(f"nvidia-smi/topo-p2p-{capability}.txt", host(A100, A100, "T4").says("topo", "-p2p", capability)[1])


@pytest.mark.parametrize(("args", "status", "text"), [
    (["-c", "0"], 0, "The GPUs that have an affinity with CPU 0 are:\n0, 1, 2\n\n"),
    (["-c", "9999"], 255, "Failed to display GPUs with affinity for a given CPU information\n\n"),
    (["-n", "0", "-i", "0"], 0,
     "Device 0 is not connected to other devices by way of an single on-board PCIe switch.\n\n"),
    (["-n", "5", "-i", "0"], 0, "Device 0 is connected by way of an SMP interconnect link between NUMA nodes to "
                                "device(s): 1, 2\n\n"),
    (["-n", "9", "-i", "0"], 255, "Failed to display the nearest GPUs\n\n"),
    (["-p", "-i", "0,2"], 0, "Device 0 is connected to device 2 by way of an on-CPU interconnect between PCIe host "
                             "bridges.\n\n"),
    (["-M", "-i", "1"], 0, "NUMA IDs of closest memory: 0\n"),
    (["-gnid", "-i", "1"], 0, "N/A\n")])
def test_a_gpu_is_told_its_place(smi, args, status, text):
    assert smi.says("topo", *args) == (status, text)


@pytest.mark.parametrize(("args", "status", "text"), [
    (["-foo"], 2, 'Option "-foo" is not recognized.\n'),
    (["-p2p"], 2, 'Option "-p2p" is missing its value.\n'),
    (["-p2p", "x"], 2, "Invalid p2p capability index specified at the command-line\n"),
    (["-c", "foo"], 2, 'Option "foo" is invalid for "-c".\n'),
    (["-n", "5"], 2, "Nearest GPUs argument must be used in conjunction with the -i argument which must be a single "
                     "identifier.\n\n"),
    (["-p", "-i", "0"], 2, "Path command line flag must be used in conjection with the -i argument which must be two "
                           "GPU identifiers.\n\n"),
    (["-m", "-i", "0"], 255, "The -i command line argument must be used in conjunction with -n or -p.\n\n"),
    (["-n", "5", "-i", "9"], 6, "No devices were found\n")])
def test_a_wrong_command_line_is_answered_as_by_the_genuine_tool(smi, args, status, text):
    assert smi.says("topo", *args) == (status, text)


@pytest.mark.parametrize("option", ["-s", "-c", "-p", "-R", "-e", "-gt=dr"])
def test_links_are_listed(host, golden, option):
    smi = host(H100, "T4")
    board.update(smi.library, 0, nvlink_active=0b1111)
    status, text = smi.says("nvlink", option)
    assert status == 0
    golden(f"nvidia-smi/nvlink{option.partition('=')[0]}.txt", text)


def test_one_link_can_be_asked_for(host):
    smi = host(H100)
    board.update(smi.library, 0, nvlink_active=0b1)
    name = smi.says("-L")[1]
    assert smi.says("nvlink", "-s", "-l", "0") == (0, f"{name}\t Link 0: 26.562 GB/s\n")
    assert smi.says("nvlink", "-s", "-l", "3") == (
        0, f"{name}NVML: Unable to retrieve NVLink information for link 3 - inActive\n")
    assert smi.says("nvlink", "-e", "-l", "3")[1].endswith("Unable to retrieve NVLink errors for link 3 - inActive\n")


def test_links_that_are_all_down_are_one_line(host):
    smi = host(H100)
    board.update(smi.library, 0, nvlink_active=0)
    for option, what in (("-s", "information"), ("-e", "errors")):
        assert smi.says("nvlink", option) == (
            0, smi.says("-L")[1] + f"NVML: Unable to retrieve NVLink {what} as all links are inActive\n")


def test_a_gpu_without_links_is_not_spoken_of(host):
    assert host("T4").says("nvlink", "-s") == (0, "")


@pytest.mark.parametrize(("args", "text"), [
    (["-g", "0"], "Warning: Getting counters using option -g is deprecated. \nPlease use option -gt instead.\n\n"),
    (["-sc", "0bn"], "Warning: Setting counter control is deprecated!\n\n"),
    (["-r", "0"], "Warning: Resetting throughput counters is deprecated!\n\n"),
    (["-ec"], "NVML: Unable to retrieve NvLink ECC error counter for link 0: Not Supported\n")])
def test_counters_that_are_gone_are_refused(host, args, text):
    smi = host(H100)
    assert smi.says("nvlink", *args) == (3, smi.says("-L")[1] + text)


@pytest.mark.parametrize("command", ["topo", "nvlink", "mig", "dmon", "pmon"])
def test_a_subcommand_has_help_and_needs_a_driver(host, tmp_path, command):
    smi = host("T4")
    status, text = smi.says(command, "-h")
    assert status == 0 and text.startswith(f"nvidia-smi {command}: ")
    (tmp_path / "empty").mkdir()
    assert smi(command, "-h", library_path=tmp_path / "empty").returncode == 12
