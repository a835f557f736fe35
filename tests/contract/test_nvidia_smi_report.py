"""nvidia-smi -q and -q -x on the mock NVML.  Labels, elements and their order were observed of NVIDIA's 470.256.02,
535.261.03 and 550.163.01 on the same library."""

import re
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from nvsim import board

HOSTS = {"h100x8": ("H100-SXM5-80GB",) * 8, "a100x8": ("A100-SXM4-40GB",) * 8, "t4x1": ("T4",),
         "rtx4060ti": ("RTX-4060-Ti-8GB",)}
SECTIONS = ("MEMORY", "UTILIZATION", "ECC", "TEMPERATURE", "POWER", "CLOCK", "COMPUTE", "PIDS", "PERFORMANCE",
            "SUPPORTED_CLOCKS", "PAGE_RETIREMENT", "ACCOUNTING", "ENCODER_STATS", "SUPPORTED_GPU_TARGET_TEMP",
            "VOLTAGE", "FBC_STATS", "ROW_REMAPPER", "RESET_STATUS", "GSP_FIRMWARE_VERSION")
DATE = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}")


def undated(text):
    return DATE.sub("(date)", text, count=1)


def xml_of(smi, *args):
    status, text = smi.says("-q", "-x", *args)
    assert status == 0
    return ElementTree.fromstring(text)


def headings(text):
    """The labels of the text that stand at the left of a GPU's block."""
    return re.findall(r"^    (\S.*?) *(?::.*)?$", text, re.M)


@pytest.mark.parametrize("name", HOSTS)
def test_a_machine_has_its_report(host, golden, name):
    status, text = host(*HOSTS[name]).says("-q", "-i", "0")
    assert status == 0
    golden(f"nvidia-smi/report-{name}.txt", undated(text))


@pytest.mark.parametrize("name", HOSTS)
def test_a_machine_has_its_report_as_xml(host, golden, name):
    status, text = host(*HOSTS[name]).says("-q", "-x", "-i", "0")
    assert status == 0
    golden(f"nvidia-smi/report-{name}.xml", undated(text))


@pytest.mark.parametrize("driver", ["470.256.02", "535.261.03", "570.148.08", "580.105.08"])
def test_the_report_has_the_rows_of_the_driver_branch(host, golden, driver):
    smi = host("A100-SXM4-40GB", driver_version=driver)
    golden(f"nvidia-smi/report-{driver.split('.')[0]}.txt", undated(smi.says("-q")[1]))
    dtd = "nvsmi_device_v11.dtd" if driver < "5" else "nvsmi_device_v12.dtd"
    assert smi.says("-q", "-x")[1].splitlines()[1] == f'<!DOCTYPE nvidia_smi_log SYSTEM "{dtd}">'


@pytest.mark.parametrize("name", HOSTS)
def test_text_and_xml_say_the_same(host, name):
    smi = host(*HOSTS[name])
    text, tree = smi.says("-q", "-i", "0")[1], xml_of(smi, "-i", "0")
    values = [line.split(": ", 1)[1] for line in text.splitlines() if re.match(r" +\S.*: ", line)]
    values = [v.removeprefix("0x") for v in values if v != "None"]
    elements = iter([(e.text or "").removeprefix("0x") for e in tree.find("gpu").iter() if len(e) == 0])
    missing = [v for v in values if v not in elements]     # each after the one before it
    assert missing == []


def test_every_gpu_is_reported_unless_some_are_chosen(smi):
    assert [g.get("id") for g in xml_of(smi).iter("gpu")] == [f"00000000:0{n}:00.0" for n in (7, 8, 9)]
    assert [g.findtext("product_name") for g in xml_of(smi, "-i", "1").iter("gpu")] == ["Tesla T4"]
    assert xml_of(smi, "-i", "1").findtext("attached_gpus") == "3"


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_is_shown_alone(smi, golden, section):
    status, text = smi.says("-q", "-d", section, "-i", "0")
    assert status == 0
    assert smi.says("-q", f"--display={section.lower()}", "-i", "0")[0] == 0
    golden(f"nvidia-smi/section-{section.lower()}.txt", text.split("GPU 00000000:07:00.0\n")[1])


@pytest.mark.parametrize(("model", "driver"), [("V100-SXM2-16GB", "470.256.02"), ("V100-SXM2-16GB", "550.54.15"),
                                               ("A100-SXM4-40GB", "470.256.02")])
def test_errors_are_told_as_the_chip_and_the_branch_count_them(host, golden, model, driver):
    text = host(model, driver_version=driver).says("-q", "-d", "ECC")[1]
    golden(f"nvidia-smi/ecc-{model.split('-')[0].lower()}-{driver.split('.')[0]}.txt", text.split("07:00.0\n")[1])


def test_sections_keep_the_order_of_the_report(smi):
    text = smi.says("-q", "-d", "COMPUTE,ECC,,ACCOUNTING", "-i", "1")[1]
    assert headings(text) == ["Accounting Mode", "Accounting Mode Buffer Size", "Compute Mode", "ECC Mode",
                              "ECC Errors", "Accounted Processes"]


@pytest.mark.parametrize(("driver", "section"), [("470.256.02", "RESET_STATUS"), ("535.261.03", "GSP_FIRMWARE_VERSION"),
                                                 ("550.54.15", "FOO"), ("550.54.15", "MEMORY,FOO")])
def test_a_section_that_the_branch_does_not_have_is_refused(host, driver, section):
    smi = host("T4", driver_version=driver)
    assert smi.says("-q", "-d", section) == (2, "Failed to parse --display/-d flags\n")


def test_a_changed_board_changes_both_forms(smi):
    board.update(smi.library, 0, temperature=71, remapped_pending=1)
    assert "        GPU Current Temp                  : 71 C\n" in smi.says("-q")[1]
    assert xml_of(smi).findtext("gpu/temperature/gpu_temp") == "71 C"
    assert xml_of(smi).findtext("gpu/remapped_rows/remapped_row_pending") == "Yes"


def test_the_share_of_a_vgpu_guest_tells_its_licence(smi):
    assert "License" not in smi.says("-q")[1]
    board.update(smi.library, 0, virtualization=2)    # NVML_GPU_VIRTUALIZATION_MODE_VGPU
    assert ("    vGPU Software Licensed Product\n"
            "        Product Name                      : NVIDIA Virtual Compute Server\n"
            "        License Status                    : Unlicensed (Restricted)\n") in smi.says("-q", "-i", "0")[1]
    board.update(smi.library, 0, vgpu_licensed=1)
    assert "        License Status                    : Licensed (Expiry: Permanent)\n" in smi.says("-q")[1]
    assert xml_of(smi).findtext("gpu/vgpu_software_licensed_product/license_status") == "Licensed (Expiry: Permanent)"


def test_a_lost_gpu_has_no_report(smi):
    board.update(smi.library, 1, fault=15)
    assert smi.says("-q")[0] == 15


def test_a_loop_prints_whole_documents(smi):
    with pytest.raises(subprocess.TimeoutExpired) as stopped:
        smi("-q", "-x", "-i", "1", "-lms", "100", timeout=1)
    documents = (stopped.value.stdout or b"").decode().split("</nvidia_smi_log>\n")
    assert len(documents) > 2
    assert documents[0].startswith('<?xml version="1.0" ?>\n') and documents[1].startswith('<?xml version="1.0" ?>\n')


def test_the_report_goes_to_a_file(smi, tmp_path):
    assert smi.says("-q", "-x", "-f", str(tmp_path / "log")) == (0, "")
    assert ElementTree.fromstring((tmp_path / "log").read_text()).findtext("attached_gpus") == "3"


@pytest.mark.parametrize(("args", "status", "text"), [
    (["-x"], 2, "Invalid combination of input arguments. Specify -q/--query and -x/--xml-format to run an XML query.  "
                "Please run 'nvidia-smi -h' for help.\n\n"),
    (["-d", "MEMORY"], 2, "Invalid combination of input arguments. Specify -q/--query and -d/--display to run a "
                          "filtered query.  Please run 'nvidia-smi -h' for help.\n\n"),
    (["-q", "-x", "-d", "MEMORY"], 2, "Invalid combination of input arguments: --display/-d flags can not be combined "
                                      "with -x/--xml-format flags.\n"),
    (["-q", "-d"], 255, "ERROR: Option -d is missing its value. Please run 'nvidia-smi -h' for help.\n\n"),
    (["-q", "-i", "9"], 6, "No devices were found\n"),
    (["-q", "--query-gpu=name", "--format=csv"], 2,
     "ERROR: Option -q is not recognized. Please run 'nvidia-smi -h' for help.\n\n")])
def test_a_wrong_command_line_is_answered_as_by_the_genuine_tool(smi, args, status, text):
    assert smi.says(*args) == (status, text)
