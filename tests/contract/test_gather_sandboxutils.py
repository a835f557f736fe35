"""toolkit.gather.sandboxutils asks libnvidia-sandboxutils.so.1 of a host that was built in place."""

import pytest

from nvsim import build, profile
from toolkit.gather.sandboxutils import read_listed

DRIVER = "580.105.08"
LIB = "/usr/lib/x86_64-linux-gnu"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    root = str(tmp_path_factory.mktemp("sandboxutils") / "root")
    return root, build.build(profile.of({"profile": "a100x8", "driver": DRIVER}, "host"), root, nodes=False,
                             dev_root=root)


def read(root, *uuids):
    return read_listed(f"{root}{LIB}/libnvidia-sandboxutils.so.{DRIVER}", root, uuids)


def test_each_gpu_has_its_nodes_and_the_links_that_name_them(host):
    root, machine = host
    gpus = machine.gpus[:2]
    answers = read(root, *(gpu.uuid for gpu in gpus))
    assert list(answers) == [gpu.uuid for gpu in gpus]
    for gpu in gpus:
        listed = answers[gpu.uuid]
        assert listed.nodes == (f"/dev/nvidia{gpu.minor}",)
        assert [path.rpartition("/")[2][:4] for path in listed.graphics] == ["card", "rend"]
        assert {path.rpartition("-")[2] for _, path in listed.links} == {"card", "render"}
        assert all(text.startswith("../") for text, _ in listed.links)


def test_a_device_that_the_driver_does_not_know_has_no_answer(host):
    root, machine = host
    nobody = "GPU-00000000-0000-0000-0000-000000000000"
    assert list(read(root, nobody, machine.gpus[0].uuid, "MIG-" + nobody[4:])) == [machine.gpus[0].uuid]


def test_without_the_library_or_its_functions_there_is_no_answer(host):
    assert read_listed("/nowhere/libnvidia-sandboxutils.so.1", "/", ("GPU-x",)) == {}
    assert read_listed("libm.so.6", "/", ("GPU-x",)) == {}
