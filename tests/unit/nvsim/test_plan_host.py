"""What a profile and the catalogue say together: links between GPUs, the fabric, NUMA nodes, IMEX channels."""

from nvsim import plan_dev, profile
from nvsim.plan_host import host


def test_links_of_a_bridge_lead_to_the_other_gpu_and_back() -> None:
    first, second = (gpu.board for gpu in host(profile.load("a30x2")).gpus)
    assert first.nvlink_active == second.nvlink_active == 0b1111
    assert first.nvlink_remote[:5] == (0xCA00, 0xCA00, 0xCA00, 0xCA00, 0)  # bus << 8 | device << 3
    assert second.nvlink_remote[:5] == (0x1700, 0x1700, 0x1700, 0x1700, 0)
    assert (first.nvlink_remote_type, first.nvlink_remote_device_id) == (0, 0x20B710DE)


def test_a_mesh_gives_each_gpu_its_links_in_the_order_of_the_others() -> None:
    made = host(profile.load("v100x8"))
    buses = [gpu.board.pci_bus for gpu in made.gpus]
    ends = [buses.index(remote >> 8 & 0xFF) for remote in made.gpus[0].board.nvlink_remote[:6]]
    assert ends == [1, 2, 3, 3, 4, 4]


def test_links_to_switches_are_up_whether_or_not_the_switches_are_pci_devices() -> None:
    a100, b200 = (host(profile.load(name)).gpus[0].board for name in ("a100x8", "b200x8"))
    assert (a100.nvlink_active, a100.nvlink_remote_type) == (0xFFF, 2)
    assert (b200.nvlink_active, b200.nvlink_remote_type) == (0x3FFFF, 2)
    assert host(profile.load("b200x8")).nvswitches == ()


def test_without_switches_and_bridges_no_link_is_up() -> None:
    made = host(profile.parse("gpus: [{model: A100-PCIE-40GB, count: 2}]", "p.yaml"))
    assert [gpu.board.nvlink_active for gpu in made.gpus] == [0, 0]


def test_the_fabric_of_a_profile_reaches_every_gpu() -> None:
    said = profile.load("gb200x4").fabric
    assert {(gpu.board.fabric_cluster, gpu.board.fabric_clique) for gpu in host(profile.load("gb200x4")).gpus} == {
        (said.cluster, said.clique)}
    assert {gpu.board.fabric_state for gpu in host(profile.load("l4x4")).gpus} == {None}


def test_imex_channels_are_nodes_that_only_root_may_read() -> None:
    made = host(profile.of({"profile": "gb200x4", "fabric": {"imex_channels": 2}}, "host"))
    nodes = [(node.path, node.minor, node.mode) for node in plan_dev.nodes(made) if "imex" in node.path]
    assert nodes == [("/dev/nvidia-caps-imex-channels/channel0", 0, 0o400),
                     ("/dev/nvidia-caps-imex-channels/channel1", 1, 0o400)]


def test_a_driver_before_550_has_no_imex_channels() -> None:
    made = host(profile.of({"profile": "gb200x4", "arch": "x86_64", "driver": "535.261.03"}, "host"))
    assert [node.path for node in plan_dev.nodes(made) if "imex" in node.path] == []


def test_cpus_without_second_threads_are_one_range() -> None:
    assert [gpu.cpus for gpu in host(profile.load("gb200x4")).gpus] == ["0-71", "0-71", "72-143", "72-143"]


def test_a_numa_node_that_a_gpu_names_decides_which_cpus_are_near() -> None:
    gpu = host(profile.load("a100x8-535")).gpus[0]
    assert (gpu.numa_node, gpu.board.numa_node, gpu.cpus) == (3, 3, "48-63,176-191")
