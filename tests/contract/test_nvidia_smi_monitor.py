"""nvidia-smi dmon and pmon, and processes elsewhere.  Columns and messages were observed of NVIDIA's 470.256.02,
535.261.03 and 550.163.01."""

import os
import re
import subprocess
import time

import pytest

from nvsim import board

MIB = 1 << 20
NONE = 0xFFFFFFFF


def run_processes(smi, gpu=0):
    """Puts this process (compute) and process 1 (graphics, memory unknown) on a GPU."""
    board.edit(smi.library, gpu, lambda _: {
        "process_pid": (os.getpid(), 1), "process_kind": (1, 2), "process_memory": (1234 * MIB, 2**64 - 1),
        "process_gpu_instance": (NONE, NONE), "process_compute_instance": (NONE, NONE), "process_sm": (70, 5),
        "process_memory_utilization": (30, 1), "process_encoder": (0, 9), "process_decoder": (0, 8),
        "process_started": (time.time_ns() // 1000,) * 2, "process_jpeg": (0, 7),
        "process_ofa": (0, 6), "process_name": ("train", "Xorg")})


@pytest.mark.parametrize("driver", ["470.256.02", "535.261.03", "550.54.15"])
@pytest.mark.parametrize("command", ["dmon", "pmon"])
def test_a_sample_has_the_columns_of_the_driver_branch(host, golden, command, driver):
    smi = host("A100-SXM4-40GB", "T4", "RTX-4060-Ti-8GB", driver_version=driver)
    status, text = smi.says(command, "-c", "1", "-s", "pucvmet" if command == "dmon" else "um")
    assert status == 0
    golden(f"nvidia-smi/{command}-{driver.split('.')[0]}.txt", text)


def test_metrics_come_in_the_order_of_their_letters_and_once(smi):
    assert smi.says("dmon", "-c", "1", "-s", "tpt", "-i", "1")[1].splitlines() == [
        "# gpu  rxpci  txpci    pwr  gtemp  mtemp ", "# Idx   MB/s   MB/s      W      C      C ",
        "    1      0      0     33     36      - "]


@pytest.mark.parametrize(("form", "lines"), [
    ("csv", ["#gpu, mclk, pclk", "#Idx, MHz, MHz", " 0, 1215, 210"]),
    ("csv,nounit", ["#gpu, mclk, pclk", " 0, 1215, 210"]),
    ("csv,noheader", ["#Idx, MHz, MHz", " 0, 1215, 210"]),
    ("nounit", ["# gpu   mclk   pclk ", "    0   1215    210 "])])
def test_the_form_of_a_sample_can_be_chosen(smi, form, lines):
    assert smi.says("dmon", "-c", "1", "-s", "c", "-i", "0", "--format", form)[1].splitlines() == lines


def test_date_and_time_stand_before_a_line(smi):
    lines = smi.says("dmon", "-c", "1", "-s", "c", "-i", "0", "-o", "DT")[1].splitlines()
    assert lines[0] == "#Date        Time         gpu   mclk   pclk "
    assert re.fullmatch(r" \d{8}    \d\d:\d\d:\d\d       0   1215    210 ", lines[2])


def test_samples_follow_each_other_until_interrupted(smi):
    with pytest.raises(subprocess.TimeoutExpired) as stopped:
        smi("dmon", "-s", "c", "-i", "0", timeout=2.5)
    lines = (stopped.value.stdout or b"").decode().splitlines()
    assert lines[2:] == ["    0   1215    210 "] * (len(lines) - 2) and len(lines) > 3


def test_the_result_goes_to_a_file(smi, tmp_path):
    assert smi.says("dmon", "-c", "1", "-s", "c", "-i", "0", "-f", str(tmp_path / "log")) == (0, "")
    assert (tmp_path / "log").read_text().endswith("    0   1215    210 \n")


def test_processes_are_listed_with_what_they_do(smi):
    run_processes(smi)
    lines = smi.says("pmon", "-c", "1", "-s", "um", "-i", "0,1")[1].splitlines()[2:]
    assert lines[0].split()[:-1] == ["0", "1", "G", "5", "1", "9", "8", "7", "6", "0", "0"]
    assert lines[1].split()[:11] == ["0", str(os.getpid()), "C", "70", "30", "0", "0", "0", "0", "1234", "0"]
    assert lines[2].split() == ["1", *"-" * 11]


def test_processes_are_in_the_table_the_report_and_the_query(smi):
    run_processes(smi)
    pid = str(os.getpid())
    rows = [line.split() for line in smi.says()[1].splitlines()[-4:-1]]
    assert [row[1:6] for row in rows[-2:]] == [["0", "N/A", "N/A", "1", "G"], ["0", "N/A", "N/A", pid, "C"]]
    assert rows[-1][-2:] == ["1234MiB", "|"] and rows[-2][-2:] == ["N/A", "|"]
    report = smi.says("-q", "-d", "PIDS", "-i", "0")[1]
    assert f"        Process ID                        : {pid}\n            Type                          : C\n" in (
        report)
    assert "            Used GPU Memory               : Not available in WDDM driver model\n" in report
    assert smi.says("--query-compute-apps=pid,used_memory", "--format=csv,noheader") == (0, f"{pid}, 1234 MiB\n")


def test_finished_processes_stay_in_the_accounts(smi):
    board.update(smi.library, 0, accounting_mode=1)
    run_processes(smi)
    board.edit(smi.library, 0, lambda _: {"process_pid": (0, 0)})
    fields = "pid,gpu_util,mem_util,max_memory_usage"
    rows = smi.says(f"--query-accounted-apps={fields}", "--format=csv,noheader", "-i", "0")[1].splitlines()
    assert f"{os.getpid()}, 70 %, 30 %, 1234 MiB" in rows
    assert "    Accounted Processes\n        Process ID " in smi.says("-q", "-d", "ACCOUNTING", "-i", "0")[1]


@pytest.mark.parametrize(("args", "status", "text"), [
    (["dmon", "-s", "x"], 255, "Failed to find any metric to display\nFailed to process command line \n\n"),
    (["pmon", "-s", "p"], 255, "Failed to find any metric to display\nFailed to process command line \n\n"),
    (["dmon", "-o", "x"], 255, "Error in parsing options\nFailed to process command line \n\n"),
    (["dmon", "--format", "foo"], 255,
     "foo is not a recognized format option\nError parsing format options\nFailed to process command line \n\n"),
    (["dmon", "-f", "/nonexistent/log"], 255, "Failed to process command line \n\n"),
    (["dmon", "-i", "9"], 6, "No devices were found\n")])
def test_a_wrong_command_line_is_answered_as_by_the_genuine_tool(smi, args, status, text):
    assert smi.says(*args) == (status, text)


@pytest.mark.parametrize(("args", "text"), [
    (["dmon", "-c", "0"], "Invalid value for number of samples to be displayed\n\n"),
    (["dmon", "-d", "601"], "Collection delay/interval should be between 1 second and 600 seconds\n\n"),
    (["pmon", "-d", "11"], "Collection delay/interval should be between 1 second and 10 seconds\n\n"),
    (["pmon", "--format", "csv"], 'Option "--format" is not recognized.\n\n'),
    (["dmon", "-c"], 'Option "-c" is missing its value.\n\n')])
def test_a_number_that_does_not_fit_is_answered_with_help(smi, args, text):
    status, found = smi.says(*args)
    assert status == 0 and found.startswith(f"{text}nvidia-smi {args[0]}: ")
