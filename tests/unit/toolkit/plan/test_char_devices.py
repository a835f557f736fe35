"""The device nodes that the driver may have."""

import pytest

from toolkit.errors import HostError
from toolkit.model.host import CharDevice
from toolkit.plan.char_devices import control_nodes, existing_nodes, possible_nodes

MAJORS = {"nvidia": 195, "nvidia-uvm": 510, "nvidia-caps": 236}
CAPS = (("config", 1), ("monitor", 2), ("gpu0/gi0/access", 3), ("gpu0/gi0/ci0/access", 4), ("gpu0/gi0/ci2/access", 6),
        ("gpu0/gi2/access", 9), ("gpu1/gi0/access", 138))


def test_the_control_nodes_come_in_upstreams_order():
    assert control_nodes(MAJORS) == (
        ("/dev/nvidiactl", 195, 255), ("/dev/nvidia-modeset", 195, 254), ("/dev/nvidia-uvm", 510, 0),
        ("/dev/nvidia-uvm-tools", 510, 1))


def test_a_control_node_without_its_major_is_an_error_before_any_is_made():
    with pytest.raises(HostError, match="failed to create device node nvidia-uvm: failed to determine major"):
        control_nodes({"nvidia": 195})


def test_nodes_of_switches_and_of_gpudirect_storage_get_no_link():
    paths = ("/dev/nvidia0", "/dev/nvidia-fs0", "/dev/nvidia-nvswitch0", "/dev/nvidia-nvlink", "/dev/nvidia-uvm")
    devices = tuple(CharDevice(path=p, host_path=p, major=1, minor=2, mode=0o666, uid=0, gid=0) for p in paths)
    assert existing_nodes(devices) == (("/dev/nvidia0", 1, 2), ("/dev/nvidia-uvm", 1, 2))


def test_all_possible_nodes_follow_the_numbering_of_instances_up_to_the_first_gap():
    found = [(node.path.rpartition("/")[2], node.major, node.minor) for node in possible_nodes(MAJORS, 2, CAPS)]
    assert found == [
        ("nvidia-modeset", 195, 254), ("nvidiactl", 195, 255), ("nvidia-uvm", 510, 0), ("nvidia-uvm-tools", 510, 1),
        ("nvidia-cap1", 236, 1), ("nvidia-cap2", 236, 2),
        ("nvidia0", 195, 0), ("nvidia-cap3", 236, 3), ("nvidia-cap4", 236, 4),
        ("nvidia1", 195, 1), ("nvidia-cap138", 236, 138)]


@pytest.mark.parametrize(("missing", "caps"), [("nvidia", ()), ("nvidia-uvm", ()), ("nvidia-caps", CAPS)])
def test_a_missing_major_is_named(missing, caps):
    majors = {name: major for name, major in MAJORS.items() if name != missing}
    with pytest.raises(HostError, match=f"missing required device major {missing}$"):
        possible_nodes(majors, 1, caps)


def test_capabilities_count_only_where_the_driver_lists_them():
    assert len(possible_nodes({"nvidia": 195, "nvidia-uvm": 510}, 1, ())) == 5
    assert possible_nodes(MAJORS, 0, CAPS) == ()
