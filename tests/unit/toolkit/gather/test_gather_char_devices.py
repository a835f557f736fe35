"""/proc/devices and the PCI bus."""

import pytest

from toolkit.gather.char_devices import read_gpu_count, read_majors
from toolkit.gather.tree import Tree


@pytest.mark.parametrize(("text", "majors"), [
    ("", {}), ("Character devices:\n  1 mem\n", {}),
    ("Character devices:\n195 nvidia\n510 nvidia-uvm\n\nBlock devices:\n  8 sd\n 99 nvidia-x\n",
     {"nvidia": 195, "nvidia-uvm": 510}),
    ("Character devices:\n195 nvidia-frontend\n", {"nvidia-frontend": 195, "nvidia": 195}),
    ("x nvidia\n", {}),
])
def test_the_majors_are_those_of_character_devices(tmp_path, text, majors):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/devices").write_text(text)
    assert read_majors(Tree(str(tmp_path))) == majors


def test_gpus_are_display_controllers_but_no_virtual_functions(tmp_path):
    assert read_gpu_count(Tree(str(tmp_path))) == 0
    for name, vendor, kind in (("0000:01:00.0", "0x10de", "0x030000"), ("0000:02:00.0", "0x10de", "0x030200"),
                               ("0000:02:00.4", "0x10de", "0x030200"), ("0000:01:00.1", "0x10de", "0x040300"),
                               ("0000:03:00.0", "0x1002", "0x030000")):
        folder = tmp_path / "sys/bus/pci/devices" / name
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(vendor + "\n")
        (folder / "class").write_text(kind + "\n")
    (tmp_path / "sys/bus/pci/devices/0000:02:00.4/physfn").symlink_to("../0000:02:00.0")
    assert read_gpu_count(Tree(str(tmp_path))) == 2
