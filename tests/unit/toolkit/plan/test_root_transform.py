"""Specifications for another root.  Expectations: reference, toolkit 07 §4; component boundaries as after v1.20.0."""

import pytest

from toolkit.errors import ConfigError
from toolkit.model.cdi import Device, Spec
from toolkit.model.edits import DeviceNode, Edits, Hook, Mount
from toolkit.plan.root_transform import with_driver_roots, with_root

ARGS = ("hook", "--link", "/driver/x::/driver/y", "/driver/z", "a::b::/driver/c", "/driver")
NODES = (DeviceNode(path="/driver/dev/nvidia0"), DeviceNode(path="/dev/x", host_path="/driver-backup/dev/x"))
STAGES = ("createContainer", "startContainer", "poststop")
HOOKS = tuple(Hook(name=stage, path="/driver/bin/hook", args=ARGS) for stage in STAGES)
MOUNT = Mount(host_path="/driver/lib/../l", container_path="/driver/x")
SPEC = Spec(
    kind="nvidia.com/gpu",
    version="0.5.0",
    devices=(Device(name="0", edits=Edits(device_nodes=NODES)),),
    edits=Edits(hooks=HOOKS, mounts=(MOUNT,)),
)
MOVED = ("hook", "--link", "/new/x::/new/y", "/new/z", "a::b::/driver/c", "/new")


def test_paths_of_the_host_move() -> None:
    spec = with_root(SPEC, "/driver", "/new")
    assert spec.devices[0].edits.device_nodes == (
        NODES[0]._replace(host_path="/new/dev/nvidia0"), NODES[1])
    assert spec.edits.mounts == (MOUNT._replace(host_path="/new/l"),)
    assert [(hook.path, hook.args) for hook in spec.edits.hooks] == [
        ("/new/bin/hook", ARGS), ("/driver/bin/hook", ARGS), ("/new/bin/hook", MOVED)]
    assert spec.version == "0.5.0"


def test_paths_of_the_container_move() -> None:
    spec = with_root(SPEC, "/driver", "/new", side="container")
    assert spec.devices[0].edits.device_nodes == (NODES[0]._replace(path="/new/dev/nvidia0"), NODES[1])
    assert spec.edits.mounts == (MOUNT._replace(container_path="/new/x"),)
    assert [(hook.path, hook.args) for hook in spec.edits.hooks] == [
        ("/driver/bin/hook", MOVED), ("/new/bin/hook", MOVED), ("/driver/bin/hook", ARGS)]


def test_the_same_root_leaves_even_empty_host_paths() -> None:
    assert with_root(SPEC, "/driver", "/driver") == SPEC


@pytest.mark.parametrize(
    ("old", "new", "path", "expected"),
    [
        ("/driver", "", "/driver/x", "/x"),
        ("/driver/", "/a/../b/", "/driver/x", "/b/x"),
        ("/driver", "/new", "/driver", "/new"),
        ("/", "/new", "/x", "/new/x"),
        ("", "/new", "/x", "/new/x"),
        ("", "/new", "relative", "relative"),
        ("/driver", "/", "/driver/x", "/x"),
    ],
)
def test_a_root_is_matched_by_components(old: str, new: str, path: str, expected: str) -> None:
    spec = SPEC._replace(edits=Edits(mounts=(Mount(host_path=path, container_path="/c"),)), devices=())
    assert with_root(spec, old, new).edits.mounts[0].host_path == expected


def test_another_side_is_refused() -> None:
    with pytest.raises(ConfigError, match="invalid --relative-to value: guest"):
        with_root(SPEC, "/a", "/b", side="guest")


# The roots of the driver and of /dev where the specification was made, those on the host, and what becomes of a library
# and a node.  Source: reference, toolkit 07 §4, the library's driver transformer.
@pytest.mark.parametrize(
    ("roots", "library", "node"),
    [
        (("/run/nvidia/driver", "", "/run/nvidia/driver", ""), "/run/nvidia/driver/lib/l", "/run/nvidia/driver/dev/n"),
        (("/run/nvidia/driver", "", "/host/driver", ""), "/host/driver/lib/l", "/host/driver/dev/n"),
        (("/run/nvidia/driver", "", "/host/driver", "/"), "/host/driver/lib/l", "/dev/n"),
        (("/run/nvidia/driver", "", "", ""), "/lib/l", "/dev/n"),
    ],
)
def test_the_hosts_roots_take_the_place_of_those_here(
    roots: tuple[str, str, str, str], library: str, node: str
) -> None:
    edits = Edits(mounts=(Mount(host_path="/run/nvidia/driver/lib/l", container_path="/c"),),
                  device_nodes=(DeviceNode(path="/dev/n", host_path="/run/nvidia/driver/dev/n"),))
    moved = with_driver_roots(SPEC._replace(edits=edits, devices=()), *roots).edits
    assert (moved.mounts[0].host_path, moved.device_nodes[0].host_path) == (library, node)
