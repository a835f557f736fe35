"""Requested CDI names → Edits."""

import pytest

from toolkit.errors import RequestError
from toolkit.model.cdi import Device, Spec
from toolkit.model.edits import DeviceNode, Edits
from toolkit.plan.cdi_names import is_qualified
from toolkit.plan.inject import automatic_ids, cdi_names, injected

GPU = Spec(
    kind="nvidia.com/gpu",
    edits=Edits(env=("COMMON=gpu",)),
    devices=tuple(
        Device(name=str(i), edits=Edits(device_nodes=(DeviceNode(path=f"/dev/nvidia{i}"),))) for i in range(2)
    ),
)
NIC = Spec(kind="v.com/nic", edits=Edits(env=("COMMON=nic",)), devices=(Device(name="a", edits=Edits(env=("NIC=a",))),))


def find(name):
    kind, _, device = name.partition("=")
    return next(((s, d) for s in (GPU, NIC) for d in s.devices if (s.kind, d.name) == (kind, device)), None)


@pytest.mark.parametrize(
    "name",
    [
        "nvidia.com/gpu=0",
        "nvidia.com/gpu=all",
        "nvidia.com/gpu=1:0",
        "nvidia.com/gpu=GPU-5e-f",
        "v/c=d",
        "a_b.c-d/e.f=0",
    ],
)
def test_these_names_are_qualified(name):
    assert is_qualified(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "0",
        "all",
        "nvidia.com/gpu",
        "/gpu=0",
        "nvidia.com/=0",
        "nvidia.com/gpu=",
        "nvidia.com/gpu=MIG-GPU-1/3/0",
        "nvidia.com/gpu=a b",
        "1vidia.com/gpu=0",
        "nvidia.com-/gpu=0",
        "nvidia.com/gpu=0:",
        "nvidia.com/gpu=0\n",
        "v/c/d=0",
    ],
)
def test_these_are_not(name):
    assert not is_qualified(name)


def test_bare_names_get_the_kind_none_is_a_device_and_repetitions_vanish():
    names = cdi_names(("", "0", "nvidia.com/gpu=0", "0", "MIG-GPU-1/3/0"), "nvidia.com/gpu")
    assert names == ("nvidia.com/gpu=none", "nvidia.com/gpu=0", "nvidia.com/gpu=MIG-GPU-1/3/0")


def test_automatic_names_give_their_ids():
    assert automatic_ids(("runtime.nvidia.com/gpu=0", "runtime.nvidia.com/gpu=a=b")) == ("0", "a=b")
    assert automatic_ids(("nvidia.com/gpu=0",)) == ()


def test_automatic_and_other_names_do_not_mix():
    with pytest.raises(
        RequestError, match=r"requesting a CDI device with vendor 'runtime\.nvidia\.com' is not supported"
    ):
        automatic_ids(("runtime.nvidia.com/gpu=0", "nvidia.com/gpu=1"))


def test_common_edits_come_before_the_first_device_of_their_spec_and_once():
    edits = injected(("nvidia.com/gpu=1", "v.com/nic=a", "nvidia.com/gpu=0"), find)
    assert edits.env == ("COMMON=gpu", "COMMON=nic", "NIC=a")
    assert [node.path for node in edits.device_nodes] == ["/dev/nvidia1", "/dev/nvidia0"]


def test_every_unknown_name_is_reported_and_nothing_injected():
    with pytest.raises(RequestError) as e:
        injected(("nvidia.com/gpu=7", "nvidia.com/gpu=0", "x y"), find)
    assert e.value.message == "unresolvable CDI devices nvidia.com/gpu=7, x y"
    assert "nvidia-ctk cdi list" in e.value.hint
