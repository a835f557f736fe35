"""How edits change config.json."""

import copy

import pytest

from toolkit.errors import SpecError
from toolkit.model.edits import DeviceNode, Edits, Hook, IntelRdt, Mount, NetDevice
from toolkit.plan.oci import existing_prestart_hook, with_edits, with_prestart_hook, without_prestart_hooks

NODE = DeviceNode(path="/dev/nvidia0", host_path="/dev/nvidia0", type="c", major=195, minor=0, file_mode=0o666)


def test_variables_are_appended_and_never_replace():
    spec = with_edits({"process": {"env": ["A=1", "B=2"]}}, Edits(env=("A=3", "C=4", "A=5")))
    assert spec["process"]["env"] == ["A=1", "B=2", "A=5", "C=4"]


def test_a_device_gets_an_entry_and_a_rule():
    spec = with_edits({}, Edits(device_nodes=(NODE,)))
    assert spec == {
        "linux": {
            "devices": [{"path": "/dev/nvidia0", "type": "c", "major": 195, "minor": 0, "fileMode": 0o666}],
            "resources": {"devices": [{"allow": True, "type": "c", "major": 195, "minor": 0, "access": "rwm"}]},
        }
    }


def test_a_device_of_the_same_path_is_replaced_and_rules_pile_up():
    before = {
        "linux": {
            "devices": [{"path": "/dev/nvidia0", "type": "c", "major": 1, "minor": 3}, {"path": "/dev/x"}],
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        }
    }
    spec = with_edits(before, Edits(device_nodes=(NODE, NODE._replace(permissions="rw"))))
    assert [device["path"] for device in spec["linux"]["devices"]] == ["/dev/x", "/dev/nvidia0"]
    assert [rule["access"] for rule in spec["linux"]["resources"]["devices"]] == ["rwm", "rwm", "rw"]


def test_a_named_pipe_gets_no_rule():
    spec = with_edits({}, Edits(device_nodes=(NODE._replace(type="p", major=0),)))
    assert "resources" not in spec["linux"]


def test_a_device_without_owner_belongs_to_the_containers_user_unless_that_is_root():
    user = {"process": {"user": {"uid": 1000, "gid": 0}}}
    assert with_edits(user, Edits(device_nodes=(NODE,)))["linux"]["devices"][0].get("uid") == 1000
    assert "gid" not in with_edits(user, Edits(device_nodes=(NODE,)))["linux"]["devices"][0]
    owned = with_edits(user, Edits(device_nodes=(NODE._replace(uid=0, gid=44),)))["linux"]["devices"][0]
    assert (owned["uid"], owned["gid"]) == (0, 44)


def test_mounts_replace_the_first_of_their_destination_and_are_sorted_by_depth():
    before = {"mounts": [{"destination": d} for d in ("/a/b/c", "/proc", "/dev/shm", "/lib/x", "/", "/lib/x")]}
    spec = with_edits(
        before,
        Edits(
            mounts=(
                Mount(host_path="/host/x", container_path="/lib/x", options=("ro", "rbind")),
                Mount(host_path="tmpfs", container_path="/run//", type="tmpfs"),
            )
        ),
    )
    assert [mount["destination"] for mount in spec["mounts"]] == [
        "/proc",
        "/",
        "/run//",
        "/dev/shm",
        "/lib/x",
        "/lib/x",
        "/a/b/c",
    ]
    assert spec["mounts"][5] == {"destination": "/lib/x", "source": "/host/x", "options": ["ro", "rbind"]}
    assert spec["mounts"][2] == {"destination": "/run//", "type": "tmpfs", "source": "tmpfs", "options": []}


def test_mounts_stay_unsorted_where_nothing_is_mounted():
    before = {"mounts": [{"destination": "/a/b"}, {"destination": "/"}]}
    assert with_edits(before, Edits(env=("A=1",)))["mounts"] == before["mounts"]


def test_hooks_go_to_the_end_of_their_stage():
    before = {"hooks": {"createContainer": [{"path": "/first"}], "poststop": [{"path": "/other"}]}}
    hooks = (
        Hook(name="createContainer", path="/x", args=("x", "y"), env=("D=1",)),
        Hook(name="startContainer", path="/z", timeout=0),
    )
    spec = with_edits(before, Edits(hooks=hooks))
    assert spec["hooks"]["createContainer"] == [{"path": "/first"}, {"path": "/x", "args": ["x", "y"], "env": ["D=1"]}]
    assert spec["hooks"]["startContainer"] == [{"path": "/z", "args": [], "env": [], "timeout": 0}]
    assert spec["hooks"]["poststop"] == [{"path": "/other"}]


def test_a_hook_of_an_unknown_stage_is_an_error():
    with pytest.raises(SpecError, match='unknown hook name "later"'):
        with_edits({}, Edits(hooks=(Hook(name="later", path="/x"),)))


def test_groups_are_added_once_and_never_root():
    spec = with_edits(
        {"process": {"user": {"uid": 1, "gid": 1, "additionalGids": [44]}}}, Edits(additional_gids=(0, 44, 105, 105))
    )
    assert spec["process"]["user"]["additionalGids"] == [44, 105]
    assert with_edits({}, Edits(additional_gids=(0,))) == {}


def test_net_devices_and_cache_classes_land_in_linux():
    edits = Edits(
        net_devices=(NetDevice(host_interface_name="eth1", name="net0"),),
        intel_rdt=IntelRdt(clos_id="c", enable_monitoring=True),
    )
    assert with_edits({}, edits)["linux"] == {
        "netDevices": {"eth1": {"name": "net0"}},
        "intelRdt": {"closID": "c", "enableMonitoring": True},
    }


def test_the_argument_is_left_alone():
    before = {
        "process": {"env": ["A=1"], "user": {}},
        "mounts": [{"destination": "/x"}],
        "hooks": {"prestart": []},
        "linux": {"devices": [{"path": "/dev/nvidia0"}], "resources": {"devices": []}},
    }
    kept = copy.deepcopy(before)
    with_edits(
        before,
        Edits(
            env=("B=2",),
            device_nodes=(NODE,),
            additional_gids=(5,),
            hooks=(Hook(name="prestart", path="/h"),),
            mounts=(Mount(host_path="/x", container_path="/x"),),
        ),
    )
    with_prestart_hook(before, "/h")
    assert before == kept


def test_only_the_legacy_hooks_are_removed_whatever_their_folder():
    paths = [
        "/a/nvidia-container-runtime-hook",
        "/keep",
        "/b/nvidia-container-toolkit",
        "/nvidia-container-runtime-hook2",
    ]
    spec = {"hooks": {"prestart": [{"path": p} for p in paths], "poststart": [{"path": paths[0]}]}}
    cleaned = without_prestart_hooks(spec)
    assert [hook["path"] for hook in cleaned["hooks"]["prestart"]] == ["/keep", "/nvidia-container-runtime-hook2"]
    assert cleaned["hooks"]["poststart"] == [{"path": paths[0]}]
    assert without_prestart_hooks({"root": {}}) == {"root": {}}


def test_the_legacy_hook_is_appended_with_its_own_name():
    spec = with_prestart_hook({"hooks": {"prestart": [{"path": "/first"}]}}, "/opt/bin/my-hook")
    assert spec["hooks"]["prestart"] == [
        {"path": "/first"},
        {"path": "/opt/bin/my-hook", "args": ["my-hook", "prestart"]},
    ]
    assert existing_prestart_hook(spec) == ""
    assert existing_prestart_hook({"hooks": {"prestart": [{"path": "/x/nvidia-container-toolkit"}]}}) == (
        "/x/nvidia-container-toolkit"
    )
