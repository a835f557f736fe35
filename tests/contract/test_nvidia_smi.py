"""nvidia-smi on the mock NVML.  The expected texts and statuses were observed of NVIDIA's 470.256.02, 535.261.03 and
550.163.01; those that a host's values fill are in tests/golden/nvidia-smi."""

import os
import re
import subprocess

import pytest

from nvsim import board
from nvsim.native import generate_smi

MODELS = ("A100-SXM4-40GB", "T4", "RTX-4060-Ti-8GB")
UUID = "GPU-00000000-0000-0000-0000-{:012x}"
NO_LIBRARY = ("NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA "
              "Display Driver is properly installed and present in your system.\n"
              "Please also try adding directory that contains libnvidia-ml.so to your system PATH.\n")
NO_DRIVER = ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
             "NVIDIA driver is installed and running.\n\n")
SEE_HELP = "Please run 'nvidia-smi -h' for help.\n\n"


def undated(text):
    first, rest = text.split("\n", 1)
    assert re.fullmatch(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} {7}", first)
    return rest


@pytest.mark.parametrize("name", generate_smi.GENERATED)
def test_the_checked_in_tables_are_the_generators(name):
    assert (generate_smi.HERE / "smi" / name).read_text() == generate_smi.GENERATED[name]()


def test_every_property_has_a_value_on_the_mock(smi):
    names = [p.name for p in generate_smi.properties() if p.until == generate_smi.NEWEST]
    rows = smi.csv(",".join(names))
    assert [len(row.split(", ")) for row in rows] == [len(names)] * 3
    assert "Function Not Found" not in "".join(rows) and "Invalid Argument" not in "".join(rows)


@pytest.mark.parametrize("driver", ["470.256.02", "535.261.03", "550.54.15", "570.124.06"])
def test_the_table_has_the_layout_of_the_driver_branch(host, golden, driver):
    status, text = host(*MODELS, driver_version=driver).says()
    assert status == 0
    golden(f"nvidia-smi/table-{driver.split('.')[0]}.txt", undated(text))


def test_a_fixed_host_is_listed(smi, golden):
    status, text = smi.says("-L")
    assert status == 0
    golden("nvidia-smi/list.txt", text)
    assert smi.says("--list-gpus") == (0, text)


def test_properties_are_printed_as_csv_with_units(smi, golden):
    fields = ("index,name,uuid,pci.bus_id,driver_version,serial,memory.total,memory.used,utilization.gpu,"
              "temperature.gpu,fan.speed,power.draw,power.limit,clocks.sm,pstate,compute_cap,mig.mode.current,"
              "ecc.mode.current,persistence_mode,compute_mode")
    golden("nvidia-smi/query.csv", smi.says(f"--query-gpu={fields}", "--format=csv")[1])


def test_nounits_takes_units_from_values_but_not_from_headings(smi):
    assert smi.csv("memory.total,power.limit", "-i", "0", form="csv,nounits") == [
        "memory.total [MiB], power.limit [W]", "40960, 400.00"]


def test_an_alias_is_headed_by_the_name_of_the_property(smi):
    assert smi.csv("gpu_name,clocks.mem", form="csv")[0] == "name, clocks.current.memory [MHz]"


def test_a_value_that_the_board_does_not_have_is_not_available(smi):
    assert smi.csv("fan.speed,mig.mode.current", "-i", "1") == ["[N/A], [N/A]"]


@pytest.mark.parametrize(("fault", "status", "why"), [
    (15, 15, "GPU is lost.  Reboot the system to recover this GPU\n\n\n"),
    (16, 255, "A GPU reset must occur before this GPU can be used again.\n\n.\n")])
def test_a_gpu_without_a_handle_ends_the_command_and_not_the_list(smi, fault, status, why):
    board.update(smi.library, 1, fault=fault)
    for args in ([], ["--query-gpu=index", "--format=csv"]):
        assert smi.says(*args) == (status, f"Unable to determine the device handle for GPU1: {why}")
    found, text = smi.says("-L")
    assert found == status
    assert text.split("\n", 1)[1].startswith(f"Unable to determine the device handle for gpu 1: {why}GPU 2: ")


def test_a_gpu_that_is_lost_meanwhile_has_errors_in_its_cells(smi):
    command = [smi.program, "-i", "0", "-lms", "100"]
    with subprocess.Popen(command, env={**os.environ, "LD_LIBRARY_PATH": str(smi.root)}, stdout=subprocess.PIPE,
                          text=True) as running:
        lines = iter(running.stdout.readline, "")
        for _ in range(9):
            next(lines)
        board.update(smi.library, 0, fault=15)
        seen = "".join(line for line, _ in zip(lines, range(60), strict=False))
        running.kill()
    assert ("|   0  ERR!                          ERR! |               ERR!ERR! |                 ERR! |\n"
            "|ERR!  ERR! ERR!             ERR! / ERR!  | GPU is lost            |    ERR!         ERR! |\n"
            "|                                         |                        |                 ERR! |\n") in seen


def test_mig_mode_without_instances_has_an_empty_table_of_its_own(smi):
    board.update(smi.library, 0, mig_mode=1, mig_pending=1)
    text = smi.says()[1]
    assert "|   00000000:07:00.0 Off |                   On |\n" in text
    assert "|              Enabled |\n" in text
    assert "| MIG devices:  " in text and "|  No MIG devices found  " in text
    board.update(smi.library, 0, mig_mode=0)
    assert "|             Enabled* |\n" in smi.says()[1]


def test_a_changed_value_is_seen_at_once(smi):
    board.update(smi.library, 0, temperature=71, power_usage=250_400)
    assert smi.csv("temperature.gpu,power.draw", "-i", "0") == ["71, 250.40 W"]
    assert "   71C    P0            250W /  400W |" in smi.says()[1]


@pytest.mark.parametrize("ids", ["1", UUID.format(1), "00000000:08:00.0", "0000:08:00.0", "08:00.0", "1650000000001",
                                 ",1", "99,1", "0x1"])
def test_a_gpu_is_chosen_by_index_uuid_bus_id_or_serial(smi, ids):
    assert smi.csv("index", "-i", ids) == ["1"]
    assert smi.csv("index", f"--id={ids}") == ["1"]


def test_chosen_gpus_keep_the_order_of_the_host(smi):
    assert smi.csv("index", "-i", "2,0,2") == ["0", "2"]


@pytest.mark.parametrize("args", [(), ("--query-gpu=name", "--format=csv")])
@pytest.mark.parametrize("ids", ["7", "bad", "-1", "GPU-00000000"])
def test_an_id_of_no_gpu_finds_no_device(smi, args, ids):
    assert smi.says(*args, "-i", ids) == (6, "No devices were found\n")


def test_without_a_gpu_the_table_fails_and_the_list_does_not(host):
    smi = host()
    assert smi.says() == (6, "No devices were found\n")
    assert smi.says("--query-gpu=name", "--format=csv") == (6, "No devices were found\n")
    assert smi.says("-L") == (0, "No devices found.\n")


def test_a_gpu_without_its_node_is_not_shown(smi):
    (smi.root / "dev" / "nvidia1").unlink()
    assert [row.split(", ")[1] for row in smi.csv("index,uuid")] == [UUID.format(0), UUID.format(2)]


@pytest.mark.parametrize("args", [(), ("-L",), ("--version",), ("--query-gpu=name", "--format=csv"), ("--wrong",)])
def test_without_the_library_every_command_says_so(smi, tmp_path, args):
    (tmp_path / "empty").mkdir()
    assert smi.says(*args, library_path=tmp_path / "empty") == (12, NO_LIBRARY)


@pytest.mark.parametrize("args", [(), ("-L",), ("--version",), ("--query-gpu=name", "--format=csv"), ("--wrong",)])
def test_without_the_kernel_driver_every_command_says_so(host, args):
    assert host("T4", driver_loaded=False).says(*args) == (9, NO_DRIVER)


def test_another_kernel_driver_is_a_mismatch(host):
    assert host("T4", kernel_version="550.90.07").says() == (
        18, "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 550.54\n")


def test_help_needs_no_driver(smi, tmp_path):
    (tmp_path / "empty").mkdir()
    status, text = smi.says("-h", library_path=tmp_path / "empty")
    assert status == 0 and "--query-gpu=" in text
    assert smi.says("--help") == (0, text)


def test_the_versions_are_those_of_the_driver(smi):
    assert smi.says("--version") == (0, "NVIDIA-SMI version  : 550.54.15\nNVML version        : 550.54\n"
                                        "DRIVER version      : 550.54.15\nCUDA Version        : 12.4\n")


def test_the_help_of_a_query_has_every_property(smi):
    status, text = smi.says("--help-query-gpu")
    assert status == 0
    names = {p.name for p in generate_smi.properties() if p.until == generate_smi.NEWEST}
    assert names <= set(re.findall('"(.*?)"', text))


@pytest.mark.parametrize(("args", "status", "text"), [
    (["--foo"], 255, "ERROR: Option --foo is not recognized. Please run 'nvidia-smi -h'.\n\n"),
    (["foo"], 255, "ERROR: Option foo is not recognized. Please run 'nvidia-smi -h'.\n\n"),
    (["--format=csv"], 255, "ERROR: Option --format=csv is not recognized. Please run 'nvidia-smi -h'.\n\n"),
    (["--query-gpu=index", "--format=csv", "--foo"], 2, f"ERROR: Option --foo is not recognized. {SEE_HELP}"),
    (["-i"], 255, f"ERROR: Option -i is missing its value. {SEE_HELP}"),
    (["--query-gpu", "--format=csv"], 255, f"ERROR: Option --query-gpu is missing its value. {SEE_HELP}"),
    (["-i", "0", "-L"], 2, f"ERROR: Option -i is not valid for this command. {SEE_HELP}"),
    (["-L", "-q"], 2, f"ERROR: Option -q is not valid for this command. {SEE_HELP}"),
    (["--query-gpu=name"], 2, f'"--format=" switch is missing. {SEE_HELP}'),
    (["--query-gpu=name", "--format=noheader"], 2, "Format modifier --format=csv is mandatory.\n"),
    (["--query-gpu=name", "--format=csv,foo"], 2, "Format modifier is not recognized.\n"),
    (["--query-gpu=name", "--query-compute-apps=pid", "--format=csv"], 2,
     "Only one --query-* switch can be used at a time.\n"),
    (["--query-compute-apps=name,bar", "--format=csv"], 2, 'Field "bar" is not a valid field to query.\n\n'),
    (["-u"], 2, "Invalid combination of input arguments. Specify -q/--query and -u/--unit to run a unit query.  "
                f"{SEE_HELP}"),
    (["--query-gpu=name,bar,baz", "--format=csv"], 2, 'Field "bar" is not a valid field to query.\n\n'),
    (["--query-gpu=NAME", "--format=csv"], 2, 'Field "NAME" is not a valid field to query.\n\n'),
    (["-l", "0"], 2, "Provided [-l(ms) | --loop(-ms)=] value is incorrect. Loop frequency must be greater than 0.\n\n"),
    (["-f", "/nonexistent/log"], 255, "Failed to create the log file /nonexistent/log\n\n"),
])
def test_a_wrong_command_line_is_answered_as_by_the_genuine_tool(smi, args, status, text):
    assert smi.says(*args) == (status, text)


@pytest.mark.parametrize("args", [["--dtd"], ["drain", "-q"], ["vgpu"]])
def test_what_is_not_built_fails_and_prints_no_result(smi, args):
    done = smi(*args)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not part of this emulation" in done.stderr


def test_without_processes_there_is_only_the_heading(smi):
    fields = "gpu_name,pid,name,used_memory"
    assert smi.says(f"--query-compute-apps={fields}", "--format=csv") == (
        0, "gpu_name, pid, process_name, used_gpu_memory [MiB]\n")
    assert smi.says(f"--query-compute-apps={fields}", "--format=csv,noheader") == (0, "")


def test_accounting_that_is_off_has_nothing_to_tell(smi):
    assert smi.says("--query-accounted-apps=vgpu_instance,pid,time", "--format=csv,noheader", "-i", "0") == (
        0, "[N/A], [N/A], [N/A]\n")
    board.update(smi.library, 0, accounting_mode=1)
    assert smi.says("--query-accounted-apps=vgpu_instance,pid,time", "--format=csv,noheader", "-i", "0") == (0, "")


def test_supported_clocks_are_rows(smi):
    status, text = smi.says("--query-supported-clocks=gpu_bus_id,mem,gr", "--format=csv", "-i", "0")
    lines = text.splitlines()
    assert status == 0 and lines[:2] == ["gpu_bus_id, memory [MHz], graphics [MHz]",
                                         "00000000:07:00.0, 1215 MHz, 1410 MHz"]
    assert len(lines) == 82


def test_rows_are_remapped_or_pages_retired_as_the_board_can(smi):
    board.update(smi.library, 0, remapped_correctable=2, remapped_pending=1)
    rows = "remapped_rows.correctable,remapped_rows.uncorrectable,remapped_rows.pending,remapped_rows.failure"
    assert smi.says(f"--query-remapped-rows={rows}", "--format=csv,noheader")[1].splitlines() == [
        "2, 0, 1, 0", "[N/A], [N/A], [N/A], [N/A]", "[N/A], [N/A], [N/A], [N/A]"]
    pages = "gpu_uuid,retired_pages.address,retired_pages.cause"
    assert smi.says(f"--query-retired-pages={pages}", "--format=csv,noheader", "-i", "0,1")[1].splitlines() == [
        f"{UUID.format(0)}, [N/A], Single Bit ECC", f"{UUID.format(0)}, [N/A], Double Bit ECC"]


@pytest.mark.parametrize("query", ["compute-apps", "accounted-apps", "supported-clocks", "retired-pages",
                                   "remapped-rows"])
def test_the_help_of_another_query_has_its_properties(smi, query):
    status, text = smi.says(f"--help-query-{query}")
    assert status == 0 and f'"--query-{query}"' in text
    names = re.findall(r'^"(.*?)"', text, re.M)
    assert names[:5] == ["timestamp", "gpu_name", "gpu_bus_id", "gpu_serial", "gpu_uuid"]
    assert smi.says(f"--query-{query}={','.join(names)}", "--format=csv")[0] == 0


def test_no_gpu_is_excluded(smi):
    assert smi.says("-B") == (0, "No excluded devices found.\n")


def test_a_property_that_the_branch_does_not_know_is_no_field(host):
    smi = host("T4", driver_version="470.256.02")
    assert smi.says("--query-gpu=compute_cap", "--format=csv")[0] == 2
    assert smi.csv("clocks_throttle_reasons.active", form="csv")[0] == "clocks_throttle_reasons.active"


def test_the_result_goes_to_a_file(smi, tmp_path):
    assert smi.says("--query-gpu=index", "--format=csv", "-f", str(tmp_path / "log")) == (0, "")
    assert (tmp_path / "log").read_text() == "index\n0\n1\n2\n"


def test_a_loop_repeats_the_rows_and_not_the_heading(smi):
    with pytest.raises(subprocess.TimeoutExpired) as stopped:
        smi("--query-gpu=index", "--format=csv", "-i", "1", "-lms", "50", timeout=1)
    lines = (stopped.value.stdout or b"").decode().splitlines()
    assert lines[0] == "index" and lines.count("index") == 1 and lines.count("1") == len(lines) - 1 > 2
