"""Specs → Specs: repetitions, order, the merged device, versions."""

import pytest

from toolkit.model.cdi import Device, Spec
from toolkit.model.edits import DeviceNode, Edits, Hook, IntelRdt, Mount, NetDevice
from toolkit.plan.transform import minimum_version, simplified, split_by_coherence, with_merged_device


def node(path: str, **fields: str) -> DeviceNode:
    return DeviceNode(path=path, **fields)  # type: ignore[arg-type]


def mount(path: str) -> Mount:
    return Mount(host_path=path, container_path=path)


def spec(*devices: Device, **fields: object) -> Spec:
    return Spec(kind="nvidia.com/gpu", devices=devices, **fields)  # type: ignore[arg-type]


def test_equal_entries_are_merged_and_group_ids_sorted() -> None:
    edits = Edits(env=("A=1", "B=2", "A=1"), mounts=(mount("/a"), mount("/a")), additional_gids=(105, 44, 105))
    assert simplified(spec(edits=edits)).edits == Edits(
        env=("A=1", "B=2"), mounts=(mount("/a"),), additional_gids=(44, 105)
    )


def test_devices_lose_what_everyone_has() -> None:
    common = Edits(device_nodes=(node("/dev/nvidiactl"),))
    device = Device("0", Edits(device_nodes=(node("/dev/nvidia0"), node("/dev/nvidiactl"))))
    assert simplified(spec(device, edits=common)).devices[0].edits.device_nodes == (node("/dev/nvidia0"),)


def test_a_device_that_would_be_left_with_nothing_stays_as_it_is() -> None:
    common = Edits(device_nodes=(node("/dev/nvidiactl"),))
    assert simplified(spec(Device("0", common), edits=common)).devices[0].edits == common


def test_parents_come_before_what_lies_in_them() -> None:
    paths = ("/usr/lib/b", "/usr/lib", "/zzz", "/usr/lib/a/../c/d", "/usr/lib/B")
    ordered = simplified(spec(edits=Edits(mounts=tuple(map(mount, paths))))).edits.mounts
    assert [m.container_path for m in ordered] == ["/zzz", "/usr/lib", "/usr/lib/B", "/usr/lib/b", "/usr/lib/a/../c/d"]


def test_hooks_and_environment_keep_their_order() -> None:
    hooks = (Hook("createContainer", "/z"), Hook("createContainer", "/a"))
    assert simplified(spec(edits=Edits(hooks=hooks, env=("Z=1", "A=1")))).edits == Edits(
        hooks=hooks, env=("Z=1", "A=1")
    )


def test_devices_are_sorted_by_the_bytes_of_their_names() -> None:
    names = ["gpu0", "GPU-a", "10", "1:0", "2"]
    devices = (Device(name, Edits(env=("A=1",))) for name in names)
    assert [d.name for d in simplified(spec(*devices)).devices] == ["10", "1:0", "2", "GPU-a", "gpu0"]


def test_the_merged_device_has_the_edits_of_all_in_their_order() -> None:
    a, b = (Device(name, Edits(hooks=(Hook("createContainer", f"/{name}"),), env=("X=1",))) for name in "ab")
    merged = with_merged_device(spec(a, b), "all").devices[0]
    assert merged.name == "a"  # sorted: a, all, b
    everything = with_merged_device(spec(a, b), "all").devices[1]
    assert everything == Device("all", Edits(hooks=(*a.edits.hooks, *b.edits.hooks), env=("X=1",)))


def test_a_device_of_that_name_is_not_replaced() -> None:
    only = spec(Device("all", Edits(env=("A=1",))))
    assert with_merged_device(only, "all") == only
    assert with_merged_device(only, "") == only


RDT = Edits(intel_rdt=IntelRdt(clos_id="x"))


@pytest.mark.parametrize(
    ("given", "version"),
    [
        (spec(Device("gpu0", Edits(device_nodes=(node("/dev/a"),)))), "0.3.0"),
        (spec(edits=Edits(mounts=(Mount("/a", "/b", type="bind"),))), "0.4.0"),
        (spec(Device("0", Edits(env=("A=1",)))), "0.5.0"),
        (spec(edits=Edits(device_nodes=(node("/dev/a", host_path="/dev/b"),))), "0.5.0"),
        (spec(annotations=(("a", "b"),)), "0.6.0"),
        (spec(Device("gpu0", Edits(), annotations=(("a", "b"),))), "0.6.0"),
        (Spec(kind="nvidia.com/gpu.coherent"), "0.6.0"),
        (spec(Device("0", Edits(additional_gids=(44,)))), "0.7.0"),
        (spec(edits=RDT), "0.7.0"),
        (spec(edits=Edits(intel_rdt=IntelRdt(schemata=("L3:0=f",)))), "1.1.0"),
        (spec(edits=Edits(intel_rdt=IntelRdt(enable_monitoring=True))), "1.1.0"),
        (spec(Device("0", Edits(net_devices=(NetDevice("eth0", "eth1"),)))), "1.1.0"),
    ],
)
def test_the_version_is_the_lowest_that_has_all_that_is_used(given: Spec, version: str) -> None:
    assert minimum_version(given) == version


def test_coherent_gpus_get_specifications_of_their_own() -> None:
    edits = Edits(env=("A=1",))
    devices = (
        Device("0", edits, (("coherent", "true"),)),
        Device("1", edits, (("coherent", "false"),)),
        Device("1:0", edits),
    )
    parts = split_by_coherence(spec(*devices), "coherent")
    assert [(infix, part.kind, [d.name for d in part.devices]) for infix, part in parts] == [
        ("", "nvidia.com/gpu", ["0", "1", "1:0"]),
        ("coherent", "nvidia.com/gpu.coherent", ["0"]),
        ("noncoherent", "nvidia.com/gpu.noncoherent", ["1"]),
    ]
    assert not any(device.annotations for _, part in parts for device in part.devices)
