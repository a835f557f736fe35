"""nvidia-smi mig.  Tables, messages and statuses were observed of NVIDIA's 550.163.01."""

import pytest

from nvsim import board

ACTIONS = (["-lgi"], ["-lcip"], ["-lcipp"], ["-lci"], ["-cgi", "19"], ["-cgi", "19", "-C"], ["-dgi"], ["-cci"],
           ["-dci"])


@pytest.mark.parametrize("args", [["-lgip"], ["-lgipp"], *ACTIONS])
@pytest.mark.parametrize("model", ["T4", "RTX-4060-Ti-8GB"])
def test_a_board_without_mig_is_said_to_be_one(host, model, args):
    assert host(model).says("mig", *args) == (6, "No MIG-supported devices found.\n")


@pytest.mark.parametrize("args", ACTIONS)
def test_instances_need_mig_mode(smi, args):
    assert smi.says("mig", *args) == (0, "No MIG-enabled devices found.\n")


@pytest.mark.parametrize("args", [["-lgi"], ["-lcip"], ["-lcipp"], ["-lci"], ["-cci"], ["-dgi"], ["-dci"],
                                  ["-dgi", "-gi", "3"], ["-lci", "-gi", "foo"]])
def test_in_mig_mode_without_instances_none_is_found(smi, args):
    board.update(smi.library, 0, mig_mode=1, mig_pending=1)
    assert smi.says("mig", *args) == (6, "No GPU instances found: Not Found\n")


@pytest.mark.parametrize("profile", ["99", "foo", "9g.90gb"])
def test_an_unknown_profile_is_an_invalid_argument(smi, profile):
    board.update(smi.library, 0, mig_mode=1, mig_pending=1)
    assert smi.says("mig", "-cgi", profile) == (
        2, f"Unable to create a GPU instance on GPU  0 using profile {profile}: Invalid Argument\n"
           "Failed to create GPU instances: Invalid Argument\n")


@pytest.mark.parametrize(("args", "status", "text"), [
    (["-foo"], 2, 'Option "-foo" is not recognized.\n'),
    (["-lgi", "foo"], 2, 'Option "foo" is not recognized.\n'),
    (["-cgi", "-i", "0"], 2, 'Option "-cgi" is missing its value.\n'),
    (["-lgi", "-i"], 2, 'Option "-i" is missing its value.\n'),
    (["-lgi", "-i", "9"], 6, "No devices were found\n"),
    (["-gi", "1"], 0, ""),
    (["-C"], 0, "")])
def test_a_wrong_command_line_is_answered_as_by_the_genuine_tool(smi, args, status, text):
    assert smi.says("mig", *args) == (status, text)


@pytest.mark.parametrize("args", [[], ["-h"], ["-i", "0"]])
def test_without_an_action_there_is_help(smi, args):
    status, text = smi.says("mig", *args)
    assert status == 0 and "--create-gpu-instance" in text
