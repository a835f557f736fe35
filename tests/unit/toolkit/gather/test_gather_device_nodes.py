"""What the host decides about device nodes."""

import os
import stat

import pytest

from toolkit.errors import HostError
from toolkit.gather.device_nodes import read_nodes
from toolkit.model.edits import DeviceNode, Edits


def completed(node, root="/"):
    return read_nodes(Edits(device_nodes=(node,)), root=root).device_nodes[0]


def test_a_node_is_completed_from_the_host():
    node = completed(DeviceNode(path="/dev/null"))
    status = os.stat("/dev/null")
    assert (node.host_path, node.type, node.major, node.minor) == ("/dev/null", "c", 1, 3)
    assert node.file_mode == stat.S_IMODE(status.st_mode)


def test_what_the_edits_say_stays():
    node = completed(DeviceNode(path="/dev/x", host_path="/dev/null", major=9, minor=8, file_mode=0o600, uid=5))
    assert (node.path, node.type, node.major, node.minor, node.file_mode, node.uid) == ("/dev/x", "c", 9, 8, 0o600, 5)


def test_a_node_that_says_everything_need_not_exist():
    node = completed(DeviceNode(path="/dev/none", type="c", major=195))
    assert (node.host_path, node.file_mode) == ("/dev/none", None)
    assert completed(DeviceNode(path="/none", type="p")).type == "p"


def test_a_missing_node_is_an_error_with_the_bare_cause():
    with pytest.raises(HostError) as e:
        completed(DeviceNode(path="/dev/none", major=195))
    assert e.value.message == 'failed to stat CDI host device "/dev/none": no such file or directory'


def test_a_file_is_no_device(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="not a device node"):
        completed(DeviceNode(path="/file"), root=str(tmp_path))


def test_another_type_on_the_host_is_an_error():
    with pytest.raises(HostError) as e:
        completed(DeviceNode(path="/dev/x", host_path="/dev/null", type="b", major=1))
    assert e.value.message == 'CDI device ("/dev/x", "/dev/null"), host type mismatch (b, c)'


def test_the_machine_may_be_mounted_elsewhere(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    node = completed(DeviceNode(path="/pipe"), root=str(tmp_path))
    assert (node.host_path, node.type, node.major) == ("/pipe", "p", 0)
