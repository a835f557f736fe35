"""The options of nvidia-smi that change a GPU.  Messages and statuses were observed of NVIDIA's 550.163.01 on a library
whose setting calls gave the return code in question."""

import pytest

from nvsim import board

GPU = "00000000:07:00.0"
SEE_HELP = "Please run 'nvidia-smi -h' for help.\n\n"
ENDED = "Terminating early due to previous errors.\n"


@pytest.mark.parametrize(("args", "text"), [
    (["-pm", "1"], f"Persistence mode is already Enabled for GPU {GPU}.\nAll done.\n"),
    (["--persistence-mode=ENABLED"], f"Persistence mode is already Enabled for GPU {GPU}.\nAll done.\n"),
    (["-e", "1"], f"ECC support is already Enabled for GPU {GPU}.\nAll done.\n"),
    (["-c", "DEFAULT"], f"Compute mode is already set to DEFAULT for GPU {GPU}.\nAll done.\n"),
    (["-am", "0"], f"Accounting Mode is already Disabled for GPU {GPU}.\nAll done.\n")])
def test_a_mode_that_is_set_already_is_left_alone(smi, args, text):
    assert smi.says("-i", "0", *args) == (0, text)


def test_every_gpu_is_changed_unless_some_are_chosen(smi):
    lines = smi.says("-c", "0")[1].splitlines()
    assert lines == [f"Compute mode is already set to DEFAULT for GPU 00000000:0{n}:00.0." for n in (7, 8, 9)] + [
        "All done."]
    assert smi.says("-c", "0", "-i", "9") == (6, "No devices were found\n")


def test_what_a_gpu_cannot_do_is_a_warning_or_with_eow_an_error(smi):
    lacks = f"GPU Target Temperature Threshold not supported for GPU {GPU}.\n"
    assert smi.says("-gtt", "80", "-i", "0") == (0, lacks + "Treating as warning and moving on.\nAll done.\n")
    assert smi.says("-gtt", "80", "-i", "0", "-eow") == (3, lacks + ENDED)


def test_ecc_is_not_there_on_a_board_without_it(host):
    smi = host("RTX-4060-Ti-8GB")
    expected = (0, f"ECC features not supported for GPU {GPU}.\nTreating as warning and moving on.\nAll done.\n")
    assert smi.says("-e", "0") == expected


def test_mig_mode_is_not_there_on_a_board_without_it(requires, host):
    requires("root")
    assert host("T4").says("-mig", "1") == (
        0, f"Unable to enable MIG Mode for GPU {GPU}: Not Supported\nTreating as warning and moving on.\nAll done.\n")


@pytest.mark.parametrize(("args", "text"), [
    (["-pm", "2"], "Invalid persistence mode: 2\n"),
    (["-e", "5"], "Invalid ECC configuration code: 5\n"),
    (["-p", "7"], "Invalid ECC type: 7\n"),
    (["-c", "9"], "Invalid compute mode: 9\n"),
    (["-mig", "2"], "Invalid MIG Mode: 2\n"),
    (["-pl", "50"], "Provided power limit 50.00 W is not a valid power limit which should be between 100.00 W and "
                    f"400.00 W for GPU {GPU}\n"),
    (["-ac", "1215"], 'Specified clocks "1215" are not valid. Please format input as memClk,smClk e.g. '
                      "--applications-clocks=2000,300\n"),
    (["-lmc", "1,2,3"], 'Specified clocks "1,2,3" are not valid. Please format input as \'memClkMin,memClkMax\' or '
                        "'memClkVal' e.g. --lock-memory-clocks=5100,5100 or --lock-memory-clocks=5100\n"),
    (["-lgc", "10x"], 'Specified clocks "10x" are not valid. Please format input as \'gpuClkMin,gpuClkMax\' or '
                      "'gpuClkVal' e.g. '--lock-gpu-clocks=1500,1500', '--lock-gpu-clocks=1500', or "
                      "'--lock-gpu-clocks=tdp,unlimited'\n"),
    (["-cc", "4"], "Input should be 0 or 1. See nvidia-smi -h.\n")])
def test_a_value_out_of_range_changes_nothing(smi, args, text):
    assert smi.says(*args) == (2, text + ENDED)


@pytest.mark.parametrize(("args", "status", "text"), [
    (["-pm"], 255, f"ERROR: Option -pm is missing its value. {SEE_HELP}"),
    (["-pm", "disabled"], 2, f"ERROR: Option disabled is invalid for -pm. {SEE_HELP}"),
    (["-gtt", "foo"], 2, f"ERROR: Option foo is invalid for -gtt. {SEE_HELP}"),
    (["-rgc", "foo"], 255, f"ERROR: Option foo is not recognized. {SEE_HELP}"),
    (["-rgc=1"], 255, f"ERROR: Option 1 is not recognized. {SEE_HELP}"),
    (["-pm", "0", "-l", "1"], 255, f"ERROR: Option -l is not recognized. {SEE_HELP}"),
    (["-q", "-pm", "0"], 255, f"ERROR: Option -q is not recognized. {SEE_HELP}"),
    (["-pm", "0", "-e", "0"], 2,
     "Invalid combination of input arguments. Only one device modification may be done at a time.\n\n"),
    (["-sc", "1"], 2, "Invalid combination of input arguments. '--scope' can only be used with '--power-limits'.\n\n"),
    (["-m", "1"], 2, "Invalid combination of input arguments. '--mode' can only be used with '--lock-gpu-clocks'.\n\n"),
    (["-pl", "300", "-sc", "GPU"], 2, f"ERROR: Option GPU is invalid for -sc. {SEE_HELP}"),
    (["-pl", "-5"], 255, "Input combination for device modification is not valid.\n\n"),
    (["-eow"], 255, "ERROR: Option -eow is not recognized. Please run 'nvidia-smi -h'.\n\n")])
def test_a_wrong_command_line_is_answered_as_by_the_genuine_tool(smi, args, status, text):
    assert smi.says(*args) == (status, text)


@pytest.mark.parametrize("args", [["-dm", "1"], ["-fdm", "0"]])
def test_there_are_no_driver_models_on_linux(smi, args):
    text = f"Changing driver models is not supported for GPU {GPU} on this platform.\n"
    assert smi.says("-i", "0", *args) == (0, text + "Treating as warning and moving on.\nAll done.\n")


def test_a_reset_is_beyond_nvml(smi):
    status, text = smi.says("-r", "-i", "0")
    assert status == 3 and text == ("GPU Reset couldn't run because it could not be determined if GPU "
                                    f"{GPU} is the primary GPU.\n")


@pytest.mark.parametrize(("args", "text"), [
    (["-pm", "0"], f"Disabled persistence mode for GPU {GPU}.\nAll done.\n"),
    (["-e", "DISABLED"], f"Disabled ECC support for GPU {GPU}.\nAll done.\nReboot required.\n"),
    (["-p", "VOLATILE"], f"Reset volatile ECC errors to zero for GPU {GPU}.\nAll done.\n"),
    (["-pl", "300"], f"Power limit for GPU {GPU} was set to 300.00 W from 400.00 W.\nAll done.\n"),
    (["-lgc", "1005,1200"], f'GPU clocks set to "(gpuClkMin 1005, gpuClkMax 1200)" for GPU {GPU}\nAll done.\n'),
    (["-rgc"], "All done.\n"),
    (["-lmc", "1215"], f'Memory clocks set to "(memClkMin 1215, memClkMax 1215)" for GPU {GPU}\nAll done.\n'),
    (["-rmc"], "All done.\n"),
    (["-ac", "1215,1200"], f'Applications clocks set to "(MEM 1215, SM 1200)" for GPU {GPU}\nAll done.\n'),
    (["-rac"], "All done.\n"),
    (["-c", "3"], f"Set compute mode to EXCLUSIVE_PROCESS for GPU {GPU}.\nAll done.\n"),
    (["-am", "1"], f"Enabled Accounting Mode for GPU {GPU}.\nAll done.\n"),
    (["-mig", "1"], f"Enabled MIG Mode for GPU {GPU}\nAll done.\n")])
def test_a_change_is_made_and_told(requires, smi, args, text):
    requires("root")
    assert smi.says("-i", "0", *args) == (0, text)


def test_a_change_is_seen_by_the_next_command(requires, smi):
    requires("root")
    for args in (["-pm", "0"], ["-c", "2"], ["-pl", "250.5"], ["-ac", "1215,1200"], ["-e", "0"]):
        assert smi.says("-i", "0", *args)[0] == 0
    fields = ("persistence_mode,compute_mode,power.limit,clocks.applications.graphics,ecc.mode.current,"
              "ecc.mode.pending")
    assert smi.csv(fields, "-i", "0") == ["Disabled, Prohibited, 250.50 W, 1200 MHz, Enabled, Disabled"]


def test_clocks_that_the_gpu_does_not_have_are_a_warning(requires, smi):
    requires("root")
    assert smi.says("-ac", "1,2", "-i", "0") == (
        0, f'Specified clock combination "(MEM 1, SM 2)" is not supported for GPU {GPU}. Run \'nvidia-smi -q -d '
           "SUPPORTED_CLOCKS' to see list of supported clock combinations\nTreating as warning and moving on.\n"
           "All done.\n")


@pytest.mark.parametrize(("args", "warned"), [
    (["-pl", "300"], True), (["-lgc", "1005"], True), (["-ac", "1215,1200"], True), (["-am", "1"], True),
    (["-mig", "1"], True), (["-c", "3"], False), (["-e", "0"], False), (["-rgc"], False)])
def test_what_does_not_last_without_persistence_mode_is_warned_of(requires, smi, args, warned):
    requires("root")
    board.update(smi.library, 0, persistence=0)
    text = smi.says("-i", "0", *args)[1]
    assert (f"\n\nWarning: persistence mode is disabled on device {GPU}. See the Known" in text) == warned


def test_a_lost_gpu_ends_the_command(smi):
    board.update(smi.library, 0, fault=15)
    assert smi.says("-pm", "0")[0] == 15
