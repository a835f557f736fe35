"""nvidia-smi mig.  Tables, messages and statuses were observed of NVIDIA's 550.163.01."""

import xml.etree.ElementTree as ElementTree

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


@pytest.fixture
def mig(host, requires):
    """An A100 and an H100 in MIG mode; changing instances needs root."""
    requires("root")
    smi = host("A100-SXM4-40GB", "H100-SXM5-80GB", "T4")
    for gpu in (0, 1):
        board.update(smi.library, gpu, mig_mode=1, mig_pending=1)
    return smi


@pytest.fixture
def filled(mig):
    """The A100 has a 1g.5gb and a 3g.20gb, each with its compute instance; the H100 is one device."""
    assert mig.says("mig", "-cgi", "19,9", "-C", "-i", "0")[0] == 0
    assert mig.says("mig", "-cgi", "7g.80gb", "-C", "-i", "1")[0] == 0
    return mig


@pytest.mark.parametrize("action", ["-lgip", "-lgipp"])
def test_profiles_and_places_are_listed(mig, golden, action):
    status, text = mig.says("mig", action)
    assert status == 0
    golden(f"nvidia-smi/mig{action}.txt", text)


@pytest.mark.parametrize("driver", ["470.256.02", "535.261.03"])
def test_before_550_every_action_needs_mig_mode(host, requires, driver):
    requires("root")
    smi = host("A100-SXM4-40GB", "T4", driver_version=driver)
    assert smi.says("mig", "-lgip") == smi.says("mig", "-lgi") == (6, "No MIG-enabled devices found.\n")
    assert smi.says("mig", "-lgip", "-i", "1") == (6, "No MIG-enabled devices found.\n")
    board.update(smi.library, 0, mig_mode=1, mig_pending=1)
    assert "|   0  MIG 1g.5gb+me     20     1/1  " in smi.says("mig", "-lgip")[1]
    assert smi.says("mig", "-cgi", "1g.5gb+me", "-C")[1].endswith("using profile MIG 1g.5gb+me (ID  0)\n")


@pytest.mark.parametrize("action", ["-lgi", "-lcip", "-lcipp", "-lci"])
def test_instances_are_listed(filled, golden, action):
    status, text = filled.says("mig", action)
    assert status == 0
    golden(f"nvidia-smi/mig{action}.txt", text)


def test_the_table_and_the_report_have_the_mig_devices(filled, golden):
    golden("nvidia-smi/table-mig.txt", filled.says()[1].split("\n", 1)[1])
    report = filled.says("-q", "-i", "0")[1]
    golden("nvidia-smi/report-mig.txt", report[report.index("    MIG Mode"):report.index("    Driver Model")])
    tree = ElementTree.fromstring(filled.says("-q", "-x", "-i", "0")[1])
    devices = tree.findall("gpu/mig_devices/mig_device")
    assert [(d.findtext("gpu_instance_id"), d.findtext("compute_instance_id")) for d in devices] == [
        tuple(line.split()[2:4]) for line in filled.says()[1].splitlines() if line.startswith("|  0  ")]


def test_instances_come_by_id_name_and_place_and_go_again(mig):
    assert mig.says("mig", "-i", "0", "-cgi", "14:2,1g.5gb:6") == (
        0, "Successfully created GPU instance ID  4 on GPU  0 using profile MIG 2g.10gb (ID 14)\n"
           "Successfully created GPU instance ID 13 on GPU  0 using profile MIG 1g.5gb (ID 19)\n")
    assert mig.says("mig", "-i", "0", "-gi", "4", "-cci", "1c.2g.10gb,0") == (
        0, "Successfully created compute instance ID  0 on GPU  0 GPU instance ID  4 using profile MIG 1c.2g.10gb "
           "(ID  0)\nSuccessfully created compute instance ID  1 on GPU  0 GPU instance ID  4 using profile "
           "MIG 1c.2g.10gb (ID  0)\n")
    assert mig.says("mig", "-dgi", "-gi", "4") == (
        19, "Unable to destroy GPU instance ID  4 from GPU  0: In use by another client\n"
            "Failed to destroy GPU instances: In use by another client\n")
    assert mig.says("mig", "-dci", "-ci", "1") == (
        0, "Successfully destroyed compute instance ID  1 from GPU  0 GPU instance ID  4\n")
    assert mig.says("mig", "-dci")[0] == 0
    assert mig.says("mig", "-dci") == (6, "No compute instances found: Not Found\n")
    assert mig.says("mig", "-dgi") == (
        0, "Successfully destroyed GPU instance ID 13 from GPU  0\n"
           "Successfully destroyed GPU instance ID  4 from GPU  0\n")
    assert mig.says("mig", "-lgi") == (6, "No GPU instances found: Not Found\n")


def test_without_room_the_rest_of_the_list_is_not_created(mig):
    assert mig.says("mig", "-i", "0", "-cgi", "0,19,19") == (
        23, "Successfully created GPU instance ID  0 on GPU  0 using profile MIG 7g.40gb (ID  0)\n"
            "Unable to create a GPU instance on GPU  0 using profile 19: Insufficient Resources\n"
            "Failed to create GPU instances: Insufficient Resources\n")


def test_without_a_profile_the_default_compute_instance_is_created(mig):
    assert mig.says("mig", "-i", "0", "-cgi", "9")[0] == 0
    assert mig.says("mig", "-cci") == (
        0, "Successfully created compute instance ID  0 on GPU  0 GPU instance ID  2 using profile MIG 3g.20gb "
           "(ID  2)\n")
    assert mig.says("mig", "-cci", "9")[1].startswith(
        "Unable to create a compute instance on GPU  0 GPU instance ID  2 using profile 9: Invalid Argument\n")


def test_mig_mode_is_kept_on_while_there_are_instances(filled):
    gpu = "00000000:07:00.0"
    assert filled.says("-mig", "0", "-i", "0") == (
        19, f"Unable to disable MIG Mode for GPU {gpu}: In use by another client\n"
            "Terminating early due to previous errors.\n")
    assert filled.says("-c", "3", "-i", "0")[1].startswith(
        "Setting compute mode to EXCLUSIVE_PROCESS is not supported on a MIG-enabled device.\n")
    filled.says("mig", "-dci")
    filled.says("mig", "-dgi")
    assert filled.says("-mig", "0", "-i", "0") == (0, f"Disabled MIG Mode for GPU {gpu}\nAll done.\n")
